"""Stations 1-2: a source of JSON objects, in one array or one after the other, over any number of lines.

Memory doesn't grow with the file: an object is looked for in as much of it as is needed, ``max_row`` characters at the
most. An object is published as it is written, letter for letter, without the blanks between its parts. What stands in
the array and is no object is rejected; where it is no longer clear where the next object begins, reading ends.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sensorstream.errors import DecodeError, SourceError
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.line_source import MAX_ROW
from sensorstream.sources.object_source import ObjectSource, json_cells
from sensorstream.sources.text_lines import LongLine

_BLANKS: Final = " \t\r\n"
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],"]', re.DOTALL)
_BETWEEN: Final = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+', re.DOTALL)


class JsonSource(ObjectSource):
    """A source of JSON objects; the columns are those of :class:`~sensorstream.sources.object_source.ObjectSource`.

    A row's line is the one that it begins on. The other options are those of
    :class:`~sensorstream.sources.line_source.LineSource`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fields: Sequence[str] = (),
        encoding: str = "utf-8",
        start_row: int = 0,
        max_row: int = MAX_ROW,
    ) -> None:
        super().__init__(path, fields=fields, encoding=encoding, start_row=start_row, max_row=max_row)
        self._text = self._last = ""  # what is at hand, and how much of it was read last
        self._at = 0
        self._line = 1  # that of _text[_at]
        self._in_array: bool | None = None
        self._after_value = False
        self._done = False

    def _begin(self) -> None:
        if self.size_bytes is not None:
            # A file that is no JSON is found now; a pipe may have nothing to say for a long time.
            self._look_at_start()

    def _look_at_start(self) -> None:
        first = self._next_letter()
        if first is not None and first not in "[{":
            raise self._expected("'{' or '['", first)
        self._in_array = first == "["
        if self._in_array:
            self._at += 1

    def _fill(self, rows: list[SourceRow], rejected: list[Rejected], limit: int) -> bool:
        if self._in_array is None:
            self._look_at_start()
        while not self._done and len(rows) + len(rejected) < limit:
            value = self._value()
            if value is None:
                self._done = True
                break
            line, text = value
            number = self._next
            self._next += 1
            if number < self._start_row:
                continue
            plain = _BETWEEN.sub(r"\1", text)
            try:
                rows.append(SourceRow(number, line, json_cells(plain, self._fields)))
            except DecodeError as error:
                where: dict[str, str | int] = {"file": self.name, "line": line, "row": number}
                rejected.append(Rejected(where, error.message, text.encode("utf-8", "surrogatepass")))
        return False

    def _value(self) -> tuple[int, str] | None:
        """The next object, or what stands in its place, and the line that it begins on; None at the end."""
        letter = self._next_letter()
        if self._in_array and self._after_value:
            if letter == ",":
                self._at += 1
                letter = self._next_letter()
                if letter == "]":
                    raise self._expected("'{'", letter)
            elif letter not in ("]", None):
                raise self._expected("',' or ']'", letter)
        if letter == "]" and self._in_array:
            self._at += 1
            self._in_array, letter = False, self._next_letter()
            if letter is not None:
                raise self._expected("the end of the file after the array", letter)
            return None
        if letter is None:
            if self._in_array:
                raise SourceError(f"{self.name}, line {self._line}: the file ends within its array")
            return None
        if not self._in_array and letter != "{":
            raise self._expected("'{'", letter)
        line, text = self._line, self._take_value()
        self._after_value = True
        return line, text

    def _take_value(self) -> str:
        """The text from here to the end of the value that begins here."""
        depth, at, begins_on = 0, self._at, self._line
        while True:
            token = _TOKEN.search(self._text, at)
            if token is None or token[0] == '"':  # a string whose end has not been read yet
                at = (len(self._text) if token is None else token.start()) - self._at
                if not self._more():
                    raise SourceError(
                        f"{self.name}: the file ends within the object that begins on line {begins_on}",
                        hint="is the file whole?",
                    )
                at += self._at
                if len(self._text) - self._at > self._max_row + len(self._last):
                    raise SourceError(
                        f"{self.name}, line {begins_on}: the object that begins here is longer than "
                        f"{self._max_row} characters"
                    )
                continue
            mark = token[0]
            if depth == 0 and mark in ",]}":
                end = token.start()  # no object: a number, a text, true, false or null
                break
            at = token.end()
            depth += (mark in "{[") - (mark in "}]")
            if depth == 0 and mark in "}]":
                end = at
                break
        text = self._text[self._at : end]
        self._line += text.count("\n")
        self._at = end
        return text.rstrip(_BLANKS)

    def _more(self) -> bool:
        """Read on; False at the end of the file."""
        block = next(self._blocks, None)
        if block is None:
            return False
        if isinstance(block, LongLine):
            raise SourceError(f"{self.name}: a line after line {self._line} is longer than {self._max_row} characters")
        self._last = "".join(block).replace("\r\n", "\n").replace("\r", "\n")
        self._text = self._text[self._at :] + self._last
        self._at = 0
        return True

    def _next_letter(self) -> str | None:
        """The next letter that is no blank, which is left there; None at the end of the file."""
        while True:
            while self._at < len(self._text):
                letter = self._text[self._at]
                if letter not in _BLANKS:
                    return letter
                self._line += letter == "\n"
                self._at += 1
            if not self._more():
                return None

    def _expected(self, what: str, found: str) -> SourceError:
        column = self._at - (self._text.rfind("\n", 0, self._at) + 1) + 1
        return SourceError(
            f"{self.name}, line {self._line}, column {column}: {what} is expected, but there is {found!r}",
            hint="a .json file holds objects in an array or one after the other; or name what it is: --source-format",
        )
