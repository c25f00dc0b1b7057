"""Station 9: what the sinks whose rows lie in a file with a position have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from sensorstream.events import Listener
from sensorstream.records import ConsumedRecord
from sensorstream.serde.row_maker import RowMaker
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.dead_letter import rejected_record
from sensorstream.sinks.held import Held
from sensorstream.sinks.positioned_file import PositionedFile


class PositionedSink(ABC):
    """A :class:`~sensorstream.sinks.base.Sink` on a :class:`PositionedFile`; a kind of it says what its rows look like.

    ``log`` says which partition of which topic and cluster is to be stored, ``maker`` makes the rows of its records.
    """

    def __init__(self, file: PositionedFile, log: Checkpoint, listener: Listener, maker: RowMaker) -> None:
        self._file = file
        self._log = log
        self._maker = maker
        self._listener = listener
        self.rows = 0
        self.rejected = 0

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._file.path)

    def open(self) -> int | None:
        """Lock the file and cut it to its position; see :class:`sensorstream.sinks.base.Sink`."""
        stored = self._file.open(self._log)
        return None if stored is None else stored.next_offset

    @property
    def end(self) -> int | None:
        """Where its range ends."""
        return self._file.end

    def start(self, offset: int, end: int | None = None) -> None:
        """Begin the file at ``offset``."""
        self._file.start(replace(self._log, next_offset=offset, range_end=end))

    @property
    def held(self) -> Held | None:
        """Which offsets it holds."""
        return self._file.held

    def skip(self, position: int) -> None:
        """Go on at ``position``."""
        self._file.skip(position)

    @abstractmethod
    def write(self, records: Sequence[ConsumedRecord]) -> Collection[int]:
        """Add records; what can't be used goes to the rejected file. Returns the offsets of that."""

    def write_values(
        self, values: Sequence[bytes | None], make_records: Callable[[], Sequence[ConsumedRecord]]
    ) -> Collection[int]:
        """Add the records that ``make_records`` gives."""
        return self.write(make_records())

    def reject(self, record: ConsumedRecord, reason: str) -> None:
        """Put a record into the rejected file, whole."""
        self._listener(self._file.append_rejected(rejected_record(record, reason)))
        self.rejected += 1

    def commit(self, position: int) -> None:
        """Make everything written durable, with the next offset to read."""
        self._file.commit(position)

    def settle(self, *, last: bool = False) -> None:  # noqa: B027  # most need nothing more
        """Nothing to do: the file is whole as it is."""

    def close(self) -> None:
        """Release the file; what was not committed is cut."""
        self._file.close()
