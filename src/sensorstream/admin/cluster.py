"""Station 5 managed: the brokers, and which one is the controller."""

from sensorstream.admin.results import BrokerDescription, ClusterDescription
from sensorstream.clients.kafka_python.admin import Session, administer
from sensorstream.clients.probe import quorum_leader
from sensorstream.config import Settings
from sensorstream.events import Listener, ignore


def describe_cluster(settings: Settings, *, listener: Listener = ignore) -> ClusterDescription:
    """The brokers, who controls the cluster, and how many partitions each leads and holds."""

    def read(session: Session) -> ClusterDescription:
        answer = session.metadata(None)
        controller = _controller(session, answer.controller_id)
        partitions = [one for row in answer.topics for one in row.partitions]
        return ClusterDescription(
            answer.cluster_id,
            version_told(session.manager.broker_version),
            controller,
            tuple(
                BrokerDescription(
                    int(broker.node_id),
                    broker.host,
                    broker.port,
                    broker.node_id == controller,
                    sum(one.leader_id == broker.node_id for one in partitions),
                    sum(broker.node_id in one.replica_nodes for one in partitions),
                )
                for broker in sorted(answer.brokers, key=lambda broker: int(broker.node_id))
            ),
        )

    return administer(settings, "the cluster can't be described", read, listener)


def _controller(session: Session, told: int) -> int | None:
    """On KRaft a broker names any broker as controller; the leader of the metadata quorum is the real one."""
    from kafka.errors import ClusterAuthorizationFailedError, KafkaError

    try:
        leader = quorum_leader(session.client)
    except ClusterAuthorizationFailedError:
        return None  # a user who may not know: what brokers tell everybody is not the real one
    except KafkaError:
        leader = None
    if leader is not None:
        return leader
    return told if told >= 0 else None


def version_told(told: tuple[int, ...] | None) -> str | None:
    """Brokers tell no version, only what they can do; of the newest line it is known that it is not older."""
    from kafka.protocol.broker_version_data import BROKER_API_VERSIONS

    if told is None:
        return None
    line = ".".join(map(str, told))
    return f"{line} or later" if told >= max(BROKER_API_VERSIONS) else line
