"""Brokers that are there and can't be used: what waiting for them costs those who publish and read."""

import gc
import socket
import threading
import time
from collections.abc import Sequence

import pytest

from faults.breaking import Breaker
from running import until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Publisher, Rebalance
from sensorstream.clients.kafka_python.admin import administer
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, TopicSettings
from sensorstream.records import TopicPartition
from serving import serving
from stream_cases import read

pytestmark = [pytest.mark.broker, pytest.mark.long]
CLIENTS = ("kafka-python", "librdkafka")
FROZEN_S = 3.0
"""Shorter than a broker may be silent before its partitions go to another one."""
PARTITIONS = 24
"""So many that a broker leads more of them than requests may be on their way to it."""


class Cost:
    """The processor time that this process takes within a block."""

    def __enter__(self) -> "Cost":
        gc.collect()
        gc.disable()  # what other tests have left is not collected at the cost of this one
        self._began, self._took = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.lasted_s, self.took_s = time.monotonic() - self._began, time.process_time() - self._took
        gc.enable()

    def check(self) -> None:
        """It is far less than a whole core; the rows themselves cost something, too."""
        assert self.took_s < self.lasted_s / 8, f"{self.took_s:.1f} s of processor time in {self.lasted_s:.1f} s"


@pytest.mark.parametrize("exactly_once", [False, True], ids=["at least once", "exactly once"])
@pytest.mark.parametrize("client", CLIENTS)
def test_rows_wait_for_a_frozen_broker_without_taking_a_processor(
    cluster: LocalCluster, client: str, exactly_once: bool
) -> None:
    settings = Settings(bootstrap=cluster.bootstrap, client=client, properties={"linger.ms": "0"})
    topic = f"frozen-broker-{client}-{exactly_once}"
    admin.create_topics(settings, [TopicSettings(topic, partitions=PARTITIONS)])
    breaker = Breaker(cluster)
    opened = open_client(settings)
    transaction = opened.transactional_publisher(f"{topic}-id") if exactly_once else None
    publisher: Publisher = transaction or opened.publisher()
    with publisher:
        if transaction is not None:
            transaction.begin()
        for partition in range(PARTITIONS):
            publisher.publish(topic, b"%d" % partition, partition=partition).wait(30)
        count = PARTITIONS
        with breaker.frozen(breaker.leader(topic)), Cost() as cost:
            began = time.monotonic()
            while time.monotonic() - began < FROZEN_S:
                publisher.publish(topic, b"%d" % count, partition=count % PARTITIONS)
                count += 1
                threading.Event().wait(0.01)  # the pace of the rows
        publisher.flush(60)
        if transaction is not None:
            transaction.commit()
    cost.check()
    # Readers may see a partition's rows only a moment after the commit.
    until(lambda: len(read(cluster.bootstrap, topic)) >= count, "all rows", 30)
    there: dict[int, list[int]] = {}
    for one in read(cluster.bootstrap, topic):
        there.setdefault(one.partition, []).append(int(one.value or b""))
    assert there == {partition: list(range(partition, count, PARTITIONS)) for partition in range(PARTITIONS)}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_group_s_member_waits_for_silent_brokers_without_taking_a_processor(
    cluster: LocalCluster, client: str
) -> None:
    settings = Settings(bootstrap=cluster.bootstrap, client=client, properties={"heartbeat.interval.ms": "300"})
    topic = f"silent-brokers-{client}"
    admin.create_topics(settings, [TopicSettings(topic, partitions=2)])
    held: dict[TopicPartition, int] = {}

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        held.update(dict.fromkeys(partitions, 0))
        return held

    with open_client(settings).reader(group=topic) as member:
        member.subscribe([topic], Rebalance(assigned, lambda _: None, lambda _: None))
        until(lambda: not member.poll(0.1) and len(held) == 2, "both partitions", 30)
        with Breaker(cluster).frozen(1, 2, 3), Cost() as cost:
            began = time.monotonic()
            while time.monotonic() - began < FROZEN_S:  # a heartbeat is late for nearly all of it
                member.poll(0.1)
        Breaker(cluster).in_sync()
    cost.check()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_port_that_closes_each_connection_is_tried_without_taking_a_processor(
    cluster: LocalCluster, client: str
) -> None:
    """It is that of a group's coordinator and a leader; later, of the only replica of a partition."""
    settings = Settings(bootstrap=cluster.bootstrap, client=client)
    topic, lonely = f"closed-door-{client}", f"lonely-{client}"
    admin.create_topics(settings, [TopicSettings(topic, 3), TopicSettings(lonely, 3, replication_factor=1)])
    breaker = Breaker(cluster)
    opened = open_client(settings)
    with opened.publisher() as publisher, opened.reader() as reader, opened.reader(group=topic) as member:
        for name in (topic, lonely):
            for number in range(3):
                publisher.publish(name, b"", partition=number).wait(30)
        reader.assign({TopicPartition(topic, number): 0 for number in range(3)})
        member.subscribe([topic], Rebalance(lambda new: dict.fromkeys(new, 0), lambda _: None, lambda _: None))
        until(lambda: bool(member.poll(0.1)), "a row for the member", 30)
        broker = coordinator(settings, topic)
        led = next(number for number in range(3) if breaker.leader(topic, number) == broker)
        alone = next(number for number in range(3) if breaker.leader(lonely, number) == broker)
        breaker.kill(broker)
        opened_there: list[socket.socket] = []
        # As a port forwarder to a dead broker does.
        with serving(opened_there.append, port=int(cluster.bootstrap[broker - 1].rpartition(":")[2])):
            with Cost() as while_it_leads:
                began = time.monotonic()
                while time.monotonic() - began < FROZEN_S:
                    publisher.publish(topic, b"", partition=led)
                    reader.poll(0.05)
                    member.poll(0.05)
            breaker.moved(topic, broker)
            publisher.flush(30)
            publisher.publish(lonely, b"", partition=alone)
            with Cost() as without_leader:
                threading.Event().wait(FROZEN_S / 2)
        breaker.start()
        publisher.flush(60)
    while_it_leads.check()
    without_leader.check()
    assert opened_there
    # With librdkafka the topic watch tries the controller more often, until it has found another one.
    assert client == "librdkafka" or len(opened_there) < 100


def coordinator(settings: Settings, group: str) -> int:
    found: int = administer(settings, "no coordinator", lambda session: session.coordinator("group", group)).node_id
    return found
