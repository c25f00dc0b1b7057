"""What every client does in transactions, stated once and run on the broker in memory and on real ones."""

import itertools
import os
import threading
import time

import pytest

from contract_labs import FROM_THE_START, WAIT_S, KafkaLab, Lab, group_name, numbered, publish, read
from running import until
from sensorstream.clients.base import Reader
from sensorstream.clients.kafka_python.reader import KafkaPythonReader
from sensorstream.clients.transaction import wait_until_seen
from sensorstream.errors import BrokerError, DeliveryError, Fenced, UsageError
from sensorstream.events import Event, Notice
from sensorstream.pipelines.stream.job import StreamJob
from sensorstream.pipelines.stream.stream import stream
from sensorstream.records import TopicPartition
from sensorstream.transforms.select import Select

pytestmark = pytest.mark.long

_ids = itertools.count()


def new_id() -> str:
    return f"contract-{os.getpid()}-{next(_ids)}"


def read_all(reader: Reader, where: TopicPartition, end: int) -> list[bytes | None]:
    """Everything up to ``end``, which is the log's; the position is there then, whatever lies at the end.

    It may have to be waited for: brokers write a transaction's control record after they have acknowledged its end.
    """
    until(lambda: reader.end_offsets([where])[where] == end, f"the log ends at {end}")
    values: list[bytes | None] = []

    def at_the_end() -> bool:
        for batch in reader.poll_values(0.2).values():
            values.extend(batch.values)
        return reader.position(where) >= end

    until(at_the_end, f"the position is {end}")
    assert reader.position(where) == end
    return values


def test_committed_records_are_seen_in_order_and_the_position_passes_what_lies_between(lab: Lab) -> None:
    topic = lab.topic(2)
    with lab.client.transactional_publisher(new_id()) as publisher:
        for begin in (0, 50):
            publisher.begin()
            first = publisher.publish(topic, b"%d" % begin, partition=0, key=b"k", headers=(("h", b"1"),))
            batch = publisher.publish_batch(topic, [b"%d" % n for n in range(begin + 1, begin + 50)], partition=0)
            other = publisher.publish(topic, b"other", partition=1)
            publisher.commit(WAIT_S)
            assert first.done()
            assert batch.done()
            assert batch.failed == 0
            assert other.wait(0) >= 0
    where = TopicPartition(topic, 0)
    with lab.client.reader() as reader:
        reader.assign({where: 0})
        # A control record after each fifty.
        assert read_all(reader, where, 102) == [b"%d" % n for n in range(100)]
        reader.assign({where: 0})
        records = read(reader, 100)
    assert [record.offset for record in records] == [*range(50), *range(51, 101)]
    assert (records[0].key, records[0].headers) == (b"k", (("h", b"1"),))


def test_records_of_an_open_or_aborted_transaction_are_never_seen(lab: Lab) -> None:
    topic, name = lab.topic(), new_id()
    where = TopicPartition(topic, 0)
    publish(lab, topic, [b"before"])
    with lab.client.reader() as reader:
        with lab.client.transactional_publisher(name) as publisher:
            publisher.begin()
            assert publisher.publish_batch(topic, numbered(5), partition=0).wait(WAIT_S) == 5
            assert reader.end_offsets([where])[where] == 1
            publish(lab, topic, [b"behind the open one"])
            reader.assign({where: 0})
            assert read_all(reader, where, 1) == [b"before"]
            assert reader.poll(0.3) == {}
            publisher.abort(WAIT_S)
            with pytest.raises(DeliveryError, match="used any more"):
                publisher.begin()
        with lab.client.transactional_publisher(name) as publisher:
            publisher.begin()
            publisher.publish(topic, b"after", partition=0)
            publisher.commit(WAIT_S)
        assert read_all(reader, where, 10) == [b"behind the open one", b"after"]
        assert reader.beginning_offsets([where]) == {where: 0}


