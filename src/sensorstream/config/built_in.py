"""The topics that are known without a configuration, and where their samples are."""

from pathlib import Path
from typing import Final

from sensorstream.config.settings import TopicSettings

SENSOR_TIME_FORMAT: Final = "%d/%m/%Y %H:%M:%S"


def samples_folder() -> Path:
    """Where the recorded sample files are: inside the installed package, or at the root of a checkout."""
    installed = Path(__file__).parents[1] / "_samples"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "samples"


def sample_name(path: str | Path) -> str | None:
    """What a built-in sample is called, such as ``sample AIR``; None for every other file, also a copy of a sample."""
    place = Path(path)
    return f"sample {place.stem.removesuffix('2308')}" if place.parent == samples_folder() else None


def sensor_topics() -> tuple[TopicSettings, ...]:
    """The built-in topics AIR, EARTH and WATER, fed by the sample files."""
    return tuple(
        TopicSettings(
            name,
            source=samples_folder() / f"{name}2308.csv",
            time_column="Time",
            time_format=SENSOR_TIME_FORMAT,
        )
        for name in ("AIR", "EARTH", "WATER")
    )


def posts_topic() -> TopicSettings:
    """The topic POSTS, fed by the sample of posts: a page's posts share a partition, and so stay in order.

    It is none of the configured topics: what is done to "all of them" is done to the sensors' alone.
    """
    return TopicSettings("POSTS", source=samples_folder() / "posts.jsonl", time_column="time", key="page")
