"""``produce --speed`` of three sources on one clock, on real brokers: their records come in the recording's order."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from running import ok
from sensorstream.clients import open_client
from sensorstream.config import Settings
from sensorstream.records import TopicPartition

pytestmark = pytest.mark.broker

START = datetime(2023, 8, 31, 12, tzinfo=UTC)


class Came(NamedTuple):
    recorded: int
    sent_ms: int
    topic: str


@pytest.fixture
def b(broker: tuple[str, ...]) -> list[str]:
    return ["--bootstrap", ",".join(broker)]


def sources(folder: Path, times: Mapping[str, Sequence[int]]) -> list[str]:
    """Files with date and time apart, for each topic its times in seconds; and the options that replay them."""
    options = []
    for topic, seconds in times.items():
        moments = [START + timedelta(seconds=second) for second in seconds]
        path = folder / f"{topic}.csv"
        lines = [f"{moment:%d/%m/%Y,%H:%M:%S},{second}" for moment, second in zip(moments, seconds, strict=True)]
        path.write_text("\n".join(["Date,Time,at", *lines]) + "\n")
        options += ["--source", f"{topic}={path}"]
    return [*options, "--time-column", "Date,Time"]


def came(b: list[str], topics: Sequence[str]) -> list[Came]:
    """All records of the topics, in the recording's order, with the time at which each was sent."""
    found = []
    with open_client(Settings(bootstrap=tuple(b[1].split(",")))).reader() as reader:
        partitions = [TopicPartition(topic, number) for topic in topics for number in (0, 1)]
        reader.assign(dict.fromkeys(partitions, 0))
        ends = reader.end_offsets(partitions)
        while any(reader.position(partition) < ends[partition] for partition in partitions):
            for partition, records in reader.poll(1.0).items():
                for record in records:
                    at = json.loads(record.value or b"")["at"]
                    found.append(Came(at, record.timestamp_ms, partition.topic))
    return sorted(found)


@pytest.mark.parametrize("more", [["--client", "kafka-python"], ["--client", "librdkafka", "--exactly-once"]])
def test_three_sources_interleave_as_they_were_recorded(b: list[str], tmp_path: Path, more: list[str]) -> None:
    topics = [f"clock-{name}-{more[1]}" for name in ("air", "earth", "water")]
    ok("topics", "create", *topics, *b)
    times = dict(zip(topics, (range(0, 6000, 60), range(600, 6600, 45), range(30, 4000, 300)), strict=True))
    result = ok("produce", *sources(tmp_path, times), "--speed", "6000", *more, *b, cwd=tmp_path)
    assert result["acknowledged"] == sum(map(len, times.values()))
    found = came(b, topics)
    assert [(row.recorded, row.topic) for row in found] == sorted(
        (second, topic) for topic, seconds in times.items() for second in seconds
    )
    sent = [row.sent_ms for row in found]
    assert sent == sorted(sent)


def test_several_processes_keep_one_clock_and_begin_each_round_together(b: list[str], tmp_path: Path) -> None:
    topics = [f"clock-{name}-processes" for name in ("air", "earth")]
    ok("topics", "create", *topics, *b)
    # A second of the recording is one of the replay: what is late by less stays in order.
    options = sources(tmp_path, dict(zip(topics, ([0, 2], [1, 3]), strict=True)))
    ok("produce", *options, "--speed", "1", "--processes", "2", "--loop", "--limit", "4", *b, cwd=tmp_path)
    found = sorted(came(b, topics), key=lambda row: (row.sent_ms, -row.recorded))
    assert [row.recorded for row in found] == [0, 1, 2, 3, 0, 1, 2, 3]
