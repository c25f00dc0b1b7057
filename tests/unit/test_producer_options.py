"""The named options of publishing: where a value comes from, what it becomes, and how a wrong one is told."""

from pathlib import Path

import pytest

from sensorstream import config, producer_options
from sensorstream.clients import check_publishing
from sensorstream.clients.properties import parse_properties
from sensorstream.config import Settings, load
from sensorstream.errors import ConfigError
from sensorstream.events import Notice

FILE = """\
compression = "gzip"
linger = 10
acks = 1
idempotence = false
[properties]
"linger.ms" = 99
[profiles.far]
compression = "zstd"
batch_size = 500000
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / config.FILE_NAME).write_text(FILE, encoding="utf-8")
    return tmp_path


def test_a_named_option_is_a_property_and_the_first_that_says_something_wins(folder: Path) -> None:
    plain = load(environ={}, start=folder)
    assert plain.properties == {
        "compression.type": "gzip", "linger.ms": "10", "acks": "1", "enable.idempotence": "false"
    }  # fmt: skip
    assert plain.origins["properties.compression.type"] == str(folder / config.FILE_NAME)
    steps: list[tuple[dict[str, object], str]] = [
        ({}, "gzip"),
        ({"profile": "far"}, "zstd"),
        ({"environ": {"SENSORSTREAM_COMPRESSION": "snappy"}}, "snappy"),
        ({"properties": ["compression.type=none"]}, "none"),
        ({"flags": {"compression": "lz4"}}, "lz4"),
    ]
    given: dict[str, object] = {"environ": {}}
    for more, wanted in steps:
        given |= more
        assert load(start=folder, **given).properties["compression.type"] == wanted  # type: ignore[arg-type]
    assert load(environ={}, profile="far", start=folder).properties["batch.size"] == "500000"


def test_of_two_names_for_the_same_thing_the_one_that_comes_first_in_rank_holds(folder: Path) -> None:
    """librdkafka's name in -X must beat Java's name in the file, and a flag must beat both."""
    given = load(environ={}, properties=["compression.codec=snappy"], start=folder)
    assert parse_properties(given.properties).values["compression.type"] == "snappy"
    flagged = load(environ={}, properties=["compression.codec=snappy"], flags={"compression": "lz4"}, start=folder)
    assert parse_properties(flagged.properties).values["compression.type"] == "lz4"


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("compression", "brotli", "none, gzip, snappy, lz4, zstd"),
        ("compression", True, "none, gzip, snappy, lz4, zstd"),
        ("linger", -1, "milliseconds from 0 to 900000"),
        ("linger", 900_001, "milliseconds from 0 to 900000"),
        ("linger", "soon", "milliseconds from 0 to 900000"),
        ("batch_size", 0, "bytes from 1 to"),
        ("batch_size", 1.5, "bytes from 1 to"),
        ("acks", "2", "all, 1, 0"),
        ("acks", -1, "all, 1, 0"),
        ("idempotence", "maybe", "true or false"),
    ],
)
def test_a_wrong_value_is_told_with_the_right_ones(name: str, value: object, right: str) -> None:
    with pytest.raises(ConfigError, match=name) as caught:
        load(environ={}, flags={name: value})
    assert right in caught.value.hint
    assert "command line" in caught.value.message


def test_a_misspelt_name_is_told_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / config.FILE_NAME).write_text('compresion = "lz4"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(environ={}, start=tmp_path)
    assert caught.value.hint == "did you mean 'compression'?"


def test_options_can_be_written_for_another_command() -> None:
    values = {
        "compression": "zstd",
        "linger": 0,
        "batch_size": None,
        "acks": "all",
        "idempotence": False,
        "client": "x",
    }
    assert producer_options.as_arguments(values) == [
        "--compression", "zstd", "--linger", "0", "--acks", "all", "--no-idempotence"
    ]  # fmt: skip
    assert producer_options.as_arguments({"idempotence": True}) == ["--idempotence"]


def test_what_is_given_up_is_said_once_in_one_line() -> None:
    told: list[object] = []
    check_publishing(Settings(), told.append)
    assert told == []
    check_publishing(Settings(properties={"acks": "0"}), told.append)
    (notice,) = told
    assert isinstance(notice, Notice) and notice.level == "warning"
    assert "lost unnoticed" in notice.text and "\n" not in notice.text
