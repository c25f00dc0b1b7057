"""The causes why a client waits, as found in the cluster, and their texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sensorstream.records import TopicPartition
from sensorstream.wording import numbered

_NAMED: Final = 3
"""So many of several like things are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Waited:
    """What is waited for, so that a client knows what to look at.

    ``topics`` are topics with all their partitions, ``partitions`` single ones; ``writes`` says that records are to be
    acknowledged there, not only read. ``group`` and ``transactional_id`` are those whose coordinators must answer.
    Nothing at all: the brokers themselves.
    """

    topics: tuple[str, ...] = ()
    partitions: tuple[TopicPartition, ...] = ()
    writes: bool = False
    group: str | None = None
    transactional_id: str | None = None

    def and_also(self, other: "Waited") -> "Waited":
        """What either of them is waiting for."""
        return Waited(
            tuple(dict.fromkeys(self.topics + other.topics)),
            tuple(dict.fromkeys(self.partitions + other.partitions)),
            self.writes or other.writes,
            self.group or other.group,
            self.transactional_id or other.transactional_id,
        )


@dataclass(frozen=True, slots=True)
class NoBroker:
    """No broker can be asked; ``tried`` has each address and what came of it."""

    tried: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SilentBroker:
    """A broker that is needed does not answer; ``role`` is what it does besides, in words.

    ``broker`` None: an address that was given, and that the cluster's list does not have, or no longer.
    """

    broker: int | None
    address: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class NoLeader:
    """A partition that nobody leads; its replicas are on these brokers."""

    partition: TopicPartition
    replicas: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TooFewInSync:
    """A partition whose leader refuses records, as ``in_sync`` is below ``needed`` (``min.insync.replicas``)."""

    partition: TopicPartition
    in_sync: int
    needed: int
    replicas: tuple[int, ...]
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NoCoordinator:
    """The coordinator of a group or of a transactional id (``of``, in words) can't be had, and why."""

    of: str
    why: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """A broker makes this client wait, as it is over its quota; ``seconds`` at a time."""

    broker: str
    seconds: float = field(compare=False)


Cause: TypeAlias = NoBroker | SilentBroker | NoLeader | TooFewInSync | NoCoordinator | Throttled


def words(causes: Sequence[Cause]) -> str:
    """Causes in one line of plain words, like ones together; nothing for none."""
    groups: dict[object, list[Cause]] = {}
    for cause in causes:
        groups.setdefault(_likeness(cause), []).append(cause)
    return "; ".join(_told(group) for group in groups.values())


def brokers(numbers: Iterable[int]) -> str:
    """``broker 2``, ``brokers 1, 2``."""
    return numbered("broker", sorted(numbers))


def _likeness(cause: Cause) -> object:
    match cause:
        case NoLeader(_, replicas):
            return ("no leader", replicas if len(replicas) == 1 else frozenset(replicas))
        case TooFewInSync(_, in_sync, needed, replicas, missing):
            return (in_sync, needed, len(replicas), frozenset(missing))
        case _:
            return cause


def _told(causes: Sequence[Cause]) -> str:
    match causes[0]:
        case NoBroker(tried):
            return f"no broker answers ({_listed([f'{address}: {why}' for address, why in tried])})"
        case SilentBroker(number, address, role):
            who = f"the broker at {address}" if number is None else f"broker {number} ({address})"
            return f"{who}{f', which {role},' if role else ''} does not answer"
        case NoLeader(_, replicas):
            has, its = ("have", "their") if len(causes) > 1 else ("has", "its")
            on = f"{its} replica{'s are' if len(replicas) > 1 else ' is'} on {brokers(replicas)}"
            return f"{_partitions(causes)} {has} no leader: {on}"
        case TooFewInSync(_, in_sync, needed, replicas, missing):
            has = "have" if len(causes) > 1 else "has"
            away = f", {brokers(missing)} missing" if missing else ""
            return (
                f"{_partitions(causes)} {has} {in_sync} of {len(replicas)} replicas in sync and must have {needed} "
                f"(min.insync.replicas){away}"
            )
        case NoCoordinator(of, why):
            return f"the coordinator of {of} can't be reached: {why}"
        case Throttled(broker, seconds):
            return f"{broker} throttles this client, for {seconds:.0f} s now: it is over its quota"


def _partitions(causes: Sequence[Cause]) -> str:
    return _listed([str(cause.partition) for cause in causes if isinstance(cause, NoLeader | TooFewInSync)])


def _listed(names: Sequence[str]) -> str:
    if len(names) <= 1:
        return "".join(names)
    if len(names) <= _NAMED:
        return f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