def test_what_a_closed_publisher_left_open_is_aborted(lab: Lab) -> None:
    topic = lab.topic()
    where = TopicPartition(topic, 0)
    with lab.client.transactional_publisher(new_id()) as publisher:
        publisher.begin()
        publisher.publish(topic, b"left", partition=0).wait(WAIT_S)
    with lab.client.reader() as reader:
        reader.assign({where: 0})
        assert read_all(reader, where, 2) == []


def test_a_second_publisher_of_an_id_fences_the_first_and_aborts_what_it_left(lab: Lab) -> None:
    topic, name = lab.topic(), new_id()
    where = TopicPartition(topic, 0)
    with lab.client.transactional_publisher(name) as frozen:
        frozen.begin()
        frozen.publish(topic, b"of the frozen one", partition=0).wait(WAIT_S)
        with lab.client.transactional_publisher(name) as second:
            second.begin()
            second.publish(topic, b"of the second", partition=0)
            second.commit(WAIT_S)
            with pytest.raises(Fenced, match=name):
                frozen.commit(WAIT_S)
            with pytest.raises(DeliveryError):
                frozen.begin()
            second.begin()
            second.publish(topic, b"goes on", partition=0)
            second.commit(WAIT_S)
    with lab.client.reader() as reader:
        reader.assign({where: 0})
        assert read_all(reader, where, 6) == [b"of the second", b"goes on"]


def test_a_fenced_publisher_that_goes_on_publishing_is_told(lab: Lab) -> None:
    topic, name = lab.topic(), new_id()
    with lab.client.transactional_publisher(name) as frozen:
        frozen.begin()
        frozen.publish(topic, b"before", partition=0).wait(WAIT_S)
        with lab.client.transactional_publisher(name), pytest.raises(Fenced):
            frozen.publish(topic, b"behind", partition=0)
            frozen.commit(WAIT_S)


def test_a_fenced_publisher_is_told_so_right_after_its_first_loss_and_does_not_fence_its_successor(lab: Lab) -> None:
    """Fencing ends it: a client that asked the brokers for a new epoch in its place would fence the other one."""
    topic, name = lab.topic(), new_id()
    where = TopicPartition(topic, 0)
    with lab.client.transactional_publisher(name) as frozen:
        frozen.begin()
        frozen.publish(topic, b"before", partition=0).wait(WAIT_S)
        with lab.client.transactional_publisher(name) as second:
            second.begin()
            second.publish(topic, b"of the second", partition=0).wait(WAIT_S)

            def go_on() -> None:
                lost = frozen.publish(topic, b"behind", partition=0)
                with pytest.raises(Fenced):
                    lost.wait(WAIT_S)
                frozen.publish(topic, b"behind", partition=0)

            with pytest.raises(Fenced):
                go_on()
            second.commit(WAIT_S)
    with lab.client.reader() as reader:
        reader.assign({where: 0})
        assert read_all(reader, where, 4) == [b"of the second"]


def test_positions_are_committed_with_the_transaction_or_not_at_all(lab: Lab) -> None:
    topic, out, group, name = lab.topic(), lab.topic(), group_name(), new_id()
    where = TopicPartition(topic, 0)
    publish(lab, topic, numbered(10))
    with lab.client.reader(group=group) as reader:
        reader.assign({where: 0})
        read(reader, 10)
        with lab.client.transactional_publisher(name) as publisher:
            publisher.begin()
            publisher.publish(out, b"scored", partition=0)
            publisher.send_offsets({where: 5}, reader, WAIT_S)
            publisher.commit(WAIT_S)
            assert reader.committed(where) == 5
            publisher.begin()
            publisher.send_offsets({where: 9}, reader, WAIT_S)
            publisher.abort(WAIT_S)
        assert reader.committed(where) == 5
        with lab.client.transactional_publisher(name) as publisher:
            publisher.begin()
            publisher.publish(out, b"scored", partition=0)
            publisher.commit(WAIT_S)
        assert reader.committed(where) == 5
    with lab.client.reader() as reader, lab.client.transactional_publisher(new_id()) as publisher:
        publisher.begin()
        with pytest.raises(UsageError):
            publisher.send_offsets({where: 1}, reader)


