"""What a stream makes of the rows of a topic, and when it ends."""

import json
import threading
from collections.abc import Sequence

import pytest

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import SensorstreamError, UnknownTopic
from sensorstream.events import Progress
from sensorstream.pipelines.stream.job import StreamResult
from sensorstream.records import Number
from sensorstream.transforms.base import InputRow, OutputRow, Transformed
from stream_labs import Doubled, committed, filled, numbers, put, run, seen


def test_every_row_comes_out_once_where_it_was_and_when_it_was() -> None:
    broker = filled()
    result = run(broker)
    assert (result.ended, result.rows_in, result.rows_out, result.dead_letters) == ("end", 20, 20, 0)
    assert [(part.partition, part.first_offset, part.next_offset) for part in result.partitions] == [
        (0, 0, 10),
        (1, 0, 10),
    ]
    assert [json.loads(record.value or b"") for record in broker.records("OUT", 1)] == [
        {"n": n, "twice": 2 * n} for n in range(1, 20, 2)
    ]
    assert [record.timestamp_ms for record in broker.records("OUT", 1)] == [1000 + n for n in range(1, 20, 2)]
    assert committed(broker) == {0: 10, 1: 10}


def test_the_next_run_goes_on_where_the_last_one_was() -> None:
    broker = filled()
    assert run(broker, stop_at_end=False, count=7).rows_in == 7
    assert sum(committed(broker).values()) == 7
    put(broker, range(20, 30))
    assert run(broker).rows_in == 23
    assert run(broker).rows_in == 0
    assert numbers(broker) == list(range(30))


def test_what_cannot_be_used_is_a_dead_letter_with_its_reason_and_place() -> None:
    broker = filled(2)
    with MemoryClient(broker).publisher() as publisher:
        publisher.publish("IN", b"no json", partition=1, key=b"k", headers=(("h", b"1"),), timestamp_ms=5)
        publisher.publish("IN", b'{"m":1}', partition=0)
        publisher.publish("IN", None, partition=0, key=b"tomb")
    result = run(broker)
    assert (result.rows_in, result.rows_out, result.dead_letters) == (5, 2, 3)
    dead = {record.value: record for record in seen(broker, "OUT_DEAD")}
    broken = dead[b"no json"]
    assert (broken.key, broken.timestamp_ms, broken.headers[0]) == (b"k", 5, ("h", b"1"))
    told = dict(broken.headers)
    assert told["sensorstream.reason"].startswith(b"it is not JSON")
    assert (told["sensorstream.topic"], told["sensorstream.partition"], told["sensorstream.offset"]) == (
        b"IN",
        b"1",
        b"1",
    )
    assert told["sensorstream.transform"] == b"doubled 1"
    assert dict(dead[b'{"m":1}'].headers)["sensorstream.reason"] == b"it has no n"
    assert dict(dead[None].headers)["sensorstream.reason"] == b"the record has no value"
    assert run(broker).dead_letters == 0


def test_plain_records_are_texts() -> None:
    broker = MemoryBroker({"IN": 1, "OUT": 1, "OUT_DEAD": 1})
    with MemoryClient(broker).publisher() as publisher:
        publisher.publish("IN", "good ☺".encode(), partition=0)
        publisher.publish("IN", b"\xff", partition=0)

    class Same:
        name, version = "same", "1"

        def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
            return [[OutputRow(one.row)] for one in rows]

    result = run(broker, Same(), plain="text")
    assert (result.rows_out, result.dead_letters) == (1, 1)
    assert json.loads(seen(broker)[0].value or b"") == {"text": "good ☺"}


def test_partitions_keys_and_times_of_outputs() -> None:
    broker = filled(9, partitions=3)
    run(broker)
    assert [len(broker.records("OUT", number)) for number in range(2)] == [6, 3]
    broker = filled(6, partitions=3)
    run(broker, Doubled(key=b"station", timestamp_ms=77))
    home = partition_for_key(b"station", 2)
    assert [(one.key, one.timestamp_ms) for one in broker.records("OUT", home)] == [(b"station", 77)] * 6


def test_one_row_may_become_none_or_several() -> None:
    broker = filled(4)
    assert run(broker, Doubled(times=3)).rows_out == 12
    broker = filled(4)
    assert run(broker, Doubled(times=0)).rows_out == 0
    assert committed(broker) == {0: 2, 1: 2}


def test_a_row_whose_output_is_too_large_is_a_dead_letter() -> None:
    broker = filled(3, partitions=1, out=1)

    class Large(Doubled):
        def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
            small = OutputRow({"n": Number("0")})
            large = OutputRow({"n": "x" * 2_000_000})
            return [[small, large] if str(one.row["n"]) == "1" else [small] for one in rows]

    result = run(broker, Large())
    assert (result.rows_out, result.dead_letters, result.aborted) == (2, 1, 1)
    assert [record.value for record in seen(broker, "OUT_DEAD")] == [b'{"n":1}']
    assert len(seen(broker)) == 2


def test_a_transform_that_fails_ends_the_stream_and_names_the_offsets() -> None:
    class Failing(Doubled):
        def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
            raise ZeroDivisionError("division by zero")

    class Short(Doubled):
        def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
            return []

    broker = filled(4, partitions=1)
    with pytest.raises(SensorstreamError, match=r"doubled failed at IN\[0\] offsets 0 to 3: ZeroDivisionError"):
        run(broker, Failing())
    with pytest.raises(SensorstreamError, match="0 answers for 4 rows"):
        run(broker, Short())
    assert seen(broker) == []
    assert run(broker).rows_in == 4


def test_the_stop_commits_what_is_open_and_the_timeout_ends() -> None:
    broker = filled()
    stop = threading.Event()
    result = run(
        broker, stop_at_end=False, stop=stop, listener=lambda event: stop.set() if isinstance(event, Progress) else None
    )
    assert result.ended == "stopped"
    assert run(broker, stop_at_end=False, idle_timeout_s=0.2).ended == "timeout"
    assert numbers(broker) == list(range(20))


def test_topics_must_exist() -> None:
    broker = MemoryBroker({"IN": 1})
    with pytest.raises(UnknownTopic, match="OUT"):
        run(broker)


def test_an_empty_topic_and_more_workers_than_partitions_end_too() -> None:
    broker = filled(0)
    assert run(broker).rows_in == 0
    broker = filled(10, partitions=1)
    results: list[StreamResult] = []
    threads = [threading.Thread(target=lambda n=n: results.append(run(broker, worker=str(n)))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [result.ended for result in results] == ["end"] * 3
    assert numbers(broker) == list(range(10))
