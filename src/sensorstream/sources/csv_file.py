"""Stations 1-2: the rows of a CSV file, a pipe or standard input, in the letters of the file.

Rows are read with the standard library's parser in its strict mode (RFC 4180), not with pandas, which pads
short rows, turns long ones into an index and can't say on which line a bad row stands. Memory doesn't grow
with the file: neither with its rows nor, ``max_row`` being the bound, with one endless row.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensorstream.errors import SourceError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.line_source import MAX_ROW, LineSource
from sensorstream.sources.text_lines import LongLine

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS: Final = (",", ";", "\t", "|")


class CsvSource(LineSource):
    """One CSV source.

    ``delimiter`` is one character, "auto" for the one that the header uses
    most, or None for the comma. ``quoted`` False: a quote is a letter like others, and every line is a row.
    ``columns`` names the columns of a source without a header. A row that is longer than ``max_row``, or whose
    quote is still open after so many characters, is rejected and reading goes on with the next line. Wholly blank
    lines are skipped. Everything else is as in :class:`~sensorstream.sources.line_source.LineSource`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        encoding: str = "utf-8",
        delimiter: str | None = None,
        quoted: bool = True,
        columns: Sequence[str] = (),
        start_row: int = 0,
        max_row: int = MAX_ROW,
        listener: Listener = ignore,
    ) -> None:
        super().__init__(path, encoding=encoding, start_row=start_row, max_row=max_row)
        if delimiter not in (None, "auto") and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise UsageError(f"delimiter {delimiter!r} is not one character", hint="for example ';', or auto")
        self._delimiter = delimiter or ","
        self._quoted = quoted
        self._given_columns = tuple(columns)
        self._listener = listener
        # Lines are counted from 0 here. _line: the first line that is not of a finished row; _held: the lines
        # from _held_from on that were fed to the parser; _queue: lines to be fed (again) before new ones.
        self._line = 0
        self._held: list[str] = []
        self._held_from = 0
        self._fed = 0
        self._queue: deque[list[str] | LongLine] = deque()
        self._long: LongLine | None = None
        self._row_too_long = False

    def _begin(self) -> None:
        # The parser's own limit is one for the whole process and only ever raised here; ours is below it.
        csv.field_size_limit(max(csv.field_size_limit(), self._max_row + 1))
        self.columns = self._read_header()

    def _read_header(self) -> tuple[str, ...]:
        if self._delimiter == "auto":
            self._delimiter = self._most_used_delimiter()
        if self._given_columns:
            # The first line is read nevertheless: a file that can't be read is found now, not later.
            self._queue.extend(islice(self._blocks, 0 if self._queue else 1))
            self._start_parser()
            return self._given_columns
        self._start_parser()
        try:
            cells = next((cells for cells in self._parser if cells), None)
        except csv.Error as error:
            raise SourceError(
                f"{self.name}: the header is not CSV: {error}", hint="is the delimiter another one?"
            ) from error
        if cells is None:
            if self._long is not None:
                raise SourceError(f"{self.name}: the header is longer than {self._max_row} characters")
            raise SourceError(f"{self.name} has no header line", hint="the first line must name the columns")
        if any("\0" in cell for cell in cells):
            raise SourceError(
                f"{self.name}: there are NUL characters in the header",
                hint="if it is UTF-16, try --encoding utf-16-le or utf-16-be",
            )
        self._line = self._parser.line_num
        if len(cells) == 1:
            other = next((mark for mark in DELIMITERS if mark in cells[0]), None)
            if other is not None:
                self._notice(f"the header is one column, {cells[0]!r}: is the delimiter {other!r}?")
        return self._unique(cells)

    def _most_used_delimiter(self) -> str:
        for block in self._blocks:
            self._queue.append(block)
            head = next((line for line in block if line.strip()), "") if isinstance(block, list) else block.head
            if head:
                return max(DELIMITERS, key=head.count)  # the first of equals
        return ","

    def _unique(self, names: list[str]) -> tuple[str, ...]:
        columns: list[str] = []
        taken = set(names)
        for number, name in enumerate(names, start=1):
            unique = name
            if not name.strip():
                unique, count = f"column_{number}", 2
                while unique in taken or unique in columns:
                    unique, count = f"column_{number}_{count}", count + 1
                self._notice(f"column {number} has no name, it is called {unique}")
            elif name in columns:
                count = 2
                while unique in taken or unique in columns:
                    unique, count = f"{name}_{count}", count + 1
                self._notice(f"column {number} is another {name!r}, it is called {unique}")
            columns.append(unique)
        return tuple(columns)

    def _notice(self, text: str) -> None:
        self._listener(Notice(f"{self.name}: {text}", "warning"))

    def _start_parser(self) -> None:
        self._long = None
        self._row_too_long = False
        self._parser_from = self._line
        self._parser: Reader = csv.reader(
            chain.from_iterable(self._feed()),
            delimiter=self._delimiter,
            quoting=csv.QUOTE_MINIMAL if self._quoted else csv.QUOTE_NONE,
            strict=True,
        )

    def _restart(self, lines: list[str]) -> None:
        """Parse on from ``_line``, of which and after which these lines have been read already."""
        if self._long is not None:
            self._queue.appendleft(self._long)
        if lines:
            self._queue.appendleft(lines)
        self._held = []
        self._held_from = self._fed = self._line
        self._start_parser()

    def _feed(self) -> Iterator[list[str]]:
        """Blocks of lines for the parser. Ends at the end of the file and wherever a row grows too long."""
        while True:
            del self._held[: self._line - self._held_from]
            self._held_from = self._line
            if self._held and sum(map(len, self._held)) > self._max_row:
                self._row_too_long = True
                return
            block = self._queue.popleft() if self._queue else next(self._blocks, None)
            if block is None:
                return
            if isinstance(block, LongLine):
                self._long = block
                return
            self._held += block
            self._fed += len(block)
            yield block

    def _fill(self, rows: list[SourceRow], rejected: list[Rejected], limit: int) -> bool:
        parser, base, width, first = self._parser, self._parser_from, len(self.columns), self._start_row
        index, line = self._next, self._line
        room = limit - len(rows) - len(rejected)
        emit, new = rows.append, tuple.__new__
        try:
            for cells in parser:
                end = base + parser.line_num
                if end - line > 1 and self._length(line, end) > self._max_row:
                    self._next = index
                    return self._reject_line(rejected, self._too_long_reason())
                if len(cells) == width:
                    if index >= first:
                        emit(new(SourceRow, (index, line + 1, cells)))
                        room -= 1
                    index += 1
                elif cells:
                    if index >= first:
                        reason = f"it has {_fields(len(cells))}, the header has {width}"
                        rejected.append(self._rejected(line, self._raw(line, end), reason))
                        room -= 1
                    index += 1
                self._line = line = end
                if room <= 0 or (end == self._fed and (rows or rejected)):
                    self._next = index
                    return room > 0 and bool(self._queue)
        except csv.Error as error:
            self._next = index
            return self._reject_line(rejected, self._reason(error, base + parser.line_num))
        self._next = index
        if self._long is None:
            return False
        head, self._long = self._long.head, None
        self._count_rejected(rejected, head, f"it is longer than {self._max_row} characters; the rest is cut off")
        self._line += 1
        self._restart([])
        return True

    def _reject_line(self, rejected: list[Rejected], reason: str) -> bool:
        """Reject the first line of a row that can't be parsed, and go on with the line after it.

        A stray quote makes one row of all lines up to the next quote; only the line that it stands in is bad.
        """
        lines = self._held[self._line - self._held_from :]
        self._count_rejected(rejected, lines[0], reason)
        self._line += 1
        self._restart(lines[1:])
        return True

    def _count_rejected(self, rejected: list[Rejected], raw: str, reason: str) -> None:
        if self._next >= self._start_row:
            rejected.append(self._rejected(self._line, raw, reason))
        self._next += 1

    def _rejected(self, line: int, raw: str, reason: str) -> Rejected:
        raw = raw.removesuffix("\n").removesuffix("\r")
        return Rejected({"file": self.name, "line": line + 1}, reason, raw.encode("utf-8", "surrogatepass"))

    def _raw(self, line: int, end: int) -> str:
        return "".join(self._held[line - self._held_from : end - self._held_from])

    def _length(self, line: int, end: int) -> int:
        return sum(map(len, self._held[line - self._held_from : end - self._held_from]))

    def _too_long_reason(self) -> str:
        return f"a quote opened in this line is not closed within {self._max_row} characters"

    def _reason(self, error: csv.Error, end: int) -> str:
        if self._row_too_long:
            return self._too_long_reason()
        if str(error) == "unexpected end of data":
            return "a quote opened in this line is not closed"
        if end - self._line > 1:
            return f"a quote opened in this line runs into line {end}: {error}"
        return str(error)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"
