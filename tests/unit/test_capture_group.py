"""Group members whose partitions come, go and come back, on the broker in memory."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from typing import Any

import pytest

from sensorstream.clients.base import Rebalance
from sensorstream.clients.memory import MemoryBroker, MemoryClient, MemoryReader
from sensorstream.config import load
from sensorstream.errors import ClusterUnreachable, UsageError
from sensorstream.events import Event, Listener, Notice, PartitionEnd, RowStored, ignore
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.spec import CaptureResult
from sensorstream.records import Commit, TopicPartition


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker({"AIR": 2})
    with MemoryClient(made).publisher() as publisher:
        for number in range(6):
            publisher.publish("AIR", json.dumps({"n": number}).encode(), partition=number % 2)
    return made


class EvictedOnce:
    """A listener that throws the member out of its group after its first row."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._done = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, RowStored) and not self._done:
            self._done = True
            self._broker.evict("sensor_data_group")


def consume(client: MemoryClient, to: str, listener: Listener = ignore, **options: Any) -> CaptureResult:
    plan = make_job(load(environ={}), CaptureOptions(topic="AIR", group_given=True, to=to, **options))
    return capture(client, plan.job, plan.make_sink, listener=listener)


def captured(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found += [row[0] for row in list(csv.reader(file))[1:]]
    return sorted(found)


def test_a_partition_that_comes_back_is_gone_on_with_whatever_o_says(broker: MemoryBroker, tmp_path: Path) -> None:
    result = consume(MemoryClient(broker), str(tmp_path), EvictedOnce(broker), offset="beginning", timeout=0.5)
    assert result.ended == "timeout"
    assert captured(tmp_path) == list("012345")


def test_rows_that_were_dropped_are_not_counted(broker: MemoryBroker, tmp_path: Path) -> None:
    published: list[Event] = []

    def one_more(event: Event) -> None:
        if isinstance(event, PartitionEnd) and not published:
            published.append(event)
            with MemoryClient(broker).publisher() as publisher:
                publisher.publish("AIR", b'{"n":6}', partition=0)
        elif isinstance(event, RowStored) and b"6" in event.value and len(published) == 1:
            # It is written, but its second is not over: it is not stored yet.
            published.append(event)
            broker.evict("sensor_data_group")

    result = consume(MemoryClient(broker), str(tmp_path), one_more, timeout=1.5)
    assert captured(tmp_path) == list("0123456")
    assert len(published) == 2
    assert result.rows == 7


def test_a_partition_that_comes_back_is_not_printed_twice(
    broker: MemoryBroker, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    others: list[int] = []
    timers: list[Timer] = []

    def leave() -> None:
        with broker.changed:
            broker.leave("sensor_data_group", others[0])

    def come_and_go(event: Event) -> None:
        if isinstance(event, PartitionEnd) and not others:
            with broker.changed:
                others.append(broker.join("sensor_data_group", ("AIR",)))
            timers.append(Timer(0.3, leave))
            timers[0].start()

    consume(MemoryClient(broker), "-", come_and_go, offset="beginning", timeout=1.5)
    timers[0].join()
    assert others
    assert len(capfdbinary.readouterr().out.split(b"\n")) == 7


class AwayOnce(MemoryReader):
    """A reader whose brokers are away for the first question about the group's offsets."""

    asked = 0

    def commits(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        self.asked += 1
        if self.asked == 1:
            raise ClusterUnreachable("no broker answers")
        return super().commits(partitions)


class AwayClient(MemoryClient):
    def reader(self, *, group: str | None = None, **options: Any) -> MemoryReader:
        return AwayOnce(self._broker, group)


def test_an_outage_while_partitions_are_taken_over_is_sat_out(broker: MemoryBroker, tmp_path: Path) -> None:
    result = consume(AwayClient(broker), str(tmp_path), timeout=0.5)
    assert captured(tmp_path) == list("012345")
    assert result.rows == 6


class QuietAfterOutage(MemoryReader):
    """A reader whose brokers are away for longer than the idle timeout, and slow when they are back."""

    polls = 0

    def poll(self, timeout_s: float, max_records: int = 5000) -> Mapping[TopicPartition, Any]:
        self.polls += 1
        if self.polls <= 2:
            raise ClusterUnreachable("no broker answers")
        if self.polls == 3:
            return {}
        return super().poll(timeout_s, max_records)


class QuietClient(MemoryClient):
    def reader(self, *, group: str | None = None, **options: Any) -> MemoryReader:
        return QuietAfterOutage(self._broker, group)


def test_an_outage_is_not_taken_for_a_quiet_topic(broker: MemoryBroker, tmp_path: Path) -> None:
    plan = make_job(
        load(environ={}),
        CaptureOptions(topic="AIR", partitions=(0, 1), group_given=True, to=str(tmp_path), timeout=0.6),
    )
    result = capture(QuietClient(broker), plan.job, plan.make_sink)
    assert result.rows == 6


def test_kafka_pythons_reader_asks_again_when_taking_over_failed() -> None:
    """Forgotten partitions would be read from the group's offsets, and what came be thrown away in silence."""
    from sensorstream.clients.kafka_python.group_member import GroupRounds

    asked: list[str] = []

    def assigned(partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        asked.append("assigned")
        if len(asked) == 1:
            raise ClusterUnreachable("no broker answers")
        return dict.fromkeys(partitions, 7)

    def answered(timeout_ms: float | None) -> bool:
        polled.append(timeout_ms)
        return True

    polled: list[Any] = []
    sought: list[tuple[Any, int]] = []
    partition = TopicPartition("AIR", 0)
    consumer = SimpleNamespace(
        _coordinator=SimpleNamespace(
            poll=answered,
            _do_join_and_sync_async=None,
            _on_join_complete_async=None,
            time_to_next_poll=None,
        ),
        _subscription=SimpleNamespace(assignment={}),
        assignment=lambda: {("AIR", 0)},
        seek=lambda where, offset: sought.append((tuple(where), offset)),
    )
    rounds = GroupRounds(consumer, Rebalance(assigned, lambda gone: None, lambda gone: None))
    rounds.notes.on_partitions_assigned([partition])
    with pytest.raises(ClusterUnreachable):
        rounds.poll()
    assert polled, "the group is answered all the same"
    rounds.poll()
    rounds.poll()
    assert sought == [(("AIR", 0), 7)]
    assert asked == ["assigned", "assigned"]


def test_a_member_that_is_given_nothing_says_so(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorstream.pipelines.capture.capture.WAITING_S", 0.1)
    client, told = MemoryClient(broker), list[str]()

    def note(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.text)

    with client.reader(group="sensor_data_group") as other:
        other.subscribe(["AIR"], Rebalance(lambda given: dict.fromkeys(given, 0), lambda _: None, lambda _: None))
        other.poll(0)
        # It was there first, and never gives anything up: that would take another poll.
        result = consume(client, str(tmp_path), note, timeout=0.5)
    assert result.rows == 0
    assert [text for text in told if text.startswith("waiting for partitions of AIR")] == [told[-1]]
    told.clear()
    assert consume(client, str(tmp_path), note, timeout=0.5).rows == 6
    assert not [text for text in told if text.startswith("waiting")]


def test_one_file_is_for_a_topic_of_one_partition(broker: MemoryBroker, tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    with pytest.raises(UsageError, match="AIR has 2 partitions"):
        consume(MemoryClient(broker), str(one), exit_at_end=True)
    assert not list(tmp_path.iterdir())
    single = MemoryBroker({"AIR": 1})
    with MemoryClient(single).publisher() as publisher:
        for number in range(3):
            publisher.publish("AIR", json.dumps({"n": number}).encode())
    for rows in (3, 0):
        assert consume(MemoryClient(single), str(one), exit_at_end=True).rows == rows
    assert one.read_text(encoding="utf-8").split() == ["n", "0", "1", "2"]
