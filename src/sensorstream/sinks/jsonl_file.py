"""Station 9: the records of one partition in one JSON Lines file: each value as received, on one line."""

from collections.abc import Collection, Sequence
from pathlib import Path

from sensorstream.errors import DecodeError
from sensorstream.events import Listener, ignore
from sensorstream.records import ConsumedRecord
from sensorstream.serde.row_maker import PLAIN, RowMaker, json_line
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.positioned_file import PositionedFile
from sensorstream.sinks.positioned_sink import PositionedSink


class JsonlFileSink(PositionedSink):
    """Captures the records of one partition, of which ``rows`` makes the rows.

    Plain ones are stored as they came, any JSON value among them; a tombstone then is ``null``.
    """

    def __init__(self, path: Path, log: Checkpoint, listener: Listener = ignore, rows: RowMaker = PLAIN) -> None:
        super().__init__(PositionedFile(path), log, listener, rows)

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
