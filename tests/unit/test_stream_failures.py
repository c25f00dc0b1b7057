"""Streams whose commits, brokers or members fail: each row still comes out once, or the failure is told."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from running import until
from sensorstream.clients.memory import MemoryBroker, MemoryClient, MemoryReader, MemoryTransactionalPublisher
from sensorstream.errors import ClusterUnreachable, DeliveryError, DeliveryTimeout, Fenced, OffsetOutOfRange
from sensorstream.events import Event, Listener, Notice, Progress, ignore
from sensorstream.pipelines.stream.job import StreamResult
from sensorstream.records import ConsumedRecord, TopicPartition
from sensorstream.transforms.base import InputRow, Transformed
from stream_labs import Doubled, committed, filled, numbers, put, run


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


def test_rows_that_retention_has_eaten_are_not_skipped_in_silence() -> None:
    broker = filled()
    run(broker, stop_at_end=False, count=4)
    broker.delete_records("IN", 0, 9)
    broker.delete_records("IN", 1, 9)
    with pytest.raises(OffsetOutOfRange, match="retention"):
        run(broker)
