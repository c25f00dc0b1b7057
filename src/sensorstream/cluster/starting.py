"""Station 5: configure and start one node of a cluster, after the links in front of it are open."""

import threading
from pathlib import Path

from sensorstream.cluster import artifacts, node, properties, state
from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.links.links import Links
from sensorstream.cluster.links.ways import Ways
from sensorstream.cluster.metrics import Metrics
from sensorstream.cluster.plan import Plan, node_of
from sensorstream.cluster.zookeeper import ZooKeeper
from sensorstream.events import Listener, Notice


def open_links(folder: Path, ways: Ways | None, stop: threading.Event) -> bool:
    """Have the links of the cluster whose ``folder`` this is open, where it has some; whether that was to be done.

    Raises LocalClusterError, PortTaken, Interrupted.
    """
    if ways is None:
        return False
    known = ZooKeeper(folder).known()
    return Links(folder).start(ways.to_zookeeper(None if known is None else known.port), stop)


def configure_node(folder: Path, plan: Plan, node_id: int) -> node.Node:
    """Write the configuration of a node of this cluster. Raises LocalClusterError."""
    one = node_of(folder, plan.known, node_id)
    key = artifacts.version_key(plan.version)
    one.configure(
        properties.server_properties(
            node_id,
            ports=plan.known.ports,
            controller_ports=plan.known.controller_ports,
            log_dir=one.data,
            kafka_version=key,
            zookeeper=_zookeeper_address(folder, plan),
            secure=plan.security_lines(node_id),
            listens=plan.listens(node_id),
            replicas=plan.replicas,
        ),
        properties.logging_properties(one.log_file, key),
    )
    return one


def start_node(folder: Path, plan: Plan, node_id: int, launch: Launch, listener: Listener) -> None:
    """Configure and start a node, and note its process; it is not ready yet. Raises LocalClusterError."""
    known = plan.known
    behind = () if plan.ways is None else (way.behind for way in plan.ways.ways)
    taken = (*known.ports.values(), *known.controller_ports.values(), *behind)
    process = configure_node(folder, plan, node_id).start(Metrics(folder).launch(launch, node_id, taken))
    known.processes[node_id] = process
    state.save_state(folder, known)
    listener(Notice(f"broker {node_id} starts on port {known.ports[node_id]} (pid {process.pid})", "debug"))


def _zookeeper_address(folder: Path, plan: Plan) -> str | None:
    """Where brokers find their ZooKeeper; None where the cluster has none."""
    if plan.mode != "zookeeper":
        return None
    front = plan.ways.zookeeper_front if plan.ways is not None else None
    return ZooKeeper(folder).address() if front is None else f"{properties.LOOPBACK}:{front}"
