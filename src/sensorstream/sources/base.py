"""Stations 1-2: the interface of every source: open, read, close."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from sensorstream.records import PlainRows, Rejected, SourceRow


@dataclass(frozen=True, slots=True)
class Batch:
    """What one ``read`` gave. Both lists empty: the source has ended.

    ``rejected`` are rows that can't be used; each took a row index, so that the rows after it keep theirs.
    """

    rows: list[SourceRow]
    rejected: list[Rejected]

    def __bool__(self) -> bool:
        return bool(self.rows or self.rejected)


@dataclass(frozen=True, slots=True)
class Block:
    """Many rows at once, none rejected: those from ``first_row`` on, which begin on the line ``first_line``.

    ``rows`` is their number. As in :class:`~sensorstream.records.SourceRow`, rows count from 0, lines from 1.
    """

    first_row: int
    first_line: int
    rows: int
    data: PlainRows
    delimiter: str

    def source_rows(self) -> list[SourceRow]:
        """The same rows one by one, as ``read`` would have given them."""
        ahead, lines = self.first_line - self.first_row, self.data.decode().split("\n")
        lines.pop()
        return [
            SourceRow(number, number + ahead, line.split(self.delimiter))
            for number, line in enumerate(lines, start=self.first_row)
        ]


class Source(Protocol):
    """Rows in their order, read once from front to back. Used from one thread."""

    @property
    def name(self) -> str:
        """What to call the source when talking to a person: its path, or ``stdin``."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, all different; known once the source is open."""

    @property
    def form(self) -> Mapping[str, str | list[str]]:
        """How a row is written, once the source is open: for who has just the text of one (see ``one_row.py``)."""

    @property
    def position(self) -> int:
        """The index of the next row to be read, from 0."""

    @property
    def size_bytes(self) -> int | None:
        """The size of the whole source; None where it is not known (a pipe)."""

    @property
    def bytes_read(self) -> int:
        """How much of it has been read, some read-ahead included."""

    def open(self) -> None:
        """Read the head of the source. Raises SourceError."""

    def read(self, limit: int) -> Batch:
        """Up to ``limit`` rows, at least one, fewer when no more are at hand; waits when there are none.

        Empty at the end. Raises SourceError, but not before the rows ahead of the fault have been handed out.
        """

    def text_of(self, cells: Sequence[str]) -> str:
        """The text of a row, without a line end: what is read as these cells."""

    def place(self, line: int) -> tuple[str, int]:
        """The file and the line in it, from 1, of a row's ``line``: a source may be several files."""

    def close(self) -> None:
        """Let go of everything; may be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
