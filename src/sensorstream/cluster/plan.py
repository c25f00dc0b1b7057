"""Station 5: what ``cluster up`` has to do: compares the request with the existing state before any change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from sensorstream.cluster import artifacts, node, preflight, state
from sensorstream.cluster.links.links import Links
from sensorstream.cluster.links.ways import Ways, plan_ways
from sensorstream.cluster.properties import LOOPBACK, Listens, default_replicas, new_id
from sensorstream.cluster.secure import Security, security
from sensorstream.cluster.zookeeper_properties import choose_version
from sensorstream.config import DEFAULT_PORTS
from sensorstream.errors import LocalClusterError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.wording import counted

if TYPE_CHECKING:
    import psutil

DEFAULT_BROKERS: Final = 3

Ports: TypeAlias = Sequence[int] | Literal["auto"]
"""A port for each broker, 0 for any free one; ``auto``: any free ones for all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of ``up``; None means: as it was, else the default."""

    brokers: int | None = None
    kafka_version: str | None = None
    ports: Ports | None = None
    data_dir: Path | None = None
    mode: state.Mode | None = None
    security: Security | None = None
    links: bool = False

    @property
    def any_ports(self) -> bool:
        """Whether any ports will do, where ports were asked for."""
        return self.ports is not None and (self.ports == "auto" or 0 in self.ports)


@dataclass(frozen=True, slots=True)
class Plan:
    """With which version, ports and folders a cluster is to run, and which nodes are missing.

    ``fresh`` data is still to be formatted. ``strays`` are processes of this cluster that nobody has noted, since
    the command that started them was killed. ``security`` None: nothing is protected. ``ways`` None: everybody goes
    straight to the nodes, which listen on the ports that are ``known``; else these are the fronts of its links.
    ``replicas`` are those of Kafka's own topics, which brokers that are added later don't change; None: as many as go
    with the brokers.
    """

    version: str
    known: state.ClusterState
    fresh: bool
    missing: tuple[int, ...]
    strays: "tuple[psutil.Process, ...]"
    mode: state.Mode = "kraft"
    security: Security | None = None
    ways: Ways | None = None
    replicas: int | None = None

    def new_format(self, name: str) -> state.Formatted:
        """What the data of this cluster is to be formatted as; it is not complete yet."""
        secure, acl = (self.security.mode, self.security.acl) if self.security else (None, False)
        cluster_id = new_id() if self.mode == "kraft" else state.ID_TO_COME
        return state.Formatted(
            name, cluster_id, self.version, len(self.known.ports), False, self.mode, secure=secure, acl=acl
        )

    def security_lines(self, node_id: int) -> dict[str, str]:
        """The lines of a node's configuration that protect it; none for a cluster without."""
        if self.security is None:
            return {}
        known = Listens(self.known.ports[node_id], self.known.controller_ports.get(node_id))
        key = artifacts.version_key(self.version)
        return self.security.lines(Path(self.known.data_dir), node_id, known, self.listens(node_id), key)

    def listens(self, node_id: int) -> Listens | None:
        """Where a node listens, behind the cluster's links; None where it has none: on the ports that are known."""
        if self.ways is None:
            return None
        votes = node_id in self.known.controller_ports
        controller = self.ways.behind("controller", node_id) if votes else None
        return Listens(self.ways.behind("broker", node_id), controller)


def addresses(ports: dict[int, int]) -> tuple[str, ...]:
    """The brokers' addresses, ``host:port``."""
    return tuple(f"{LOOPBACK}:{port}" for port in ports.values())


def name_flag(name: str) -> str:
    """What a command line needs to mean this cluster."""
    return "" if name == state.DEFAULT_NAME else f" --name {name}"


def node_of(folder: Path, known: state.ClusterState, node_id: int) -> node.Node:
    """A node of the cluster whose folder this is."""
    name = f"broker-{node_id}"
    return node.Node(node_id, folder / name, Path(known.data_dir) / name)


def processes(
    folder: Path, known: state.ClusterState | None
) -> "tuple[dict[int, psutil.Process], tuple[psutil.Process, ...]]":
    """The nodes that run as noted, and the strays."""
    live: dict[int, psutil.Process] = {}
    if known is not None:
        for node_id, process in known.processes.items():
            found = node.running(process, node_of(folder, known, node_id).folder)
            if found is not None:
                live[node_id] = found
    noted = {process.pid for process in live.values()}
    everyone = (process for group in node.find_all(folder).values() for process in group)
    return live, tuple(process for process in everyone if process.pid not in noted)


