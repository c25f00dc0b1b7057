"""What each client does when brokers die, don't answer, or turn it away."""

import gc
import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from running import until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Rebalance
from sensorstream.cluster import LocalCluster, node
from sensorstream.cluster.preflight import free_ports
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import (
    ClusterUnreachable,
    CredentialsRefused,
    DeliveryTimeout,
    Fenced,
    OffsetOutOfRange,
    UnknownTopic,
)
from sensorstream.events import Event, Notice
from sensorstream.records import TopicPartition

pytestmark = pytest.mark.broker
WAIT_S = 60.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where somebody takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@dataclass(frozen=True)
class Alone:
    """A cluster of one broker, which tests may kill and start again, and its further listeners."""

    cluster: LocalCluster
    sasl: str
    tls: str
    files: Path

    def topic(self, client: str, name: str) -> tuple[Settings, str]:
        """Settings that lead a client there, and a topic of its own, which is made."""
        settings, own = Settings(bootstrap=self.cluster.bootstrap, client=client), f"{name}-{client}"
        admin.create_topics(settings, [TopicSettings(own, replication_factor=1)])
        return settings, own


@pytest.fixture(scope="module")
def alone(_own_surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    openssl = shutil.which("openssl")
    assert openssl, "the openssl command is needed to make a certificate"
    files = tmp_path_factory.mktemp("certificates")

    def make(*words: str) -> None:
        subprocess.run([openssl, *words], check=True, cwd=files, capture_output=True)

    for name in ("broker", "other"):
        make(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
        )
    make("pkcs8", "-topk8", "-nocrypt", "-in", "broker.key", "-out", "store.pem")
    with (files / "store.pem").open("a") as store:
        store.write((files / "broker.pem").read_text())
    sasl, tls = (f"127.0.0.1:{port}" for port in free_ports(2))
    local = LocalCluster("alone")
    plain_configure = node.Node.configure

    def configure(self: node.Node, text: str, logs: tuple[str, str]) -> None:
        if self.folder.parent == local.folder:
            lines = dict(line.split("=", 1) for line in text.splitlines())
            for key in ("listeners", "advertised.listeners"):
                lines[key] += f",SASL://{sasl},TLS://{tls}"
            lines["listener.security.protocol.map"] += ",SASL:SASL_PLAINTEXT,TLS:SSL"
            lines |= {
                "sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl.plain.sasl.jaas.config": (
                    'org.apache.kafka.common.security.plain.PlainLoginModule required user_anna="right";'
                ),
                "listener.name.tls.ssl.keystore.type": "PEM",
                "listener.name.tls.ssl.keystore.location": str(files / "store.pem"),
            }
            text = "".join(f"{key}={value}\n" for key, value in lines.items())
        plain_configure(self, text, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node.Node, "configure", configure)
        local.up(brokers=1, ports="auto")
        try:
            yield Alone(local, sasl, tls, files)
        finally:
            local.down(delete_data=True)


@pytest.fixture
def single(alone: Alone) -> Iterator[Alone]:
    """That cluster for a test that kills its broker: it runs again for the next one."""
    yield alone
    if not alone.cluster.running_brokers():
        alone.cluster.up()


@pytest.fixture(params=["kafka-python", "librdkafka"])
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


def test_a_broker_killed_under_load_loses_nothing_and_is_told_of(client: str, cluster: LocalCluster) -> None:
    settings = Settings(bootstrap=cluster.bootstrap, client=client)
    admin.create_topics(settings, [TopicSettings("faults-kill", partitions=3)])
    told: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            told.append(event.text)

    opened = open_client(settings)
    with opened.publisher(listener=listen) as publisher, opened.reader() as reader:
        reader.assign({TopicPartition("faults-kill", number): 0 for number in range(3)})
        rows = 6000
        victim = admin.describe_topics(settings, ["faults-kill"]).topics[0].partitions[0].leader
        assert victim is not None
        address = cluster.bootstrap[victim - 1]
        deliveries = []
        for number in range(rows):
            deliveries.append(publisher.publish("faults-kill", b"%d" % number, partition=number % 3))
            if number == rows // 2:
                deliveries[0].wait(WAIT_S)
                cluster.stop_broker(victim, kill=True)
        publisher.flush(WAIT_S)
        assert all(delivery.wait(0) == number // 3 for number, delivery in enumerate(deliveries))
        read: list[tuple[int, int, bytes | None]] = []

        def all_read() -> bool:
            for batch in reader.poll(0.2).values():
                read.extend((one.partition, one.offset, one.value) for one in batch)
            return len(read) >= rows

        until(all_read, "every row has been read")
        assert sorted(read) == sorted((n % 3, n // 3, b"%d" % n) for n in range(rows))
        until(lambda: f"broker {victim} ({address}) can't be reached; continuing with the others" in told, "it is told")
        cluster.start_broker(victim)
        until(lambda: f"broker {victim} ({address}) is back" in told, "the return is told")
    admin.delete_topics(settings, ["faults-kill"])


def test_without_any_broker_every_wait_ends_and_publishing_goes_on_afterwards(client: str, single: Alone) -> None:
    cluster = single.cluster
    short = {"delivery.timeout.ms": "3000", "request.timeout.ms": "1000"}
    settings, topic = single.topic(client, "faults-away")
    impatient = open_client(Settings(bootstrap=cluster.bootstrap, client=client, properties=short)).publisher()
    patient = open_client(settings).publisher()
    leaving = open_client(settings).publisher()
    reader = open_client(settings).reader(group=topic)
    reader.assign({TopicPartition(topic, 0): 0})
    for publisher in (impatient, patient, leaving):
        publisher.publish(topic, b"before", partition=0).wait(WAIT_S)
    cluster.stop_broker(1, kill=True)

    expired = impatient.publish(topic, b"expires", partition=0)
    kept = patient.publish(topic, b"waits", partition=0)
    left = leaving.publish(topic, b"left", partition=0)
    began = time.monotonic()
    with pytest.raises(DeliveryTimeout):
        patient.flush(0.5)
    with pytest.raises(DeliveryTimeout):
        left.wait(0.1)
    leaving.close(0.5)
    with pytest.raises(DeliveryTimeout, match="not known"):
        left.wait(0)
    reader.poll(0.1)
    reader.close(2)
    assert time.monotonic() - began < 25
    with pytest.raises(DeliveryTimeout, match="not known"):
        expired.wait(WAIT_S)

    cluster.start_broker(1)
    # The library alone would wait for a producer id for ever after the expiry.
    assert impatient.publish(topic, b"after", partition=0).wait(WAIT_S) > 0
    assert kept.wait(WAIT_S) > 0
    impatient.close()
    patient.close()


def test_an_outage_is_not_taken_for_the_end_of_a_topic(client: str, single: Alone) -> None:
    """librdkafka says of partitions whose brokers have just died that there are none (_UNKNOWN_PARTITION)."""
    cluster = single.cluster
    settings, topic = single.topic(client, "faults-bounce")
    where = TopicPartition(topic, 0)
    with open_client(settings).reader() as reader:
        reader.assign({where: 0})
        reader.poll(0.1)

        def bounce() -> None:
            cluster.stop_broker(1, kill=True)
            cluster.start_broker(1)

        bounced = threading.Timer(0.2, bounce)
        bounced.start()
        while bounced.is_alive():
            with suppress(ClusterUnreachable):
                reader.end_offsets([where])
        assert reader.end_offsets([where]) == {where: 0}


def test_without_the_coordinator_positions_are_given_up_in_time(client: str, single: Alone) -> None:
    cluster = single.cluster
    settings, topic = single.topic(client, "faults-coordinator")
    where = TopicPartition(topic, 0)
    opened = open_client(settings)
    with opened.reader(group=topic) as reader:
        with opened.transactional_publisher(topic) as publisher:
            publisher.begin()
            publisher.publish(topic, b"never seen", partition=0)
            publisher.flush(WAIT_S)
            cluster.stop_broker(1, kill=True)
            began = time.monotonic()
            with pytest.raises((ClusterUnreachable, DeliveryTimeout)):
                publisher.send_offsets({where: 5}, reader, 2.0)
            assert time.monotonic() - began < 50
        cluster.start_broker(1)
        with opened.transactional_publisher(topic) as publisher:
            publisher.begin()
            publisher.publish(topic, b"seen", partition=0)
            publisher.send_offsets({where: 7}, reader)
            publisher.commit()
        assert reader.committed(where) == 7


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


def test_tls_spoken_to_a_plaintext_port_is_named(client: str, broker: tuple[str, ...]) -> None:
    assert "it does not speak TLS there" in fails(client, broker[:1], security_protocol="SSL").message


def test_a_secured_broker_says_why_it_refuses(client: str, alone: Alone) -> None:
    sasl, tls, files = alone.sasl, alone.tls, alone.files
    anna = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "anna"}
    right = {key.replace("_", "."): text for key, text in anna.items()} | {"sasl.password": "right"}
    open_client(Settings((sasl,), client=client, properties=right)).publisher().close()
    trusting = {"security.protocol": "ssl", "ssl.ca.location": str(files / "broker.pem")}
    open_client(Settings((tls,), client=client, properties=trusting)).reader().close()

    error = fails(client, (sasl,), **anna, sasl_password="wr0ng")
    assert isinstance(error, CredentialsRefused)
    assert "authentication failed" in error.message
    assert "wr0ng" not in str(error)
    error = fails(client, (sasl,), **{**anna, "sasl_mechanism": "SCRAM-SHA-256"}, sasl_password="right")
    assert isinstance(error, CredentialsRefused)
    assert "sasl.mechanism" in error.message
    assert "security.protocol" in fails(client, (sasl,)).message
    error = fails(client, (tls,), security_protocol="SSL", ssl_ca_location=str(files / "other.pem"))
    assert isinstance(error, CredentialsRefused)
    assert "certificate can't be verified" in error.message
