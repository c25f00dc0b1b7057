"""Stations 1-2: the rows of a CSV file, a pipe or standard input, with cells as written.

Rows are read with the standard library's parser in its strict mode (RFC 4180), not with pandas, which pads
short rows, turns long ones into an index and can't say on which line a bad row stands. Memory doesn't grow
with the file: neither with its rows nor, ``max_row`` being the bound, with one endless row.
"""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensorstream.errors import SourceError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import Rejected, SourceRow
from sensorstream.serde.json import is_number
from sensorstream.sources.line_source import MAX_ROW, LineSource
from sensorstream.sources.text_lines import LongLine

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS: Final = (",", ";", "\t", "|")
_HEAD_LINES: Final = 5
_YEAR: Final = re.compile("1[89][0-9][0-9]|20[0-9][0-9]")


class CsvSource(LineSource):
    """One CSV source.

    ``delimiter`` is one character, "auto" for the one that the header uses most, or None for the comma, and for the
    one that the header shows where it has no comma. ``quoted`` False: a quote is a letter like others, and every line
    is a row. ``columns`` names the columns of a source without a header; with ``no_header`` they are called column_1
    and so on, as many as the first row has. A row that is longer than ``max_row``, or
    whose quote is still open after so many characters, is rejected and reading goes on with the next line. Wholly blank
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
        no_header: bool = False,
        start_row: int = 0,
        max_row: int = MAX_ROW,
        listener: Listener = ignore,
    ) -> None:
        super().__init__(path, encoding=encoding, start_row=start_row, max_row=max_row)
        if delimiter not in (None, "auto") and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise UsageError(f"delimiter {delimiter!r} is not one character", hint="for example ';', or auto")
        self._delimiter = delimiter or ","
        self._delimiter_is_open = delimiter is None
        self._quoted = quoted
        self._given_columns = tuple(columns)
        self._no_header = no_header
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
        self._found: tuple[list[SourceRow], list[Rejected]] = ([], [])
        self._paused = False

    @property
    def form(self) -> dict[str, str | list[str]]:
        """The format, ``csv``, with the columns, and delimiter and quote where they are not a comma and ``"``."""
        form: dict[str, str | list[str]] = {"format": "csv"}
        if self._delimiter != ",":
            form["delimiter"] = self._delimiter
        if not self._quoted:
            form["quote"] = "none"
        return form | {"columns": list(self.columns)}

    @property
    def unfinished(self) -> tuple[int, int]:
        """The line, from 1, at which a row begins that is not whole yet, and how many lines of it were read."""
        return self._line + 1, max(0, self._fed - self._line)

    def text_of(self, cells: Sequence[str]) -> str:
        """The row as CSV, with quotes where they are needed."""
        if not self._quoted:
            return self._delimiter.join(cells)
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="").writerow(cells)
        return text.getvalue()

    def _begin(self) -> None:
        # The parser's own limit is one for the whole process and only ever raised here; ours is below it.
        csv.field_size_limit(max(csv.field_size_limit(), self._max_row + 1))
        self.columns = self._read_header()

    def _read_header(self) -> tuple[str, ...]:
        if self._delimiter == "auto":
            self._delimiter = self._most_used_delimiter()
        elif self._delimiter_is_open:
            self._delimiter = self._shown_delimiter()
        if self._given_columns:
            # The first line is read nevertheless: a file that can't be read is found now, not later.
            self._queue.extend(islice(self._blocks, 0 if self._queue else 1))
            self._start_parser()
            return self._given_columns
        self._start_parser()
        try:
            cells = next((cells for cells in self._parser if cells), None)
        except csv.Error as error:
            raise SourceError(f"{self.name}: the header is not CSV: {error}", hint="check the delimiter") from error
        if cells is None:
            if self._long is not None:
                raise SourceError(f"{self.name}: the header is longer than {self._max_row} characters")
            raise SourceError(f"{self.name} has no header line", hint="the first line must name the columns")
        if any("\0" in cell for cell in cells):
            raise SourceError(
                f"{self.name}: there are NUL characters in the header",
                hint="if it is UTF-16, try --encoding utf-16-le or utf-16-be",
            )
        if self._no_header:
            self._restart(self._held)
            return tuple(f"column_{number}" for number in range(1, len(cells) + 1))
        self._line = self._parser.line_num
        if len(cells) == 1:
            other = next((mark for mark in DELIMITERS if mark in cells[0]), None)
            if other is not None:
                self._notice(f"the header is one column, {cells[0]!r}: is the delimiter {other!r}?")
        self._doubt(cells)
        return self._unique(cells)

    def _doubt(self, cells: Sequence[str]) -> None:
        """Say so when what is taken for the header may be the first row of a file that has none."""
        data = next((cell for cell in cells if is_number(cell) and not _YEAR.fullmatch(cell)), None)
        if data is not None:
            self._notice(
                f"the first line is taken as the header, although {data!r} in it looks like data: if there is no "
                "header line, name the columns with --columns"
            )

    def _most_used_delimiter(self) -> str:
        return max(DELIMITERS, key=(self._head() or [""])[0].count)  # the first of equals

    def _shown_delimiter(self) -> str:
        """The comma, unless the header is one column of it and several of another delimiter."""
        head = self._head()
        if not head or self._width(head[0], ",") > 1:
            return ","
        other = max(DELIMITERS, key=lambda mark: self._width(head[0], mark))
        width = self._width(head[0], other)
        # A text like "Temperature; inside" names one column: rows without the mark say so.
        rows = [self._width(line, other) for line in head[1:]]
        return other if width > 1 and (not rows or max(rows) > 1) else ","

    def _width(self, line: str, delimiter: str) -> int:
        if not self._quoted:
            return line.count(delimiter) + 1
        try:
            return len(next(csv.reader([line], delimiter=delimiter), []))
        except csv.Error:
            return 1

    def _head(self) -> list[str]:
        """The first lines that are not blank, as far as they are at hand: one at least, unless there is none."""
        for block in self._blocks:
            self._queue.append(block)
            lines = block if isinstance(block, list) else [block.head]
            head = list(islice((line for line in lines if line.strip()), _HEAD_LINES))
            if head:
                return head
        return []

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
                self._notice(
                    f"column {number} is another {name!r}, it is called {unique}; if the first line is no header, name "
                    "the columns with --columns"
                )
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
            if not self._queue and any(self._found) and self.must_wait is not None and self.must_wait():
                # The rest of a row may be long in coming: the rows before it do not wait for it.
                self._paused = True
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
        self._found = rows, rejected
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
                        reason = width_reason(len(cells), width)
                        rejected.append(self._rejected(line, index, self._raw(line, end), reason))
                        room -= 1
                    index += 1
                self._line = line = end
                if room <= 0 or (end == self._fed and (rows or rejected)):
                    self._next = index
                    return room > 0 and bool(self._queue)
        except csv.Error as error:
            self._next = index
            if self._paused:
                return self._pause()
            return self._reject_line(rejected, self._reason(error, base + parser.line_num))
        self._next = index
        if self._paused:
            return self._pause()
        if self._long is None:
            return False
        head, self._long = self._long.head, None
        reason = f"it is longer than {self._max_row} characters; the rest is cut off"
        self._count_rejected(rejected, head, reason, cut=True)
        self._line += 1
        self._restart([])
        return True

    def _pause(self) -> bool:
        """Hand out what was found, and begin once more with the row that is not whole."""
        self._paused = False
        self._restart(self._held[self._line - self._held_from :])
        return False

    def _reject_line(self, rejected: list[Rejected], reason: str) -> bool:
        """Reject the first line of a row that can't be parsed, and go on with the line after it.

        A stray quote makes one row of all lines up to the next quote; only the line that it stands in is bad.
        """
        lines = self._held[self._line - self._held_from :]
        self._count_rejected(rejected, lines[0], reason)
        self._line += 1
        self._restart(lines[1:])
        return True

    def _count_rejected(self, rejected: list[Rejected], raw: str, reason: str, *, cut: bool = False) -> None:
        if self._next >= self._start_row:
            rejected.append(self._rejected(self._line, self._next, raw, reason, cut=cut))
        self._next += 1

    def _rejected(self, line: int, row: int, raw: str, reason: str, *, cut: bool = False) -> Rejected:
        raw = raw.removesuffix("\n").removesuffix("\r")
        file, line = self.place(line + 1)
        where: dict[str, str | int] = {"file": file, "line": line, "row": row}
        return Rejected(where, reason, raw.encode("utf-8", "surrogatepass"), cut=cut)

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


def width_reason(count: int, width: int) -> str:
    """Why a row of ``count`` cells is none of a source of ``width`` columns."""
    return f"it has {'1 field' if count == 1 else f'{count} fields'}, the header has {width}"
