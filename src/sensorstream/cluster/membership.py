"""Station 5: brokers that are added to an existing cluster, and removed again.

The voters of a KRaft quorum are fixed when a cluster is formatted (``controller.quorum.voters``), so a broker that is
added is a broker alone, and a voter can't be removed. With ZooKeeper it is one more broker. What there is now is noted
with the data (``ids`` in ``cluster.json``) and then in ``state.json``, before the broker is started, and before the
folders of one that has left are deleted: whoever is killed in between, the next command finds a cluster that it can go
on with.
"""

import contextlib
import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sensorstream.clients.probe import ClusterHealth
from sensorstream.cluster import artifacts, class_archive, node, preflight, state
from sensorstream.cluster.formatting import format_by_tool
from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.java_runtime import java_executable
from sensorstream.cluster.links.links import Links
from sensorstream.cluster.metrics import Metrics
from sensorstream.cluster.plan import (
    Plan,
    addresses,
    name_flag,
    node_of,
    plan_to_start,
    port_for_another,
    processes,
    taken_ports,
    ways_to,
)
from sensorstream.cluster.properties import default_replicas
from sensorstream.cluster.ready import Probe, wait_ready
from sensorstream.cluster.results import BrokerAdded
from sensorstream.cluster.secure import profile, security
from sensorstream.cluster.starting import configure_node, open_links, start_node
from sensorstream.cluster.zookeeper import ZooKeeper
from sensorstream.errors import ClusterUnreachable, Interrupted, LocalClusterError, PortTaken, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.wording import counted

_READY_S: Final = 90.0
_ANSWER_S: Final = 10.0
"""How long a cluster may take to say who its controller is; it has none while it elects one."""
_POLL_S: Final = 0.1


def add_broker(
    name: str = state.DEFAULT_NAME,
    *,
    port: int | None = None,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    timeout_s: float = _READY_S,
) -> BrokerAdded:
    """Add a broker with the lowest free number, start it, and wait until every broker knows it. It holds nothing yet.

    ``port`` 0 is any free one; None: the next of the default ones where the cluster is on those and it is free, else
    any free one. When this fails or is interrupted, nothing is left of the broker.
    Raises UsageError (port), LocalClusterError and its kinds, Interrupted.
    """
    stop = stop or threading.Event()
    began = time.monotonic()
    folder = state.cluster_folder(name)
    _, formatted = _there(name, folder)
    java = java_executable()
    class_path = artifacts.fetch(formatted.kafka_version, listener=listener, stop=stop)
    launch = class_archive.launch(java, class_path, formatted.kafka_version)
    probe = profile.prober(folder)
    with state.locked(folder, stop):
        known, formatted = _there(name, folder)
        live, strays = processes(folder, known)
        node.end(strays, kill=True)
        _require_answer(name, {one: known.ports[one] for one in live}, probe, stop)
        broker = next(one for one in range(1, len(formatted.broker_ids) + 2) if one not in formatted.broker_ids)
        ports = dict(sorted({**known.ports, broker: _choose_port(folder, broker, port, known, listener)}.items()))
        preflight.require_memory(1)
        after = state.ClusterState(known.data_dir, ports, known.controller_ports, known.processes)
        links = Links(folder)
        ways = None
        if links.ways is not None:
            ways = ways_to(links, ports, known.controller_ports, formatted.mode, live)
        plan = plan_to_start(formatted, after, broker, ways)
        try:
            if plan.security is not None:
                plan.security.admit(Path(after.data_dir), broker)
            _format(folder, plan, broker, formatted.cluster_id, launch, stop)
            _note(folder, after, replace(formatted, ids=tuple(ports)))
            ZooKeeper(folder).start_for(plan, launch, stop, any_port=True, listener=listener)
            open_links(folder, plan.ways, stop)
            start_node(folder, plan, broker, launch, listener)
            wait_ready(folder, plan, {broker}, probe, stop, timeout_s)
            _wait_known(broker, {one: ports[one] for one in (*live, broker)}, probe, stop, timeout_s)
        except BaseException:
            _undo(name, folder, broker)
            raise
    return BrokerAdded(
        name,
        broker,
        ports[broker],
        after.processes[broker].pid,
        tuple(ports),
        addresses(ports),
        Metrics(folder).url(broker),
        round(time.monotonic() - began, 2),
    )


@dataclass(frozen=True, slots=True)
class Remaining:
    """What a cluster is without a broker: who is left, at which addresses, and its mode."""

    brokers: tuple[int, ...]
    bootstrap: tuple[str, ...]
    mode: state.Mode


def check_removable(name: str, broker: int) -> Remaining:
    """What would be left without this broker; changes nothing.

    Raises UsageError for a broker that is not there or can't be removed, LocalClusterError where another does not run.
    """
    folder = state.cluster_folder(name)
    known, formatted = _there(name, folder)
    there = sorted(known.ports)
    if broker not in there:
        raise UsageError(f"cluster {name!r} has no broker {broker}", hint=f"it has: {', '.join(map(str, there))}")
    if formatted.mode == "kraft" and broker in formatted.first_ids:
        added = [one for one in there if one not in formatted.first_ids]
        raise UsageError(
            f"broker {broker} is a controller, too, and its vote in the quorum is fixed since the cluster was made",
            hint=f"brokers that were added can be removed: {', '.join(map(str, added)) or 'there are none'}",
        )
    left = tuple(one for one in there if one != broker)
    needed = default_replicas(formatted.brokers)
    if len(left) < needed:
        raise UsageError(
            f"{counted(len(left), 'broker')} would be left, and Kafka's own topics are kept on {needed}",
            hint=f"add another first: sensorstream cluster add-broker{name_flag(name)}",
        )
    live, _ = processes(folder, known)
    if stopped := [one for one in left if one not in live]:
        raise LocalClusterError(
            f"broker {stopped[0]} does not run, and what broker {broker} holds must move to the others",
            hint=f"start what is missing: sensorstream cluster up{name_flag(name)}",
        )
    return Remaining(left, addresses({one: known.ports[one] for one in left}), formatted.mode)


