"""What each client does when brokers die, don't answer, or turn it away."""

import gc
import logging
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from running import until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Delivery, Reader, Rebalance
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ClusterUnreachable, DeliveryTimeout, Fenced, OffsetOutOfRange, UnknownTopic
from sensorstream.events import Event, Notice
from sensorstream.records import TopicPartition

pytestmark = [pytest.mark.broker, pytest.mark.long]
WAIT_S = 60.0
CLIENTS = ("kafka-python", "librdkafka")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def alone(_own_surroundings: None) -> Iterator[LocalCluster]:
    """A cluster of one broker."""
    local = LocalCluster("alone")
    local.up(brokers=1, ports="auto")
    try:
        yield local
    finally:
        local.down(delete_data=True)


@pytest.fixture
def single(alone: LocalCluster) -> Iterator[LocalCluster]:
    """That cluster for a test that kills its broker: it runs again for the next one.

    A start of it is dear, so both clients go through the same outage.
    """
    yield alone
    if not alone.running_brokers():
        alone.up()


def topic_there(cluster: LocalCluster, client: str, name: str) -> tuple[Settings, str]:
    """Settings that lead a client there, and a topic of its own, which is made."""
    settings, own = Settings(bootstrap=cluster.bootstrap, client=client), f"{name}-{client}"
    admin.create_topics(settings, [TopicSettings(own, replication_factor=1)])
    return settings, own


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """The name of each client in turn."""
    return str(request.param)


def fails(client: str, bootstrap: tuple[str, ...], **properties: str) -> ClusterUnreachable:
    """Connecting is refused within 10 s (five times that on a busy machine), and no thread is left behind."""
    given = {key.replace("_", "."): text for key, text in properties.items()}
    settings = Settings(bootstrap, client=client, properties=given)
    threads = set(threading.enumerate())
    began = time.monotonic()
    with pytest.raises(ClusterUnreachable) as caught:
        open_client(settings).reader()
    assert time.monotonic() - began < 50
    # One that is just asking why nobody answers ends with its question.
    until(lambda: set(threading.enumerate()) <= threads, "the end of its threads")
    return caught.value


