"""Station 5 watched: leaders and in-sync replicas, polled over one connection while brokers die."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.kafka_python.net import wait_for
from sensorstream.clients.probe import leader_told, quorum_request
from sensorstream.clients.properties import parse_properties
from sensorstream.closing import Closing
from sensorstream.config import Settings
from sensorstream.errors import ClusterUnreachable
from sensorstream.records import TopicPartition

ASK_S: Final = 2.0
"""How long one broker may take for an answer before the next one is asked."""


@dataclass(frozen=True, slots=True)
class PartitionLook:
    """One partition as a broker tells it. ``leader`` is None while there is none; ``epoch`` counts its leaders."""

    leader: int | None
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    epoch: int


@dataclass(frozen=True, slots=True)
class ClusterLook:
    """What one broker tells: the brokers that are registered, the active controller (None: not known), and all
    partitions, Kafka's own among them."""

    brokers: tuple[int, ...]
    controller: int | None
    partitions: Mapping[TopicPartition, PartitionLook]


class Looker(Closing):
    """One connection for many looks at one cluster; used from one thread. Raises as the admin functions do."""

    def __init__(self, settings: Settings) -> None:
        self._session = Session(settings.bootstrap, parse_properties(settings.properties, settings.origins))
        self._brokers: tuple[int, ...] = ()

    def look(self, avoid: Collection[int] = ()) -> ClusterLook:
        """Ask one broker, not one of ``avoid``: one that was frozen tells what was true before.

        Raises ClusterUnreachable when none answers.
        """
        from kafka.protocol.metadata import MetadataRequest

        request = MetadataRequest(
            topics=None,
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
        nodes: list[int | None] = [broker for broker in self._brokers if broker not in avoid]
        for node in nodes or [None]:
            answer = self._ask(request, node)
            if answer is None:
                continue
            self._brokers = tuple(sorted({*self._brokers, *(int(one.node_id) for one in answer.brokers)}))
            return ClusterLook(
                tuple(sorted(int(one.node_id) for one in answer.brokers)),
                self._controller(int(answer.controller_id), node),
                {
                    TopicPartition(row.name, one.partition_index): PartitionLook(
                        one.leader_id if one.leader_id >= 0 else None,
                        tuple(one.replica_nodes),
                        tuple(sorted(one.isr_nodes)),
                        int(one.leader_epoch),
                    )
                    for row in answer.topics
                    for one in row.partitions
                },
            )
        raise ClusterUnreachable("no broker answers", hint="look at: sensorstream cluster status")

    def _controller(self, told: int, node: int | None) -> int | None:
        """The leader of the quorum; with ZooKeeper, which has none, what the metadata name."""
        from kafka.errors import UnsupportedVersionError

        try:
            answer = self._ask(quorum_request(), node)
        except UnsupportedVersionError:
            return told if told >= 0 else None
        return None if answer is None else leader_told(answer)

    def _ask(self, request: Any, node: int | None) -> Any:
        """The answer of a broker (None: any), or None when it gives none. Raises UnsupportedVersionError."""
        from kafka.errors import KafkaError, UnsupportedVersionError

        manager = self._session.manager
        try:
            future = manager.call_soon(manager.send, request, node, ASK_S * 1000)
            if not wait_for(future, ASK_S + 0.5):
                return None
        except UnsupportedVersionError:
            raise
        except (KafkaError, RuntimeError):
            return None
        if future.succeeded():
            return future.value
        if isinstance(future.exception, UnsupportedVersionError):
            raise future.exception
        return None

    def close(self) -> None:
        """Let go of the connection; never raises."""
        self._session.close()
