"""Station 9: records written to a stream, such as stdout; no position is stored."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sensorstream.errors import DecodeError
from sensorstream.events import Listener, ignore
from sensorstream.records import ConsumedRecord
from sensorstream.serde.csv_cells import csv_text, to_cell
from sensorstream.serde.row_maker import PLAIN, RowMaker, json_line
from sensorstream.sinks.dead_letter import rejected_record
from sensorstream.sinks.held import Held
from sensorstream.sinks.rejected import RejectedFile


class StreamHeader:
    """The CSV header that was written last to a stream, which several partitions may share."""

    columns: tuple[str, ...] | None = None


class StreamSink:
    """Writes rows as JSON Lines or CSV. In CSV, new columns start a new header after a blank line.

    ``header`` is shared by the sinks of one stream; ``rows`` makes the rows of the records.
    """

    def __init__(
        self,
        stream: BinaryIO,
        form: str,
        rejected: Path,
        *,
        raw: bool = False,
        header: StreamHeader | None = None,
        listener: Listener = ignore,
        rows: RowMaker = PLAIN,
    ) -> None:
        self._stream = stream
        self._maker = rows
        self._form = form
        self._raw = raw
        self._rejected = RejectedFile(rejected, listener, once=True)
        self._header = header or StreamHeader()
        self.rows = 0

    @property
    def name(self) -> str:
        """Where the records go."""
        return "stdout"

    @property
    def rejected(self) -> int:
        """Records that went to the rejected file instead."""
        return self._rejected.count

    def open(self) -> int | None:
        """Nothing is remembered: always None."""
        return None

    @property
    def end(self) -> int | None:
        """Nothing is remembered: always None."""
        return None

    def start(self, offset: int, end: int | None = None) -> None:
        """Nothing to do."""

    @property
    def held(self) -> Held | None:
        """Nothing is kept: always None."""
        return None

    def skip(self, position: int) -> None:
        """Nothing to do."""

    def write(self, records: Sequence[ConsumedRecord]) -> Collection[int]:
        """Write records; one that can't be used goes to the rejected file, whole. Returns the offsets of those."""
        out = bytearray()
        rejected: set[int] = set()
        for record in records:
            try:
                out += self._formatted(record)
            except DecodeError as error:
                self.reject(record, error.message)
                rejected.add(record.offset)
            else:
                self.rows += 1
        if out:
            # Unbuffered (PYTHONUNBUFFERED), a write may take a part only: a reader that goes away shows at the next.
            left = memoryview(out)
            while left:
                left = left[self._stream.write(left) :]
            self._stream.flush()
        return rejected

    def write_values(
        self, values: Sequence[bytes | None], make_records: Callable[[], Sequence[ConsumedRecord]]
    ) -> Collection[int]:
        """Add the records that ``make_records`` gives."""
        return self.write(make_records())

    def reject(self, record: ConsumedRecord, reason: str) -> None:
        """Put a record into the rejected file, whole."""
        self._rejected.add(rejected_record(record, reason))

    def commit(self, position: int) -> None:
        """Make what was rejected durable; the stream remembers nothing."""
        self._rejected.sync()

    def settle(self, *, last: bool = False) -> None:
        """Nothing to do: what was written is gone."""

    def close(self) -> None:
        """Make what was rejected durable; the stream belongs to the caller."""
        with suppress(OSError):
            self._rejected.sync()

    def _formatted(self, record: ConsumedRecord) -> bytes:
        if self._form == "jsonl":
            return json_line(record, self._maker) + b"\n"
        row = self._maker.row(record)
        columns = tuple(row)
        lines: list[list[str]] = []
        known = self._header.columns
        if known is None or not set(columns) <= set(known):
            if known is not None:
                lines.append([])
            self._header.columns = known = columns
            lines.append([to_cell(column, self._raw) for column in columns])
        lines.append([to_cell(row.get(column), self._raw) for column in known])
        return csv_text(lines).encode("utf-8", "backslashreplace")
