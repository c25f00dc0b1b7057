"""A librdkafka consumer that has blocked itself is replaced: each record is read once, in order.

The fault itself takes two of its threads to meet within microseconds, so here a consumer is taken for blocked because
a question to it stays open. What follows is the same, but for its end: a blocked one never ends.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Consumer

from running import until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Reader, Rebalance
from sensorstream.clients.librdkafka import heartbeat
from sensorstream.clients.librdkafka.reader import LibrdkafkaReader
from sensorstream.cluster.preflight import free_ports
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ClusterUnreachable
from sensorstream.events import Event, Notice
from sensorstream.records import TopicPartition

pytestmark = pytest.mark.broker
PARTITIONS = 2
FOREVER = 1e9


class Topic:
    """A topic with numbered records, and what has been read of it."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.parts = [TopicPartition(name, number) for number in range(PARTITIONS)]
        self.sent = 0
        self.read: dict[TopicPartition, list[int]] = {part: [] for part in self.parts}
        self.told: list[str] = []
        self._client = open_client(settings)
        admin.create_topics(settings, [TopicSettings(name, partitions=PARTITIONS)])

    def send(self, count: int) -> None:
        with self._client.publisher() as publisher:
            for number in range(self.sent, self.sent + count):
                part = self.parts[number % PARTITIONS]
                publisher.publish(part.topic, b"%d" % number, partition=part.partition)
            publisher.flush(30)
        self.sent += count

    def reader(self, group: str | None = None) -> Reader:
        def listen(event: Event) -> None:
            if isinstance(event, Notice) and "issue 5476" in event.text:
                self.told.append(event.text)

        return self._client.reader(group=group, listener=listen)

    def poll(self, reader: Reader) -> None:
        for part, batch in reader.poll(0.1).items():
            self.read[part] += [int(record.value or b"") for record in batch]

    def has_all(self, reader: Reader, *parts: TopicPartition) -> bool:
        self.poll(reader)
        return all(self.read[part] == list(range(part.partition, self.sent, PARTITIONS)) for part in parts)

    def was_replaced(self, reader: Reader) -> bool:
        self.poll(reader)
        return bool(self.told)


