"""Station 5: a real Apache Kafka on this machine: one to several KRaft nodes, each broker and controller in one.

A cluster has a name; its nodes outlive the command that started them, and every command finds them again. See
:mod:`sensorstream.cluster.state` for what is kept where.
"""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from sensorstream.clients.probe import ClusterHealth, cluster_health
from sensorstream.cluster import artifacts, node, preflight, properties, state
from sensorstream.cluster.java import java_executable
from sensorstream.cluster.results import BrokerStatus, BrokerStopped, ClusterDown, ClusterStatus, ClusterUp
from sensorstream.config import DEFAULT_PORTS
from sensorstream.errors import ClusterUnreachable, Interrupted, LocalClusterError, UsageError
from sensorstream.events import Listener, Notice, ignore

if TYPE_CHECKING:
    import psutil

Probe: TypeAlias = Callable[[Sequence[str], float], ClusterHealth]

DEFAULT_BROKERS: Final = 3
READY_TIMEOUT_S: Final = 90.0
_STOP_DEADLINE_S: Final = 20.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Plan:
    """What ``up`` is to do: with which version, ports and folders, and which nodes are missing."""

    version: str
    known: state.ClusterState
    formatted: state.Formatted | None
    missing: tuple[int, ...]
    strays: "tuple[psutil.Process, ...]"


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
        return _addresses(self._known_state().ports)

    # -- up -------------------------------------------------------------------------------------------------

    def up(
        self,
        *,
        brokers: int | None = None,
        kafka_version: str | None = None,
        ports: Sequence[int] | None = None,
        data_dir: Path | None = None,
        offline: bool = False,
        stop: threading.Event | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> ClusterUp:
        """Start the nodes that are not running and wait until the quorum has a leader and all brokers are registered.

        None means: as the cluster's data was formatted and as it ran last, else three brokers of the default
        version on the default ports. A port 0 is any free port. When this fails or is interrupted, every node
        that it started is ended again.

        Raises UsageError (version, ports), LocalClusterError and its kind (PortTaken, ArtifactError), Interrupted.
        """
        stop = stop or threading.Event()
        began = time.monotonic()
        plan = self._plan(brokers, kafka_version, ports, data_dir)
        java = java_executable()
        class_path = artifacts.fetch(plan.version, offline=offline, listener=self._listener, stop=stop)
        launch = node.Launch(java, class_path)
        with state.locked(self.folder):
            plan = self._plan(brokers, kafka_version, ports, data_dir)  # another `up` may have been faster
            node.end(plan.strays, kill=True)
            fresh = plan.formatted is None or not plan.formatted.complete
            known_before = state.load_state(self.folder) is not None
            try:
                if fresh:
                    plan = self._format(plan, launch, stop)
                for node_id in plan.missing:
                    self._start(plan, node_id, launch)
                everyone = set(plan.known.ports)
                health = self._wait(plan.known, everyone, stop, timeout_s, lambda seen: everyone <= set(seen.brokers))
            except BaseException:
                self._undo(plan, fresh=fresh, known_before=known_before)
                raise
        return ClusterUp(
            name=self.name,
            bootstrap=_addresses(plan.known.ports),
            kafka_version=plan.version,
            cluster_id=health.cluster_id,
            brokers=len(plan.known.ports),
            started=plan.missing,
            already_running=not plan.missing,
            quorum_leader=health.quorum_leader,
            seconds=round(time.monotonic() - began, 2),
            data_dir=plan.known.data_dir,
        )

    def _plan(
        self,
        brokers: int | None,
        kafka_version: str | None,
        ports: Sequence[int] | None,
        data_dir: Path | None,
    ) -> _Plan:
        """Compare what is asked with what is there; raise for all that can be known before anything is touched."""
        known = state.load_state(self.folder)
        data = self._data_dir(known, data_dir)
        formatted = state.load_formatted(data)
        self._check_format(formatted, data, brokers, kafka_version)
        if formatted is not None and formatted.complete:
            version, count = formatted.kafka_version, formatted.brokers
        else:
            version, count = artifacts.choose_version(kafka_version), brokers or DEFAULT_BROKERS
        if version not in artifacts.pinned_versions():
            raise LocalClusterError(
                f"the data in {data} is of Kafka {version}, which is not pinned here any more",
                hint=f"pinned are: {', '.join(artifacts.pinned_versions())}",
            )
        live, strays = self._processes(known)
        if known is None or len(known.ports) != count:
            known = state.ClusterState(str(data), _default_ports(count), {})
        chosen = _choose_ports(ports, count, known.ports if live else None) if ports else known.ports
        missing = tuple(node_id for node_id in chosen if node_id not in live)
        if live and chosen != known.ports:
            raise LocalClusterError(
                f"cluster {self.name!r} is already running on {','.join(_addresses(known.ports))}",
                hint=f"stop it first: sensorstream cluster down{self._name_flag}",
            )
        controller_ports = dict(known.controller_ports)
        if not live and not (
            len(controller_ports) == count
            and all(map(preflight.is_free, controller_ports.values()))
            and not set(controller_ports.values()) & set(chosen.values())
        ):
            free = preflight.free_ports(count, avoid=chosen.values())
            controller_ports = dict(zip(chosen, free, strict=True))
        if not strays:  # else they may hold the very ports; they are ended first
            preflight.require_ports(chosen[node_id] for node_id in missing)
        if missing:
            preflight.require_memory(len(missing))
        processes = {node_id: known.processes[node_id] for node_id in live}
        return _Plan(
            version,
            state.ClusterState(str(data), chosen, controller_ports, processes),
            formatted,
            missing,
            tuple(strays),
        )

    def _data_dir(self, known: state.ClusterState | None, asked: Path | None) -> Path:
        remembered = Path(known.data_dir) if known else self.folder / "data"
        if asked is None:
            return remembered
        data = asked.expanduser().resolve()
        if data != remembered and state.load_formatted(remembered) is not None:
            raise LocalClusterError(
                f"cluster {self.name!r} has its data in {remembered}",
                hint=f"give another --name, or first: sensorstream cluster down --delete-data{self._name_flag}",
            )
        return data

    def _check_format(
        self, formatted: state.Formatted | None, data: Path, brokers: int | None, kafka_version: str | None
    ) -> None:
        delete = f"to begin anew: sensorstream cluster down --delete-data{self._name_flag}"
        if formatted is None:
            foreign = next(data.glob("broker-*"), None)
            if foreign is not None:
                raise LocalClusterError(
                    f"{foreign} is there already, and is not from this program",
                    hint="choose another --data-dir",
                )
            return
        if formatted.name != self.name:
            raise LocalClusterError(
                f"{data} holds the data of the cluster {formatted.name!r}", hint="choose another --data-dir"
            )
        if not formatted.complete:
            return
        if kafka_version is not None:
            version = artifacts.choose_version(kafka_version)
            if version != formatted.kafka_version:
                raise LocalClusterError(
                    f"cluster {self.name!r} was formatted for Kafka {formatted.kafka_version}, not {version}",
                    hint=delete,
                )
        if brokers is not None and brokers != formatted.brokers:
            raise LocalClusterError(
                f"cluster {self.name!r} was formatted with {formatted.brokers} brokers, not {brokers}",
                hint=delete,
            )

    def _format(self, plan: _Plan, launch: node.Launch, stop: threading.Event) -> _Plan:
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
        formatted = replace(formatted, complete=True)
        state.save_formatted(data, formatted)
        return _Plan(plan.version, plan.known, formatted, plan.missing, ())

    def _configured(self, plan: _Plan, node_id: int) -> node.Node:
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

    def _start(self, plan: _Plan, node_id: int, launch: node.Launch) -> None:
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
                    seen = self._probe(_addresses({id_: known.ports[id_] for id_ in watched}), 2.0)
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

    def _undo(self, plan: _Plan, *, fresh: bool, known_before: bool) -> None:
        """End what this `up` has started; take back what it has formatted."""
        doomed = [
            process
            for node_id, processes in node.find_all(self.folder).items()
            if node_id in plan.missing
            for process in processes
        ]
        node.end(doomed, kill=fresh, deadline_s=5.0)
        for node_id in plan.missing:
            plan.known.processes.pop(node_id, None)
        if fresh:
            _delete_data(Path(plan.known.data_dir))
        if known_before:
            state.save_state(self.folder, plan.known)
        else:
            (self.folder / "state.json").unlink(missing_ok=True)

    # -- the running cluster ----------------------------------------------------------------------------------

    def status(self) -> ClusterStatus:
        """What runs, and what the cluster says of itself; changes nothing."""
        known = state.load_state(self.folder)
        if known is None:
            return ClusterStatus(self.name, "absent")
        formatted = state.load_formatted(Path(known.data_dir))
        live, _ = self._processes(known)
        health: ClusterHealth | None = None
        if live:
            with contextlib.suppress(ClusterUnreachable):
                health = self._probe(_addresses({node_id: known.ports[node_id] for node_id in live}), 3.0)
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
        whole = health is not None and health.quorum_leader is not None and set(health.brokers) == set(known.ports)
        return ClusterStatus(
            name=self.name,
            state="running" if whole else "degraded" if live else "stopped",
            bootstrap=_addresses(known.ports),
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

    def stop_broker(self, broker: int, *, kill: bool = False) -> BrokerStopped:
        """Stop one broker: cleanly, its partitions handed over first, or with ``kill`` as a crash would.

        Raises UsageError for an id that the cluster does not have.
        """
        with state.locked(self.folder):
            known = self._known_state(broker)
            live, _ = self._processes(known)
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
        with state.locked(self.folder):
            known = self._known_state(broker)
            live, strays = self._processes(known)
            if broker not in live:
                node.end(strays, kill=True)
                preflight.require_ports([known.ports[broker], known.controller_ports[broker]])
                preflight.require_memory(1)
                plan = _Plan(formatted.kafka_version, known, formatted, (broker,), ())
                try:
                    self._start(plan, broker, node.Launch(java, class_path))
                    if len(live) + 1 > len(known.ports) // 2:
                        self._wait(known, {broker}, stop, timeout_s, lambda seen: broker in seen.brokers)
                    else:
                        self._listener(Notice("no majority of the controllers runs yet: start another", "warning"))
                except BaseException:
                    self._undo(plan, fresh=False, known_before=True)
                    raise
        return next(one for one in self.status().brokers if one.broker == broker)

    def log_file(self, broker: int) -> Path:
        """Where a broker logs. Raises UsageError for an id that the cluster does not have."""
        return self._node(self._known_state(broker), broker).log_file

    def follow_log(self, broker: int, *, follow: bool, stop: threading.Event) -> Iterator[str]:
        """The lines of a broker's log, without line ends; with ``follow`` also those to come, until ``stop`` is set."""
        path = self.log_file(broker)
        while True:
            if path.exists():
                with path.open(encoding="utf-8", errors="replace") as file:
                    inode, rest = path.stat().st_ino, ""
                    while not stop.is_set():
                        piece = file.readline()
                        if piece.endswith("\n"):
                            yield rest + piece[:-1]
                            rest = ""
                        elif piece:
                            rest += piece
                        elif not follow or not path.exists() or path.stat().st_ino != inode:
                            break  # the end, or the log has rolled and goes on in a new file
                        else:
                            stop.wait(_POLL_S)
                    if rest:
                        yield rest
            if not follow or stop.wait(_POLL_S):
                return

    # -- what is there ------------------------------------------------------------------------------------------

    @property
    def _name_flag(self) -> str:
        return "" if self.name == state.DEFAULT_NAME else f" --name {self.name}"

    def _not_there(self) -> LocalClusterError:
        return LocalClusterError(
            f"there is no cluster {self.name!r}", hint=f"start it: sensorstream cluster up{self._name_flag}"
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
        name = f"broker-{node_id}"
        return node.Node(node_id, self.folder / name, Path(known.data_dir) / name)

    def _processes(self, known: state.ClusterState | None) -> "tuple[dict[int, psutil.Process], list[psutil.Process]]":
        """The nodes that run as noted, and processes of this cluster that nobody noted (their command was killed)."""
        live: dict[int, psutil.Process] = {}
        if known is not None:
            for node_id, process in known.processes.items():
                found = node.running(process, self._node(known, node_id).folder)
                if found is not None:
                    live[node_id] = found
        noted = {process.pid for process in live.values()}
        strays = [
            process for group in node.find_all(self.folder).values() for process in group if process.pid not in noted
        ]
        return live, strays


def _addresses(ports: dict[int, int]) -> tuple[str, ...]:
    return tuple(f"{properties.LOOPBACK}:{port}" for port in ports.values())


def _default_ports(count: int) -> dict[int, int]:
    first, step = DEFAULT_PORTS[0], DEFAULT_PORTS[1] - DEFAULT_PORTS[0]
    return {index + 1: first + step * (index % 4) + index // 4 for index in range(count)}


def _choose_ports(asked: Sequence[int], count: int, running: dict[int, int] | None) -> dict[int, int]:
    if len(asked) != count:
        raise UsageError(
            f"{len(asked)} ports for {count} brokers", hint=f"give {count}, as in --ports 29092,39092,49092"
        )
    if len(set(asked) - {0}) != sum(port != 0 for port in asked):
        raise UsageError("a port is named twice", hint="each broker needs its own")
    for port in asked:
        if not 0 <= port <= 65535:
            raise UsageError(f"{port} is not a port", hint="ports are 1 to 65535")
    if running is not None and not any(asked):
        return running
    free = iter(preflight.free_ports(sum(port == 0 for port in asked), avoid=asked))
    return {index + 1: port or next(free) for index, port in enumerate(asked)}


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