def test_positions_that_a_transaction_still_holds_are_waited_for(lab: Lab) -> None:
    """Whoever takes a partition over must not begin where the group was before a transaction that is about to end."""
    topic, group = lab.topic(), group_name()
    where = TopicPartition(topic, 0)
    publish(lab, topic, numbered(10))
    with (
        lab.client.reader(group=group) as reader,
        lab.client.reader(group=group) as other,
        lab.client.transactional_publisher(new_id()) as publisher,
    ):
        reader.commit({where: 2})
        publisher.begin()
        publisher.publish(topic, b"scored", partition=1)
        publisher.send_offsets({where: 7}, reader, WAIT_S)
        commit = threading.Timer(0.5, publisher.commit)
        commit.start()
        assert other.committed(where) == 7
        commit.join()


def test_what_was_committed_is_seen_once_it_was_waited_for(lab: Lab) -> None:
    """A commit is acknowledged before it is in the logs: without the wait nearly each round looks too early."""
    topic, name = lab.topic(4), new_id()
    where = [TopicPartition(topic, number) for number in range(4)]
    with lab.client.reader() as reader:
        for number in range(1, 6):
            with lab.client.transactional_publisher(name) as publisher:
                publisher.begin()
                for partition in range(4):
                    publisher.publish(topic, b"one", partition=partition)
                publisher.commit(WAIT_S)
                wait_until_seen(reader, publisher.ends)
            assert set(reader.end_offsets(where).values()) == {2 * number}  # a record and a control record each


def test_what_an_older_open_transaction_hides_is_told(lab: Lab) -> None:
    """A killed worker whose place nobody has taken leaves one open; what is committed behind it is late, not lost."""
    topic, told = lab.topic(2), list[Event]()
    with (
        lab.client.reader() as reader,
        lab.client.transactional_publisher(new_id()) as left_open,
        lab.client.transactional_publisher(new_id()) as publisher,
    ):
        left_open.begin()
        left_open.publish(topic, b"never committed", partition=1)
        left_open.flush(WAIT_S)
        publisher.begin()
        for partition in range(2):
            publisher.publish(topic, b"one", partition=partition)
        publisher.commit(WAIT_S)
        until(lambda: reader.end_offsets([TopicPartition(topic, 0)])[TopicPartition(topic, 0)] > 0, "one is seen")
        wait_until_seen(reader, publisher.ends, told.append, 0)
        assert [event.text for event in told if isinstance(event, Notice)] == [
            f"readers do not see the last committed records of {topic}[1] yet: a transaction that another process left "
            "open stands before them; the brokers end it within 60 s"
        ]
        left_open.abort(WAIT_S)
        told.clear()
        wait_until_seen(reader, publisher.ends, told.append, WAIT_S)
        assert told == []


def test_what_a_stream_has_done_is_seen_when_it_ends(lab: Lab) -> None:
    source, out, dead, group = lab.topic(4), lab.topic(4), lab.topic(1), group_name()
    where = [TopicPartition(out, number) for number in range(4)]
    job = StreamJob(source, out, dead, group, group, stop_at_end=True)
    with lab.client.reader() as reader:
        for number in range(1, 4):
            for partition in range(4):
                publish(lab, source, [b'{"n":1}'], partition)
            stream(lab.client, job, lambda: Select({"columns": "n"}))
            assert set(reader.end_offsets(where).values()) == {2 * number}


def has_noticed(reader: Reader) -> bool:
    """Whether the client knows on its own, without a poll, that it is no longer a member."""
    consumer = getattr(reader, "_consumer", None)
    if consumer is None:
        return True
    if isinstance(reader, KafkaPythonReader):
        return bool(consumer.group_metadata().generation_id < 0)
    return not consumer.memberid()


