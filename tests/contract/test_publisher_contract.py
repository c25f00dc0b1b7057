"""What every client's publisher does, stated once and run on the broker in memory and on real ones."""

import os
import threading
import time

import pytest

from contract_labs import WAIT_S, Lab, numbered, read
from sensorstream.clients.base import Delivery
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import (
    DeliveryError,
    RecordTooLarge,
    UnknownPartition,
    UnknownTopic,
)
from sensorstream.records import ConsumedRecord, TopicPartition

pytestmark = pytest.mark.long


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


def test_into_a_topic_of_many_partitions_each_keeps_its_order(lab: Lab) -> None:
    partitions, rounds, rows = 40, 4, 25
    topic = lab.topic(partitions)
    with lab.client.publisher() as publisher:
        sent: dict[int, list[bytes]] = {partition: [] for partition in range(partitions)}
        deliveries: list[Delivery] = []
        for number in range(rounds):
            for partition, values in sent.items():
                batch = [b"%d/%d/%d" % (partition, number, row) for row in range(rows)]
                deliveries.append(publisher.publish_batch(topic, batch, partition=partition))
                alone = b"%d/%d" % (partition, number)
                deliveries.append(publisher.publish(topic, alone, partition=partition))
                values += [*batch, alone]
        for delivery in deliveries:
            assert delivery.wait(WAIT_S) >= 0
        publisher.flush(WAIT_S)
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, partition): 0 for partition in range(partitions)})
        found: dict[int, list[bytes | None]] = {partition: [] for partition in range(partitions)}
        for record in read(reader, partitions * rounds * (rows + 1)):
            found[record.partition].append(record.value)
    assert found == sent


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


# How rows are sent


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_compressed_comes_back_as_it_was(lab: Lab, codec: str) -> None:
    """Values of any shape, in batches and one by one; the other client reads the same."""
    topic = lab.topic(1)
    values = [b"", b"x", *numbered(300), b"y" * 200_000, os.urandom(150_000), *numbered(5)]
    with lab.with_options({"compression.type": codec}).publisher() as publisher:
        publisher.publish_batch(topic, values, partition=0)
        publisher.publish(topic, b"alone", partition=0, key=b"k", headers=(("h", b"1"),))
        publisher.flush(WAIT_S)
    for client in lab.clients():
        with client.reader() as reader:
            reader.assign({TopicPartition(topic, 0): 0})
            records = read(reader, len(values) + 1)
        assert [record.value for record in records] == [*values, b"alone"]
        assert records[-1].headers == (("h", b"1"),)


def test_a_full_size_record_and_one_over_it_are_told_apart_when_compressed(lab: Lab) -> None:
    """The limit is that of the record as it is: how well it can be compressed says nothing about its reader."""
    topic = lab.topic(1)
    with lab.with_options({"compression.type": "lz4"}).publisher() as publisher:
        with pytest.raises(RecordTooLarge, match=str(lab.limit)):
            publisher.publish(topic, b"x" * lab.limit, partition=0)
        with pytest.raises(RecordTooLarge, match=str(lab.limit)):
            publisher.publish_batch(topic, [b"small", b"x" * lab.limit], partition=0)
        assert publisher.publish(topic, os.urandom(1_000_000), partition=0).wait(WAIT_S) == 0


@pytest.mark.parametrize("given", [{"acks": "1"}, {"acks": "0"}, {"enable.idempotence": "false"}])
def test_rows_arrive_in_order_with_fewer_promises_too(lab: Lab, given: dict[str, str]) -> None:
    topic = lab.topic(1)
    client = lab.with_options(given)
    with client.publisher() as publisher:
        delivery = publisher.publish_batch(topic, numbered(2000), partition=0)
        publisher.flush(WAIT_S)
        assert delivery.done() and not delivery.failed
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(topic, 0): 0})
        assert [record.value for record in read(reader, 2000)] == numbered(2000)
