"""Stations 1-2: a source whose format a plug-in reads.

A plug-in is a function, registered in the entry-point group ``sensorstream.sources`` under the name of its format,
which is also the ending of its files::

    def rows(lines: Iterator[str]) -> Iterator[Mapping[str, Any] | Unreadable]: ...

It is given the lines of the file, with their ends, and yields a row for each record in it, in order, as plain Python
values; several lines may make one row. For what can't be used it yields :class:`Unreadable`: that takes a row number
too, goes to the dead letters, and the replay goes on. The same lines must always give the same rows: a replay that
goes on counts them. Encodings, compression, several files, and what happens after a crash are not its concern.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sensorstream import plug_ins
from sensorstream.errors import DecodeError, SensorstreamError, SourceError
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.line_source import MAX_ROW
from sensorstream.sources.object_source import ObjectSource, json_cells
from sensorstream.sources.text_lines import LongLine


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What a plug-in yields for a record that can't be used: why, and the text of it."""

    reason: str
    text: str


RowReader: TypeAlias = Callable[[Iterator[str]], Iterator[Mapping[str, Any] | Unreadable]]
"""What a plug-in is."""


class PlugInSource(ObjectSource):
    """A source of the rows that ``read_rows`` makes of a file's lines; each is published as a JSON object.

    The columns are those of :class:`~sensorstream.sources.object_source.ObjectSource`. A row's line is the last one
    that was read for it. The other options are those of :class:`~sensorstream.sources.line_source.LineSource`.
    """

    def __init__(
        self,
        read_rows: RowReader,
        path: str | Path,
        *,
        fields: Sequence[str] = (),
        encoding: str = "utf-8",
        start_row: int = 0,
        max_row: int = MAX_ROW,
    ) -> None:
        super().__init__(path, fields=fields, encoding=encoding, start_row=start_row, max_row=max_row)
        self._read_rows = read_rows
        self._rows: Iterator[Mapping[str, Any] | Unreadable] = iter(())
        self._line = 0
        self._at_hand = 0  # lines that have been read and not been asked for

    def _begin(self) -> None:
        self._rows = iter(self._read_rows(self._each_line()))

    def _each_line(self) -> Iterator[str]:
        for block in self._blocks:
            if isinstance(block, LongLine):
                raise SourceError(f"{self.name}, line {self._line + 1}: it is longer than {self._max_row} characters")
            self._at_hand = len(block)
            for line in block:
                self._line += 1
                self._at_hand -= 1
                yield line

    def _fill(self, rows: list[SourceRow], rejected: list[Rejected], limit: int) -> bool:
        while len(rows) + len(rejected) < limit:
            if (rows or rejected) and not self._at_hand:
                return False  # the next line may be long in coming, through a pipe
            row = self._next_row()
            if row is None:
                return False
            number = self._next
            self._next += 1
            if number < self._start_row:
                continue
            try:
                rows.append(SourceRow(number, self._line, self._cells(row)))
            except DecodeError as error:
                file, at = self.place(self._line)
                raw = (row.text if isinstance(row, Unreadable) else repr(row)).encode("utf-8", "surrogatepass")
                where: dict[str, str | int] = {"file": file, "line": at, "row": number}
                rejected.append(Rejected(where, error.message, raw))
        return False

    def _next_row(self) -> Mapping[str, Any] | Unreadable | None:
        try:
            return next(self._rows, None)
        except SensorstreamError:
            raise
        except Exception as error:  # whatever a plug-in raises is told in one line
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise SourceError(
                f"{self.name}, line {self._line}: the plug-in that reads it has failed: {why}",
                hint="it should yield Unreadable for text that it can't use",
            ) from error

    def _cells(self, row: Mapping[str, Any] | Unreadable) -> list[str]:
        if isinstance(row, Unreadable):
            raise DecodeError(" ".join(row.reason.split()))
        try:
            text = json.dumps(dict(row), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise DecodeError(f"the plug-in gave a row that can't be written as JSON: {error}") from error
        return json_cells(text, self._fields)


def reader(name: str) -> RowReader:
    """The plug-in of this name. Raises UsageError where it can't be loaded."""
    loaded: RowReader = plug_ins.load(plug_ins.SOURCES, name)
    return loaded
