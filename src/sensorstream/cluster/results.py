"""Station 5: what the cluster commands answer: frozen results; None means unknown."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ClusterUp:
    """A cluster that is ready. ``started`` are the brokers this call has started; ``seconds`` is how long it took."""

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


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """One broker. ``starting``: the process is there and not registered; ``frozen``: it was stopped by a signal."""

    broker: int
    state: Literal["running", "starting", "frozen", "stopped"]
    pid: int | None
    port: int
    memory_bytes: int | None
    quorum_leader: bool
    log_file: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster as it is: ``running`` whole, ``degraded`` in parts, ``stopped`` with its data, or ``absent``."""

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


@dataclass(frozen=True, slots=True)
class ClusterDown:
    """What was stopped: broker ids; ``killed`` are those that did not end by themselves in time."""

    name: str
    stopped: tuple[int, ...]
    killed: tuple[int, ...]
    data_deleted: bool


@dataclass(frozen=True, slots=True)
class BrokerStopped:
    """A broker that does not run any more."""

    name: str
    broker: int
    was_running: bool
    killed: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a broker's log."""

    broker: int
    text: str
