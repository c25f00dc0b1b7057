"""Station 9: the records of one partition in one CSV file that is consistent at any moment.

The first record's columns make the header. A record with columns that the header lacks widens the whole file
(rewritten once, atomically); one that lacks columns leaves their cells empty. The line ending is ``\\n``.
"""

import csv
import io
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from operator import add
from pathlib import Path
from typing import BinaryIO, Final, cast

from sensorstream.errors import DecodeError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import ConsumedRecord, Row
from sensorstream.serde.bulk_csv import CsvWriter
from sensorstream.serde.csv_cells import csv_text, to_cell
from sensorstream.serde.row_maker import PLAIN, RowMaker
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.positioned_file import PositionedFile
from sensorstream.sinks.positioned_sink import PositionedSink

_REWRITTEN_AT_ONCE: Final = 1000
_ANY_CELL: Final = 2**31 - 1
MAX_COLUMNS: Final = 4096
"""A record that would widen the file beyond this is rejected: each widening rewrites the file."""


class CsvFileSink(PositionedSink):
    """Captures the records of one partition into a CSV file.

    ``log`` says which partition of which topic and cluster is to be stored; with ``raw`` the text cells that a
    spreadsheet would run as a formula are not escaped. ``rows`` makes the rows of the records.
    """

    def __init__(self, path: Path, log: Checkpoint, listener: Listener = ignore, rows: RowMaker = PLAIN) -> None:
        super().__init__(PositionedFile(path), log, listener, rows)
        self._writer: CsvWriter | None = None
        self._columns: tuple[str, ...] = ()
        self._known: frozenset[str] = frozenset()

    def open(self) -> int | None:
        """Lock the file and cut it to its position; see :class:`sensorstream.sinks.base.Sink`."""
        stored = self._file.open(self._log)
        if stored is None:
            return None
        self._take_columns(stored.columns)
        return stored.next_offset

    def write(self, records: Sequence[ConsumedRecord]) -> Collection[int]:
        """Add records; what gives no row goes to the rejected file. Returns the offsets of that."""
        rejected: set[int] = set()
        cells: list[list[str]] = []
        offset, same = -1, 0
        for record in records:
            if record.offset != offset:
                offset, same = record.offset, 0
            try:
                row = self._maker.row(record)
            except DecodeError as error:
                self.reject(record, error.message)
                rejected.add(record.offset)
                continue
            if row.keys() != self._known and not self._fits(row, record, cells, same):
                rejected.add(record.offset)
                continue
            raw = self._log.raw
            cells.append([to_cell(row.get(column), raw) for column in self._columns])
            same += 1
        self._append(cells)
        return rejected

    def write_values(
        self, values: Sequence[bytes | None], make_records: Callable[[], Sequence[ConsumedRecord]]
    ) -> Collection[int]:
        """Add records: all at once where their values are plain objects of just the file's columns."""
        if not self._maker.plain_values:
            return self.write(make_records())
        done, rejected = 0, set[int]()
        if self._writer is None:
            # The first record brings the columns with it.
            rejected.update(self.write(make_records()[:1]))
            values, done = values[1:], 1
        lines = self._writer.lines(cast("Sequence[bytes]", values)) if self._writer and None not in values else None
        if lines is None:
            rejected.update(self.write(make_records()[done:]))
        else:
            records = make_records()[done:] if self._maker.kinds else []
            whole = lines if self._maker.plain else self._beside(records, lines)
            if whole is None:
                rejected.update(self.write(records))
            else:
                self._file.append(whole)
                self.rows += len(values)
        return rejected

    def commit(self, position: int) -> None:
        """Make everything written durable, with the next offset to read."""
        self._file.commit(position, self._columns)

    def _fits(self, row: Row, record: ConsumedRecord, cells: list[list[str]], same: int) -> bool:
        """Make the header hold every column of ``row``; False where the record was rejected instead.

        The last ``same`` of ``cells`` came out of the same record.
        """
        added = tuple(column for column in row if column not in self._known)
        if not row:
            self.reject(record, "an object without columns")
            return False
        if not added:
            return True
        columns = (*self._columns, *added)
        if len(columns) > MAX_COLUMNS:
            self.reject(record, f"its new columns would make {len(columns)}, over {MAX_COLUMNS}")
            return False
        before = len(cells) - same
        self._append(cells[:before])
        # A crash after the widening comes back to this record: what else it was made into must not be there by then.
        cells[:] = [[*row_of_it, *([""] * len(added))] for row_of_it in cells[before:]]
        if self._columns:
            # The rewrite must start from a state that a crash would come back to.
            self._file.commit(record.offset, self._columns)
            raw = self._log.raw

            def widen(old: BinaryIO, new: BinaryIO) -> None:
                _widen(old, new, [to_cell(column, raw) for column in columns])

            self._file.replace_data(widen, columns)
            self._listener(
                Notice(f"{self.name}: new columns from offset {record.offset} on: {', '.join(added)}", "warning")
            )
        else:
            self._file.append(_lines([[to_cell(column, self._log.raw) for column in columns]]))
        self._take_columns(columns)
        return True

    def _beside(self, records: Sequence[ConsumedRecord], lines: bytes) -> bytes | None:
        """The lines of the records' values with the columns of the records themselves in front; None: one by one."""
        raw, beside = self._log.raw, self._maker.beside
        try:
            # One more cell, an empty one, makes the comma behind them.
            cells = [[*[to_cell(value, raw) for value in beside(record).values()], ""] for record in records]
        except DecodeError:
            return None
        text = csv_text(cells)
        if "\r" in text:
            # Of such a row every cell is quoted.
            return None
        fronts = text.encode("utf-8", "backslashreplace").split(b"\n")
        ends = lines.split(b"\n")
        # A line end within a key makes one line more.
        return b"\n".join(map(add, fronts, ends)) if len(fronts) == len(ends) else None

    def _append(self, cells: list[list[str]]) -> None:
        if cells:
            self._file.append(_lines(cells))
            self.rows += len(cells)

    def _take_columns(self, columns: tuple[str, ...]) -> None:
        self._columns, self._known = columns, frozenset(columns)
        # The columns of the record itself come first in every row, and so in every file.
        values = columns[len(self._maker.kinds) :]
        self._writer = CsvWriter(values, self._log.raw) if values else None


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = csv_text(rows)
    # A lone surrogate can't come out of valid UTF-8 but can out of a JSON escape; it is kept as that escape.
    return text.encode("utf-8", "backslashreplace")


def _widen(old: BinaryIO, new: BinaryIO, header: Sequence[str]) -> None:
    # What was written must be readable: the parser's own limit of 128 KiB a cell is below Kafka's for a record.
    csv.field_size_limit(max(csv.field_size_limit(), _ANY_CELL))
    reader = csv.reader(io.TextIOWrapper(old, encoding="utf-8", newline=""))
    narrow = len(next(reader))
    padding = [""] * (len(header) - narrow)
    new.write(_lines([header]))
    while rows := list(islice(reader, _REWRITTEN_AT_ONCE)):
        new.write(_lines([[*row, *padding] for row in rows]))
