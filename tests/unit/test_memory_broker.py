"""What the broker in memory does beyond the contract of all clients: its faults."""

import threading
from collections.abc import Sequence

import pytest

from sensorstream.clients.base import Rebalance
from sensorstream.clients.memory import MemoryBroker, MemoryClient, MemoryReader
from sensorstream.errors import BrokerError, ClusterUnreachable, DeliveryError, DeliveryTimeout
from sensorstream.records import TopicPartition

AIR = TopicPartition("AIR", 0)


def test_held_records_have_no_outcome_until_released_and_keep_their_order() -> None:
    broker = MemoryBroker({"AIR": 1})
    publisher = MemoryClient(broker).publisher()
    broker.hold()
    first = publisher.publish("AIR", b"1")
    second = publisher.publish("AIR", b"2")
    assert not first.done()
    with pytest.raises(DeliveryTimeout):
        first.wait(0)
    with pytest.raises(DeliveryTimeout):
        publisher.flush(0.01)
    timer = threading.Timer(0.05, broker.release)
    timer.start()
    publisher.flush(10)
    timer.join()
    assert (first.wait(0), second.wait(0)) == (0, 1)
    assert [record.value for record in broker.records("AIR", 0)] == [b"1", b"2"]


def test_a_publisher_closed_with_records_held_leaves_them_unknown() -> None:
    broker = MemoryBroker({"AIR": 1})
    broker.hold()
    with MemoryClient(broker).publisher() as publisher:
        delivery = publisher.publish("AIR", b"1")
        publisher.close(0.01)
    with pytest.raises(DeliveryTimeout):
        delivery.wait(0)


def test_refused_records_are_certainly_not_there() -> None:
    broker = MemoryBroker({"AIR": 1})
    publisher = MemoryClient(broker).publisher()
    broker.refuse("not enough replicas")
    delivery = publisher.publish("AIR", b"1")
    publisher.flush(0)
    with pytest.raises(DeliveryError, match="not enough replicas"):
        delivery.wait(0)
    broker.accept()
    assert publisher.publish("AIR", b"2").wait(0) == 0


def test_a_stopped_broker_answers_nobody_and_loses_nothing() -> None:
    broker = MemoryBroker({"AIR": 1})
    client = MemoryClient(broker)
    with client.publisher() as publisher:
        publisher.publish("AIR", b"1")
    reader = client.reader(group="g")
    reader.assign({AIR: 0})
    broker.stop()
    assert reader.poll(0) == {}
    with pytest.raises(ClusterUnreachable):
        reader.end_offsets([AIR])
    with pytest.raises(BrokerError):
        reader.commit({AIR: 1})
    with pytest.raises(ClusterUnreachable):
        client.reader()
    broker.start()
    assert [record.value for record in reader.poll(1)[AIR]] == [b"1"]


def test_a_reader_waits_for_what_is_published_meanwhile() -> None:
    broker = MemoryBroker({"AIR": 1})
    reader = MemoryClient(broker).reader()
    reader.assign({AIR: 0})
    timer = threading.Timer(0.05, MemoryClient(broker).publisher().publish, ("AIR", b"1"))
    timer.start()
    assert reader.poll(10)[AIR][0].value == b"1"
    timer.join()


def test_an_evicted_member_is_told_that_it_has_lost_its_partitions_and_joins_again() -> None:
    broker = MemoryBroker({"AIR": 2})
    told: list[str] = []

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        told.append("assigned")
        return dict.fromkeys(partitions, 0)

    reader = MemoryClient(broker).reader(group="g")
    reader.subscribe(
        ["AIR"],
        Rebalance(assigned, lambda _: told.append("revoked"), lambda _: told.append("lost")),
    )
    reader.poll(0)
    broker.evict("g")
    with pytest.raises(BrokerError, match="member"):
        reader.commit({AIR: 1})
    reader.poll(0)
    assert told == ["assigned", "lost", "assigned"]


def test_added_partitions_are_shared_too() -> None:
    broker = MemoryBroker({"AIR": 1})
    owned: set[TopicPartition] = set()

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        owned.update(partitions)
        return dict.fromkeys(partitions, 0)

    reader = MemoryClient(broker).reader(group="g")
    reader.subscribe(["AIR"], Rebalance(assigned, lambda _: None, lambda _: None))
    reader.poll(0)
    broker.add_partitions("AIR", 3)
    reader.poll(0)
    assert owned == {TopicPartition("AIR", number) for number in range(3)}


def test_the_clock_and_the_log_are_the_tests_own() -> None:
    broker = MemoryBroker({"AIR": 1}, clock_ms=lambda: 1234)
    with MemoryClient(broker).publisher() as publisher:
        publisher.publish("AIR", b"1")
    assert broker.records("AIR", 0)[0].timestamp_ms == 1234
    with pytest.raises(BrokerError, match="exists"):
        broker.create_topic("AIR")


def test_a_member_that_is_thrown_out_has_its_positions_held_by_then_or_may_not_send_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else another takes the partition over at the older position, and both do the same rows."""
    broker = MemoryBroker({"IN": 1})
    where = TopicPartition("IN", 0)
    client = MemoryClient(broker)
    settled: list[bool] = []

    def evict() -> None:
        with broker.changed:
            broker.evict("g")
            settled.append(broker.is_settled("g", where))

    with client.reader(group="g") as reader, client.transactional_publisher("t") as publisher:
        assert isinstance(reader, MemoryReader)
        reader.subscribe(["IN"], Rebalance(lambda given: dict.fromkeys(given, 0), lambda _: None, lambda _: None))
        reader.poll(0)
        asked, evicting = reader.is_member, threading.Thread(target=evict)

        def is_member() -> bool:
            answer = asked()
            evicting.start()
            evicting.join(0.2)  # it does not come to its end where the broker is locked
            return answer

        monkeypatch.setattr(reader, "is_member", is_member)
        publisher.begin()
        publisher.send_offsets({where: 5}, reader)
        evicting.join(10)
        assert settled == [False]
        publisher.commit()
    assert broker.committed("g")[where][0] == 5
