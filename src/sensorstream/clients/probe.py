"""Station 5 seen from outside: is the cluster healthy? Used where a cluster is started and watched.

Asks once and answers; it does not wait, retry or create anything.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sensorstream.clients.properties import ClientProperties
from sensorstream.errors import ClusterUnreachable


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """What a cluster says of itself.

    ``brokers`` are the ids that are registered and not fenced; ``quorum_leader`` is the active controller, None
    while there is none, with ZooKeeper as with KRaft; a partition is offline when it has no leader.
    """

    cluster_id: str | None
    brokers: tuple[int, ...]
    quorum_leader: int | None
    topics: int
    online_partitions: int
    offline_partitions: int
    under_replicated_partitions: int


def cluster_health(
    bootstrap: Sequence[str], timeout_s: float = 5.0, properties: ClientProperties | None = None
) -> ClusterHealth:
    """Ask any of the ``bootstrap`` addresses (``host:port``). Raises ClusterUnreachable when none answers in time.

    ``properties`` say how to come to a secured cluster.
    """
    from kafka.errors import KafkaError

    logging.getLogger("kafka").addHandler(logging.NullHandler())  # nothing of a failed try on the console
    try:
        with _admin(bootstrap, timeout_s, properties or ClientProperties()) as admin:
            # Metadata rather than describe_cluster(), which fails with KeyError against Kafka up to 3.6.
            metadata = admin._manager.run(admin._get_cluster_metadata, None)
            leader = _controller(admin, int(metadata["controller_id"]))
    except (KafkaError, OSError) as error:
        raise ClusterUnreachable(
            f"no broker answered at {','.join(bootstrap)} within {timeout_s:g} s", hint="is the cluster up?"
        ) from error
    partitions = [partition for topic in metadata["topics"] for partition in topic["partitions"]]
    offline = sum(partition["leader_id"] < 0 for partition in partitions)
    short = sum(len(partition["isr_nodes"]) < len(partition["replica_nodes"]) for partition in partitions)
    return ClusterHealth(
        cluster_id=metadata["cluster_id"],
        brokers=tuple(sorted(int(broker["node_id"]) for broker in metadata["brokers"])),
        quorum_leader=leader,
        topics=len(metadata["topics"]),
        online_partitions=len(partitions) - offline,
        offline_partitions=offline,
        under_replicated_partitions=short,
    )


def _controller(admin: Any, told: int) -> int | None:
    """The active controller; ``told`` is what the metadata name, which is right with ZooKeeper only."""
    from kafka.errors import ClusterAuthorizationFailedError, UnsupportedVersionError

    try:
        return quorum_leader(admin)
    except ClusterAuthorizationFailedError:
        return None
    except UnsupportedVersionError:  # there is no quorum: ZooKeeper keeps the metadata
        return told if told >= 0 else None


def quorum_leader(admin: Any) -> int | None:
    """The id of the node that leads the metadata quorum, None while there is none; ``admin`` is a KafkaAdminClient.

    Raises ClusterAuthorizationFailedError where this user may not know.

    In place of its ``describe_metadata_quorum()``, which fails with ``KeyError('error_message')`` against Kafka up
    to 3.8 (kafka-python 3.0.12).
    """
    from kafka.errors import ClusterAuthorizationFailedError

    request = quorum_request()

    async def ask() -> int | None:
        answer = await admin._manager.send(request)
        if answer.error_code == ClusterAuthorizationFailedError.errno:
            raise ClusterAuthorizationFailedError
        return leader_told(answer)

    leader: int | None = admin._manager.run(ask)
    return leader


def quorum_request() -> Any:
    """What asks a broker who leads the metadata quorum; one with ZooKeeper does not know the question."""
    from kafka.protocol.admin import DescribeQuorumRequest

    topic = DescribeQuorumRequest.TopicData
    partition = topic.PartitionData(partition_index=0)
    return DescribeQuorumRequest(topics=[topic(topic_name="__cluster_metadata", partitions=[partition])])


def leader_told(answer: Any) -> int | None:
    """The leader in the answer to :func:`quorum_request`; None while there is none."""
    if answer.error_code or not answer.topics or not answer.topics[0].partitions:
        return None
    leader = int(answer.topics[0].partitions[0].leader_id)
    return leader if leader >= 0 else None


@contextlib.contextmanager
def _admin(bootstrap: Sequence[str], timeout_s: float, properties: ClientProperties) -> Iterator[Any]:
    from kafka import KafkaAdminClient

    milliseconds = int(timeout_s * 1000)
    # In two steps: when the constructor fails to connect (kafka-python 3.0.12), its IO thread stays.
    admin = KafkaAdminClient.__new__(KafkaAdminClient)
    try:
        admin.__init__(
            bootstrap_servers=list(bootstrap),
            **properties.for_kafka_python("admin"),
            client_id="sensorstream-probe",
            bootstrap_timeout_ms=milliseconds,
            request_timeout_ms=milliseconds,
            reconnect_backoff_max_ms=200,
        )
        yield admin
    finally:
        if hasattr(admin, "_closed"):
            admin.close()
        elif hasattr(admin, "_net"):
            admin._client.close()
            admin._net.stop()
