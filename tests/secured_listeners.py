"""A secured cluster with further listeners beside its own, the users that lack a right, and how one comes to it."""

import datetime
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sensorstream.clients import open_client
from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.properties import parse_properties
from sensorstream.cluster import LocalCluster
from sensorstream.cluster import plan as plans
from sensorstream.cluster.secure.certificates import LOOPBACK_NAMES, Authority
from sensorstream.config import Settings
from sensorstream.errors import ClusterUnreachable, CredentialsRefused
from sensorstream.records import TopicPartition

WAIT_S = 60.0
NAME = "secured"
NOWHERE = "kafka-1.invalid"
"""What the listener ``lost`` is advertised as: a name that holds in some other network."""
DAY = datetime.timedelta(days=1)
RIGHTS = {
    "TOPIC": ("READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"),
    "GROUP": ("READ", "DESCRIBE"),
    "TRANSACTIONAL_ID": ("WRITE", "DESCRIBE"),
    "CLUSTER": ("DESCRIBE",),
}
LESSER = {
    "no-write": {"TOPIC WRITE"},
    "no-read": {"TOPIC READ"},
    "no-topic": {f"TOPIC {operation}" for operation in RIGHTS["TOPIC"]},
    "no-group": {"GROUP READ", "GROUP DESCRIBE"},
    "no-commit": {"GROUP READ"},
    "no-transaction": {"TRANSACTIONAL_ID WRITE", "TRANSACTIONAL_ID DESCRIBE"},
    "no-cluster": {"CLUSTER DESCRIBE"},
}
"""Users who may do everything that the program asks for, but for these."""


@dataclass(frozen=True)
class Secured:
    """The cluster, the addresses of its further listeners, and a folder with certificates."""

    local: LocalCluster
    at: dict[str, str]
    files: Path

    def settings(self, client: str, user: str = "admin", **other: str) -> Settings:
        """How a user comes to the cluster's own listener; ``other`` replaces properties (``_`` for dots)."""
        known = json.loads((self.local.folder / "client.properties.json").read_text())[user]
        return Settings(self.local.bootstrap, client=client, properties={**known, **dotted(other)})

    def named_otherwise(self, client: str) -> Settings:
        """The same as librdkafka's documentation writes it."""
        known = dict(self.settings(client).properties)
        other = {"security.protocol": "sasl_ssl", "ssl.ca.location": known.pop("ssl.truststore.location")}
        return Settings(self.local.bootstrap, client=client, properties={**known, **other})

    def plain(self, client: str, password: str, user: str = "user") -> Settings:
        """How a user comes to the listener that takes SASL PLAIN."""
        how = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": user}
        return Settings((self.at["plain"],), client=client, properties={**how, "sasl.password": password})

    def tls(self, client: str, listener: str, **other: str) -> Settings:
        """How one comes to a listener by TLS alone."""
        trust = {"security.protocol": "SSL", "ssl.truststore.location": str(self.files / "ca.pem")}
        return Settings((self.at[listener],), client=client, properties={**trust, **dotted(other)})


def dotted(properties: dict[str, str]) -> dict[str, str]:
    return {key.replace("_", "."): value for key, value in properties.items()}


def grant(super_user: Settings) -> None:
    """Give each of the users in LESSER every right but one kind."""
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

    acls = [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=ACLOperation[operation],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(
                ResourceType[kind], "kafka-cluster" if kind == "CLUSTER" else "*", ACLResourcePatternType.LITERAL
            ),
        )
        for user, without in LESSER.items()
        for kind, operations in RIGHTS.items()
        for operation in operations
        if f"{kind} {operation}" not in without
    ]
    with Session(super_user.bootstrap, parse_properties(super_user.properties)) as session:
        assert not session.client.create_acls(acls)["failed"]


