"""The capture pipeline on the broker in memory: ends, resumes, refusals."""

import csv
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from running import until
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import (
    OffsetOutOfRange,
    PositionMismatch,
    SinkError,
    UnknownPartition,
    UnknownTopic,
    UsageError,
)
from sensorstream.events import Event, Notice, PartitionEnd, RowStored
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.spec import CaptureResult
from sensorstream.records import TopicPartition, parse_commit_note


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("AIR", 2)
    return made


def publish(broker: MemoryBroker, values: list[object], partition: int = 0) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for value in values:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            publisher.publish("AIR", data, partition=partition)
        publisher.flush(5)


def consume(broker: MemoryBroker, folder: Path, told: list[Event] | None = None, **options: Any) -> CaptureResult:
    chosen = {"topic": "AIR", "partitions": (0,), "exit_at_end": True, "to": str(folder), **options}
    plan = make_job(load(environ={}), CaptureOptions(**chosen))
    events: list[Event] = [] if told is None else told
    return capture(MemoryClient(broker), plan.job, plan.make_sink, listener=events.append)


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_captures_up_to_the_end_and_goes_on_there(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": 0}, {"n": 1}])
    told: list[Event] = []
    first = consume(broker, tmp_path, told)
    assert (first.ended, first.rows) == ("end", 2)
    assert PartitionEnd("AIR", 0, 2) in told
    assert [event.offset for event in told if isinstance(event, RowStored)] == [0, 1]
    publish(broker, [{"n": 2}])
    second = consume(broker, tmp_path)
    assert (second.rows, second.partitions[0].first_offset, second.partitions[0].next_offset) == (1, 2, 3)
    assert cells(tmp_path / "AIR_Consumer_0.csv") == [["n"], ["0"], ["1"], ["2"]]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_not_stored_is_not_told_as_stored(broker: MemoryBroker, tmp_path: Path, form: str) -> None:
    publish(broker, [{"n": 5}, b"not json", {"n": 1}, b"{", {"n": 7}])
    told: list[Event] = []
    result = consume(broker, tmp_path, told, format=form)
    assert [event.offset for event in told if isinstance(event, RowStored)] == [0, 2, 4]
    assert (result.rows, result.rejected) == (3, 2)


def test_the_group_sees_the_position_and_who_reads(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": 0}])
    consume(broker, tmp_path)
    offset, note = broker.committed("sensor_data_group")[TopicPartition("AIR", 0)]
    assert offset == 1
    who = parse_commit_note(note)
    assert who is not None
    assert who[0].startswith("sensorstream-")


def test_the_end_is_the_end_at_the_start(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": n} for n in range(10)])

    def more(event: Event) -> None:
        if isinstance(event, RowStored) and event.offset == 0:
            publish(broker, [{"n": 99}])

    plan = make_job(load(environ={}), CaptureOptions(topic="AIR", partitions=(0,), exit_at_end=True, to=str(tmp_path)))
    result = capture(MemoryClient(broker), plan.job, plan.make_sink, listener=more)
    assert result.rows == 10
    assert consume(broker, tmp_path).rows == 1


def test_count_stops_exactly_there(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": n} for n in range(10)])
    result = consume(broker, tmp_path, exit_at_end=False, count=4)
    assert (result.ended, result.rows, result.partitions[0].next_offset) == ("count", 4, 4)
    assert consume(broker, tmp_path).rows == 6


def test_timeout_stops_when_nothing_comes(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": 0}])
    result = consume(broker, tmp_path, exit_at_end=False, timeout=0.2)
    assert (result.ended, result.rows) == ("timeout", 1)


@pytest.mark.parametrize(("offset", "rows"), [("beginning", 5), ("end", 0), ("3", 2), ("-1", 1), ("-99", 5)])
def test_starts_where_it_is_told(broker: MemoryBroker, tmp_path: Path, offset: str, rows: int) -> None:
    publish(broker, [{"n": n} for n in range(5)])
    assert consume(broker, tmp_path, offset=offset).rows == rows


@pytest.mark.parametrize("offset", ["x", "1.5", "--2", "@", "@yesterday", "", "9" * 5000, "@" + "9" * 30])
def test_an_offset_that_is_none_is_a_usage_error(broker: MemoryBroker, tmp_path: Path, offset: str) -> None:
    with pytest.raises(UsageError):
        consume(broker, tmp_path, offset=offset)
    assert not list(tmp_path.iterdir())


def test_an_offset_outside_of_the_log_leaves_nothing(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": 0}])
    with pytest.raises(UsageError, match="no offset 7"):
        consume(broker, tmp_path, offset="7")
    assert not list(tmp_path.iterdir())


def test_an_offset_for_a_file_that_has_one_is_refused(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": 0}])
    consume(broker, tmp_path)
    with pytest.raises(UsageError, match="-o can't apply"):
        consume(broker, tmp_path, offset="beginning")
    assert cells(tmp_path / "AIR_Consumer_0.csv") == [["n"], ["0"]]


def test_rows_that_retention_has_eaten_are_named(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": n} for n in range(3)])
    consume(broker, tmp_path)
    publish(broker, [{"n": n} for n in range(5)])
    broker.delete_records("AIR", 0, 6)
    with pytest.raises(OffsetOutOfRange, match="offsets 3 to 5 are no longer in the log"):
        consume(broker, tmp_path)
    assert len(cells(tmp_path / "AIR_Consumer_0.csv")) == 4


def test_a_topic_made_anew_is_not_mixed_with_the_old_one(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": 0}])
    consume(broker, tmp_path)
    broker.delete_topic("AIR")
    broker.create_topic("AIR", 2)
    publish(broker, [{"n": "other"}] * 3)
    with pytest.raises(PositionMismatch, match="deleted topic"):
        consume(broker, tmp_path)
    assert cells(tmp_path / "AIR_Consumer_0.csv") == [["n"], ["0"]]


def test_bad_records_are_put_aside_and_the_rest_goes_on(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": 0}, b"bad", {"n": 1}])
    result = consume(broker, tmp_path)
    assert (result.rows, result.rejected) == (2, 1)
    assert json.loads((tmp_path / "AIR_Consumer_0.rejected.jsonl").read_text())["value"] == "bad"


def test_max_rejects_stops_the_job(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [b"bad", b"bad", b"bad"])
    with pytest.raises(SinkError, match="--max-rejects 1"):
        consume(broker, tmp_path, max_rejects=1)


def test_jsonl_keeps_the_letters(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [b'{"a": 1.50, "id": 12345678901234567890}', b"[1,\n 2]", b'"text"'])
    consume(broker, tmp_path, to=str(tmp_path / "out.jsonl"))
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert lines == [b'{"a": 1.50, "id": 12345678901234567890}', b"[1,  2]", b'"text"']


def test_stdout_takes_lines_and_commits_nothing(
    broker: MemoryBroker, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    publish(broker, [{"n": 0}, {"n": 1}])
    consume(broker, Path("-"))
    assert capfdbinary.readouterr().out == b'{"n": 0}\n{"n": 1}\n'
    assert not broker.committed("sensor_data_group")


def test_an_outage_is_sat_out(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": 0}])
    stop = threading.Event()
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        if isinstance(event, RowStored) and event.offset == 1:
            broker.stop()

    plan = make_job(load(environ={}), CaptureOptions(topic="AIR", partitions=(0,), to=str(tmp_path)))
    thread = threading.Thread(
        target=capture,
        args=(MemoryClient(broker), plan.job, plan.make_sink),
        kwargs={"stop": stop, "listener": listen},
    )
    thread.start()
    try:
        until(lambda: PartitionEnd("AIR", 0, 1) in told, "the first end")
        publish(broker, [{"n": 1}])
        until(lambda: any(isinstance(one, Notice) and "waiting" in one.text for one in told), "a notice of the outage")
        broker.start()
        publish(broker, [{"n": 2}])
        until(lambda: PartitionEnd("AIR", 0, 3) in told, "the last end")
    finally:
        stop.set()
        thread.join(30)
    assert cells(tmp_path / "AIR_Consumer_0.csv") == [["n"], ["0"], ["1"], ["2"]]


def test_two_members_share_the_partitions(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, [{"n": n} for n in range(50)], 0)
    publish(broker, [{"n": n} for n in range(50)], 1)
    stop = threading.Event()
    results: list[CaptureResult] = []

    def member() -> None:
        plan = make_job(load(environ={}), CaptureOptions(topic="AIR", group_given=True, timeout=1.0, to=str(tmp_path)))
        results.append(capture(MemoryClient(broker), plan.job, plan.make_sink, stop=stop))

    threads = [threading.Thread(target=member) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(result.rows for result in results) == 100
    for partition in (0, 1):
        assert cells(tmp_path / f"AIR_Consumer_{partition}.csv") == [["n"], *[[str(n)] for n in range(50)]]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"topic": "NOPE"}, UnknownTopic),
        ({"partitions": (9,)}, UnknownPartition),
        ({"partitions": (-1,)}, UsageError),
        ({"partitions": ()}, UsageError),
        ({"partitions": (0, 0)}, UsageError),
        ({"topic": "../../x"}, UsageError),
        ({"topic": "x" * 250}, UsageError),
        ({"format": "xml"}, UsageError),
        ({"timeout": 0.0}, UsageError),
        ({"timeout": float("nan")}, UsageError),
    ],
)
def test_wrong_options_leave_nothing(
    broker: MemoryBroker, tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        consume(broker, tmp_path / "new", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_refused(broker: MemoryBroker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError, match="is a file"):
        consume(broker, tmp_path / "file" / "below")


def test_partitions_on_stdout_share_one_csv_header(
    broker: MemoryBroker, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    publish(broker, [{"n": 0}])
    publish(broker, [{"n": 1}], partition=1)
    consume(broker, tmp_path, to="-", partitions=(0, 1), format="csv")
    assert sorted(capfdbinary.readouterr().out.split()) == [b"0", b"1", b"n"]