def make_plan(name: str, wanted: Wanted) -> Plan:
    """Work out what is to be done; raises for all that can be known before anything is touched.

    Raises UsageError, LocalClusterError (other data, another version, too little memory), PortTaken.
    """
    folder = state.cluster_folder(name)
    known = state.load_state(folder)
    data = _data_dir(name, folder, known, wanted.data_dir)
    formatted = state.load_formatted(data)
    _check_data(name, formatted, data, wanted)
    if formatted is not None and formatted.complete:
        version, ids, mode = formatted.kafka_version, formatted.broker_ids, formatted.mode
        secured, voters = security(formatted.secure, acl=formatted.acl), formatted.first_ids
    else:
        mode = wanted.mode or "kraft"
        version, ids = choose_version(wanted.kafka_version, mode), tuple(range(1, _count(wanted) + 1))
        secured, voters = wanted.security, ids
        if secured is not None:
            secured.check(mode)
    live, strays = processes(folder, known)
    if known is None:
        known = state.ClusterState(str(data), {}, {})
    if set(known.ports) != set(ids):  # none yet; or a command that was to change it was killed
        known = state.ClusterState(str(data), _noted_ports(ids, known, folder), known.controller_ports, known.processes)
        live = {one: process for one, process in live.items() if one in known.ports}
    ports = known.ports if wanted.ports is None else _ports(wanted.ports, ids, known.ports if live else None)
    if live and ports != known.ports:
        raise LocalClusterError(
            f"cluster {name!r} is already running on {','.join(addresses(known.ports))}",
            hint=f"stop it first: sensorstream cluster down{name_flag(name)}",
        )
    missing = tuple(node_id for node_id in ports if node_id not in live)
    links = Links(folder)
    held = links.held()
    if live and wanted.links and links.ways is None:
        raise LocalClusterError(
            f"cluster {name!r} is running without links, and its clients use the brokers' own ports",
            hint=f"stop it first: sensorstream cluster down{name_flag(name)}; its data is kept",
        )
    if not strays:  # else they may hold the very ports; they are ended first, and a new plan is made
        preflight.require_ports(ports[node_id] for node_id in missing if ports[node_id] not in held)
    if missing:
        preflight.require_memory(len(missing))
    running = {node_id: known.processes[node_id] for node_id in live}
    controllers = known.controller_ports
    if not live:
        controllers = _controller_ports(known, voters, ports, held) if mode == "kraft" else {}
    ways = None
    if wanted.links or links.ways is not None:
        ways = ways_to(links, ports, controllers, mode, live)
    return Plan(
        version=version,
        known=state.ClusterState(str(data), ports, controllers, running),
        fresh=formatted is None or not formatted.complete,
        missing=missing,
        strays=strays,
        mode=mode,
        security=secured,
        ways=ways,
        replicas=default_replicas(len(voters)),
    )


def plan_to_start(formatted: state.Formatted, known: state.ClusterState, broker: int, ways: Ways | None) -> Plan:
    """Start one broker of a cluster, as its data was formatted."""
    secured = security(formatted.secure, acl=formatted.acl)
    replicas = default_replicas(formatted.brokers)
    return Plan(formatted.kafka_version, known, False, (broker,), (), formatted.mode, secured, ways, replicas)


def ways_to(
    links: Links, ports: dict[int, int], controllers: dict[int, int], mode: state.Mode, running: Collection[int]
) -> Ways:
    """The ways through a cluster's links to nodes that are known by these ports."""
    held = links.held()
    return plan_ways(
        links.ways,
        ports,
        controllers,
        zookeeper=mode == "zookeeper",
        running=running,
        is_free=lambda port: port in held or preflight.is_free(port),
        free_ports=preflight.free_ports,
    )


def _data_dir(name: str, folder: Path, known: state.ClusterState | None, asked: Path | None) -> Path:
    remembered = Path(known.data_dir) if known else folder / "data"
    if asked is None:
        return remembered
    data = asked.expanduser().resolve()
    if "," in str(data):
        raise UsageError(f"{data}: Kafka does not allow a comma in a folder's name", hint="choose another --data-dir")
    if data != remembered and state.load_formatted(remembered) is not None:
        raise LocalClusterError(
            f"cluster {name!r} has its data in {remembered}",
            hint=f"give another --name, or first: sensorstream cluster down --delete-data{name_flag(name)}",
        )
    return data


