"""Station 5 seen from outside: is the cluster whole? Used where a cluster is started and watched.

Asks once and answers; it does not wait, retry or create anything.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sensorstream.errors import ClusterUnreachable


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """What a cluster says of itself.

    ``brokers`` are the ids that are registered and not fenced; ``quorum_leader`` is the active controller, None
    while there is none; a partition is offline when it has no leader.
    """

    cluster_id: str | None
    brokers: tuple[int, ...]
    quorum_leader: int | None
    topics: int
    online_partitions: int
    offline_partitions: int
    under_replicated_partitions: int


def cluster_health(bootstrap: Sequence[str], timeout_s: float = 5.0) -> ClusterHealth:
    """Ask any of the ``bootstrap`` addresses (``host:port``). Raises ClusterUnreachable when none answers in time."""
    from kafka.errors import KafkaError

    logging.getLogger("kafka").addHandler(logging.NullHandler())  # nothing of a failed try on the console
    try:
        with _admin(bootstrap, timeout_s) as admin:
            # Metadata rather than describe_cluster(), which fails with KeyError against Kafka up to 3.6.
            metadata = admin._manager.run(admin._get_cluster_metadata, None)
            leader = quorum_leader(admin)
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


def quorum_leader(admin: Any) -> int | None:
    """The id of the node that leads the metadata quorum, None while there is none; ``admin`` is a KafkaAdminClient.

    In place of its ``describe_metadata_quorum()``, which fails with ``KeyError('error_message')`` against Kafka up
    to 3.8 (kafka-python 3.0.12).
    """
    from kafka.protocol.admin import DescribeQuorumRequest

    topic = DescribeQuorumRequest.TopicData
    partition = topic.PartitionData(partition_index=0)
    request = DescribeQuorumRequest(topics=[topic(topic_name="__cluster_metadata", partitions=[partition])])

    async def ask() -> int:
        response = await admin._manager.send(request)
        if response.error_code or not response.topics or not response.topics[0].partitions:
            return -1
        return int(response.topics[0].partitions[0].leader_id)

    leader = admin._manager.run(ask)
    return leader if leader >= 0 else None


@contextlib.contextmanager
def _admin(bootstrap: Sequence[str], timeout_s: float) -> Iterator[Any]:
    from kafka import KafkaAdminClient

    milliseconds = int(timeout_s * 1000)
    # In two steps: when the constructor fails to connect (kafka-python 3.0.12), its IO thread stays.
    admin = KafkaAdminClient.__new__(KafkaAdminClient)
    try:
        admin.__init__(
            bootstrap_servers=list(bootstrap),
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
