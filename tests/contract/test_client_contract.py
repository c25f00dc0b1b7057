"""What every client does, stated once and run on the broker in memory and on real ones."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import pytest

from sensorstream.clients.base import Client, Reader, Rebalance
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import (
    DeliveryError,
    OffsetOutOfRange,
    RecordTooLarge,
    UnknownPartition,
    UnknownTopic,
    UsageError,
)
from sensorstream.records import ConsumedRecord, TopicPartition

WAIT_S = 30.0
_numbers = itertools.count()


class Lab(Protocol):
    """What a contract case may do to the cluster besides using the client under test."""

    @property
    def client(self) -> Client: ...

    @property
    def limit(self) -> int: ...

    def topic(self, partitions: int = 2) -> str: ...

    def delete_records(self, topic: str, partition: int, before: int) -> None: ...

    def recreate(self, topic: str) -> None: ...

    def delete(self, topic: str) -> None: ...

    def note(self, group: str, topic: str, partition: int) -> str: ...


class MemoryLab:
    limit = 1048576

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.client: Client = MemoryClient(self.broker)

    def topic(self, partitions: int = 2) -> str:
        name = f"contract-{next(_numbers)}"
        self.broker.create_topic(name, partitions)
        return name

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        self.broker.delete_records(topic, partition, before)

    def delete(self, topic: str) -> None:
        self.broker.delete_topic(topic)

    def recreate(self, topic: str) -> None:
        self.broker.delete_topic(topic)
        self.broker.create_topic(topic)

    def note(self, group: str, topic: str, partition: int) -> str:
        return next(note for where, (_, note) in self.broker.committed(group).items() if where == (topic, partition))


class KafkaLab:
    limit = 1048576

    def __init__(self, bootstrap: tuple[str, ...], client: str) -> None:
        from sensorstream.clients import open_client
        from sensorstream.config import Settings

        self.settings = Settings(bootstrap=bootstrap, client=client)
        self.client: Client = open_client(self.settings)
        self.made: set[str] = set()

    def topic(self, partitions: int = 2) -> str:
        from sensorstream import admin
        from sensorstream.config import TopicSettings

        name = f"contract-{os.getpid()}-{next(_numbers)}"
        admin.create_topics(self.settings, [TopicSettings(name, partitions=partitions)])
        self.made.add(name)
        return name

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        from kafka import KafkaAdminClient, TopicPartition

        client: Any = KafkaAdminClient(bootstrap_servers=list(self.settings.bootstrap))
        try:
            client.delete_records({TopicPartition(topic, partition): before})
        finally:
            client.close()

    def delete(self, topic: str) -> None:
        from sensorstream import admin

        admin.delete_topics(self.settings, [topic])
        self.made.discard(topic)

    def recreate(self, topic: str) -> None:
        from sensorstream import admin
        from sensorstream.config import TopicSettings

        self.delete(topic)
        admin.create_topics(self.settings, [TopicSettings(topic)])
        self.made.add(topic)

    def note(self, group: str, topic: str, partition: int) -> str:
        from sensorstream import admin
        from sensorstream.records import TopicPartition

        return admin.describe_group(self.settings, group).committed[TopicPartition(topic, partition)][1]

    def clean(self) -> None:
        from sensorstream import admin

        if self.made:
            admin.delete_topics(self.settings, sorted(self.made))


CLIENTS = ("kafka-python", "librdkafka")


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.broker) for name in CLIENTS)])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    if request.param == "memory":
        yield MemoryLab()
        return
    kafka = KafkaLab(request.getfixturevalue("cluster").bootstrap, request.param)
    yield kafka
    kafka.clean()


_groups = itertools.count()


def group_name() -> str:
    return f"contract-group-{os.getpid()}-{next(_groups)}"


def until(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting until {what}"


def read(reader: Reader, count: int) -> list[ConsumedRecord]:
    """Exactly this many records, in the order in which they came."""
    records: list[ConsumedRecord] = []

    def enough() -> bool:
        for batch in reader.poll(0.2).values():
            records.extend(batch)
        return len(records) >= count

    until(enough, f"{count} records have come")
    assert len(records) == count
    return records


def publish(lab: Lab, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
    with lab.client.publisher() as publisher:
        open_ = [publisher.publish(topic, value, partition=partition) for value in values]
        publisher.flush(WAIT_S)
        return [delivery.wait(0) for delivery in open_]


def numbered(count: int) -> list[bytes]:
    return [b"value %d" % number for number in range(count)]


# Publishing


def test_deliveries_tell_the_offsets_in_order(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.publisher() as publisher:
        deliveries = [publisher.publish(topic, value, partition=1) for value in numbered(500)]
        publisher.flush(WAIT_S)
        assert all(delivery.done() for delivery in deliveries)
        assert [delivery.wait(0) for delivery in deliveries] == list(range(500))


def test_several_threads_publish_through_one_publisher_each_in_order(lab: Lab) -> None:
    topic = lab.topic(2)
    with lab.client.publisher() as publisher:

        def send(partition: int) -> None:
            for value in numbered(300):
                publisher.publish(topic, value, partition=partition)

        threads = [threading.Thread(target=send, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        publisher.flush(WAIT_S)
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, number): 0 for number in (0, 1)})
        records = read(reader, 600)
    for number in (0, 1):
        assert [record.value for record in records if record.partition == number] == numbered(300)


def test_an_unknown_topic_is_refused_by_name_and_not_created(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.publisher() as publisher:
        for _ in range(2):
            with pytest.raises(UnknownTopic, match="contract-none"):
                publisher.publish("contract-none", b"x")
        with pytest.raises(UnknownTopic) as caught:
            publisher.partitions_for(topic + "x")
    assert topic in caught.value.hint


@pytest.mark.parametrize("partition", [-1, 2, 9])
def test_a_partition_that_is_not_there_is_refused(lab: Lab, partition: int) -> None:
    topic = lab.topic(2)
    with lab.client.publisher() as publisher, pytest.raises(UnknownPartition, match=str(partition)):
        publisher.publish(topic, b"x", partition=partition)


def test_a_record_over_the_limit_is_refused_and_the_next_one_goes_through(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.publisher() as publisher:
        with pytest.raises(RecordTooLarge, match=str(lab.limit)):
            publisher.publish(topic, b"x" * lab.limit, partition=0)
        with pytest.raises(RecordTooLarge):
            publisher.publish(topic, b"x", partition=0, headers=(("big", b"x" * lab.limit),))
        assert publisher.publish(topic, b"x" * 1_000_000, partition=0).wait(WAIT_S) == 0
        assert publisher.publish(topic, b"small", partition=0).wait(WAIT_S) == 1


def test_a_key_chooses_the_partition_by_murmur2(lab: Lab) -> None:
    topic = lab.topic(7)
    keys = [b"SVDT%d" % number for number in range(40)] + [b"", b"\x00\xff", "Đà Nẵng".encode()]
    with lab.client.publisher() as publisher:
        for key in keys:
            publisher.publish(topic, b"v", key=key)
        publisher.flush(WAIT_S)
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, number): 0 for number in range(7)})
        records = read(reader, len(keys))
    assert sorted(record.key or b"" for record in records) == sorted(keys)
    assert all(record.partition == partition_for_key(record.key or b"", 7) for record in records)


def test_without_key_and_partition_any_partition_takes_the_record(lab: Lab) -> None:
    topic = lab.topic(2)
    with lab.client.publisher() as publisher:
        deliveries = [publisher.publish(topic, value) for value in numbered(10)]
        publisher.flush(WAIT_S)
        assert all(delivery.wait(0) >= 0 for delivery in deliveries)
    with lab.client.reader() as reader:
        ends = reader.end_offsets([TopicPartition(topic, number) for number in (0, 1)])
    assert sum(ends.values()) == 10


def test_everything_about_a_record_comes_back(lab: Lab) -> None:
    topic = lab.topic()
    headers = (("trace", b"\x00\x01"), ("trace", b""), ("đ", b"x"))
    with lab.client.publisher() as publisher:
        publisher.publish(topic, b"v", partition=0, key=b"k", timestamp_ms=1693501140000, headers=headers)
        publisher.publish(topic, None, partition=0, key=b"gone")
        publisher.publish(topic, None, partition=0)
        publisher.publish(topic, b"", partition=0, timestamp_ms=0)
        publisher.flush(WAIT_S)
    before = int(time.time() * 1000)
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, 0): 0})
        first, tombstone, nothing, empty = read(reader, 4)
    assert first == ConsumedRecord(topic, 0, 0, 1693501140000, b"k", b"v", headers)
    assert (tombstone.key, tombstone.value, tombstone.headers) == (b"gone", None, ())
    assert before - 60_000 < tombstone.timestamp_ms <= before
    assert (nothing.key, nothing.value) == (None, None)
    assert (empty.value, empty.offset) == (b"", 3)
    # librdkafka can't send 0, which means "now" to it.
    assert empty.timestamp_ms == (1 if lab.client.name == "librdkafka" else 0)


def test_a_closed_publisher_takes_nothing_and_may_be_closed_again(lab: Lab) -> None:
    topic = lab.topic()
    publisher = lab.client.publisher()
    delivery = publisher.publish(topic, b"x", partition=0)
    publisher.close()
    publisher.close()
    assert delivery.wait(0) == 0
    with pytest.raises(DeliveryError):
        publisher.publish(topic, b"y", partition=0)


def test_a_batch_goes_to_its_partition_in_order_and_its_delivery_counts_for_all_of_it(lab: Lab) -> None:
    topic = lab.topic()
    values: list[bytes | str] = [*numbered(4000), "Đà Nẵng ☔", "", b"\xff\x00", *numbered(3000)]
    with lab.client.publisher() as publisher:
        publisher.publish(topic, b"before", partition=1)
        batch = publisher.publish_batch(topic, values, partition=1)
        after = publisher.publish(topic, b"after", partition=1)
        assert batch.count == len(values)
        assert batch.wait(WAIT_S) == len(values)
        assert batch.done()
        assert batch.failed == 0
        assert after.wait(WAIT_S) == len(values) + 1
        nothing = publisher.publish_batch(topic, [], partition=0)
        assert (nothing.done(), nothing.count, nothing.failed, nothing.wait(0)) == (True, 0, 0, -1)
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, 1): 0})
        records = read(reader, len(values) + 2)
    sent = [value.encode() if isinstance(value, str) else value for value in values]
    assert [record.value for record in records] == [b"before", *sent, b"after"]
    assert {record.key for record in records} == {None}
    now = int(time.time() * 1000)
    assert all(now - 60_000 < record.timestamp_ms <= now for record in records)


def test_of_a_batch_with_a_record_over_the_limit_nothing_is_queued(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.publisher() as publisher:
        for big in (b"x" * lab.limit, "x" * lab.limit, "☔" * (lab.limit // 3)):
            with pytest.raises(RecordTooLarge, match=str(lab.limit)):
                publisher.publish_batch(topic, [b"a", big, b"b"], partition=0)
        fits = publisher.publish_batch(topic, [b"a", b"x" * 1_000_000, "x" * 1_000_000, b"b"], partition=0)
        assert fits.wait(WAIT_S) == 3


def test_a_batch_for_what_is_not_there_is_refused(lab: Lab) -> None:
    topic = lab.topic(2)
    with lab.client.publisher() as publisher:
        for partition in (-1, 2):
            with pytest.raises(UnknownPartition):
                publisher.publish_batch(topic, [b"x"], partition=partition)
        with pytest.raises(UnknownTopic):
            publisher.publish_batch("contract-none", [b"x"], partition=0)
    with pytest.raises(DeliveryError):
        publisher.publish_batch(topic, [b"x"], partition=0)


# Reading


def test_reading_begins_exactly_where_it_is_told_and_the_position_follows(lab: Lab) -> None:
    topic = lab.topic()
    publish(lab, topic, numbered(20))
    where = TopicPartition(topic, 0)
    with lab.client.reader() as reader:
        reader.assign({where: 5})
        assert reader.position(where) == 5
        records = read(reader, 15)
        assert [record.offset for record in records] == list(range(5, 20))
        assert [record.value for record in records] == numbered(20)[5:]
        assert reader.position(where) == 20
        assert reader.poll(0.05) == {}
        reader.assign({where: 18})
        assert [record.offset for record in read(reader, 2)] == [18, 19]


def test_poll_hands_out_at_most_as_many_records_as_asked_for(lab: Lab) -> None:
    topic = lab.topic()
    publish(lab, topic, numbered(30))
    offsets: list[int] = []
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, 0): 0})

        def all_read() -> bool:
            batch = reader.poll(0.5, max_records=7).get(TopicPartition(topic, 0), ())
            assert len(batch) <= 7
            offsets.extend(record.offset for record in batch)
            return len(offsets) == 30

        until(all_read, "all records have come")
    assert offsets == list(range(30))


def test_values_alone_are_the_same_records(lab: Lab) -> None:
    topic = lab.topic(2)
    with lab.client.publisher() as publisher:
        for partition in (0, 1):
            publisher.publish(topic, None, partition=partition, key=b"k", timestamp_ms=5, headers=(("h", b"1"),))
            publisher.publish_batch(topic, numbered(300), partition=partition)
        publisher.publish(topic, b"", partition=1)
    partitions = [TopicPartition(topic, number) for number in (0, 1)]
    values: dict[TopicPartition, list[bytes | None]] = {partition: [] for partition in partitions}
    offsets: dict[TopicPartition, list[int]] = {partition: [] for partition in partitions}
    records: dict[TopicPartition, list[ConsumedRecord]] = {partition: [] for partition in partitions}
    with lab.client.reader() as reader:
        reader.assign({partitions[0]: 0, partitions[1]: 100})

        def all_read() -> bool:
            batches = reader.poll_values(0.5, max_records=70)
            assert sum(len(batch.values) for batch in batches.values()) <= 70
            for partition, batch in batches.items():
                assert len(batch.offsets) == len(batch.values) > 0
                values[partition] += batch.values
                offsets[partition] += batch.offsets
                records[partition] += batch.records()
                assert reader.position(partition) == batch.offsets[-1] + 1
            return len(values[partitions[0]]) >= 301 and len(values[partitions[1]]) >= 202

        until(all_read, "all values have come")
        reader.assign({partitions[0]: 0})
        assert read(reader, 301) == records[partitions[0]]
        assert reader.poll_values(0.05) == {}
        reader.assign({partitions[0]: 301, partitions[1]: 302})
        with pytest.raises(UsageError):
            reader.position(TopicPartition(topic, 2))
    assert values[partitions[0]] == [None, *numbered(300)]
    assert values[partitions[1]] == [*numbered(300)[99:], b""]
    assert offsets == {partitions[0]: list(range(301)), partitions[1]: list(range(100, 302))}
    for where in partitions:
        assert [one.offset for one in records[where]] == offsets[where]
        assert [one.value for one in records[where]] == values[where]
    assert records[partitions[0]][0][3:] == (5, b"k", None, (("h", b"1"),))


def test_first_and_end_offsets_and_the_number_of_partitions(lab: Lab) -> None:
    topic = lab.topic(3)
    publish(lab, topic, numbered(9), partition=1)
    lab.delete_records(topic, 1, before=4)
    partitions = [TopicPartition(topic, number) for number in range(3)]
    with lab.client.reader() as reader:
        assert reader.partitions_for(topic) == 3
        assert list(reader.beginning_offsets(partitions).values()) == [0, 4, 0]
        assert reader.end_offsets(partitions) == dict(zip(partitions, (0, 9, 0), strict=True))
        assert reader.end_offsets([]) == {}


def test_an_offset_that_retention_has_eaten_is_an_error_that_names_the_loss(lab: Lab) -> None:
    topic = lab.topic()
    publish(lab, topic, numbered(10))
    lab.delete_records(topic, 0, before=6)
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, 0): 2})
        with pytest.raises(OffsetOutOfRange, match=r"offset 2 is no longer.*first one is 6.*2 to 5"):
            until(lambda: reader.poll(0.5) is None, "the error comes")


def test_an_offset_past_the_end_is_an_error_not_a_silent_wait(lab: Lab) -> None:
    topic = lab.topic()
    publish(lab, topic, numbered(3))
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, 0): 7})
        with pytest.raises(OffsetOutOfRange, match=r"offset 7 .*ends at 3"):
            until(lambda: reader.poll(0.5) is None, "the error comes")


def test_the_offset_for_a_time(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.publisher() as publisher:
        for stamp in (1000, 2000, 2000, 5000):
            publisher.publish(topic, b"x", partition=0, timestamp_ms=stamp)
        publisher.flush(WAIT_S)
    where = TopicPartition(topic, 0)
    with lab.client.reader() as reader:
        found = [reader.offset_for_time(where, stamp) for stamp in (0, 1000, 1001, 2000, 2001, 5000, 5001)]
        assert found == [0, 0, 1, 1, 3, 3, None]
        assert reader.offset_for_time(TopicPartition(topic, 1), 0) is None


def test_a_paused_partition_waits_and_loses_nothing(lab: Lab) -> None:
    topic = lab.topic(2)
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    publish(lab, topic, numbered(5), partition=0)
    publish(lab, topic, numbered(5), partition=1)
    with lab.client.reader() as reader:
        reader.assign({zero: 0, one: 0})
        reader.pause([one])
        assert {record.partition for record in read(reader, 5)} == {0}
        assert reader.poll(0.05) == {}
        reader.resume([one])
        assert [record.offset for record in read(reader, 5)] == [0, 1, 2, 3, 4]


def test_an_unknown_topic_or_partition_can_not_be_read(lab: Lab) -> None:
    topic = lab.topic(2)
    with lab.client.reader() as reader:
        with pytest.raises(UnknownTopic):
            reader.assign({TopicPartition("contract-none", 0): 0})
        with pytest.raises(UnknownPartition):
            reader.assign({TopicPartition(topic, 2): 0})
        with pytest.raises(UnknownTopic):
            reader.identity("contract-none")
        with pytest.raises(UnknownPartition):
            reader.end_offsets([TopicPartition(topic, 9)])
        with pytest.raises(UsageError):
            reader.position(TopicPartition(topic, 0))


def test_a_topic_made_again_has_another_identity(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.reader() as reader:
        before = reader.identity(topic)
        assert before == reader.identity(topic)
        assert before.cluster_id
        lab.recreate(topic)
        after = reader.identity(topic)
    assert after.cluster_id == before.cluster_id
    assert after.topic_id != before.topic_id


def test_a_topic_deleted_while_it_is_read_is_an_error(lab: Lab) -> None:
    topic = lab.topic()
    publish(lab, topic, numbered(3))
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, 0): 0})
        read(reader, 3)
        lab.delete(topic)
        with pytest.raises(UnknownTopic, match="deleted"):
            until(lambda: reader.poll(0.5) is None, "the error comes")


def test_a_topic_made_again_while_it_is_read_is_an_error(lab: Lab) -> None:
    topic = lab.topic()
    publish(lab, topic, numbered(3))
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, 0): 0})
        read(reader, 3)
        lab.recreate(topic)
        publish(lab, topic, [b"other"] * 5)
        with pytest.raises(UnknownTopic, match="created again"):
            until(lambda: reader.poll(0.5) is None, "the error comes")


def test_a_closed_reader_may_be_closed_again(lab: Lab) -> None:
    reader = lab.client.reader(group=group_name())
    reader.close()
    reader.close()


# Groups


def test_what_a_group_has_committed_is_there_for_the_next_reader(lab: Lab) -> None:
    topic, group = lab.topic(), group_name()
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    with lab.client.reader(group=group) as reader:
        assert reader.committed(zero) is None
        reader.assign({zero: 0})
        reader.commit({zero: 3}, note="sensorstream 1 AIR_Consumer_0 here")
    with lab.client.reader(group=group) as reader:
        assert reader.committed(zero) == 3
        assert reader.committed(one) is None
        reader.commit({zero: 4, one: 1}, note="n")
        assert (reader.committed(zero), reader.committed(one)) == (4, 1)
    assert lab.note(group, topic, 0) == "n"


def test_without_a_group_nothing_can_be_committed_or_shared(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.reader() as reader:
        with pytest.raises(UsageError):
            reader.commit({TopicPartition(topic, 0): 1})
        with pytest.raises(UsageError):
            reader.subscribe([topic], Rebalance(lambda _: {}, lambda _: None, lambda _: None))


class Member:
    """A group member that keeps its positions itself and notes what it is told, and on which thread."""

    def __init__(self, lab: Lab, group: str, topic: str, stored: dict[TopicPartition, int]) -> None:
        self.reader = lab.client.reader(group=group)
        self.stored = stored
        self.owned: set[TopicPartition] = set()
        self.told: list[tuple[str, list[TopicPartition]]] = []
        self.records: list[ConsumedRecord] = []
        self.polling = False
        self.reader.subscribe([topic], Rebalance(self._assigned, self._revoked, self._lost))

    def _note(self, what: str, partitions: Sequence[TopicPartition]) -> None:
        assert self.polling, "called while the member was handling records"
        assert threading.current_thread() is threading.main_thread()
        self.told.append((what, list(partitions)))

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._note("assigned", partitions)
        self.owned.update(partitions)
        return {partition: self.stored.get(partition, 0) for partition in partitions}

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self._note("revoked", partitions)
        positions = {partition: self.reader.position(partition) for partition in partitions}
        self.reader.commit(positions, note="revoked")
        self.stored.update(positions)
        self.owned.difference_update(partitions)

    def _lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._note("lost", partitions)
        self.owned.difference_update(partitions)

    def poll(self) -> None:
        self.polling = True
        batches = self.reader.poll(0.1)
        self.polling = False
        assert set(batches) <= self.owned
        for partition, batch in batches.items():
            self.records.extend(batch)
            assert self.reader.position(partition) == batch[-1].offset + 1


def test_two_members_share_the_partitions_and_no_record_is_lost_or_doubled(lab: Lab) -> None:
    topic, group = lab.topic(4), group_name()
    stored: dict[TopicPartition, int] = {}
    everything = {TopicPartition(topic, number) for number in range(4)}
    for number in range(4):
        publish(lab, topic, numbered(25), partition=number)
    first = Member(lab, group, topic, stored)
    second: Member | None = None
    try:

        def first_has_all() -> bool:
            first.poll()
            return first.owned == everything and len(first.records) == 100

        until(first_has_all, "the first member has read everything")
        assert first.told == [("assigned", sorted(everything))]
        second = Member(lab, group, topic, stored)

        def shared() -> bool:
            assert second is not None
            first.poll()
            second.poll()
            return len(first.owned) == 2 and len(second.owned) == 2

        until(shared, "the two members have two partitions each")
        assert first.owned | second.owned == everything
        given = first.told[1]
        assert given == ("revoked", sorted(second.owned))
        assert {lab.note(group, topic, partition.partition) for partition in given[1]} == {"revoked"}
        assert all(stored[partition] == 25 for partition in given[1])
        for number in range(4):
            publish(lab, topic, numbered(5), partition=number)

        def all_read() -> bool:
            assert second is not None
            first.poll()
            second.poll()
            return len(first.records) + len(second.records) >= 120

        until(all_read, "the new records have been read")
        offsets = sorted((one.partition, one.offset) for one in first.records + second.records)
        assert offsets == [(number, offset) for number in range(4) for offset in range(30)]
        assert {one.partition for one in second.records} == {one.partition for one in second.owned}
        stored.update({partition: first.reader.position(partition) for partition in first.owned})
        first.reader.close()

        def second_has_all() -> bool:
            assert second is not None
            second.poll()
            return second.owned == everything

        until(second_has_all, "the second member has taken over")
        assert [what for what, _ in first.told] == ["assigned", "revoked"]
        assert "lost" not in [what for what, _ in second.told]
        assert len(second.records) == 10
    finally:
        first.reader.close()
        if second is not None:
            second.reader.close()


def test_a_group_member_can_not_be_assigned_partitions_by_hand(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.reader(group=group_name()) as reader:
        reader.subscribe([topic], Rebalance(lambda _: {}, lambda _: None, lambda _: None))
        with pytest.raises(UsageError):
            reader.assign({TopicPartition(topic, 0): 0})
