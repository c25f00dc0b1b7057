"""What a long job reports while it runs. The library emits events; only ``cli/`` turns them into lines.

A listener is called on whatever thread the thing happened; it must be quick and must not raise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class RowPublished:
    """A row was acknowledged by all in-sync replicas; ``value`` is the JSON that was sent."""

    topic: str
    partition: int
    offset: int | None
    value: bytes


@dataclass(frozen=True, slots=True)
class RowStored:
    """A record was written to the sink (durable with the next position)."""

    topic: str
    partition: int
    offset: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands. ``total`` is None where the end is not known and may be ``estimated``;
    ``what`` names the job, e.g. ``AIR``; ``next_row`` is where a replay of it would have to go on."""

    what: str
    done: int
    total: int | None
    failed: int = 0
    estimated: bool = False
    next_row: int | None = None


@dataclass(frozen=True, slots=True)
class PartitionEnd:
    """Everything up to ``offset`` (the next to be written) of a partition has been read."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class RowRejected:
    """A row or record went to the rejected file at ``path``."""

    where: str
    reason: str
    path: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person watching should know; ``level`` is how loud it is."""

    text: str
    level: Literal["debug", "info", "warning"] = "info"


@dataclass(frozen=True, slots=True)
class Step:
    """The next step of a demonstration begins; ``text`` says what is done in it."""

    number: int
    text: str


Event: TypeAlias = RowPublished | RowStored | Progress | PartitionEnd | RowRejected | Notice | Step
Listener: TypeAlias = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of those who do not listen."""
