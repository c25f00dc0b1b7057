"""Station 5: what of a local cluster runs, and what the cluster says of itself."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensorstream.clients.probe import ClusterHealth
from sensorstream.cluster import node, state
from sensorstream.cluster.links.links import Links
from sensorstream.cluster.metrics import Metrics
from sensorstream.cluster.plan import addresses, node_of, processes
from sensorstream.cluster.ready import Probe
from sensorstream.cluster.registry import Registry
from sensorstream.cluster.results import BrokerStatus, ClusterStatus
from sensorstream.cluster.zookeeper import ZooKeeper
from sensorstream.errors import ClusterUnreachable

if TYPE_CHECKING:
    import psutil

_ELECTION_S: Final = 6.0
"""How long brokers that run may have nothing to say; with the last question it stays under 10 s."""


@dataclass(frozen=True, slots=True)
class Companions:
    """What runs beside the brokers of a cluster."""

    zookeeper: ZooKeeper
    links: Links
    metrics: Metrics


def status_of(
    name: str, folder: Path, known: state.ClusterState, probe: Probe, companions: Companions
) -> ClusterStatus:
    """The status of a cluster that was started before; changes nothing."""
    formatted = state.load_formatted(Path(known.data_dir))
    live, _ = processes(folder, known)
    health = _health(known, live, probe) if live else None
    brokers = []
    for node_id, port in known.ports.items():
        process = live.get(node_id)
        registered = health is not None and node_id in health.brokers
        brokers.append(
            BrokerStatus(
                broker=node_id,
                state="stopped" if process is None else "running" if registered else node.condition(process),
                pid=process.pid if process else None,
                port=port,
                memory_bytes=node.memory_bytes(process) if process else None,
                quorum_leader=health is not None and health.quorum_leader == node_id,
                log_file=str(node_of(folder, known, node_id).log_file),
                metrics=companions.metrics.url(node_id),
                voter=node_id in known.controller_ports,
            )
        )
    registry = Registry(folder).status()
    zookeeper = companions.zookeeper.status() if formatted is not None and formatted.mode == "zookeeper" else None
    links = companions.links.status()
    # A broker that was killed a moment ago is still registered: it must run as well.
    whole = (
        health is not None
        and (registry is None or registry.state == "running")
        and (zookeeper is None or zookeeper.state == "running")
        and (links is None or links.state == "running")
        and health.quorum_leader is not None
        and set(known.ports) == set(live) == set(health.brokers)
    )
    return ClusterStatus(
        name=name,
        state="running" if whole else "degraded" if live else "stopped",
        mode=formatted.mode if formatted else None,
        bootstrap=addresses(known.ports),
        kafka_version=formatted.kafka_version if formatted else None,
        cluster_id=formatted.cluster_id or None if formatted else None,
        data_dir=known.data_dir,
        brokers=tuple(brokers),
        quorum_leader=health.quorum_leader if health else None,
        topics=health.topics if health else None,
        online_partitions=health.online_partitions if health else None,
        offline_partitions=health.offline_partitions if health else None,
        under_replicated_partitions=health.under_replicated_partitions if health else None,
        schema_registry=registry,
        zookeeper=zookeeper,
        secure=formatted.secure if formatted else None,
        links=links,
    )


def _health(known: state.ClusterState, live: Mapping[int, "psutil.Process"], probe: Probe) -> ClusterHealth | None:
    """What the cluster says of itself; asked again for a while, as it says nothing while it elects a leader."""
    asked = addresses({node_id: known.ports[node_id] for node_id in live})
    deadline = time.monotonic() + _ELECTION_S
    while True:
        try:
            return probe(asked, 3.0)
        except ClusterUnreachable:
            frozen = all(node.condition(process) == "frozen" for process in live.values())
            if frozen or time.monotonic() >= deadline:
                return None
        threading.Event().wait(0.2)
