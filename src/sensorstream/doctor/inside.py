"""The cluster from inside: the addresses that it advertises, its brokers, its controller, its clock, its version."""

from collections.abc import Sequence
from typing import Final

from sensorstream.admin.checkup import Introduction, Look, look
from sensorstream.clients.first_words import ANSWER_S
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.reachable import silent
from sensorstream.cluster.artifacts import pinned_versions, version_key
from sensorstream.doctor import network
from sensorstream.doctor.connection import Way
from sensorstream.doctor.results import Check, skipped
from sensorstream.errors import SensorstreamError
from sensorstream.wording import counted, numbered

_CLOCK_S: Final = 10.0
"""Two clocks that differ by less do no harm."""
_MEANING: Final = "clients connect to the address that a broker advertises, not to yours"


def look_inside(ways: Sequence[Way], properties: ClientProperties) -> list[Check]:
    """What the cluster is like, asked at the addresses that were reached."""
    reached = {way.address: way.introduction for way in ways if way.introduction is not None}
    checks = _same_cluster(reached)
    if any(one.state == "problem" for one in checks):
        return checks + skipped(
            "cluster", None, ("version", "advertised", "brokers", "clock"), "these are several clusters"
        )
    told = next(iter(reached.values()))
    checks.append(_version(told))
    advertised = _advertised(told, ways)
    checks += advertised
    good = [
        told.brokers[broker] for broker, one in zip(sorted(told.brokers), advertised, strict=True) if one.state == "ok"
    ]
    if not good:
        return checks + skipped("cluster", None, ("brokers", "clock"), "no broker can be reached as it is advertised")
    try:
        seen = look(good, properties)
    except SensorstreamError as error:
        return [*checks, Check("cluster", "brokers", None, "problem", error.message, error.hint or None)]
    return [*checks, *_elsewhere(seen, told), _brokers(seen, told), _clock(seen)]


def _same_cluster(reached: dict[str, Introduction]) -> list[Check]:
    clusters: dict[str | None, list[str]] = {}
    for address, told in reached.items():
        clusters.setdefault(told.cluster_id, []).append(address)
    if len(clusters) < 2:
        return []
    found = "; ".join(f"{', '.join(addresses)}: cluster {name}" for name, addresses in clusters.items())
    advice = "give the addresses of one cluster only: which one answers would be left to chance"
    return [Check("cluster", "identity", None, "problem", found, advice)]


def _version(told: Introduction) -> Check:
    oldest = version_key(pinned_versions()[0])[:2]
    known = f"Kafka {told.version or 'of an unknown version'}"
    if told.line is not None and told.line < oldest:
        tested = ".".join(map(str, oldest))
        found = f"{known}; this program is tested with {tested} and later"
        return Check("cluster", "version", None, "warning", found, "update the brokers if something does not work")
    return Check("cluster", "version", None, "ok", known)


def _advertised(told: Introduction, ways: Sequence[Way]) -> list[Check]:
    """Whether each address that the cluster advertises can be reached from here."""
    deaf = silent(told.brokers.values(), ANSWER_S)
    given = {way.address for way in ways}
    abroad = not any(network.is_loopback(way.ips) for way in ways if way.introduction is not None)
    checks = []
    for broker, address in sorted(told.brokers.items()):
        host, _ = network.split(address)
        own = host == "localhost" or network.is_loopback((host,))
        why = deaf.get(address)
        subject = f"broker {broker}"
        if abroad and own:
            found = f"{address} is this machine itself, and the broker is on another one"
            checks.append(Check("cluster", "advertised", subject, "problem", found, _to_change(broker)))
        elif why is None:
            checks.append(Check("cluster", "advertised", subject, "ok", address))
        elif address in given:
            checks.append(Check("cluster", "advertised", subject, "warning", f"{address}: {why}", _NOT_THERE))
        else:
            found = f"it advertises {address}: {why}"
            checks.append(Check("cluster", "advertised", subject, "problem", found, _to_change(broker)))
    return checks


_NOT_THERE: Final = "the broker has just stopped, or is frozen: start it, or look at its log"


def _to_change(broker: int) -> str:
    return (
        f"{_MEANING}: set advertised.listeners of broker {broker} to an address that holds here, as "
        "docs/no-brokers-available.md shows; or start it, if it is down"
    )


def _elsewhere(seen: Look, told: Introduction) -> list[Check]:
    return [
        Check(
            "cluster",
            "advertised",
            f"broker {broker}",
            "problem",
            f"at {told.brokers.get(broker, 'its address')} another cluster answers",
            f"{_MEANING}: ports must be equal inside and outside of a container; correct advertised.listeners",
        )
        for broker in seen.elsewhere
    ]


def _brokers(seen: Look, told: Introduction) -> Check:
    who = "the controller is not known" if seen.controller is None else f"broker {seen.controller} is the controller"
    found = f"{counted(len(told.brokers), 'broker')} ({', '.join(map(str, sorted(told.brokers)))}), {who}"
    if seen.offline:
        found += f"; {counted(seen.offline, 'partition')} without a leader"
    if seen.missing:
        missing = numbered("broker", seen.missing)
        found += f"; {missing} missing, on which replicas are"
        return Check("cluster", "brokers", None, "problem" if seen.offline else "warning", found, f"start {missing}")
    if seen.offline:
        return Check("cluster", "brokers", None, "problem", found, "see: sensorstream topics describe")
    if seen.under_replicated:
        found += f"; {counted(seen.under_replicated, 'partition')} with too few replicas in sync"
        return Check("cluster", "brokers", None, "warning", found, "wait a little, or look at the brokers' logs")
    return Check("cluster", "brokers", None, "ok", found)


def _clock(seen: Look) -> Check:
    if seen.clock_ahead_s is None:
        return Check(
            "cluster",
            "clock",
            None,
            "skipped",
            "the cluster does not report it: it runs with ZooKeeper, or this user may not describe it",
        )
    off = abs(seen.clock_ahead_s)
    if off - seen.clock_within_s <= _CLOCK_S:
        return Check(
            "cluster",
            "clock",
            None,
            "ok",
            f"the controller's clock and this machine's agree within {max(off, 0.1):.1f} s",
        )
    side = "ahead of" if seen.clock_ahead_s > 0 else "behind"
    found = f"the controller's clock is {off:.0f} s {side} this machine's"
    return Check(
        "cluster", "clock", None, "warning", found, "set both by NTP: ages, latencies and certificates depend on it"
    )
