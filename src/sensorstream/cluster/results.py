"""Station 5: frozen results of the cluster commands; None means unknown."""

from dataclasses import dataclass
from typing import Literal

from sensorstream.cluster.state import Mode


@dataclass(frozen=True, slots=True)
class ClusterUp:
    """A cluster that is ready.

    ``started`` are the brokers this call has started; ``seconds`` is how long it took; ``schema_registry`` is the
    address of its schema registry, None where it has none, ``zookeeper`` the one of its ZooKeeper; with ZooKeeper
    ``quorum_leader`` is the active controller, as there is no quorum. ``secure`` is how its listeners are protected,
    None where they are not, and ``profiles`` are what to give to ``--profile`` then. ``links`` says whether its
    links can be slowed and cut.
    """

    name: str
    bootstrap: tuple[str, ...]
    kafka_version: str
    cluster_id: str | None
    brokers: int
    started: tuple[int, ...]
    already_running: bool
    quorum_leader: int | None
    seconds: float
    data_dir: str
    schema_registry: str | None = None
    mode: Mode = "kraft"
    zookeeper: str | None = None
    metrics: tuple[str, ...] = ()
    secure: str | None = None
    acl: bool = False
    profiles: tuple[str, ...] = ()
    links: bool = False


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """One broker. ``starting``: the process is there and not registered; ``frozen``: it was stopped by a signal.

    ``metrics`` is where Prometheus finds its figures, None where it was started without an agent. ``voter``: it is a
    controller, too, and votes for the active one; one that was added is not, and with ZooKeeper nobody is."""

    broker: int
    state: Literal["running", "starting", "frozen", "stopped"]
    pid: int | None
    port: int
    memory_bytes: int | None
    quorum_leader: bool
    log_file: str
    metrics: str | None = None
    voter: bool = False


@dataclass(frozen=True, slots=True)
class BrokerAdded:
    """A broker that was added and is registered. ``brokers`` are all there are now, ``bootstrap`` their addresses."""

    name: str
    broker: int
    port: int
    pid: int
    brokers: tuple[int, ...]
    bootstrap: tuple[str, ...]
    metrics: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """A cluster's schema registry. ``starting``: the process is there and does not answer."""

    url: str
    state: Literal["running", "starting", "stopped"]
    pid: int | None
    port: int
    memory_bytes: int | None
    log_file: str


@dataclass(frozen=True, slots=True)
class ZooKeeperStatus:
    """A cluster's ZooKeeper. ``starting``: the process is there and does not serve; ``frozen``: stopped by a signal."""

    address: str
    state: Literal["running", "starting", "frozen", "stopped"]
    pid: int | None
    port: int
    memory_bytes: int | None
    log_file: str


@dataclass(frozen=True, slots=True)
class LinksStatus:
    """The process through which a cluster's connections go, so that they can be slowed and cut. ``starting``: it is
    there and does not answer; ``frozen``: stopped by a signal."""

    state: Literal["running", "starting", "frozen", "stopped"]
    pid: int | None
    memory_bytes: int | None
    log_file: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster as it is: ``running`` whole, ``degraded`` in parts, ``stopped`` with its data, or ``absent``.

    With ZooKeeper ``quorum_leader`` is the active controller, as there is no quorum."""

    name: str
    state: Literal["running", "degraded", "stopped", "absent"]
    bootstrap: tuple[str, ...] = ()
    kafka_version: str | None = None
    cluster_id: str | None = None
    data_dir: str | None = None
    brokers: tuple[BrokerStatus, ...] = ()
    quorum_leader: int | None = None
    topics: int | None = None
    online_partitions: int | None = None
    offline_partitions: int | None = None
    under_replicated_partitions: int | None = None
    schema_registry: RegistryStatus | None = None
    mode: Mode | None = None
    zookeeper: ZooKeeperStatus | None = None
    secure: str | None = None
    links: LinksStatus | None = None


@dataclass(frozen=True, slots=True)
class ClusterDown:
    """What was stopped: broker ids; ``killed`` are those that did not end by themselves in time; and whether a schema
    registry, a ZooKeeper or the process of its links was stopped."""

    name: str
    stopped: tuple[int, ...]
    killed: tuple[int, ...]
    data_deleted: bool
    schema_registry_stopped: bool = False
    zookeeper_stopped: bool = False
    links_stopped: bool = False


@dataclass(frozen=True, slots=True)
class BrokerStopped:
    """A broker that does not run any more."""

    name: str
    broker: int
    was_running: bool
    killed: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a broker's log; ``broker`` is None for ZooKeeper's."""

    broker: int | None
    text: str
