"""Station 5: a real Apache Kafka on this machine: one to several KRaft nodes, each broker and controller in one.

A cluster has a name; its nodes outlive the command that started them, and every command finds them again. See
:mod:`sensorstream.cluster.state` for what is kept where.
"""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from sensorstream.clients.probe import ClusterHealth, cluster_health
from sensorstream.cluster import artifacts, node, preflight, properties, state
from sensorstream.cluster.java import java_executable
from sensorstream.cluster.logs import read_logs
from sensorstream.cluster.plan import Plan, Ports, Wanted, addresses, make_plan, name_flag, node_of, processes
from sensorstream.cluster.results import (
    BrokerStatus,
    BrokerStopped,
    ClusterDown,
    ClusterStatus,
    ClusterUp,
    LogLine,
)
from sensorstream.errors import ClusterUnreachable, Interrupted, LocalClusterError, UsageError
from sensorstream.events import Listener, Notice, ignore

if TYPE_CHECKING:
    import psutil

Probe: TypeAlias = Callable[[Sequence[str], float], ClusterHealth]

READY_TIMEOUT_S: Final = 90.0
_STOP_DEADLINE_S: Final = 20.0
_POLL_S: Final = 0.1
_ELECTION_S: Final = 6.0
"""How long brokers that run may have nothing to say; with the last question it stays under 10 s."""


