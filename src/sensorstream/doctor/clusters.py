"""The clusters of this machine: which run, which have died, and whether other processes use their ports."""

from dataclasses import dataclass, field
from typing import Final

from sensorstream.cluster import preflight, state
from sensorstream.cluster.named import ListedCluster, list_clusters
from sensorstream.cluster.plan import name_flag
from sensorstream.config import DEFAULT_PORTS
from sensorstream.doctor.results import Check
from sensorstream.errors import SensorstreamError
from sensorstream.wording import counted, numbered

_ANY: Final = "--ports auto"


@dataclass(slots=True)
class Clusters:
    """What was found: the checks; the addresses of all clusters by name, and of those that run; how many brokers do."""

    checks: list[Check] = field(default_factory=list)
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    running: dict[str, tuple[str, ...]] = field(default_factory=dict)
    brokers: int = 0

    def command_for(self, address: str) -> str | None:
        """What starts the broker at this address, where it is one of a cluster of this machine."""
        owner = next((name for name, addresses in self.known.items() if address in addresses), None)
        return None if owner is None else f"sensorstream cluster up{name_flag(owner)}"

    def reached_by(self) -> str:
        """How to come to those that run, in words."""
        return "; ".join(f"-b cluster:{name} ({','.join(addresses)})" for name, addresses in self.running.items())


def look_at_clusters() -> Clusters:
    """Look at every cluster that is remembered; no broker is asked."""
    found = Clusters()
    try:
        listed = list_clusters().clusters
    except (OSError, SensorstreamError) as error:
        found.checks.append(Check("clusters", "cluster", None, "problem", f"they can't be listed: {error}"))
        return found
    for one in listed:
        found.checks.append(_cluster(one))
        if one.bootstrap:
            found.known[one.name] = one.bootstrap
        if one.running and one.bootstrap:
            found.running[one.name] = one.bootstrap
            found.brokers += len(one.running)
        found.checks += _ports_of(one)
    if not any(one.name == state.DEFAULT_NAME for one in listed):
        found.checks += _default_ports(listed)
    if not found.checks:
        found.checks.append(Check("clusters", "cluster", None, "ok", "there is none yet; sensorstream cluster up"))
    return found


def _cluster(one: ListedCluster) -> Check:
    flag = name_flag(one.name)
    up = f"sensorstream cluster up{flag}"
    if one.state == "containers":
        found, advice = "in containers", f"sensorstream cluster status{flag}"
        return Check("clusters", "cluster", one.name, "ok", found, advice)
    folder = state.cluster_folder(one.name)
    try:
        known = state.load_state(folder)
        if one.state == "unreadable":
            state.load_formatted(folder / "data")
    except SensorstreamError as error:
        return Check("clusters", "cluster", one.name, "problem", error.message, error.hint or None)
    if one.state == "unreadable":
        return Check("clusters", "cluster", one.name, "problem", "its data can't be read", f"see {folder}")
    at = ",".join(one.bootstrap or ())
    died = sorted(set(known.processes) - set(one.running or ())) if known is not None else []
    if died:
        verb = "has" if len(died) == 1 else "have"
        found = f"{numbered('broker', died)} {verb} died without being stopped, by a crash or a restart of the machine"
        return Check("clusters", "cluster", one.name, "warning", found, f"{up} starts what is missing; rows are kept")
    if one.state == "degraded":
        away = sorted(set(one.brokers or ()) - set(one.running or ()))
        found = f"{numbered('broker', away)} stopped, the others run ({at})"
        return Check("clusters", "cluster", one.name, "warning", found, up)
    if one.state == "stopped":
        return Check("clusters", "cluster", one.name, "ok", f"stopped ({at})", f"to start it: {up}")
    return Check("clusters", "cluster", one.name, "ok", f"{counted(len(one.running or ()), 'broker')} running ({at})")


def _ports_of(one: ListedCluster) -> list[Check]:
    """Ports of brokers that don't run, on which somebody else listens."""
    if one.brokers is None or one.bootstrap is None:
        return []
    away = {
        broker: int(address.rpartition(":")[2])
        for broker, address in zip(one.brokers, one.bootstrap, strict=True)
        if broker not in (one.running or ())
    }
    # With links a proxy holds the ports while brokers are away.
    if state.cluster_folder(one.name).joinpath("links").is_dir():
        return []
    advice = f"stop that process, or: sensorstream cluster up{name_flag(one.name)} {_ANY}"
    return [
        Check("clusters", "ports", one.name, "warning", f"broker {broker} wants port {port}: {_taken(port)}", advice)
        for broker, port in away.items()
        if preflight.listens(port)
    ]


def _default_ports(listed: tuple[ListedCluster, ...]) -> list[Check]:
    """The ports that ``cluster up`` would take, where others have them; containers are meant to."""
    if any(one.state == "containers" for one in listed):
        return []
    ours = {address for one in listed if one.running for address in one.bootstrap or ()}
    taken = [port for port in DEFAULT_PORTS if f"127.0.0.1:{port}" not in ours and preflight.listens(port)]
    return [
        Check(
            "clusters",
            "ports",
            None,
            "warning",
            f"cluster up would take port {port}: {_taken(port)}",
            f"stop that process, or: sensorstream cluster up {_ANY}",
        )
        for port in taken
    ]


def _taken(port: int) -> str:
    owner = preflight.owner(port)
    return f"it is in use by {owner}" if owner else "it is in use"
