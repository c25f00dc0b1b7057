"""Captures of a range: what -o means, where they end, what their position knows, how they go on."""

import csv
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import PositionMismatch, UsageError
from sensorstream.events import Event, Listener, Notice, RowStored, ignore
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.ranges import parse_range
from sensorstream.pipelines.capture.spec import CaptureResult
from sensorstream.pipelines.start_at import StartAt, parse

NOW = 1_700_000_000_000


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("T", 2)
    return made


def publish(broker: MemoryBroker, numbers: range, partition: int = 0, at_ms: int = NOW) -> None:
    """Records whose value and whose seconds behind ``at_ms`` are their number."""
    with MemoryClient(broker).publisher() as publisher:
        for n in numbers:
            publisher.publish("T", b'{"n":%d}' % n, partition=partition, timestamp_ms=at_ms + n * 1000)
        publisher.flush(5)


def consume(
    broker: MemoryBroker, to: Path, *, listener: Listener = ignore, stop: threading.Event | None = None, **options: Any
) -> CaptureResult:
    chosen = {"topic": "T", "partitions": (0,), "to": str(to), **options}
    plan = make_job(load(environ={}), CaptureOptions(**chosen))
    return capture(MemoryClient(broker), plan.job, plan.make_sink, listener=listener, stop=stop)


def numbers(path: Path) -> list[int]:
    with path.open(newline="", encoding="utf-8") as file:
        return [int(row["n"]) for row in csv.DictReader(file)]


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


@pytest.mark.parametrize(
    ("text", "start", "end", "mark"),
    [
        ("5", StartAt("offset", 5), None, ""),
        ("5:", StartAt("offset", 5), None, ""),
        ("5:9", StartAt("offset", 5), StartAt("offset", 9), "5:9"),
        ("05:9", StartAt("offset", 5), StartAt("offset", 9), "5:9"),
        (":9", StartAt("beginning"), StartAt("offset", 9), "beginning:9"),
        ("-9:-2", StartAt("tail", 9), StartAt("tail", 2), "-9:-2"),
        ("-9:end", StartAt("tail", 9), StartAt("end"), "-9:end"),
        ("@1:@2", StartAt("time", 1000), StartAt("time", 2000), "@1970-01-01T00:00:01.000Z:@1970-01-01T00:00:02.000Z"),
        ("@1:", StartAt("time", 1000), None, ""),
        (
            "@1970-01-01T00:01:00:@1970-01-01T01:02:00+01:00",
            StartAt("time", 60_000),
            StartAt("time", 120_000),
            "@1970-01-01T00:01:00.000Z:@1970-01-01T00:02:00.000Z",
        ),
        ("@1970-01-01T00:01", StartAt("time", 60_000), None, ""),
        ("7:@1", StartAt("offset", 7), StartAt("time", 1000), "7:@1970-01-01T00:00:01.000Z"),
        ("@-1h30m:@now", StartAt("time", NOW - 5_400_000), StartAt("time", NOW), "@-1h30m:@now"),
        ("@-2w", StartAt("time", NOW - 1_209_600_000), None, ""),
    ],
)
def test_what_an_offset_or_a_range_means(text: str, start: StartAt, end: StartAt | None, mark: str) -> None:
    read = parse_range(text, NOW)
    assert (read.start, read.end, read.mark) == (start, end, mark)


