"""Station 9: the interface of every place where a capture stores records."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from sensorstream.records import ConsumedRecord
from sensorstream.sinks.held import Held


class Sink(Protocol):
    """Stores the records of one partition together with their position, the next offset to read.

    What was written and not committed does not count: after a crash it is gone, and is read again.
    """

    @property
    def name(self) -> str:
        """Where the records go, for people: a path, or ``stdout``."""

    @property
    def rows(self) -> int:
        """Records written since the sink was opened."""

    @property
    def rejected(self) -> int:
        """Records since then that went to the rejected file instead."""

    def open(self) -> int | None:
        """Make the sink ready; return its stored position, or None where it holds nothing yet.

        Raises PositionMismatch where it holds another partition's records, SinkError where it can't be used.
        """

    @property
    def end(self) -> int | None:
        """The offset before which what it is to hold ends, as it was stored with its position; None: without end."""

    def start(self, offset: int, end: int | None = None) -> None:
        """Begin a sink that holds nothing yet: its first position is ``offset``, its range ends before ``end``.

        Both are stored.
        """

    @property
    def held(self) -> Held | None:
        """Which offsets it holds; None where it keeps nothing, or where an earlier version has begun it."""

    def skip(self, position: int) -> None:
        """Go on at ``position``, with all written that was committed: what is before it is stored elsewhere."""

    def write(self, records: Sequence[ConsumedRecord]) -> Collection[int]:
        """Add records in offset order. A record that can't be stored goes to the rejected file whole.

        Several may have the same offset, where one record was made into several; they come in one call. Returns the
        offsets of those that were not stored: rejected, or left out.
        """

    def write_values(
        self, values: Sequence[bytes | None], make_records: Callable[[], Sequence[ConsumedRecord]]
    ) -> Collection[int]:
        """As :meth:`write`, the records that ``make_records`` gives; ``values`` alone may do, and faster."""

    def reject(self, record: ConsumedRecord, reason: str) -> None:
        """Put a record into the rejected file, whole, with the reason why it can't be used."""

    def commit(self, position: int) -> None:
        """Make everything written durable, together with ``position``. Raises SinkError; nothing is half."""

    def settle(self, *, last: bool = False) -> None:
        """Called after commits, about each second: put away what is due; with ``last``, all that was committed."""

    def close(self) -> None:
        """Let go without committing."""