@pytest.mark.parametrize("noticed", [False, True], ids=["unaware", "noticed"])
def test_one_who_is_no_longer_a_member_commits_no_positions_with_a_transaction(lab: Lab, noticed: bool) -> None:
    """Also one that has forgotten which member it was: a broker checks none where none is named."""
    topic, group, name = lab.topic(1), group_name(), new_id()
    where = TopicPartition(topic, 0)
    publish(lab, topic, numbered(4))
    with lab.client.reader(group=group) as reader, lab.client.transactional_publisher(name) as publisher:
        reader.subscribe([topic], FROM_THE_START)
        read(reader, 4)
        publisher.begin()
        publisher.publish(topic, b"scored", partition=0)
        publisher.flush(WAIT_S)
        lab.evict(group)
        if noticed:
            until(lambda: has_noticed(reader), "its heartbeat has been refused")
        with pytest.raises((BrokerError, DeliveryError)):
            publisher.send_offsets({where: 4}, reader, WAIT_S)
        assert reader.committed(where) is None
        # It is aborted there and then: what lies behind it is not hidden until it times out.
        with lab.client.reader() as other:
            until(lambda: other.end_offsets([where])[where] == 6, "the transaction has ended", 10)


def test_outside_a_transaction_nothing_is_published(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.transactional_publisher(new_id()) as publisher:
        with pytest.raises(UsageError):
            publisher.publish(topic, b"x", partition=0)
        with pytest.raises(UsageError):
            publisher.publish_batch(topic, [b"x"], partition=0)
        for action in (publisher.commit, publisher.abort):
            with pytest.raises(UsageError):
                action()
        publisher.begin()
        with pytest.raises(UsageError):
            publisher.begin()
        publisher.commit(WAIT_S)
    with pytest.raises(DeliveryError):
        publisher.publish(topic, b"x", partition=0)


@pytest.mark.broker
@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_record_that_the_broker_refuses_in_a_batch_makes_the_commit_fail_wherever_it_stands(
    broker: tuple[str, ...], client: str, place: int
) -> None:
    """The last record's success vouches for a batch only together with the commit.

    Batches of one record each, so that the others are stored while the one is refused.
    """
    lab = KafkaLab(broker, client)
    topic = lab.topic(1, {"max.message.bytes": "2000"})
    where = TopicPartition(topic, 0)
    values = [b"%d" % number + os.urandom(600) for number in range(7)]
    values[place] = os.urandom(5000)
    sender = lab.with_options({"batch.size": "700", "compression.type": "none"})
    with sender.transactional_publisher(new_id()) as publisher:
        publisher.begin()
        batch = publisher.publish_batch(topic, values, partition=0)
        began = time.monotonic()
        with pytest.raises(DeliveryError, match="aborted"):
            publisher.commit(WAIT_S)
        # It does not wait for what can't come any more.
        assert time.monotonic() - began < WAIT_S / 2
        assert batch.done()
        assert publisher.ends == {}
    with lab.client.reader() as reader:
        reader.assign({where: 0})
        end = reader.end_offsets([where])[where]
        seen: list[bytes | None] = []

        def past_all_of_it() -> bool:
            # The control record of the abort may still be written; it is no record that anybody sees.
            seen.extend(value for batch in reader.poll_values(0.2).values() for value in batch.values)
            return reader.position(where) >= end

        until(past_all_of_it, f"the position is {end}")
        assert seen == []
    lab.clean()


@pytest.mark.broker
def test_librdkafka_vouches_for_a_batch_with_its_last_record(broker: tuple[str, ...]) -> None:
    """One report a batch instead of one a record: the offset is the last one's, and so are the ends."""
    lab = KafkaLab(broker, "librdkafka")
    topic = lab.topic(2)
    with lab.client.transactional_publisher(new_id()) as publisher:
        publisher.begin()
        empty = publisher.publish_batch(topic, [], partition=0)
        batches = [publisher.publish_batch(topic, numbered(500), partition=number % 2) for number in range(10)]
        publisher.commit(WAIT_S)
        assert empty.done()
        assert [batch.wait(0) for batch in batches] == [500 * (number // 2 + 1) - 1 for number in range(10)]
        assert all(batch.count == 500 and batch.failed == 0 for batch in batches)
        assert publisher.ends == {TopicPartition(topic, number): 2500 for number in (0, 1)}
    lab.clean()
