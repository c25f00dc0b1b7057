"""Station 8: the interface of every transform: rows in, rows out, none lost silently.

A plug-in is an entry point of the group ``sensorstream.transforms``: a factory that takes the options of the user
(``--set name=value``, as texts) and gives a :class:`Transform`. It runs in a process of its own where a pipeline has
several workers, so it is made there and never sent over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from sensorstream.records import ConsumedRecord, Row


class InputRow(NamedTuple):
    """One decoded record: its values, and the record that it came in."""

    row: Row
    record: ConsumedRecord


class OutputRow(NamedTuple):
    """One row that a transform made. None keeps the key, or the timestamp (ms since 1970 UTC), of the input."""

    row: Row
    key: bytes | None = None
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that the transform can't use, and why, in one line. It goes to the dead letters, whole."""

    reason: str


Transformed: TypeAlias = Sequence[OutputRow] | Unusable
"""What became of one row: no row, one or several; or why it can't be used."""


class Transform(Protocol):
    """Makes rows of rows. Used from one thread."""

    @property
    def name(self) -> str:
        """What it is called, for people and in records."""

    @property
    def version(self) -> str:
        """Its version; the same name and version give the same rows for the same rows."""

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One answer for each row, in the same order. It must not raise because of a row: that one is Unusable."""


@runtime_checkable
class SlowToStart(Protocol):
    """A transform that takes long over something before its first rows, and can begin with it ahead of them."""

    def get_ready(self) -> None:
        """Begin it, on a thread of its own. It must not wait, nor raise."""


def get_ready(transform: object) -> None:
    """Let a transform that is :class:`SlowToStart` begin, while the brokers are asked for the first rows."""
    if isinstance(transform, SlowToStart):
        transform.get_ready()


TransformFactory: TypeAlias = Callable[[Mapping[str, str]], Transform]
"""Makes a transform of the user's options. Raises UsageError for one that it does not know."""
