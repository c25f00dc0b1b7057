"""Station 9: records of one partition as one JSON Lines file: each value as it came, on one line."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sensorstream.errors import DecodeError
from sensorstream.events import Listener, ignore
from sensorstream.records import ConsumedRecord
from sensorstream.serde import json as json_serde
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.positioned_file import PositionedFile
from sensorstream.sinks.rejected import rejected_record


class JsonlFileSink:
    """Captures the JSON values of one partition; a tombstone is stored as ``null``."""

    def __init__(self, path: Path, log: Checkpoint, listener: Listener = ignore) -> None:
        self._file = PositionedFile(path)
        self._log = log
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

    def start(self, offset: int) -> None:
        """Begin the file at ``offset``."""
        self._file.start(replace(self._log, next_offset=offset))

    def write(self, records: Sequence[ConsumedRecord]) -> None:
        """Add records; what is not JSON goes to the rejected file."""
        lines: list[bytes] = []
        for record in records:
            try:
                lines.append(json_serde.one_line(b"null" if record.value is None else record.value))
            except DecodeError as error:
                self.reject(record, error.message)
        if lines:
            lines.append(b"")
            self._file.append(b"\n".join(lines))
            self.rows += len(lines) - 1

    def write_values(
        self, values: Sequence[bytes | None], make_records: Callable[[], Sequence[ConsumedRecord]]
    ) -> None:
        """Add the records that ``make_records`` gives."""
        self.write(make_records())

    def reject(self, record: ConsumedRecord, reason: str) -> None:
        """Put a record into the rejected file, whole."""
        self._listener(self._file.append_rejected(rejected_record(record, reason)))
        self.rejected += 1

    def commit(self, position: int) -> None:
        """Make everything written durable, with the next offset to read."""
        self._file.commit(position)

    def close(self) -> None:
        """Release the file; what was not committed is cut."""
        self._file.close()
