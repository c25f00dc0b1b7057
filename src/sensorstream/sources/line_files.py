"""Stations 1-2: sources of which every line is one row: JSON Lines, and plain text.

Posts come this way: objects that may differ in their fields, or nothing but a text. A JSON object is published as
it is written, letter for letter, without the blanks around it. Lines end with LF, CR or CRLF; blank lines are
skipped. Memory doesn't grow with the file, nor, ``max_row`` being the bound, with one endless line.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sensorstream.errors import DecodeError
from sensorstream.records import Rejected, SourceRow
from sensorstream.serde.json import quote
from sensorstream.sources.line_source import MAX_ROW, LineSource
from sensorstream.sources.object_source import ObjectSource, json_cells
from sensorstream.sources.text_lines import LongLine

_BLANKS: Final = " \t\r\n"


class TextSource(LineSource):
    """A source of plain text: every line that is not blank is a row of one cell, ``text``.

    A line longer than ``max_row`` is rejected. Everything else is as in
    :class:`~sensorstream.sources.line_source.LineSource`.
    """

    def __init__(
        self, path: str | Path, *, encoding: str = "utf-8", start_row: int = 0, max_row: int = MAX_ROW
    ) -> None:
        super().__init__(path, encoding=encoding, start_row=start_row, max_row=max_row)
        self.columns = ("text",)
        self._pending: deque[str | LongLine] = deque()
        self._line = 0

    @property
    def form(self) -> dict[str, str | list[str]]:
        """The format, ``text``."""
        return {"format": "text"}

    def text_of(self, cells: Sequence[str]) -> str:
        """The line itself."""
        return cells[-1]

    def _begin(self) -> None:
        if self.size_bytes is not None:
            # A file that can't be read is found now; a pipe may have nothing to say for a long time.
            self._read_lines()

    def _read_lines(self) -> bool:
        block = next(self._blocks, None)
        if block is None:
            return False
        self._pending.extend(block if isinstance(block, list) else [block])
        return True

    def _fill(self, rows: list[SourceRow], rejected: list[Rejected], limit: int) -> bool:
        if not self._pending and not self._read_lines():
            return False
        self._take(rows, rejected, limit)
        return not rows and not rejected

    def _take(self, rows: list[SourceRow], rejected: list[Rejected], limit: int) -> None:
        """Make rows of the lines at hand, up to the limit."""
        while self._pending and len(rows) + len(rejected) < limit:
            line = self._pending.popleft()
            self._line += 1
            whole = line if isinstance(line, str) else line.head
            # Not str.strip: to JSON, and to us, other blanks are letters.
            text = whole.strip(_BLANKS)
            if not text and isinstance(line, str):
                continue
            number = self._next
            self._next += 1
            if number < self._start_row:
                continue
            try:
                if isinstance(line, LongLine):
                    raise DecodeError(f"it is longer than {self._max_row} characters; the rest is cut off")
                rows.append(SourceRow(number, self._line, self._cells(whole)))
            except DecodeError as error:
                raw = whole.removesuffix("\n").removesuffix("\r").encode("utf-8", "surrogatepass")
                file, at = self.place(self._line)
                where: dict[str, str | int] = {"file": file, "line": at, "row": number}
                rejected.append(Rejected(where, error.message, raw, cut=isinstance(line, LongLine)))

    def _cells(self, line: str) -> list[str]:
        """The row of a line. Raises DecodeError when it is none."""
        return [line.removesuffix("\n").removesuffix("\r")]


# In this order: what an ObjectSource says of its rows stands ahead of what a TextSource says.
class JsonlSource(ObjectSource, TextSource):
    """A source of JSON Lines: every line is one JSON object, and a row.

    The columns are those of :class:`~sensorstream.sources.object_source.ObjectSource`. A line that is no object is
    rejected. The other options are those of :class:`TextSource`.
    """

    def _cells(self, line: str) -> list[str]:
        return json_cells(line.strip(_BLANKS), self._fields)


class WholeEncoder:
    """Encodes the rows of a :class:`JsonlSource`: the object as it was written."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)

    def encode(self, cells: Sequence[str]) -> bytes:
        """The object, in UTF-8."""
        return cells[-1].encode()


class TextEncoder:
    """Encodes the rows of a :class:`TextSource`: an object whose ``text`` is the line, whatever it looks like."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)

    def encode(self, cells: Sequence[str]) -> bytes:
        """The object, in UTF-8."""
        return ('{"text":' + quote(cells[0]) + "}").encode()