def forget_broker(name: str, broker: int) -> None:
    """Delete the folders of a broker that has stopped and holds nothing any more, and all that was noted of it.

    Raises LocalClusterError where it still runs, UsageError as :func:`check_removable`.
    """
    folder = state.cluster_folder(name)
    with state.locked(folder):
        check_removable(name, broker)
        if broker in node.find_all(folder):
            raise LocalClusterError(f"broker {broker} still runs", hint="try again")
        _forget(name, folder, broker)


def _there(name: str, folder: Path) -> tuple[state.ClusterState, state.Formatted]:
    known = state.load_state(folder)
    formatted = None if known is None else state.load_formatted(Path(known.data_dir))
    if known is None or formatted is None or not formatted.complete:
        raise LocalClusterError(
            f"there is no cluster {name!r}", hint=f"start it: sensorstream cluster up{name_flag(name)}"
        )
    return known, formatted


def _require_answer(name: str, ports: dict[int, int], probe: Probe, stop: threading.Event) -> None:
    """Refuse to add to a cluster that does not run, or has no controller that could let the broker in."""
    deadline = time.monotonic() + _ANSWER_S
    while ports:
        with contextlib.suppress(ClusterUnreachable):
            if probe(addresses(ports), 3.0).quorum_leader is not None:
                return
        if stop.wait(_POLL_S):
            raise Interrupted("stopped while the cluster was asked", hint="nothing was started")
        if time.monotonic() > deadline:
            break
    what = "has no controller" if ports else "does not run"
    raise LocalClusterError(
        f"cluster {name!r} {what}, so no broker can join it",
        hint=f"start it first: sensorstream cluster up{name_flag(name)}",
    )


def _choose_port(folder: Path, broker: int, asked: int | None, known: state.ClusterState, listener: Listener) -> int:
    if asked:
        if not 0 < asked <= 65535:
            raise UsageError(f"{asked} is not a port", hint="ports are 1 to 65535")
        if asked in taken_ports(known, folder):
            raise UsageError(
                f"port {asked} is used by another broker of this cluster", hint="choose another, or 0 for any"
            )
        try:
            preflight.require_ports([asked])
        except PortTaken as error:
            raise PortTaken(error.message, hint="stop that process, or choose another --port") from error
        return asked
    if asked == 0:
        return preflight.free_ports(1, avoid=taken_ports(known, folder))[0]
    return port_for_another(broker, known, folder, listener)


def _format(folder: Path, plan: Plan, broker: int, cluster_id: str, launch: Launch, stop: threading.Event) -> None:
    """Make the broker's data folder a member of this cluster; what an earlier try has left in it goes."""
    one = node_of(folder, plan.known, broker)
    try:
        shutil.rmtree(one.data, ignore_errors=True)
        shutil.rmtree(one.folder, ignore_errors=True)
        if plan.mode == "kraft":
            one = configure_node(folder, plan, broker)
            format_by_tool(one, launch, cluster_id, stop)
    except OSError as error:
        raise LocalClusterError(
            f"the data folder {one.data} can't be used: {error.strerror or error}", hint="is the disk full?"
        ) from error


def _note(folder: Path, known: state.ClusterState, formatted: state.Formatted) -> None:
    """Note which brokers there are: first with the data, whose word counts when the two differ."""
    try:
        state.save_formatted(Path(known.data_dir), formatted)
        state.save_state(folder, known)
    except OSError as error:
        raise LocalClusterError(
            f"the layout of the cluster can't be written: {error.strerror or error}", hint="is the disk full?"
        ) from error
    secured = security(formatted.secure, acl=formatted.acl)
    if secured is not None:
        secured.publish(folder, formatted.name, Path(known.data_dir), addresses(known.ports))


def _wait_known(broker: int, ports: dict[int, int], probe: Probe, stop: threading.Event, timeout_s: float) -> None:
    """Wait until each broker tells of the new one: whoever asks any of them is then told the same."""
    deadline = time.monotonic() + timeout_s
    for one, port in ports.items():
        seen: ClusterHealth | None = None
        while seen is None or broker not in seen.brokers:
            if stop.is_set():
                raise Interrupted("stopped while the broker was starting", hint="nothing of it was left")
            if time.monotonic() > deadline:
                raise LocalClusterError(
                    f"broker {one} does not know broker {broker} after {timeout_s:g} s", hint="see their logs"
                )
            with contextlib.suppress(ClusterUnreachable):
                seen = probe(addresses({one: port}), 2.0)
            if seen is None or broker not in seen.brokers:
                stop.wait(_POLL_S)


def _undo(name: str, folder: Path, broker: int) -> None:
    """Take back a broker that was being added."""
    node.end(node.find_all(folder).get(broker, ()), kill=True)
    _forget(name, folder, broker)


def _forget(name: str, folder: Path, broker: int) -> None:
    known, formatted = _there(name, folder)
    one, data = node_of(folder, known, broker), Path(known.data_dir)
    for table in (known.ports, known.processes):
        table.pop(broker, None)
    ids = tuple(other for other in formatted.broker_ids if other != broker)
    _note(folder, known, replace(formatted, ids=() if ids == formatted.first_ids else ids))
    Metrics(folder).forget_broker(broker)
    secured = security(formatted.secure, acl=formatted.acl)
    if secured is not None:
        secured.dismiss(data, broker)
    shutil.rmtree(one.data, ignore_errors=True)
    shutil.rmtree(one.folder, ignore_errors=True)
