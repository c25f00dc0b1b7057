"""Station 5 checked once, to find out why it can't be used: without waiting and without retries."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sensorstream.addresses import bracketed
from sensorstream.admin.cluster import version_told
from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.kafka_python.net import metadata, wait_for
from sensorstream.clients.probe import leader_told, quorum_request
from sensorstream.clients.properties import ClientProperties

_ANSWER_S: Final = 2.5


@dataclass(frozen=True, slots=True)
class Introduction:
    """What an address tells whoever has been let in.

    ``version`` is Kafka's line (``3.9``), ``line`` the same as numbers; ``brokers`` are the addresses that the cluster
    advertises, by number. None: not told.
    """

    cluster_id: str | None
    version: str | None
    line: tuple[int, ...] | None
    brokers: dict[int, str]


@dataclass(frozen=True, slots=True)
class Look:
    """The cluster from inside.

    ``controller`` is the active one, None where this user may not know, or there is none; ``missing`` are brokers that
    have replicas and are not there; ``elsewhere`` those at whose address another cluster answers. ``clock_ahead_s`` is
    by how much the clock of the controller is ahead of this machine's, give or take ``clock_within_s``; None where the
    cluster tells no time.
    """

    controller: int | None
    missing: tuple[int, ...]
    offline: int
    under_replicated: int
    elsewhere: tuple[int, ...]
    clock_ahead_s: float | None
    clock_within_s: float


def introduce(address: str, properties: ClientProperties) -> Introduction:
    """Connect to one address, log in, and hear who is there. Raises ClusterUnreachable, CredentialsRefused."""
    with Session((address,), properties) as session:
        known = session.manager.cluster
        line = session.manager.broker_version
        return Introduction(
            known.cluster_id,
            version_told(line),
            None if line is None else tuple(line),
            {int(one.node_id): bracketed(one.host, one.port) for one in known.brokers()},
        )


def look(addresses: Sequence[str], properties: ClientProperties) -> Look:
    """Look at the cluster at these addresses. Raises ClusterUnreachable, CredentialsRefused."""
    with Session(tuple(addresses), properties) as session:
        answer = metadata(session.manager, None)
        partitions = [one for row in answer.topics for one in row.partitions]
        there = {int(one.node_id) for one in answer.brokers}
        controller, ahead, within = _quorum(session)
        if controller is None and ahead is None and answer.controller_id in there and not _has_quorum(session):
            controller = int(answer.controller_id)
        return Look(
            controller,
            tuple(sorted({int(node) for one in partitions for node in one.replica_nodes} - there)),
            sum(one.leader_id < 0 for one in partitions),
            sum(len(one.isr_nodes) < len(one.replica_nodes) for one in partitions),
            tuple(broker for broker in sorted(there) if _is_elsewhere(session, broker, answer.cluster_id)),
            ahead,
            within,
        )


def _has_quorum(session: Session) -> bool:
    """Whether the brokers know the question who leads the quorum; with ZooKeeper they don't."""
    from kafka.errors import KafkaError

    try:
        session.manager.broker_version_data.api_version(quorum_request())
    except KafkaError:
        return False
    return True


def _quorum(session: Session) -> tuple[int | None, float | None, float]:
    """The active controller, by how many seconds its clock is ahead of ours, and how exact that is.

    A controller tells of itself, in place of when it has last caught up, what time it is (KIP-836).
    """
    if not _has_quorum(session):
        return None, None, 0.0
    asked, began = time.time(), time.monotonic()
    answer = _told(session, quorum_request(), None)
    within = (time.monotonic() - began) / 2
    leader = None if answer is None else leader_told(answer)
    if leader is None:
        return None, None, 0.0
    partition = answer.topics[0].partitions[0]
    now = next((int(one.last_caught_up_timestamp) for one in partition.current_voters if one.replica_id == leader), -1)
    return leader, None if now <= 0 else now / 1000 - (asked + within), within


def _is_elsewhere(session: Session, broker: int, cluster_id: str | None) -> bool:
    """Whether another cluster answers at the address of this broker."""
    from kafka.protocol.metadata import MetadataRequest

    answer = _told(session, MetadataRequest(topics=[], allow_auto_topic_creation=False), broker)
    return answer is not None and cluster_id is not None and answer.cluster_id != cluster_id


def _told(session: Session, request: Any, broker: int | None) -> Any:
    """One answer; None where there is none in time."""
    from kafka.errors import KafkaError

    try:
        future = session.manager.call_soon(session.manager.send, request, broker, _ANSWER_S * 1000)
        return future.value if wait_for(future, _ANSWER_S + 0.5) and future.succeeded() else None
    except (KafkaError, RuntimeError):
        return None