def test_a_broker_killed_under_load_loses_nothing_and_is_told_of(cluster: LocalCluster) -> None:
    """It is the leader of a partition of each topic, and there is a topic for each client."""
    topics = {client: f"faults-kill-{client}" for client in CLIENTS}
    settings = Settings(bootstrap=cluster.bootstrap)
    admin.create_topics(settings, [TopicSettings(topic, partitions=3) for topic in topics.values()])
    told: dict[str, list[str]] = {client: [] for client in CLIENTS}

    def listen(client: str, event: Event) -> None:
        if isinstance(event, Notice):
            told[client].append(event.text)

    with ExitStack() as stack:
        opened = {client: open_client(replace(settings, client=client)) for client in CLIENTS}
        publishers = {
            client: stack.enter_context(one.publisher(listener=partial(listen, client)))
            for client, one in opened.items()
        }
        readers = {client: stack.enter_context(one.reader()) for client, one in opened.items()}
        for client, reader in readers.items():
            reader.assign({TopicPartition(topics[client], number): 0 for number in range(3)})
        rows = 3000
        victim = admin.describe_topics(settings, [topics[CLIENTS[0]]]).topics[0].partitions[0].leader
        assert victim is not None
        led = {part.leader for part in admin.describe_topics(settings, [topics[CLIENTS[1]]]).topics[0].partitions}
        assert victim in led
        address = cluster.bootstrap[victim - 1]
        deliveries: dict[str, list[Delivery]] = {client: [] for client in CLIENTS}
        for number in range(rows):
            for client, publisher in publishers.items():
                deliveries[client].append(publisher.publish(topics[client], b"%d" % number, partition=number % 3))
            if number == rows // 2:
                for sent in deliveries.values():
                    sent[0].wait(WAIT_S)
                cluster.stop_broker(victim, kill=True)
        for client in CLIENTS:
            publishers[client].flush(WAIT_S)
            assert all(delivery.wait(0) == number // 3 for number, delivery in enumerate(deliveries[client]))
            read: list[tuple[int, int, bytes | None]] = []

            def all_read(reader: Reader = readers[client], read: list[tuple[int, int, bytes | None]] = read) -> bool:
                for batch in reader.poll(0.2).values():
                    read.extend((one.partition, one.offset, one.value) for one in batch)
                return len(read) >= rows

            until(all_read, "every row has been read")
            assert sorted(read) == sorted((n % 3, n // 3, b"%d" % n) for n in range(rows))
        gone = f"broker {victim} ({address}) can't be reached; continuing with the others"
        until(lambda: all(gone in texts for texts in told.values()), "it is told")
        cluster.start_broker(victim)
        until(lambda: all(f"broker {victim} ({address}) is back" in one for one in told.values()), "the return is told")
    admin.delete_topics(settings, list(topics.values()))


class Away:
    """What a client has open when the only broker is killed."""

    def __init__(self, cluster: LocalCluster, client: str) -> None:
        short = {"delivery.timeout.ms": "3000", "request.timeout.ms": "1000"}
        settings, self.topic = topic_there(cluster, client, "faults-away")
        self.impatient = open_client(replace(settings, properties=short)).publisher()
        self.patient = open_client(settings).publisher()
        self.leaving = open_client(settings).publisher()
        self.reader = open_client(settings).reader(group=self.topic)
        self.reader.assign({TopicPartition(self.topic, 0): 0})
        for publisher in (self.impatient, self.patient, self.leaving):
            publisher.publish(self.topic, b"before", partition=0).wait(WAIT_S)

    def every_wait_ends(self) -> None:
        topic = self.topic
        self.expired = self.impatient.publish(topic, b"expires", partition=0)
        self.kept = self.patient.publish(topic, b"waits", partition=0)
        left = self.leaving.publish(topic, b"left", partition=0)
        began = time.monotonic()
        with pytest.raises(DeliveryTimeout):
            self.patient.flush(0.5)
        with pytest.raises(DeliveryTimeout):
            left.wait(0.1)
        self.leaving.close(0.5)
        with pytest.raises(DeliveryTimeout, match="not known"):
            left.wait(0)
        self.reader.poll(0.1)
        self.reader.close(2)
        assert time.monotonic() - began < 25

    def it_goes_on(self) -> None:
        # The library alone would wait for a producer id for ever after the expiry.
        assert self.impatient.publish(self.topic, b"after", partition=0).wait(WAIT_S) > 0
        assert self.kept.wait(WAIT_S) > 0
        self.impatient.close()
        self.patient.close()


def test_without_any_broker_every_wait_ends_and_publishing_goes_on_afterwards(single: LocalCluster) -> None:
    both = [Away(single, client) for client in CLIENTS]
    single.stop_broker(1, kill=True)
    for one in both:
        one.every_wait_ends()
    for one in both:
        with pytest.raises(DeliveryTimeout, match="not known"):
            one.expired.wait(WAIT_S)
    single.start_broker(1)
    for one in both:
        one.it_goes_on()


def test_an_outage_is_not_taken_for_the_end_of_a_topic(single: LocalCluster) -> None:
    """librdkafka says of partitions whose brokers have just died that there are none (_UNKNOWN_PARTITION)."""
    asking, over = threading.Barrier(len(CLIENTS) + 1), threading.Event()

    def ask(client: str) -> None:
        """Again and again, from before the outage until it is over."""
        settings, topic = topic_there(single, client, "faults-bounce")
        where = TopicPartition(topic, 0)
        with open_client(settings).reader() as reader:
            reader.assign({where: 0})
            reader.poll(0.1)
            assert reader.end_offsets([where]) == {where: 0}
            asking.wait(WAIT_S)
            while not over.is_set():
                with suppress(ClusterUnreachable):
                    reader.end_offsets([where])
            assert reader.end_offsets([where]) == {where: 0}

    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(ask, client) for client in CLIENTS]
        try:
            asking.wait(WAIT_S)
            single.stop_broker(1, kill=True)
            single.start_broker(1)
        finally:
            over.set()
        for one in asked:
            one.result()


def test_without_the_coordinator_positions_are_given_up_in_time(single: LocalCluster) -> None:
    there = {client: topic_there(single, client, "faults-coordinator") for client in CLIENTS}
    with ExitStack() as stack:
        readers, cut = {}, {}
        for client, (settings, topic) in there.items():
            opened = open_client(settings)
            readers[client] = stack.enter_context(opened.reader(group=topic))
            cut[client] = stack.enter_context(opened.transactional_publisher(topic))
            cut[client].begin()
            cut[client].publish(topic, b"never seen", partition=0)
            cut[client].flush(WAIT_S)
        single.stop_broker(1, kill=True)
        for client, (_, topic) in there.items():
            began = time.monotonic()
            with pytest.raises((ClusterUnreachable, DeliveryTimeout)):
                cut[client].send_offsets({TopicPartition(topic, 0): 5}, readers[client], 2.0)
            assert time.monotonic() - began < 50
            cut[client].close()
        single.start_broker(1)
        for client, (settings, topic) in there.items():
            where = TopicPartition(topic, 0)
            with open_client(settings).transactional_publisher(topic) as publisher:
                publisher.begin()
                publisher.publish(topic, b"seen", partition=0)
                publisher.send_offsets({where: 7}, readers[client])
                publisher.commit()
            assert readers[client].committed(where) == 7


def test_a_publisher_is_closed_while_a_batch_of_it_is_just_failing(
    broker: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """kafka-python's sender gives the outcome, then strikes the batch off its list: closing came in between."""
    settings = Settings(bootstrap=broker, client="kafka-python")
    admin.create_topics(settings, [TopicSettings("faults-closing")])
    opened = open_client(settings)
    publisher: Any = opened.transactional_publisher("faults-closing")
    publisher.begin()
    for partition in (0, 1):
        publisher.publish("faults-closing", b"taken", partition=partition).wait(WAIT_S)
    opened.transactional_publisher("faults-closing").close()  # fences it
    strike_off = publisher._accumulator.deallocate
    failing, go_on = threading.Event(), threading.Event()

    def strike_off_late(batch: object) -> None:
        failing.set()
        assert go_on.wait(WAIT_S)
        strike_off(batch)

    monkeypatch.setattr(publisher._accumulator, "deallocate", strike_off_late)
    refused = [publisher.publish("faults-closing", b"refused", partition=partition) for partition in (0, 1)]
    assert failing.wait(WAIT_S)
    threading.Timer(0.5, go_on.set).start()
    publisher.close(0)
    for delivery in refused:
        with pytest.raises((Fenced, DeliveryTimeout)):
            delivery.wait(0)
    admin.delete_topics(settings, ["faults-closing"])


def test_added_partitions_reach_a_member_that_never_waits_in_poll(client: str, broker: tuple[str, ...]) -> None:
    settings = Settings(bootstrap=broker, client=client, properties={"metadata.max.age.ms": "300"})
    admin.create_topics(settings, [TopicSettings("faults-grow", partitions=1)])
    owned: set[TopicPartition] = set()

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        owned.update(partitions)
        return dict.fromkeys(partitions, 0)

    with open_client(settings).reader(group="faults-grow") as reader:
        reader.subscribe(["faults-grow"], Rebalance(assigned, lambda _: None, lambda _: None))

        def owns(count: int) -> bool:
            reader.poll(0)
            return len(owned) == count

        until(lambda: owns(1), "the member has the one partition")
        admin.alter_topic(settings, "faults-grow", partitions=3)
        # The library alone would forget this second join when its poll times out, and wait for ever.
        until(lambda: owns(3), "the member has the added partitions too")
        reader.commit(dict.fromkeys(owned, 0))
    admin.delete_topics(settings, ["faults-grow"])


@pytest.mark.parametrize("anew", [True, False])
def test_a_log_that_has_lost_its_tail_is_named(
    broker: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """It came in the library's own words: ``Detected truncated partitions: {TopicPartition(...): ...}``."""
    from kafka.errors import LogTruncationError
    from kafka.structs import OffsetAndMetadata
    from kafka.structs import TopicPartition as KafkaPartition

    topic = f"faults-truncated-{anew}"
    settings = Settings(bootstrap=broker, client="kafka-python")
    admin.create_topics(settings, [TopicSettings(topic)])
    reader: Any = open_client(settings).reader()
    reader.assign({TopicPartition(topic, 0): 0})
    if anew:
        admin.delete_topics(settings, [topic])
        admin.create_topics(settings, [TopicSettings(topic)])

    def truncated(**_: Any) -> None:
        raise LogTruncationError({KafkaPartition(topic, 0): OffsetAndMetadata(0)})

    monkeypatch.setattr(reader._consumer, "poll", truncated)
    with pytest.raises(UnknownTopic if anew else OffsetOutOfRange, match="created again" if anew else "ends at 0"):
        reader.poll(0.1)
    reader.close()
    admin.delete_topics(settings, [topic])


def test_a_collected_publisher_leaves_the_library_its_log(broker: tuple[str, ...]) -> None:
    publisher = open_client(Settings(bootstrap=broker, client="kafka-python")).publisher()
    publisher.close()
    del publisher
    gc.collect()
    import kafka.producer.kafka

    assert isinstance(kafka.producer.kafka.log, logging.Logger)
    assert not logging.getLogger("kafka").propagate


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_an_address_where_nobody_listens_is_named(client: str, host: str) -> None:
    address = f"{host}:{free_port()}"
    error = fails(client, (address,))
    assert f"{address}: the connection is refused" in error.message
    assert error.hint


def test_a_host_name_that_is_not_known_is_named(client: str) -> None:
    assert (
        "no-such-host.invalid:9092: the host name is not known" in fails(client, ("no-such-host.invalid:9092",)).message
    )


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_an_address_that_never_answers_is_an_error_in_time(client: str, silent: str, protocol: str) -> None:
    assert f"{silent}: no answer in time" in fails(client, (silent,), security_protocol=protocol).message


def test_one_silent_address_does_not_hide_the_good_ones(client: str, silent: str, broker: tuple[str, ...]) -> None:
    for _ in range(2):
        with open_client(Settings(bootstrap=(silent, broker[0]), client=client)).reader() as reader:
            assert reader.end_offsets([]) == {}


def test_bootstrap_addresses_are_tried_in_turn(
    silent: str, broker: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """kafka-python draws the address of each attempt: here it draws the silent one whenever that is offered."""

    class Unlucky(random.Random):
        def choice(self, offered: Any) -> Any:
            return next((node for node in offered if silent.endswith(f":{node.port}")), offered[0])

    monkeypatch.setattr("kafka.net.manager.random", Unlucky())
    with open_client(Settings(bootstrap=(silent, broker[0]), client="kafka-python")).reader() as reader:
        assert reader.end_offsets([]) == {}


def test_tls_spoken_to_a_plaintext_port_is_named(client: str, broker: tuple[str, ...]) -> None:
    assert "it does not speak TLS there" in fails(client, broker[:1], security_protocol="SSL").message
