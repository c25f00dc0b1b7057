"""A topic streamed into another one, exactly once, on the broker in memory."""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from running import until
from sensorstream.clients.memory import MemoryBroker, MemoryClient, MemoryReader, MemoryTransactionalPublisher
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import (
    ClusterUnreachable,
    DeliveryError,
    DeliveryTimeout,
    Fenced,
    OffsetOutOfRange,
    SensorstreamError,
    UnknownTopic,
)
from sensorstream.events import Event, Listener, Notice, Progress, ignore
from sensorstream.pipelines.stream.job import StreamJob, StreamResult
from sensorstream.pipelines.stream.stream import stream
from sensorstream.records import ConsumedRecord, Number, TopicPartition
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable


class Doubled:
    """``n`` becomes ``n`` and ``twice``; a row without ``n`` can't be used; ``times`` rows for each."""

    name, version = "doubled", "1"

    def __init__(self, times: int = 1, **output: Any) -> None:
        self._times = times
        self._output = output

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        return [self._one(one) for one in rows]

    def _one(self, one: InputRow) -> Transformed:
        n = one.row.get("n")
        if not isinstance(n, Number):
            return Unusable("it has no n")
        return [OutputRow({"n": n, "twice": Number(int(n) * 2)}, **self._output)] * self._times


def filled(rows: int = 20, partitions: int = 2, out: int = 2) -> MemoryBroker:
    broker = MemoryBroker({"IN": partitions, "OUT": out, "OUT_DEAD": 1})
    put(broker, range(rows))
    return broker


def put(broker: MemoryBroker, numbers: Sequence[int]) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for n in numbers:
            publisher.publish(
                "IN", b'{"n":%d}' % n, partition=n % publisher.partitions_for("IN"), timestamp_ms=1000 + n
            )


def run(
    broker: MemoryBroker,
    transform: Any = None,
    *,
    client: MemoryClient | None = None,
    listener: Listener = ignore,
    stop: threading.Event | None = None,
    worker: str = "a",
    **options: Any,
) -> StreamResult:
    options = {"stop_at_end": True, **options}
    job = StreamJob("IN", "OUT", "OUT_DEAD", "g", f"g-{worker}", **options)
    return stream(client or MemoryClient(broker), job, lambda: transform or Doubled(), stop=stop, listener=listener)


def seen(broker: MemoryBroker, topic: str = "OUT") -> list[ConsumedRecord]:
    partitions = len(broker.topic(topic).logs)
    return [record for number in range(partitions) for record in broker.records(topic, number)]


def numbers(broker: MemoryBroker) -> list[int]:
    return sorted(json.loads(record.value or b"")["n"] for record in seen(broker))


def committed(broker: MemoryBroker) -> dict[int, int]:
    return {tp.partition: offset for tp, (offset, _) in broker.committed("g").items()}


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


class Breaking(MemoryTransactionalPublisher):
    """Its commits fail as the plan says: before (``abort``), or nobody knows: it is ``done``, or still ``open``.

    ``unheard`` and ``denied``: it is done, and another error is told than that nobody knows.
    """

    plan: list[str]

    def commit(self, timeout_s: float = 30.0) -> None:
        what = self.plan.pop(0) if self.plan else "ok"
        if what == "abort":
            self.abort()
            raise DeliveryError("the transaction was aborted: planned")
        if what == "fenced":
            self._broker.fence(self._id)
        if what == "open":
            raise DeliveryTimeout("it is not known: planned")
        super().commit(timeout_s)
        if what == "done":
            self._stage.spend()
            raise DeliveryTimeout("it is not known: planned")
        if what == "unheard":
            self._stage.spend()
            raise ClusterUnreachable("no answer: planned")
        if what == "denied":
            self._stage.spend()
            raise DeliveryError("the transaction was aborted: planned, and wrong")


class BreakingClient(MemoryClient):
    def __init__(self, broker: MemoryBroker, *plan: str) -> None:
        super().__init__(broker)
        self.plan = list(plan)

    def transactional_publisher(
        self, transactional_id: str, *, client_id: str = "", listener: Listener = ignore
    ) -> MemoryTransactionalPublisher:
        made = Breaking(self._broker, transactional_id)
        made.plan = self.plan
        return made


@pytest.mark.parametrize(
    "plan",
    [
        ["abort"],
        ["done"],
        ["open"],
        ["fenced"],
        ["unheard"],
        ["denied"],
        ["abort", "open", "done"],
        ["fenced", "abort", "fenced", "done"],
    ],
)
def test_a_failed_transaction_is_done_again_unless_it_was_committed(plan: list[str]) -> None:
    broker = filled()
    told: list[Event] = []
    result = run(broker, client=BreakingClient(broker, *plan), listener=told.append, batch_rows=5)
    assert numbers(broker) == list(range(20))
    assert (result.rows_in, result.rows_out, result.aborted) == (20, 20, len(plan))
    failures = [event for event in told if isinstance(event, Notice) and "is repeated" in event.text]
    assert len(failures) == len(plan)
    assert failures[0].level == "warning"


