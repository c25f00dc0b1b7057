"""The result of a chaos run: what was done, its effects, and whether the cluster is healthy. None is unknown."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

EventKind: TypeAlias = Literal["fault", "healed", "partition", "controller", "note"]


@dataclass(frozen=True, slots=True)
class ChaosEvent:
    """One thing that happened, ``at_s`` seconds after the start.

    ``fault`` and ``healed`` are what was done to ``broker``; ``partition`` is a partition whose leader or in-sync
    replicas are others now (``leader``, ``isr``); ``controller`` is a new active controller (``broker``); ``note`` is
    all else. ``text`` says it in words.
    """

    at_s: float
    what: EventKind
    text: str
    fault: str | None = None
    broker: int | None = None
    topic: str | None = None
    partition: int | None = None
    leader: int | None = None
    isr: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class PartitionStory:
    """One partition from beginning to end: its leaders in order (None: there was none), for how many seconds it was
    without one that works (none was named, or one that was broken), and the fewest replicas that were in sync."""

    topic: str
    partition: int
    leaders: tuple[int | None, ...]
    without_leader_s: float
    smallest_isr: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChaosResult:
    """What came of it. ``faults`` counts those that were done; ``healthy``: every broker runs and every replica is in
    sync, else ``problems`` says what is not; ``complete`` is False when it was cut short."""

    name: str
    seed: int
    faults: int
    complete: bool
    healthy: bool
    problems: tuple[str, ...]
    seconds: float
    partitions: tuple[PartitionStory, ...]
    events: tuple[ChaosEvent, ...]
