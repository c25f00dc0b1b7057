"""Station 5: a real Apache Kafka on this machine: one to several KRaft nodes, or brokers with ZooKeeper.

A cluster has a name; its nodes outlive the command that started them, and every command finds them again. See
:mod:`sensorstream.cluster.state` for what is kept where.
"""

import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from sensorstream.cluster import artifacts, class_archive, node, preflight, properties, state
from sensorstream.cluster.formatting import format_nodes
from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.java_runtime import java_executable
from sensorstream.cluster.links.links import Disturbance, Links
from sensorstream.cluster.logs import read_logs
from sensorstream.cluster.metrics import Metrics
from sensorstream.cluster.plan import (
    Plan,
    Ports,
    Wanted,
    addresses,
    make_plan,
    name_flag,
    node_of,
    plan_to_start,
    processes,
    ways_to,
)
from sensorstream.cluster.ready import Probe, wait_ready
from sensorstream.cluster.registry import Registry
from sensorstream.cluster.registry_files import fetch_registry
from sensorstream.cluster.results import BrokerStatus, BrokerStopped, ClusterDown, ClusterStatus, ClusterUp, LogLine
from sensorstream.cluster.secure import profile, security
from sensorstream.cluster.starting import configure_node, open_links, start_node
from sensorstream.cluster.status import Companions, status_of
from sensorstream.cluster.zookeeper import ZooKeeper
from sensorstream.errors import LocalClusterError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.local_profiles import names_of

READY_TIMEOUT_S: Final = 90.0
_STOP_DEADLINE_S: Final = 20.0


