"""Brokers that are there and can't be used: what waiting for them costs those who publish and read."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from faults.breaking import Breaker
from faults.proxy import LOOPBACK
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Publisher, Rebalance
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, TopicSettings
from sensorstream.records import TopicPartition
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
        self._began, self._took = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.lasted_s, self.took_s = time.monotonic() - self._began, time.process_time() - self._took

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
        deadline = time.monotonic() + 30
        while len(held) < 2 and time.monotonic() < deadline:
            member.poll(0.1)
        assert len(held) == 2
        with Breaker(cluster).frozen(1, 2, 3), Cost() as cost:
            began = time.monotonic()
            while time.monotonic() - began < FROZEN_S:  # ten heartbeats are due in it
                member.poll(0.1)
    cost.check()


class Door:
    """Takes connections at a dead broker's port and closes them at once, as a port forwarder does."""

    def __init__(self, port: int) -> None:
        self.opened = 0
        self._listener = socket.create_server((LOOPBACK, port))
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while True:
            try:
                self._listener.accept()[0].close()
            except OSError:
                return
            self.opened += 1

    @contextmanager
    def open(self) -> Iterator["Door"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._thread.join()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_port_that_closes_each_connection_is_tried_without_taking_a_processor(
    cluster: LocalCluster, client: str
) -> None:
    settings = Settings(bootstrap=cluster.bootstrap, client=client)
    topic = f"closed-door-{client}"
    admin.create_topics(settings, [TopicSettings(topic, partitions=1)])
    breaker = Breaker(cluster)
    opened = open_client(settings)
    with opened.publisher() as publisher, opened.reader() as reader:
        publisher.publish(topic, b"").wait(30)
        reader.assign({TopicPartition(topic, 0): 0})
        reader.poll(0.1)
        leader = breaker.leader(topic)
        breaker.kill(leader)
        with Door(int(cluster.bootstrap[leader - 1].rpartition(":")[2])).open() as door, Cost() as cost:
            began = time.monotonic()
            while time.monotonic() - began < FROZEN_S:
                publisher.publish(topic, b"")
                reader.poll(0.1)
        breaker.start()
    cost.check()
    assert door.opened