class SwappingClient(BreakingClient):
    """Once its plan is done, the next poll of its reader gives one partition away and brings another with its rows."""

    def reader(self, *, group: str | None = None, **options: Any) -> MemoryReader:
        made = Swapping(self._broker, group)
        made.plan = self.plan
        return made


class Swapping(MemoryReader):
    plan: list[str]
    swapped = False

    def poll(self, timeout_s: float, max_records: int = 5000) -> Mapping[TopicPartition, Sequence[ConsumedRecord]]:
        if not self.plan and not self.swapped:
            self.swapped = True
            with self._broker.changed:
                target = self._broker.group("g").target
                target.update(zip(target, reversed(list(target.values())), strict=True))
        return super().poll(timeout_s, max_records)


def test_what_comes_while_partitions_go_is_not_published_twice() -> None:
    broker = filled(10)
    with broker.changed:
        broker.join("g", ("IN",))  # another member: each has one of the two
    result = run(broker, client=SwappingClient(broker, "abort"), batch_rows=5)
    assert numbers(broker) == list(range(10))
    assert (result.rows_in, result.rows_out, result.aborted) == (10, 10, 1)
    assert committed(broker) == {0: 5, 1: 5}


@pytest.mark.parametrize(("plan", "committed"), [(["fenced"] * 5, 0), (["fenced", "ok"] * 5, 10)])
def test_one_who_is_fenced_again_and_again_says_so(plan: list[str], committed: int) -> None:
    """Also when it commits something in between, by fencing the other in its turn."""
    broker = filled()
    with pytest.raises(Fenced, match="another process"):
        run(broker, client=BreakingClient(broker, *plan), batch_rows=5)
    assert numbers(broker) == list(range(committed))
    assert run(broker).rows_in == 20 - committed


def test_rows_that_can_never_be_published_end_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensorstream.pipelines.stream.retries.GIVE_UP_S", 0.0)
    broker = filled()
    with pytest.raises(DeliveryError, match="planned"):
        run(broker, client=BreakingClient(broker, *["abort"] * 100))
    assert numbers(broker) == []


def test_an_outage_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = filled()
    timers: list[threading.Timer] = []

    def stop_once(event: Event) -> None:
        if isinstance(event, Progress) and not timers:
            broker.stop()
            timers.append(threading.Timer(0.3, broker.start))
            timers[0].start()

    result = run(broker, listener=stop_once, batch_rows=3)
    assert timers
    assert result.rows_in == 20
    assert numbers(broker) == list(range(20))
    monkeypatch.setattr("sensorstream.pipelines.read_timeouts.GIVE_UP_S", 0.2)
    put(broker, range(20, 24))
    timers.clear()
    with pytest.raises(ClusterUnreachable):
        run(broker, listener=lambda event: broker.stop() if isinstance(event, Progress) else None, batch_rows=1)


def test_a_group_that_is_further_than_the_log_is_not_at_its_end() -> None:
    broker = filled(4)
    with MemoryClient(broker).reader(group="g") as reader:
        reader.commit({TopicPartition("IN", 0): 2, TopicPartition("IN", 1): 9})
    with pytest.raises(OffsetOutOfRange, match="past the end of the log"):
        run(broker)


def test_members_that_come_and_go_share_the_work() -> None:
    broker = filled(0, partitions=4, out=4)
    stops = [threading.Event() for _ in range(4)]
    results: list[StreamResult] = []

    def work(number: int) -> None:
        results.append(run(broker, worker=str(number), stop_at_end=False, stop=stops[number], batch_rows=7))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for round_, thread in enumerate(threads):
        thread.start()
        put(broker, range(round_ * 400, round_ * 400 + 400))
        if round_ == 2:
            broker.evict("g")
            stops[0].set()
    put(broker, range(1600, 2000))
    until(lambda: sum(committed(broker).values()) == 2000, "all rows")
    for stop in stops:
        stop.set()
    for thread in threads:
        thread.join(30)
    assert numbers(broker) == list(range(2000))
    assert sum(result.rows_in for result in results) == 2000


def test_a_member_thrown_out_with_a_transaction_open_drops_it() -> None:
    broker = filled()
    evicted: list[bool] = []

    class Evicting(Doubled):
        def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
            if not evicted:
                evicted.append(True)
                broker.evict("g")
            return super().apply(rows)

    result = run(broker, Evicting())
    assert evicted
    assert numbers(broker) == list(range(20))
    assert result.rows_out == 20


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


def test_rows_that_retention_has_eaten_are_not_skipped_in_silence() -> None:
    broker = filled()
    run(broker, stop_at_end=False, count=4)
    broker.delete_records("IN", 0, 9)
    broker.delete_records("IN", 1, 9)
    with pytest.raises(OffsetOutOfRange, match="retention"):
        run(broker)


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