@pytest.fixture
def settings(broker: tuple[str, ...]) -> Settings:
    return Settings(bootstrap=broker, client="librdkafka")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long a consumer may leave the question open that it is asked in polls; each does."""
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.0)
    monkeypatch.setattr(heartbeat, "ask", lambda _: Future())
    monkeypatch.setattr(heartbeat, "answers", lambda *_, **__: True)
    return partial(monkeypatch.setattr, heartbeat, "SILENT_S")


def test_the_next_consumer_goes_on_where_it_was_and_leaves_out_what_was_paused(
    settings: Settings, patience: Callable[[float], None]
) -> None:
    patience(FOREVER)
    topic = Topic(settings, "blocked-pinned")
    one, other = topic.parts
    topic.send(10)
    with topic.reader() as reader:
        reader.assign(dict.fromkeys(topic.parts, 0))
        until(lambda: topic.has_all(reader, one, other), "the first records")
        reader.pause([other])
        patience(1)
        until(lambda: topic.was_replaced(reader), "another consumer")
        patience(FOREVER)
        topic.send(10)
        until(lambda: topic.has_all(reader, one), "the records of the partition that is not paused")
        assert topic.read[other] == [1, 3, 5, 7, 9]
        reader.resume([other])
        until(lambda: topic.has_all(reader, one, other), "the records of both")
        assert [reader.position(part) for part in topic.parts] == [10, 10]


def test_in_a_group_its_partitions_are_lost_and_assigned_anew(
    settings: Settings, patience: Callable[[float], None]
) -> None:
    patience(FOREVER)
    topic = Topic(settings, "blocked-group")
    topic.send(10)
    calls: list[tuple[str, list[TopicPartition]]] = []

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        calls.append(("assigned", sorted(partitions)))
        return {part: len(topic.read[part]) for part in partitions}

    def gone(how: str, partitions: Sequence[TopicPartition]) -> None:
        calls.append((how, sorted(partitions)))

    with topic.reader("blocked-group") as reader:
        reader.subscribe([topic.parts[0].topic], Rebalance(assigned, partial(gone, "revoked"), partial(gone, "lost")))
        until(lambda: topic.has_all(reader, *topic.parts), "the first records")
        patience(1)
        until(lambda: topic.was_replaced(reader), "another consumer")
        patience(FOREVER)
        topic.send(10)
        until(lambda: topic.has_all(reader, *topic.parts), "all records")
    assert calls == [("assigned", topic.parts), ("lost", topic.parts), ("assigned", topic.parts)]


def test_one_that_is_merely_idle_stays(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.1)
    monkeypatch.setattr(heartbeat, "SILENT_S", 5.0)
    asked: list[Future[object]] = []
    ask = heartbeat.ask

    def counted(consumer: Any) -> Future[object]:
        asked.append(ask(consumer))
        return asked[-1]

    monkeypatch.setattr(heartbeat, "ask", counted)
    topic = Topic(settings, "blocked-idle")
    with topic.reader() as reader:
        reader.assign(dict.fromkeys(topic.parts, 0))
        until(lambda: topic.was_replaced(reader) or len(asked) >= 30, "thirty questions")
        assert not topic.told
    assert all(one.done() for one in asked)


def test_it_answers_without_any_broker() -> None:
    (port,) = free_ports(1)
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "blocked", "log_level": 0})
    assert heartbeat.answers(consumer, 30, in_group=True)
    assert heartbeat.answers(consumer, 30, in_group=False)
    consumer.close()


def test_no_call_that_might_not_return_is_made_of_one_that_does_not_answer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = Topic(settings, "blocked-silent")
    topic.send(4)
    client = open_client(settings)
    begin = Rebalance(lambda parts: dict.fromkeys(parts, 0), lambda _: None, lambda _: None)
    with topic.reader("blocked-silent") as reader, client.transactional_publisher("blocked-silent") as publisher:
        reader.subscribe([topic.parts[0].topic], begin)
        until(lambda: topic.has_all(reader, *topic.parts), "the records")
        publisher.begin()
        with monkeypatch.context() as patch:
            patch.setattr(heartbeat, "answers", lambda *_, **__: False)
            with pytest.raises(ClusterUnreachable, match="does not answer"):
                publisher.send_offsets({topic.parts[0]: 2}, reader)
            reader.pause(topic.parts)
            assert not topic.told, "in a poll alone"
        for records in topic.read.values():
            records.clear()
        until(lambda: topic.has_all(reader, *topic.parts), "the records, with another consumer")
        assert len(topic.told) == 1


def test_what_could_not_be_told_a_blocked_consumer_is_told_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = Topic(settings, "blocked-paused")
    one, other = topic.parts
    topic.send(10)
    with topic.reader() as reader:
        reader.assign(dict.fromkeys(topic.parts, 0))
        until(lambda: topic.has_all(reader, one, other), "the first records")
        reader.pause([one])
        with monkeypatch.context() as patch:
            patch.setattr(heartbeat, "answers", lambda *_, **__: False)
            reader.pause([other])
            reader.resume([one])
        topic.send(10)
        until(lambda: topic.has_all(reader, one), "the records of the partition that is not paused")
        assert topic.read[other] == [1, 3, 5, 7, 9]
        assert len(topic.told) == 1


def test_what_was_held_back_is_not_left_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure messages are held, to be handed out by a later poll."""
    topic = Topic(settings, "blocked-held")
    topic.send(40)
    with topic.reader() as reader:
        reader.assign(dict.fromkeys(topic.parts, 0))
        assert isinstance(reader, LibrdkafkaReader)

        def held() -> bool:
            reader._fail(KeyError("a callback has failed"))
            with pytest.raises(KeyError):
                topic.poll(reader)
            return bool(reader._held)

        until(held, "messages that are held")
        with monkeypatch.context() as patch:
            patch.setattr(heartbeat, "answers", lambda *_, **__: False)
            assert not reader._answers()
        until(lambda: topic.has_all(reader, *topic.parts), "all records")
        assert len(topic.told) == 1