class LocalCluster:
    """A named cluster on this machine. Making the object starts nothing; every method may be called at any time."""

    def __init__(
        self, name: str = state.DEFAULT_NAME, *, listener: Listener = ignore, probe: Probe | None = None
    ) -> None:
        self.name = name
        self.folder = state.cluster_folder(name)
        self._listener = listener
        self._probe = probe or profile.prober(self.folder)
        self._zookeeper = ZooKeeper(self.folder)
        self._metrics = Metrics(self.folder)
        self._links = Links(self.folder)

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
        mode: state.Mode | None = None,
        ports: Ports | None = None,
        data_dir: Path | None = None,
        offline: bool = False,
        schema_registry: bool = False,
        metrics: bool = False,
        secure: str | None = None,
        acl: bool = False,
        links: bool = False,
        stop: threading.Event | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> ClusterUp:
        """Start the nodes that are not running and wait until there is a controller and all brokers are registered.

        None means: as the cluster's data was formatted and as it ran last, else three KRaft brokers of the default
        version on the default ports. Ports may be ``auto``, or 0 for any free one. When this fails or is
        interrupted, every node that it started is ended again. With ``schema_registry`` a schema registry runs beside
        the brokers, and from then on whenever the cluster is started; so do agents with ``metrics``, in brokers that
        are started: those that run already run on without. ``secure`` is one of
        :data:`sensorstream.cluster.secure.listeners.MODES`; with ``acl`` users have only the rights they were given.
        With ``links``, and from then on, all connections go through proxies, which chaos can slow and cut.

        Raises UsageError (version, ports), LocalClusterError and its kind (PortTaken, ArtifactError), Interrupted.
        """
        stop = stop or threading.Event()
        began = time.monotonic()
        wanted = Wanted(brokers, kafka_version, ports, data_dir, mode, security(secure, acl=acl), links)
        plan = make_plan(self.name, wanted)
        java = java_executable()
        class_path = artifacts.fetch(plan.version, offline=offline, listener=self._listener, stop=stop)
        launch = class_archive.prepared_launch(java, class_path, plan.version, self._listener, stop)
        registry, program = Registry(self.folder), None
        if schema_registry or registry.exists:
            program = fetch_registry(offline=offline, listener=self._listener, stop=stop)
        if metrics or self._metrics.wanted:
            self._metrics.fetch(offline=offline, listener=self._listener)
        with state.locked(self.folder, stop):
            plan = make_plan(self.name, wanted)  # once more: another `up` may have been faster
            if plan.strays:
                node.end(plan.strays, kill=True)
                plan = make_plan(self.name, wanted)
            known_before = state.load_state(self.folder) is not None
            if metrics:
                self._metrics.want()
            data = Path(plan.known.data_dir)
            try:
                if plan.fresh:
                    self._format(plan, launch, stop)
                if plan.security is not None:
                    plan.security.publish(self.folder, self.name, data, addresses(plan.known.ports))
                any_port = wanted.any_ports
                added = self._zookeeper.start_for(plan, launch, stop, any_port=any_port, listener=self._listener)
                added = open_links(self.folder, plan.ways, stop) or added
                for node_id in plan.missing:
                    start_node(self.folder, plan, node_id, launch, self._listener)
                everyone = set(plan.known.ports)
                health = wait_ready(self.folder, plan, everyone, self._probe, stop, timeout_s)
                self._zookeeper.note_id(plan, health.cluster_id)
                if plan.security is not None:
                    plan.security.grant(data, addresses(plan.known.ports))
                if program is not None:
                    added = registry.start(java, program, data, stop, any_port=any_port) or added
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
            already_running=not plan.missing and not added,
            quorum_leader=health.quorum_leader,
            seconds=round(time.monotonic() - began, 2),
            data_dir=plan.known.data_dir,
            schema_registry=registry.url(),
            mode=plan.mode,
            zookeeper=self._zookeeper.address() if plan.mode == "zookeeper" else None,
            metrics=tuple(url for broker in plan.known.ports if (url := self._metrics.url(broker))),
            secure=plan.security.mode if plan.security else None,
            acl=plan.security is not None and plan.security.acl,
            profiles=tuple(names_of(self.name)) if plan.security else (),
            links=plan.ways is not None,
        )

    def _format(self, plan: Plan, launch: Launch, stop: threading.Event) -> None:
        data = Path(plan.known.data_dir)
        self._listener(Notice(f"formatting {len(plan.known.ports)} nodes for Kafka {plan.version}", "debug"))
        formatted = plan.new_format(self.name)
        self._zookeeper.end()
        self._zookeeper.forget(data)
        try:
            state.save_formatted(data, formatted)
            users = plan.security.create(data, self.name) if plan.security else []
            for node_id in plan.known.ports:  # left by a formatting that was cut short
                shutil.rmtree(node_of(self.folder, plan.known, node_id).data, ignore_errors=True)
            if plan.mode == "kraft":
                nodes = [configure_node(self.folder, plan, node_id) for node_id in plan.known.ports]
                format_nodes(nodes, launch, plan.version, formatted.cluster_id, stop, users)
        except OSError as error:
            raise LocalClusterError(
                f"the data folder {data} can't be used: {error.strerror or error}",
                hint="choose another --data-dir",
            ) from error
        state.save_formatted(data, replace(formatted, complete=True))

    def _undo(self, plan: Plan, *, known_before: bool) -> None:
        """End what this `up` has started; take back what it has formatted."""
        doomed = [
            process
            for node_id, processes in node.find_all(self.folder).items()
            if node_id in plan.missing
            for process in processes
        ]
        node.end(doomed, kill=plan.fresh, deadline_s=5.0)
        if plan.fresh:
            Registry(self.folder).end()
        for node_id in plan.missing:
            plan.known.processes.pop(node_id, None)
        if plan.fresh or not plan.known.processes:
            self._links.end()
            self._zookeeper.end()  # it serves nobody any more
        if plan.fresh:
            self._zookeeper.forget(Path(plan.known.data_dir))
            state.delete_data(Path(plan.known.data_dir))
            profile.forget(self.folder)
        if known_before:
            state.save_state(self.folder, plan.known)
        else:
            (self.folder / "state.json").unlink(missing_ok=True)
            self._metrics.forget()
            self._links.forget_all()

    # -- the running cluster ----------------------------------------------------------------------------------

    def status(self) -> ClusterStatus:
        """What runs, and what the cluster says of itself; changes nothing."""
        known = state.load_state(self.folder)
        if known is None:
            return ClusterStatus(self.name, "absent")
        companions = Companions(self._zookeeper, self._links, self._metrics)
        return status_of(self.name, self.folder, known, self._probe, companions)

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
            registry_stopped = Registry(self.folder).end()
            nodes = [(process, data / f"broker-{id_}") for id_, group in found.items() for process in group]
            if delete_data or self._zookeeper.address() is not None:
                # With delete_data nothing is worth a clean shutdown; at ZooKeeper each broker signs off by itself.
                ended = [process for process, _ in nodes]
                killed = node.end(ended, kill=delete_data, deadline_s=_STOP_DEADLINE_S)
            else:
                # A broker that is no controller signs off at one: while there is a quorum.
                voters = {data / f"broker-{id_}" for id_ in (known.controller_ports if known else found)}
                added = [process for process, place in nodes if place not in voters]
                killed = node.end(added, deadline_s=_STOP_DEADLINE_S)
                together = [(process, place) for process, place in nodes if place in voters]
                killed += node.end_together(together, deadline_s=_STOP_DEADLINE_S)
            links_stopped = self._links.end()  # only now: brokers hand over by them
            zookeeper_stopped = self._zookeeper.end()
            if known is not None:
                known.processes.clear()
                state.save_state(self.folder, known)
            if delete_data:
                self._zookeeper.forget(data)
                Registry(self.folder).forget(data)
                state.delete_data(data)
                shutil.rmtree(self.folder, ignore_errors=True)
            gone = {process.pid: node_id for node_id, group in found.items() for process in group}
            return ClusterDown(
                self.name,
                stopped=tuple(sorted(set(gone.values()))),
                killed=tuple(sorted({gone[pid] for pid in killed})),
                data_deleted=delete_data,
                schema_registry_stopped=registry_stopped,
                zookeeper_stopped=zookeeper_stopped,
                links_stopped=links_stopped,
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
                preflight.require_memory(1)
                ways = self._links.ways
                if ways is not None and not ways.lead_to(broker):  # whoever added it was killed before it had one
                    ways = ways_to(self._links, known.ports, known.controller_ports, formatted.mode, live)
                plan = plan_to_start(formatted, known, broker, ways)
                at = plan.listens(broker) or properties.Listens(known.ports[broker], known.controller_ports.get(broker))
                preflight.require_ports(port for port in (at.broker, at.controller) if port is not None)
                launch = class_archive.launch(java, class_path, plan.version)
                try:
                    self._zookeeper.start_for(plan, launch, stop, any_port=True, listener=self._listener)
                    open_links(self.folder, plan.ways, stop)
                    start_node(self.folder, plan, broker, launch, self._listener)
                    voters = known.controller_ports.keys()
                    if plan.mode == "zookeeper" or len(voters & {*live, broker}) > len(voters) // 2:
                        wait_ready(self.folder, plan, {broker}, self._probe, stop, timeout_s)
                    else:
                        self._listener(Notice("no majority of the controllers runs yet: start another", "warning"))
                except BaseException:
                    self._undo(plan, known_before=True)
                    raise
        return next(one for one in self.status().brokers if one.broker == broker)

    @property
    def has_links(self) -> bool:
        """Whether its links can be slowed and cut."""
        return self._links.ways is not None

    @property
    def links_run(self) -> bool:
        """Whether its links let through what they should, where it has some."""
        links = self._links.status()
        return links is None or links.state == "running"

    def disturb(
        self, broker: int, *, cut: bool = False, latency_s: float = 0.0, bytes_per_s: int | None = None
    ) -> Disturbance:
        """Cut the links of a broker, or slow them, until what this returns is closed; see :meth:`Links.disturb`."""
        process = self._known_state(broker).processes.get(broker)
        pid = None if process is None else process.pid
        return self._links.disturb(broker, pid, cut=cut, latency_s=latency_s, bytes_per_s=bytes_per_s)

    def log_files(self, broker: int | None = None, *, zookeeper: bool = False) -> dict[int | None, Path]:
        """Where the brokers log, or only this one, or ``zookeeper`` (by None).

        Raises UsageError for an id that the cluster does not have, or where it has no ZooKeeper.
        """
        known = self._known_state(broker)
        if zookeeper:
            return {None: self._zookeeper.existing_log(self.name)}
        chosen = known.ports if broker is None else (broker,)
        return {node_id: node_of(self.folder, known, node_id).log_file for node_id in chosen}

    def logs(
        self,
        broker: int | None = None,
        *,
        zookeeper: bool = False,
        last: int | None = None,
        follow: bool = False,
        stop: threading.Event,
    ) -> Iterator[LogLine]:
        """The brokers' log lines; see :func:`sensorstream.cluster.logs.read_logs`."""
        return read_logs(self.log_files(broker, zookeeper=zookeeper), last=last, follow=follow, stop=stop)

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
