"""The archive that brokers start from: made once, used, and never in the way of a start."""

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sensorstream.cluster import artifacts, class_archive
from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.java_runtime import java_executable
from sensorstream.errors import Interrupted
from sensorstream.events import Event, Notice, ignore

pytestmark = [pytest.mark.broker, pytest.mark.long]
VERSION = artifacts.DEFAULT_VERSION


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for archives; Kafka itself stays where it is."""
    artifacts.fetch(VERSION)
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_archive, "archive_folder", lambda: folder)
        yield folder


def prepared(listener: list[Event] | None = None, stop: threading.Event | None = None) -> Launch:
    told = ignore if listener is None else listener.append
    return class_archive.prepared_launch(
        java_executable(), artifacts.fetch(VERSION), VERSION, told, stop or threading.Event()
    )


def classes_from_the_archive(launch: Launch, folder: Path) -> int:
    """How many classes Java takes from Kafka's archive when it runs Kafka's own tool, which must succeed."""
    logging, loaded = folder / "log4j2.properties", folder / "loaded"
    logging.write_text("rootLogger.level=off\n")
    loud = replace(launch, options=(f"-Xlog:class+load:file={loaded}",))
    done = subprocess.run(
        loud.command(folder, ["kafka.tools.StorageTool", "random-uuid"], logging, 96), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return loaded.read_text().count("source: shared objects file (top)")


def test_an_archive_is_made_once_and_used(cache: Path, tmp_path: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Interrupted):
        prepared(stop=stopped)
    assert not list(cache.rglob("kafka.jsa"))
    told: list[Event] = []
    launch = prepared(told)
    assert sum(isinstance(event, Notice) and "once" in event.text for event in told) == 1
    assert [path.name for path in launch.archive] == ["java.jsa", "kafka.jsa"]
    assert {path.name for path in launch.archive[0].parent.iterdir()} <= {"java.jsa", "kafka.jsa", "lock"}
    assert classes_from_the_archive(launch, tmp_path) > 500
    told.clear()
    assert prepared(told) == launch
    assert not told


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty"])
def test_a_damaged_archive_keeps_nothing_from_starting(cache: Path, tmp_path: Path, damage: str) -> None:
    launch = prepared()
    whole = launch.archive[1].read_bytes()
    damaged = tmp_path / "kafka.jsa"
    damaged.write_bytes({"cut": whole[: len(whole) // 2], "rubbish": b"rubbish" * 1000, "empty": b""}[damage])
    assert classes_from_the_archive(replace(launch, archive=(launch.archive[0], damaged)), tmp_path) == 0


def test_where_it_can_not_be_made_brokers_start_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(class_archive, "archive_folder", lambda: tmp_path / "file")
    told: list[Event] = []
    assert prepared(told).archive == ()
    assert any(isinstance(event, Notice) and "without an archive" in event.text for event in told)
