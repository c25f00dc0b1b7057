"""The whole record and ranges of it from real brokers, with both clients."""

import csv
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from looking import topic_of_its_own
from running import ok, started, until
from sensorstream.clients import open_client
from sensorstream.config import Settings
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.spec import CaptureResult

pytestmark = pytest.mark.broker
MS = 1_693_526_340_000
ROWS = 40_000


@pytest.fixture(params=["kafka-python", "librdkafka"])
def settings(request: pytest.FixtureRequest, broker: tuple[str, ...]) -> Settings:
    return Settings(bootstrap=broker, client=request.param)


@pytest.fixture
def topic(settings: Settings) -> Iterator[str]:
    with topic_of_its_own(settings, "whole", partitions=1) as name:
        yield name


def consume(settings: Settings, topic: str, to: Path, **options: Any) -> CaptureResult:
    plan = make_job(settings, CaptureOptions(topic=topic, partitions=(0,), to=str(to), **options))
    return capture(open_client(settings), plan.job, plan.make_sink)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_all_that_a_record_has(settings: Settings, topic: str, tmp_path: Path) -> None:
    headers = (("id", b"7"), ("id", b"\xff"), ("empty", b""))
    with open_client(settings).publisher() as publisher:
        publisher.publish(
            topic, b'{"t":1.50,"in":{"u":[1]}}', partition=0, key="Ä".encode(), timestamp_ms=MS + 7, headers=headers
        )
        publisher.publish(topic, None, partition=0, key=b"gone", timestamp_ms=MS)
        publisher.publish(topic, b'{"t":2}', partition=0, timestamp_ms=MS + 1)
        publisher.publish(topic, b"", partition=0, key=b"", timestamp_ms=MS + 2)
    whole = {"with_": "key,timestamp,offset,partition,headers", "tombstones": True}
    result = consume(settings, topic, tmp_path / "a.csv", offset="0:3", flatten=True, **whole)
    assert (result.ended, result.rows, result.rejected) == ("end", 3, 0)
    told = '[{"name":"id","value":"7"},{"name":"id","value_base64":"/w=="},{"name":"empty","value":""}]'
    time = "2023-08-31T23:59:00.00"
    assert [list(row.values()) for row in rows(tmp_path / "a.csv")] == [
        ["Ä", f"{time}7Z", "0", "0", told, "false", "1.50", "[1]"],
        ["gone", f"{time}0Z", "1", "0", "[]", "true", "", ""],
        ["", f"{time}1Z", "2", "0", "[]", "false", "2", ""],
    ]
    consume(settings, topic, tmp_path / "b.jsonl", offset="1:end", value_format="bytes", with_="key", tombstones=True)
    stored = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert stored == [
        {"key": "gone", "tombstone": True},
        {"key": None, "tombstone": False, "value": "eyJ0IjoyfQ=="},
        {"key": "", "tombstone": False, "value": ""},
    ]


def test_a_range_of_time_survives_a_kill_and_holds_each_record_once(
    settings: Settings, topic: str, tmp_path: Path
) -> None:
    with open_client(settings).publisher() as publisher:
        for n in range(ROWS):
            publisher.publish(topic, b'{"n":%d}' % n, partition=0, timestamp_ms=MS + n)
        publisher.flush(60)
    to = tmp_path / "range.csv"
    command = [
        "consume", "-t", topic, "-p", "0", "-o", f"@{MS + 1000}:@{MS + ROWS - 500}", "--with", "offset,timestamp",
        "--to", str(to), "--bootstrap", ",".join(settings.bootstrap), "--client", settings.client,
    ]  # fmt: skip
    with started(*command) as running:
        until(lambda: to.exists() and to.stat().st_size > 0, "a growing file")
        os.kill(running.process.pid, signal.SIGKILL)
        running.end()
    # More records of the same time would move the end, if it were settled anew.
    with open_client(settings).publisher() as publisher:
        publisher.publish(topic, b'{"n":-1}', partition=0, timestamp_ms=MS + 5)
    result = ok(*command)
    assert result["ended"] == "end"
    found = rows(to)
    assert [int(row["n"]) for row in found] == list(range(1000, ROWS - 500))
    assert all(row["offset"] == row["n"] for row in found)
    assert ok(*command)["rows"] == 0


def test_a_range_that_ends_within_an_aborted_transaction_ends(settings: Settings, topic: str, tmp_path: Path) -> None:
    with open_client(settings).transactional_publisher(f"{topic}-tx") as publisher:
        publisher.begin()
        for n in range(5):
            publisher.publish(topic, b'{"n":%d}' % n, partition=0)
        publisher.commit()
    with open_client(settings).transactional_publisher(f"{topic}-tx") as publisher:
        publisher.begin()
        for _ in range(5):
            publisher.publish(topic, b'{"n":-1}', partition=0)
        publisher.flush(30)
        publisher.abort()
    # 0 to 4 count, 5 is their marker, 6 to 10 were aborted, 11 is that marker.
    assert consume(settings, topic, tmp_path / "a.csv", offset="3:9").ended == "end"
    assert [row["n"] for row in rows(tmp_path / "a.csv")] == ["3", "4"]
