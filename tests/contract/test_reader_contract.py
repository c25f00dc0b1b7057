"""What every client's reader does, stated once and run on the broker in memory and on real ones."""

import pytest

from contract_labs import WAIT_S, KafkaLab, Lab, group_name, numbered, publish, read
from running import until
from sensorstream.errors import (
    BrokerError,
    OffsetOutOfRange,
    UnknownPartition,
    UnknownTopic,
    UsageError,
)
from sensorstream.records import ConsumedRecord, TopicPartition

pytestmark = pytest.mark.long


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


def test_the_ends_of_a_topic_that_is_read_and_of_one_that_is_new_to_the_reader(lab: Lab) -> None:
    known, new = lab.topic(), lab.topic()
    publish(lab, known, numbered(3))
    with lab.client.reader() as reader:
        reader.assign({TopicPartition(known, 0): 0})
        read(reader, 3)
        partitions = [TopicPartition(topic, number) for topic in (known, new) for number in (0, 1)]
        assert reader.end_offsets(partitions) == dict(zip(partitions, [3, 0, 0, 0], strict=True))


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


@pytest.mark.broker
def test_librdkafka_tells_a_failure_before_what_is_waiting_is_read(broker: tuple[str, ...]) -> None:
    from sensorstream.clients.librdkafka.reader import LibrdkafkaReader

    kafka = KafkaLab(broker, "librdkafka")
    topic, many = kafka.topic(), 2000
    with kafka.client.publisher() as publisher:
        publisher.publish_batch(topic, numbered(many), partition=1)
        publisher.flush(WAIT_S)
    offsets: list[int] = []
    with kafka.client.reader() as reader:
        assert isinstance(reader, LibrdkafkaReader)
        reader.assign({TopicPartition(topic, 1): 0})

        def read_to(count: int) -> bool:
            offsets.extend(record.offset for batch in reader.poll(0.5, max_records=70).values() for record in batch)
            return len(offsets) >= count

        until(lambda: read_to(100), "records come")
        for _ in range(3):
            reader._failure = BrokerError("what another partition ended with")
            taken = len(offsets)
            with pytest.raises(BrokerError, match="another partition"):
                read_to(many)
            assert len(offsets) == taken
        until(lambda: read_to(many), "reading goes on")
    kafka.clean()
    assert offsets == list(range(many)), "nothing is lost over it"


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


def test_what_is_assigned_again_is_not_paused(lab: Lab) -> None:
    topic = lab.topic(1)
    where = TopicPartition(topic, 0)
    publish(lab, topic, numbered(5))
    with lab.client.reader() as reader:
        reader.assign({where: 0})
        read(reader, 5)
        reader.pause([where])
        reader.assign({where: 2})
        assert [record.offset for record in read(reader, 3)] == [2, 3, 4]


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