@contextmanager
def secured_cluster(files: Path) -> Iterator[Secured]:
    """Start it, with the certificates in this folder; at the end it is gone, with its data."""
    from sensorstream.cluster.preflight import free_ports

    ours, other = Authority("ours"), Authority("other")
    now = datetime.datetime.now(datetime.UTC)
    stores = {
        "mutual": ours.issue("broker", hosts=LOOPBACK_NAMES),
        "expired": ours.issue("broker", hosts=LOOPBACK_NAMES, begins=now - 9 * DAY, ends=now - DAY),
        "early": ours.issue("broker", hosts=LOOPBACK_NAMES, begins=now + DAY, ends=now + 9 * DAY),
        "elsewhere": ours.issue("broker", hosts=["broker.example.org"]),
        "user": ours.issue("user"),
        "late-user": ours.issue("user", begins=now - 9 * DAY, ends=now - DAY),
        "foreign-user": other.issue("user"),
    }
    for name, issued in stores.items():
        (files / f"{name}.pem").write_bytes(issued.store)
    (files / "ca.pem").write_bytes(ours.certificate)
    (files / "other-ca.pem").write_bytes(other.certificate)
    listeners = ("mutual", "expired", "early", "elsewhere")
    ports = dict(zip((*listeners, "plain", "lost"), free_ports(6), strict=True))
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    advertised = {**at, "lost": f"{NOWHERE}:{ports['lost']}"}
    own_lines = plans.Plan.security_lines

    def lines(self: plans.Plan, node_id: int) -> dict[str, str]:
        found = own_lines(self, node_id)
        for key, addresses in (("listeners", at), ("advertised.listeners", advertised)):
            found[key] += "".join(f",{name.upper()}://{address}" for name, address in addresses.items())
        found["listener.security.protocol.map"] += ",PLAIN:SASL_PLAINTEXT,LOST:PLAINTEXT"
        for name in listeners:
            found["listener.security.protocol.map"] += f",{name.upper()}:SSL"
            found[f"listener.name.{name}.ssl.keystore.location"] = str(files / f"{name}.pem")
            found[f"listener.name.{name}.ssl.truststore.location"] = str(files / "ca.pem")
        return found | {
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.plain.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                + " ".join(f'user_{name}="rights"' for name in ("user", *LESSER))
                + ";"
            ),
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans.Plan, "security_lines", lines)
        local = LocalCluster(NAME)
        local.up(brokers=1, ports="auto", secure="tls+scram", acl=True)
        try:
            cluster = Secured(local, at, files)
            grant(cluster.settings("kafka-python"))
            yield cluster
        finally:
            local.down(delete_data=True)


def there_and_back(settings: Settings, topic: str, value: bytes) -> None:
    """Publish a record and read it again."""
    opened = open_client(settings)
    with opened.publisher() as publisher, opened.reader() as reader:
        offset = publisher.publish(topic, value, partition=0).wait(WAIT_S)
        assert offset is not None
        reader.assign({TopicPartition(topic, 0): offset})
        deadline = time.monotonic() + WAIT_S
        read: list[bytes | None] = []
        while not read:
            assert time.monotonic() < deadline
            read = [one.value for batch in reader.poll(0.2).values() for one in batch]
        assert read[0] == value


def refused(settings: Settings, *, refusal: bool = True) -> str:
    """Connecting fails within 10 s (twice that where the machine has no time); what is said."""
    threads = set(threading.enumerate())
    began = time.monotonic()
    with pytest.raises(ClusterUnreachable) as caught:
        open_client(settings).reader()
    assert time.monotonic() - began < 20
    assert set(threading.enumerate()) <= threads
    assert isinstance(caught.value, CredentialsRefused) == refusal, caught.value
    assert caught.value.exit_code == 3
    return str(caught.value)


@contextmanager
def denied(secured: Secured, kind: str, name: str, *operations: str) -> Iterator[None]:
    """The lesser user may not do this to a resource, as long as the block lasts."""
    from kafka.admin import (
        ACL,
        ACLFilter,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePattern,
        ResourceType,
    )

    settings = secured.settings("kafka-python")
    pattern = ResourcePattern(ResourceType[kind], name, ACLResourcePatternType.LITERAL)
    who = {"principal": "User:user", "host": "*", "permission_type": ACLPermissionType.DENY}
    with Session(settings.bootstrap, parse_properties(settings.properties, settings.origins)) as session:
        for operation in operations:
            session.client.create_acls([ACL(operation=ACLOperation[operation], resource_pattern=pattern, **who)])
        try:
            yield
        finally:
            session.client.delete_acls([ACLFilter(operation=ACLOperation.ANY, resource_pattern=pattern, **who)])
