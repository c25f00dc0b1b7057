"""Stations 1-2: shared by sources that are read line by line: opening, counting rows, and reporting errors."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Self

from sensorstream.closing import Closing
from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.base import Batch
from sensorstream.sources.described_lines import DescribedLines
from sensorstream.sources.opening import Opened, open_bytes, too_short
from sensorstream.sources.text_lines import LineReader, LongLine

MAX_ROW: Final = 1 << 20


class LineSource(Closing):
    """A :class:`~sensorstream.sources.base.Source` of one file, pipe or standard input ("-"), opened on entering.

    Rows before ``start_row`` are passed over; ``max_row`` is in characters. Raises UsageError for a wrong option,
    SourceError as the protocol says, and for a source that has fewer than ``start_row`` rows.
    """

    def __init__(self, path: str | Path, *, encoding: str, start_row: int, max_row: int) -> None:
        if start_row < 0:
            raise UsageError(f"first row {start_row} is negative", hint="rows are counted from 0")
        self._path = path
        self._encoding = encoding
        self._start_row = start_row
        self._max_row = max_row
        self.name = "stdin" if str(path) == "-" else str(path)
        self.columns: tuple[str, ...] = ()
        self.size_bytes: int | None = None
        self.opener: Callable[[str | Path, str], Opened] = open_bytes
        """How the file is opened; takes its path and name."""
        self.must_wait: Callable[[], bool] | None = None
        """Whether no bytes are at hand, where that can't be asked of the file itself."""
        self.described: Callable[[Callable[[str | Path, str], Opened]], DescribedLines] | None = None
        """What makes plain lines of the file's own, given how it is opened; None: they are plain as they are."""
        self._places: DescribedLines | None = None
        self._file: BinaryIO | None = None
        self._lines: LineReader | None = None
        self._blocks: Iterator[list[str] | LongLine] = iter(())
        self._error: SensorstreamError | None = None
        self._next = 0

    @property
    @abstractmethod
    def form(self) -> Mapping[str, str | list[str]]:
        """How a row is written: its ``format``, and what else it takes to read one."""

    @abstractmethod
    def text_of(self, cells: Sequence[str]) -> str:
        """The text of a row, without a line end."""

    @property
    def position(self) -> int:
        """The index of the next row to be read."""
        return max(self._next, self._start_row)

    @property
    def bytes_read(self) -> int:
        """How many bytes have been read, at most a chunk of 256 KiB ahead of the rows."""
        return self._lines.bytes_read if self._lines else 0

    def open(self) -> None:
        """Open the file and read its beginning. Raises SourceError, UsageError for an unknown encoding."""
        self._file, read_some, self.size_bytes = self._open_file()
        try:
            self._lines = LineReader(read_some, self.name, self._encoding, self._max_row)
            self._blocks = self._lines.blocks()
            self._begin()
        except BaseException:
            self.close()
            raise

    def read(self, limit: int) -> Batch:
        """Up to ``limit`` rows, rejected ones included; see :class:`~sensorstream.sources.base.Source`."""
        rows: list[SourceRow] = []
        rejected: list[Rejected] = []
        if self._error is not None:
            raise self._error
        try:
            while len(rows) + len(rejected) < limit and self._fill(rows, rejected, limit):
                pass
        except SensorstreamError as error:
            self._error = error
            if not rows and not rejected:
                raise
        if not rows and not rejected and self._next < self._start_row:
            raise too_short(self.name, self._next, self._start_row)
        return Batch(rows, rejected)

    def close(self) -> None:
        """Close the file; standard input is left open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def place(self, line: int) -> tuple[str, int]:
        """The file and the line in it of a line of the source; both count from 1."""
        return (self.name, line) if self._places is None else self._places.place(line)

    def _open_file(self) -> Opened:
        if self.described is None:
            return self.opener(self._path, self.name)
        self._places = self.described(self.opener)
        return self._places.open()

    @abstractmethod
    def _begin(self) -> None:
        """Read the head of the source, as far as it has one."""

    @abstractmethod
    def _fill(self, rows: list[SourceRow], rejected: list[Rejected], limit: int) -> bool:
        """Add rows up to the limit, or as many as are at hand. False when no more can be had without waiting."""