def _check_data(name: str, formatted: state.Formatted | None, data: Path, wanted: Wanted) -> None:
    """Refuse data that is not ours, or was formatted as something else than what is asked now."""
    if formatted is None:
        foreign = next(data.glob("broker-*"), None)
        if foreign is not None:
            raise LocalClusterError(
                f"{foreign} exists already and was not created by this program", hint="choose another --data-dir"
            )
        return
    if formatted.name != name:
        raise LocalClusterError(
            f"{data} holds the data of the cluster {formatted.name!r}", hint="choose another --data-dir"
        )
    if not formatted.complete:
        return
    delete = f"to start over: sensorstream cluster down --delete-data{name_flag(name)}"
    if formatted.kafka_version not in artifacts.pinned_versions():
        raise LocalClusterError(
            f"the data in {data} is of Kafka {formatted.kafka_version}, which is not pinned here any more", hint=delete
        )
    mode = formatted.mode if wanted.mode is None else wanted.mode
    if mode != formatted.mode:
        raise LocalClusterError(
            f"cluster {name!r} runs with {state.MODE_NAMES[formatted.mode]}, not {state.MODE_NAMES[mode]}, "
            "and its data is for that",
            hint=delete,
        )
    version = (
        formatted.kafka_version if wanted.kafka_version is None else artifacts.choose_version(wanted.kafka_version)
    )
    if version != formatted.kafka_version:
        raise LocalClusterError(
            f"cluster {name!r} was formatted for Kafka {formatted.kafka_version}, not {version}", hint=delete
        )
    if wanted.brokers not in (None, len(formatted.broker_ids)):
        how = "has" if formatted.ids else "was formatted with"
        hint = delete
        if wanted.brokers > len(formatted.broker_ids):
            hint = f"add one: sensorstream cluster add-broker{name_flag(name)}; {delete}"
        raise LocalClusterError(
            f"cluster {name!r} {how} {counted(len(formatted.broker_ids), 'broker')}, not {wanted.brokers}", hint=hint
        )
    secured = security(formatted.secure, acl=formatted.acl)
    if wanted.security not in (None, secured):
        how = "without --secure" if secured is None else f"with {secured}"
        raise LocalClusterError(f"cluster {name!r} was formatted {how}, not with {wanted.security}", hint=delete)


def _count(wanted: Wanted) -> int:
    if wanted.brokers is not None:
        return wanted.brokers
    return DEFAULT_BROKERS if wanted.ports in (None, "auto") else len(wanted.ports)


def default_port(broker: int) -> int:
    """Where a broker listens when nothing else is said."""
    first, step = DEFAULT_PORTS[0], DEFAULT_PORTS[1] - DEFAULT_PORTS[0]
    return first + step * ((broker - 1) % 4) + (broker - 1) // 4


def port_for_another(broker: int, known: state.ClusterState, folder: Path, listener: Listener = ignore) -> int:
    """A port for a broker that joins those that are known.

    It is the default one where all others are on theirs; any free one where they are not, or, which is told, where it
    is in use.
    """
    taken = taken_ports(known, folder)
    if all(noted == default_port(one) for one, noted in known.ports.items()):
        port = default_port(broker)
        if port not in taken and preflight.is_free(port):
            return port
        listener(Notice(f"port {port} is already in use: broker {broker} gets another"))
    return preflight.free_ports(1, avoid=taken)[0]


def taken_ports(known: state.ClusterState, folder: Path) -> set[int]:
    """The ports that the nodes and the links of the cluster in this folder have."""
    ways = Links(folder).ways
    behind = () if ways is None else (port for way in ways.ways for port in (way.front, way.behind))
    return {*known.ports.values(), *known.controller_ports.values(), *behind}


def _noted_ports(ids: Sequence[int], known: state.ClusterState, folder: Path) -> dict[int, int]:
    """The port of each of these brokers: as noted, else (a command that was to note it was killed) another.

    Where nothing is noted they are the default ones.
    """
    if not known.ports:
        return {one: default_port(one) for one in ids}
    ports = dict(known.ports)
    for one in ids:
        if one not in ports:
            ports[one] = port_for_another(one, replace(known, ports=ports), folder)
    return {one: ports[one] for one in ids}


def _ports(asked: Ports, ids: Sequence[int], running: dict[int, int] | None) -> dict[int, int]:
    count = len(ids)
    if asked == "auto":
        asked = (0,) * count
    if len(asked) != count:
        raise UsageError(
            f"{counted(len(asked), 'port')} for {counted(count, 'broker')}",
            hint=f"give {count} of them, or --ports auto",
        )
    for port in asked:
        if not 0 <= port <= 65535:
            raise UsageError(f"{port} is not a port", hint="ports are 1 to 65535")
        if port and list(asked).count(port) > 1:
            raise UsageError(f"port {port} is named twice", hint="each broker needs its own")
    if running is not None and not any(asked):
        return running
    free = iter(preflight.free_ports(sum(port == 0 for port in asked), avoid=asked))
    return {broker: port or next(free) for broker, port in zip(ids, asked, strict=True)}


def _controller_ports(
    known: state.ClusterState, voters: Sequence[int], ports: dict[int, int], held: Collection[int]
) -> dict[int, int]:
    """Those of the last time where they are still free, else new ones: nobody but the nodes needs to know them.

    Free are also those that the cluster's own links hold.
    """
    before = known.controller_ports
    if (
        before.keys() == set(voters)
        and not set(before.values()) & set(ports.values())
        and all(port in held or preflight.is_free(port) for port in before.values())
    ):
        return before
    return dict(zip(voters, preflight.free_ports(len(voters), avoid=ports.values()), strict=True))