@pytest.mark.parametrize(
    "text",
    [
        ":",
        "9:5",
        "-2:-9",
        "@2:@1",
        "a:b",
        "1:2:3",
        "@1:5",
        "@-1x:@now",
        "@-:@now",
        "@-h",
        "@+1h",
        "5:@+1h",
        "1:@99999999999",
    ],
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(UsageError):
        parse_range(text, NOW)


def test_relative_times_are_relative_to_the_clock_and_never_before_1970() -> None:
    assert parse("@-1s").value > NOW
    assert parse("@-9999w", NOW).value == 0


@pytest.mark.parametrize(
    ("offset", "held"),
    [
        ("3:7", range(3, 7)),
        (":4", range(4)),
        ("6:", range(6, 10)),
        ("-4:-1", range(6, 9)),
        ("-4:end", range(6, 10)),
        ("5:5", range(0)),
        (f"@{NOW + 2000}:@{NOW + 5000}", range(2, 5)),
        (f"@{NOW + 1001}:@{NOW + 4001}", range(2, 5)),
        (f"@{iso(NOW + 8000)}:@now", range(8, 10)),
        ("@1:@2", range(0)),
    ],
)
def test_a_range_is_just_that_and_ends_by_itself(
    broker: MemoryBroker, tmp_path: Path, offset: str, held: range
) -> None:
    publish(broker, range(10))
    to = tmp_path / "a.csv"
    result = consume(broker, to, offset=offset, exit_at_end=offset.endswith(":"))
    assert (result.ended, result.rows) == ("end", len(held))
    assert result.partitions[0].next_offset - result.partitions[0].first_offset == len(held)
    if held:
        assert numbers(to) == list(held)


def test_a_range_that_is_not_full_yet_waits_for_its_records_and_takes_no_more(
    broker: MemoryBroker, tmp_path: Path
) -> None:
    publish(broker, range(3))

    def more(event: Event) -> None:
        if isinstance(event, RowStored) and event.offset == 2:
            publish(broker, range(3, 9))

    result = consume(broker, tmp_path / "a.csv", offset="1:5", listener=more)
    assert (result.ended, numbers(tmp_path / "a.csv")) == ("end", [1, 2, 3, 4])


def test_going_on_keeps_the_range_as_it_was_settled_when_it_began(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, range(10))
    to = tmp_path / "a.csv"
    assert consume(broker, to, offset="2:-1", count=3).ended == "count"
    document = json.loads((to.with_name("a.csv.position")).read_text())
    assert (document["range"], document["range_end"], document["next_offset"]) == ("2:-1", 9, 5)
    publish(broker, range(10, 20))
    # By now -1 is another offset; the file goes on to the one that it was.
    assert consume(broker, to, offset="2:-1", count=2).ended == "count"
    # Left out, -o is the file's own.
    assert consume(broker, to).ended == "end"
    assert numbers(to) == list(range(2, 9))
    told: list[Event] = []
    again = consume(broker, to, offset="2:-1", listener=told.append)
    assert (again.ended, again.rows) == ("end", 0)
    assert any("holds its whole range" in event.text for event in told if isinstance(event, Notice))
    assert numbers(to) == list(range(2, 9))


def test_another_range_is_refused_and_the_file_untouched(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, range(10))
    to = tmp_path / "a.csv"
    consume(broker, to, offset="2:5")
    before = to.read_bytes(), to.with_name("a.csv.position").read_bytes()
    with pytest.raises(PositionMismatch, match="holds the range 2:5, not the range 2:6"):
        consume(broker, to, offset="2:6")
    with pytest.raises(UsageError, match="-o can't apply"):
        consume(broker, to, offset="7")
    assert (to.read_bytes(), to.with_name("a.csv.position").read_bytes()) == before
    whole = tmp_path / "whole.csv"
    consume(broker, whole, exit_at_end=True)
    with pytest.raises(PositionMismatch, match="without an end, not the range 2:6"):
        consume(broker, whole, offset="2:6")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.sqlite"])
def test_each_kind_of_file_knows_its_range(broker: MemoryBroker, tmp_path: Path, name: str) -> None:
    publish(broker, range(10))
    to = tmp_path / name
    assert consume(broker, to, offset="2:6", count=1).rows == 1
    publish(broker, range(10, 12))
    result = consume(broker, to, transforms=())
    assert (result.ended, result.rows, result.partitions[0].next_offset) == ("end", 3, 6)
    with pytest.raises(PositionMismatch, match="holds the range 2:6"):
        consume(broker, to, offset="2:7")


def test_a_range_through_a_transform_counts_records_not_rows(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, range(10))
    to = tmp_path / "a.csv"
    settings: dict[str, Any] = {"transforms": ("filter",), "transform_settings": ("where=n > 4",)}
    assert consume(broker, to, offset="2:8", count=4, **settings).ended == "count"
    assert consume(broker, to, offset="2:8", **settings).ended == "end"
    assert numbers(to) == [5, 6, 7]


def test_a_range_of_several_partitions_ends_when_all_have_ended(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, range(3))
    publish(broker, range(6), partition=1)

    def more(event: Event) -> None:
        if isinstance(event, RowStored) and event.offset == 2 and event.partition == 0:
            publish(broker, range(3, 6))
            publish(broker, range(6, 9), partition=1)

    result = consume(broker, tmp_path, partitions=(0, 1), offset="1:5", listener=more)
    assert (result.ended, result.rows) == ("end", 8)
    assert [part.next_offset for part in result.partitions] == [5, 5]
    assert numbers(tmp_path / "T_Consumer_1.csv") == [1, 2, 3, 4]


def test_a_range_in_a_group(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, range(8))
    publish(broker, range(8), partition=1)
    settings: dict[str, Any] = {"partitions": (), "group_given": True, "offset": "2:6"}
    assert consume(broker, tmp_path, **settings, count=3).rows == 3
    assert consume(broker, tmp_path, **settings).ended == "end"
    for partition in (0, 1):
        assert numbers(tmp_path / f"T_Consumer_{partition}.csv") == [2, 3, 4, 5]


def test_a_whole_range_needs_nothing_of_the_log_any_more(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, range(10))
    consume(broker, tmp_path, offset="2:4")
    broker.delete_records("T", 0, 8)
    result = consume(broker, tmp_path, offset="2:4")
    assert (result.ended, result.rows) == ("end", 0)
    assert numbers(tmp_path / "T_Consumer_0.csv") == [2, 3]


def test_a_range_that_begins_outside_the_log(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, range(3))
    with pytest.raises(UsageError, match="has no offset 5"):
        consume(broker, tmp_path, offset="5:9")


def test_a_range_on_the_screen(broker: MemoryBroker, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    publish(broker, range(5))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        chosen = CaptureOptions(topic="T", partitions=(0,), to="-", offset="1:3", with_="offset")
        plan = make_job(load(environ={}), chosen)
        assert capture(MemoryClient(broker), plan.job, plan.make_sink).ended == "end"
    assert capfdbinary.readouterr().out == b'{"offset":1,"n":1}\n{"offset":2,"n":2}\n'


def test_values_that_say_no_json_can_be_captured_by_range_too(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, range(5))
    result = consume(broker, tmp_path / "a.jsonl", offset="-2:end", value_format="text")
    assert (result.ended, result.rows) == ("end", 2)
    assert (tmp_path / "a.jsonl").read_text() == '{"value":"{\\"n\\":3}"}\n{"value":"{\\"n\\":4}"}\n'