class LocalCluster:
    """A named cluster on this machine. Making the object starts nothing; every method may be called at any time."""

    def __init__(
        self, name: str = state.DEFAULT_NAME, *, listener: Listener = ignore, probe: Probe = cluster_health
    ) -> None:
        self.name = name
        self.folder = state.cluster_folder(name)
        self._listener = listener
        self._probe = probe

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """The brokers' addresses, ``host:port``. Raises LocalClusterError when the cluster was never started."""
        return addresses(self._known_state().ports)

    # -- up -------------------------------------------------------------------------------------------------

    def up(
        self,
        *,
        brokers: int | None = None,
        kafka_version: str | None = None,
        ports: Ports | None = None,
        data_dir: Path | None = None,
        offline: bool = False,
        stop: threading.Event | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> ClusterUp:
        """Start the nodes that are not running and wait until the quorum has a leader and all brokers are registered.

        None means: as the cluster's data was formatted and as it ran last, else three brokers of the default
        version on the default ports. Ports may be ``auto``, or 0 for any free one. When this fails or is
        interrupted, every node that it started is ended again.

        Raises UsageError (version, ports), LocalClusterError and its kind (PortTaken, ArtifactError), Interrupted.
        """
        stop = stop or threading.Event()
        began = time.monotonic()
        wanted = Wanted(brokers, kafka_version, ports, data_dir)
        plan = make_plan(self.name, wanted)
        java = java_executable()
        class_path = artifacts.fetch(plan.version, offline=offline, listener=self._listener, stop=stop)
        launch = node.Launch(java, class_path)
        with state.locked(self.folder, stop):
            plan = make_plan(self.name, wanted)  # once more: another `up` may have been faster
            if plan.strays:
                node.end(plan.strays, kill=True)
                plan = make_plan(self.name, wanted)
            known_before = state.load_state(self.folder) is not None
            try:
                if plan.fresh:
                    self._format(plan, launch, stop)
                for node_id in plan.missing:
                    self._start(plan, node_id, launch)
                everyone = set(plan.known.ports)
                health = self._wait(plan.known, everyone, stop, timeout_s, lambda seen: everyone <= set(seen.brokers))
            except BaseException:
                try:
                    self._undo(plan, known_before=known_before)
                except KeyboardInterrupt:  # a second Ctrl-C: no more patience, but no orphans either
                    self._undo(plan, known_before=known_before)
                raise
        return ClusterUp(
            name=self.name,
            bootstrap=addresses(plan.known.ports),
            kafka_version=plan.version,
            cluster_id=health.cluster_id,
            brokers=len(plan.known.ports),
            started=plan.missing,
            already_running=not plan.missing,
            quorum_leader=health.quorum_leader,
            seconds=round(time.monotonic() - began, 2),
            data_dir=plan.known.data_dir,
        )

    def _format(self, plan: Plan, launch: node.Launch, stop: threading.Event) -> None:
        data = Path(plan.known.data_dir)
        self._listener(Notice(f"formatting {len(plan.known.ports)} nodes for Kafka {plan.version}", "debug"))
        formatted = state.Formatted(
            self.name, properties.new_cluster_id(), plan.version, len(plan.known.ports), complete=False
        )
        try:
            state.save_formatted(data, formatted)
            formats = []
            try:
                for node_id in plan.known.ports:
                    one = self._configured(plan, node_id)
                    shutil.rmtree(one.data, ignore_errors=True)  # left by a formatting that was cut short
                    formats.append((one, one.format(launch, formatted.cluster_id)))
            finally:
                node.wait_formatted(formats, stop)
        except OSError as error:
            raise LocalClusterError(
                f"the data folder {data} can't be used: {error.strerror or error}",
                hint="choose another --data-dir",
            ) from error
        state.save_formatted(data, replace(formatted, complete=True))

    def _configured(self, plan: Plan, node_id: int) -> node.Node:
        one = self._node(plan.known, node_id)
        key = artifacts.version_key(plan.version)
        one.configure(
            properties.server_properties(
                node_id,
                ports=plan.known.ports,
                controller_ports=plan.known.controller_ports,
                log_dir=one.data,
                kafka_version=key,
            ),
            properties.logging_properties(one.log_file, key),
        )
        return one

    def _start(self, plan: Plan, node_id: int, launch: node.Launch) -> None:
        process = self._configured(plan, node_id).start(launch)
        plan.known.processes[node_id] = process
        state.save_state(self.folder, plan.known)
        self._listener(
            Notice(f"broker {node_id} starts on port {plan.known.ports[node_id]} (pid {process.pid})", "debug")
        )

    def _wait(
        self,
        known: state.ClusterState,
        watched: set[int],
        stop: threading.Event,
        timeout_s: float,
        ready: Callable[[ClusterHealth], bool],
    ) -> ClusterHealth:
        deadline = time.monotonic() + timeout_s
        seen: ClusterHealth | None = None
        while True:
            if stop.is_set():
                raise Interrupted("stopped while the brokers were starting", hint="nothing new was left running")
            for node_id in sorted(watched):
                one = self._node(known, node_id)
                if node.running(known.processes.get(node_id), one.folder) is None:
                    raise LocalClusterError(
                        f"broker {node_id} ended while it was starting: {one.last_error() or 'it did not say why'}",
                        hint=f"see {one.log_file}",
                    )
            if all(_listens(known.ports[node_id]) for node_id in watched):
                with contextlib.suppress(ClusterUnreachable):
                    seen = self._probe(addresses({id_: known.ports[id_] for id_ in watched}), 2.0)
                    if seen.quorum_leader is not None and ready(seen):
                        return seen
            if time.monotonic() > deadline:
                missing = sorted(watched - set(seen.brokers if seen else ()))
                what = f"brokers {', '.join(map(str, missing))} are not registered" if missing else "there is no leader"
                raise LocalClusterError(
                    f"the cluster was not ready within {timeout_s:g} s: {what}",
                    hint=f"see the logs in {self.folder}",
                )
            stop.wait(_POLL_S)

    def _undo(self, plan: Plan, *, known_before: bool) -> None:
        """End what this `up` has started; take back what it has formatted."""
        doomed = [
            process
            for node_id, processes in node.find_all(self.folder).items()
            if node_id in plan.missing
            for process in processes
        ]
        node.end(doomed, kill=plan.fresh, deadline_s=5.0)
        for node_id in plan.missing:
            plan.known.processes.pop(node_id, None)
        if plan.fresh:
            _delete_data(Path(plan.known.data_dir))
        if known_before:
            state.save_state(self.folder, plan.known)
        else:
            (self.folder / "state.json").unlink(missing_ok=True)

    # -- the running cluster ----------------------------------------------------------------------------------

    def _health(self, known: state.ClusterState, live: Mapping[int, "psutil.Process"]) -> ClusterHealth | None:
        """What the cluster says of itself; asked again for a while, as it says nothing while it elects a leader."""
        asked = addresses({node_id: known.ports[node_id] for node_id in live})
        deadline = time.monotonic() + _ELECTION_S
        while True:
            try:
                return self._probe(asked, 3.0)
            except ClusterUnreachable:
                frozen = all(node.condition(process) == "frozen" for process in live.values())
                if frozen or time.monotonic() >= deadline:
                    return None
            threading.Event().wait(0.2)

    def status(self) -> ClusterStatus:
        """What runs, and what the cluster says of itself; changes nothing."""
        known = state.load_state(self.folder)
        if known is None:
            return ClusterStatus(self.name, "absent")
        formatted = state.load_formatted(Path(known.data_dir))
        live, _ = processes(self.folder, known)
        health = self._health(known, live) if live else None
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
                    log_file=str(self._node(known, node_id).log_file),
                )
            )
        # A broker that was killed a moment ago is still registered: it must run as well.
        whole = (
            health is not None
            and health.quorum_leader is not None
            and set(known.ports) == set(live) == set(health.brokers)
        )
        return ClusterStatus(
            name=self.name,
            state="running" if whole else "degraded" if live else "stopped",
            bootstrap=addresses(known.ports),
            kafka_version=formatted.kafka_version if formatted else None,
            cluster_id=formatted.cluster_id if formatted else None,
            data_dir=known.data_dir,
            brokers=tuple(brokers),
            quorum_leader=health.quorum_leader if health else None,
            topics=health.topics if health else None,
            online_partitions=health.online_partitions if health else None,
            offline_partitions=health.offline_partitions if health else None,
            under_replicated_partitions=health.under_replicated_partitions if health else None,
        )

    def down(self, *, delete_data: bool = False) -> ClusterDown:
        """Stop every node, also those that a killed command left behind; ``delete_data`` forgets the cluster as well.

        A cluster that is not running is no error.
        """
        if not self.folder.is_dir():
            return ClusterDown(self.name, stopped=(), killed=(), data_deleted=False)
        with state.locked(self.folder):
            known = state.load_state(self.folder)
            found = node.find_all(self.folder)
            data = Path(known.data_dir) if known else self.folder / "data"
            nodes = [(process, data / f"broker-{id_}") for id_, group in found.items() for process in group]
            if delete_data:
                killed = node.end([process for process, _ in nodes], kill=True)  # nothing is worth a clean shutdown
            else:
                killed = node.end_together(nodes, deadline_s=_STOP_DEADLINE_S)
            if known is not None:
                known.processes.clear()
                state.save_state(self.folder, known)
            if delete_data:
                _delete_data(data)
                shutil.rmtree(self.folder, ignore_errors=True)
            gone = {process.pid: node_id for node_id, group in found.items() for process in group}
            return ClusterDown(
                self.name,
                stopped=tuple(sorted(set(gone.values()))),
                killed=tuple(sorted({gone[pid] for pid in killed})),
                data_deleted=delete_data,
            )

    def running_brokers(self) -> tuple[int, ...]:
        """The brokers whose processes run, without asking Kafka."""
        live, _ = processes(self.folder, state.load_state(self.folder))
        return tuple(sorted(live))

    def stop_broker(self, broker: int, *, kill: bool = False) -> BrokerStopped:
        """Stop one broker: cleanly, its partitions handed over first, or with ``kill`` as a crash would.

        Raises UsageError for an id that the cluster does not have.
        """
        with state.locked(self.folder):
            known = self._known_state(broker)
            live, _ = processes(self.folder, known)
            process = live.get(broker)
            if process is not None:
                killed = node.end([process], kill=kill, deadline_s=_STOP_DEADLINE_S)
                known.processes.pop(broker, None)
                state.save_state(self.folder, known)
                return BrokerStopped(self.name, broker, was_running=True, killed=kill or bool(killed))
            return BrokerStopped(self.name, broker, was_running=False, killed=False)

    def start_broker(
        self,
        broker: int,
        *,
        stop: threading.Event | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> BrokerStatus:
        """Start one stopped broker and wait until it is registered; while no majority runs, until it listens.

        Raises UsageError for an id that the cluster does not have, LocalClusterError when it does not come up.
        """
        stop = stop or threading.Event()
        formatted = state.load_formatted(Path(self._known_state(broker).data_dir))
        if formatted is None or not formatted.complete:
            raise self._not_there()
        java = java_executable()
        class_path = artifacts.fetch(formatted.kafka_version, listener=self._listener, stop=stop)
        with state.locked(self.folder, stop):
            known = self._known_state(broker)
            live, strays = processes(self.folder, known)
            if broker not in live:
                node.end(strays, kill=True)
                preflight.require_ports([known.ports[broker], known.controller_ports[broker]])
                preflight.require_memory(1)
                plan = Plan(formatted.kafka_version, known, fresh=False, missing=(broker,), strays=())
                try:
                    self._start(plan, broker, node.Launch(java, class_path))
                    if len(live) + 1 > len(known.ports) // 2:
                        self._wait(known, {broker}, stop, timeout_s, lambda seen: broker in seen.brokers)
                    else:
                        self._listener(Notice("no majority of the controllers runs yet: start another", "warning"))
                except BaseException:
                    self._undo(plan, known_before=True)
                    raise
        return next(one for one in self.status().brokers if one.broker == broker)

    def log_files(self, broker: int | None = None) -> dict[int, Path]:
        """Where the brokers log, or only this one. Raises UsageError for an id that the cluster does not have."""
        known = self._known_state(broker)
        chosen = known.ports if broker is None else (broker,)
        return {node_id: self._node(known, node_id).log_file for node_id in chosen}

    def logs(
        self, broker: int | None = None, *, last: int | None = None, follow: bool = False, stop: threading.Event
    ) -> Iterator[LogLine]:
        """The brokers' log lines; see :func:`sensorstream.cluster.logs.read_logs`."""
        return read_logs(self.log_files(broker), last=last, follow=follow, stop=stop)

    # -- what is there ------------------------------------------------------------------------------------------

    def _not_there(self) -> LocalClusterError:
        return LocalClusterError(
            f"there is no cluster {self.name!r}", hint=f"start it: sensorstream cluster up{name_flag(self.name)}"
        )

    def _known_state(self, broker: int | None = None) -> state.ClusterState:
        known = state.load_state(self.folder)
        if known is None:
            raise self._not_there()
        if broker is not None and broker not in known.ports:
            raise UsageError(
                f"cluster {self.name!r} has no broker {broker}",
                hint=f"it has: {', '.join(map(str, known.ports))}",
            )
        return known

    def _node(self, known: state.ClusterState, node_id: int) -> node.Node:
        return node_of(self.folder, known, node_id)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((properties.LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


def _delete_data(data: Path) -> None:
    """Delete what a cluster has written into its data folder, and nothing else that is in there."""
    for folder in data.glob("broker-*"):
        shutil.rmtree(folder, ignore_errors=True)
    (data / "cluster.json").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        data.rmdir()
