"""Station 9: the records of one partition in one JSON Lines file: each value as received, on one line."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from sensorstream.errors import DecodeError
from sensorstream.events import Listener, ignore
from sensorstream.records import ConsumedRecord
from sensorstream.serde.row_maker import PLAIN, RowMaker, json_line
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.dead_letter import rejected_record
from sensorstream.sinks.held import Held
from sensorstream.sinks.positioned_file import PositionedFile


class JsonlFileSink:
    """Captures the records of one partition, of which ``rows`` makes the rows.

    Plain ones are stored as they came, any JSON value among them; a tombstone then is ``null``.
    """

    def __init__(self, path: Path, log: Checkpoint, listener: Listener = ignore, rows: RowMaker = PLAIN) -> None:
        self._file = PositionedFile(path)
        self._log = log
        self._maker = rows
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

    def write(self, records: Sequence[ConsumedRecord]) -> Collection[int]:
        """Add records; what can't be used goes to the rejected file. Returns the offsets of that."""
        lines: list[bytes] = []
        rejected: set[int] = set()
        for record in records:
            try:
                lines.append(self._line(record))
            except DecodeError as error:
                self.reject(record, error.message)
                rejected.add(record.offset)
        if lines:
            lines.append(b"")
            self._file.append(b"\n".join(lines))
            self.rows += len(lines) - 1
        return rejected

    def _line(self, record: ConsumedRecord) -> bytes:
        """The line of a record, without its end. Raises DecodeError."""
        return json_line(record, self._maker)

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

    def settle(self, *, last: bool = False) -> None:
        """Nothing to do: the file is whole as it is."""

    def close(self) -> None:
        """Release the file; what was not committed is cut."""
        self._file.close()
