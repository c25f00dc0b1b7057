"""Station 5: the clusters of this machine by name: a list of them, and how clients reach one.

Only files and processes are looked at; no broker is asked. (Of a cluster in containers the engine tells.)
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sensorstream.cluster import state
from sensorstream.cluster.containers import ContainerCluster
from sensorstream.cluster.plan import addresses, name_flag, processes
from sensorstream.cluster.registry import Registry
from sensorstream.cluster.secure.profile import PROPERTIES
from sensorstream.cluster.secure.users import ADMIN
from sensorstream.cluster.state import Mode
from sensorstream.config import nearest
from sensorstream.errors import ClusterUnreachable, ConfigError, LocalClusterError, SensorstreamError, UsageError
from sensorstream.state_folder import state_folder


@dataclass(frozen=True, slots=True)
class Reached:
    """How clients reach a cluster that runs. ``properties`` are client properties under Kafka's names."""

    name: str
    bootstrap: tuple[str, ...]
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    schema_registry: str | None = None


@dataclass(frozen=True, slots=True)
class ListedCluster:
    """One cluster; ``brokers`` are the numbers of all, ``running`` of those whose processes run.

    ``degraded``: a part runs. ``unreadable``: its state file is damaged, ``containers``: the engine knows how it is.
    """

    name: str
    state: Literal["running", "degraded", "stopped", "unreadable", "containers"]
    kafka_version: str | None = None
    mode: Mode | None = None
    brokers: tuple[int, ...] | None = None
    running: tuple[int, ...] | None = None
    bootstrap: tuple[str, ...] | None = None
    data_dir: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterList:
    """The clusters of this machine, by name."""

    clusters: tuple[ListedCluster, ...]


@dataclass(frozen=True, slots=True)
class ClusterEnvironment:
    """The environment variables that lead every command, and other programs, to a cluster."""

    name: str
    variables: Mapping[str, str]


def names() -> tuple[str, ...]:
    """Every cluster that is remembered, also those in containers."""
    found = (path.name for path in (state_folder() / "clusters").glob("*") if path.is_dir())
    return tuple(sorted(one for one in found if _exists(one)))


def _exists(name: str) -> bool:
    try:
        return (state.cluster_folder(name) / "state.json").exists() or _in_containers(name)
    except UsageError:  # a folder that is not from this program
        return False


def nearest_name(name: str) -> str:
    """Which cluster may have been meant, or which there are; for a hint."""
    there = names()
    return nearest(name, there) or (f"there are: {', '.join(there)}" if there else "there is none yet")


def reach(text: str) -> Reached:
    """The addresses and credentials of ``NAME`` or ``NAME/ROLE``; the role is ``admin`` where none is named.

    Raises ClusterUnreachable for a cluster that does not exist or run, UsageError for what can't be a name,
    ConfigError for a role that the cluster does not have, LocalClusterError for a damaged file.
    """
    name, slash, role = text.partition("/")
    folder = state.cluster_folder(name)
    if _in_containers(name):
        bootstrap = ContainerCluster(name).status().bootstrap
        if not bootstrap:
            raise _not_running(name, " --docker")
    else:
        known = state.load_state(folder)
        if known is None:
            hint = nearest_name(name)
            if not hint.startswith("did"):
                hint += f"; start it: sensorstream cluster up{name_flag(name)}"
            raise ClusterUnreachable(f"there is no cluster {name!r}", hint=hint)
        live, strays = processes(folder, known)
        if not live and not strays:
            raise _not_running(name, "")
        bootstrap = addresses(known.ports)
    return Reached(name, bootstrap, _credentials(folder, name, role if slash else None), Registry(folder).url())


def _in_containers(name: str) -> bool:
    return ContainerCluster(name).known


def _not_running(name: str, kind: str) -> ClusterUnreachable:
    return ClusterUnreachable(
        f"cluster {name!r} does not run", hint=f"start it: sensorstream cluster up{kind}{name_flag(name)}"
    )


def _credentials(folder: Path, name: str, role: str | None) -> dict[str, str]:
    path = folder / PROPERTIES
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if role in (None, ADMIN):
            return {}
        raise ConfigError(
            f"cluster {name!r} has no user {role!r}: it is not secured", hint=f"write cluster:{name}"
        ) from None
    except (OSError, ValueError) as error:
        # What is in it may be a password: of a parser's words only the place is told.
        raise _damaged(path, getattr(error, "strerror", None) or "it is not JSON") from error
    if not isinstance(told, dict) or not all(isinstance(one, dict) for one in told.values()):
        raise _damaged(path, "it is not an object of objects")
    role = role if role is not None else ADMIN
    if role not in told:
        raise ConfigError(
            f"cluster {name!r} has no user {role!r}", hint=nearest(role, told) or f"there are: {', '.join(told)}"
        )
    return {str(key): str(value) for key, value in told[role].items()}


def _damaged(path: Path, why: str) -> LocalClusterError:
    return LocalClusterError(f"{path} can't be read: {why}", hint="start the cluster again to create it")


def environment(text: str) -> ClusterEnvironment:
    """What to export for ``NAME`` or ``NAME/ROLE``. No secret is among it: commands read those themselves.

    Raises as :func:`reach` does.
    """
    found = reach(text)
    variables = {"SENSORSTREAM_BOOTSTRAP": f"cluster:{text}", "KAFKA_BOOTSTRAP_SERVERS": ",".join(found.bootstrap)}
    if found.name.isdecimal():  # cluster:9092 is an address
        variables["SENSORSTREAM_BOOTSTRAP"] = variables["KAFKA_BOOTSTRAP_SERVERS"]
    if found.schema_registry is not None:
        variables["SENSORSTREAM_SCHEMA_REGISTRY"] = found.schema_registry
    if os.environ.get("SENSORSTREAM_STATE_DIR"):
        variables["SENSORSTREAM_STATE_DIR"] = str(state_folder())
    return ClusterEnvironment(found.name, variables)


def list_clusters() -> ClusterList:
    """Every cluster of this machine; one whose files are damaged hides no other."""
    return ClusterList(tuple(_listed(name) for name in names()))


def _listed(name: str) -> ListedCluster:
    if _in_containers(name):
        return ListedCluster(name, "containers")
    folder = state.cluster_folder(name)
    try:
        known = state.load_state(folder)
        formatted = state.load_formatted(Path(known.data_dir)) if known is not None else None
    except SensorstreamError:
        return ListedCluster(name, "unreadable")
    if known is None:  # deleted a moment ago
        return ListedCluster(name, "stopped")
    live, strays = processes(folder, known)
    whole = set(live) == set(known.ports)
    return ListedCluster(
        name,
        "running" if whole else "degraded" if live or strays else "stopped",
        kafka_version=formatted.kafka_version if formatted else None,
        mode=formatted.mode if formatted else None,
        brokers=tuple(known.ports),
        running=tuple(sorted(live)),
        bootstrap=addresses(known.ports),
        data_dir=known.data_dir,
    )
