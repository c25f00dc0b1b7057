"""Stations 1-2, the bulk way: a CSV source in blocks of whole rows, without a Python object per row or cell.

A block is given out only where splitting it at line ends and delimiters is all that a CSV parser would do.
Everything else (rows over several lines, rows that must be rejected, blank lines, bytes that are not UTF-8) is
left to :class:`~sensorstream.sources.csv_file.CsvSource`, which starts at that byte and row, and so gives the
same rows, rejected ones and errors as if it had read the whole source.
"""

import codecs
import io
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sensorstream.events import Listener, ignore
from sensorstream.records import PlainRows
from sensorstream.sources.base import Batch, Block
from sensorstream.sources.csv_file import DELIMITERS, CsvSource
from sensorstream.sources.line_source import MAX_ROW
from sensorstream.sources.opening import Opened
from sensorstream.sources.text_lines import LineReader

BLOCK_BYTES: Final = 1 << 18
_CONTROLS: Final = bytes(range(0x20))


def plain_rows(data: bytes, width: int, delimiter: str) -> tuple[PlainRows, int] | None:
    """``data``, whole lines, as plain rows of ``width`` cells, with their number; None where it isn't so simple.

    Quotes around whole cells are taken off and CRLF line ends become LF; a delimiter, a line end or a quote
    within quotes is not simple. ``delimiter`` is one of DELIMITERS. The work is a few passes in C.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    mark = delimiter.encode()
    # What is left of a row when everything but quotes, delimiters and control characters is deleted.
    skeleton = data.translate(None, _ordinary(mark))
    quotes = skeleton.count(b'"')
    if quotes:
        # Each cell may have one quote as its first and one as its last character. With an even number of quotes
        # in every cell and as many at the edges of cells as there are quotes, none can be anywhere else.
        opening = data.count(mark + b'"') + data.count(b'\n"') + data.startswith(b'"')
        closing = data.count(b'"' + mark) + data.count(b'"\n')
        if width == 1 or opening + closing != quotes:
            return None
        skeleton = skeleton.replace(b'""', b"")
    rows = skeleton.count(b"\n")
    if not rows or skeleton != (mark * (width - 1) + b"\n") * rows:
        return None
    if width == 1 and (b"\n\n" in data or data.startswith(b"\n")):
        return None
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return None
    return PlainRows(data.replace(b'"', b"") if quotes else data), rows


def _ordinary(mark: bytes) -> bytes:
    return bytes(set(range(256)).difference(_CONTROLS, b'"', mark))


class CsvBlocks(CsvSource):
    """A CSV source that gives its rows in blocks where it can. The options are those of CsvSource.

    Call :meth:`read_block`; where it gives None, call ``read``, which gives an empty batch at the end of the
    source; and again :meth:`read_block`. ``bulk`` says whether it is worth asking for a block next.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        encoding: str = "utf-8",
        delimiter: str | None = None,
        columns: Sequence[str] = (),
        no_header: bool = False,
        start_row: int = 0,
        max_row: int = MAX_ROW,
        listener: Listener = ignore,
    ) -> None:
        super().__init__(
            path,
            encoding=encoding,
            delimiter=delimiter,
            columns=columns,
            no_header=no_header,
            start_row=start_row,
            max_row=max_row,
            listener=listener,
        )
        self._read_raw: Callable[[int], bytes] = lambda _: b""
        self._blocks_wanted = False
        self._ended = False
        self._bytes_read = 0
        self._bulk = False
        # Bytes read and not yet used, the first of them at _offset of the source.
        self._pending = b""
        self._offset = 0
        # While reading carefully: where blocks may be tried again, and how many lines lie ahead of _offset.
        self._careful_to = 0
        self._careful_lines = 0
        self._line_whole = True

    @property
    def bulk(self) -> bool:
        """Whether blocks may come next; False in a stretch of the source that must be read carefully."""
        return self._bulk or self._at_boundary()

    @property
    def bytes_read(self) -> int:
        """How many bytes have been read, at most a block ahead of the rows."""
        return self._bytes_read

    def open(self) -> None:
        """Open the file and read its header. Raises SourceError, UsageError for an unknown encoding."""
        super().open()
        if codecs.lookup(self._encoding).name == "utf-8" and self._delimiter in DELIMITERS:
            head = self._pending
            self._offset = 3 if head.startswith(codecs.BOM_UTF8) else 0
            # Up to here only the header has been parsed, so what was fed to the parser begins with line 0.
            self._offset += sum(len(line.encode()) for line in self._held[: self._line])
            self._pending = head[self._offset :]
            self._blocks_wanted = self._bulk = True
            # The lines after the header were split off in vain; they need not be kept.
            self._blocks = iter(())
            self._queue.clear()
            self._restart([])
        else:
            self._pending = b""

    def read_block(self, max_bytes: int = BLOCK_BYTES) -> Block | None:
        """The next rows, as many as fit in ``max_bytes`` of the source; from a pipe those that are at hand.

        None where no block can be made: at the end of the source, or where ``read`` must take over. Waits while
        there are no rows. Raises SourceError.
        """
        if not self._bulk and not self._at_boundary():
            return None
        self._bulk = True
        while data := self._whole_lines(max_bytes):
            plain = None
            at_end = self._ended and len(data) == len(self._pending)
            if (data.endswith(b"\n") or at_end) and not self._has_long_line(data):
                lines = data if data.endswith(b"\n") else data + b"\n"
                plain = plain_rows(lines, len(self.columns), self._delimiter)
            if plain is None:
                self._go_carefully(self._offset + len(data))
                return None
            self._pending = self._pending[len(data) :]
            self._offset += len(data)
            rows, count = plain
            first_row, first_line = self._next, self._line + 1
            self._next += count
            self._line += count
            skip = self._start_row - first_row
            if skip < count:
                if skip > 0:
                    rows, count = _without(rows, skip), count - skip
                    first_row, first_line = first_row + skip, first_line + skip
                return Block(first_row, first_line, count, rows, self._delimiter)
        return None

    def read(self, limit: int) -> Batch:
        """Up to ``limit`` rows one by one; see :class:`~sensorstream.sources.base.Source`."""
        if self._bulk:
            self._go_carefully(self._offset)
        return super().read(limit)

    def _open_file(self) -> Opened:
        opened = super()._open_file()

        def counted(size: int) -> bytes:
            data = opened.read_some(size)
            self._bytes_read += len(data)
            self._ended = not data
            return data

        def head(size: int) -> bytes:
            data = counted(size)
            if not self.columns:
                self._pending += data
            return data

        self._read_raw = counted
        return opened._replace(read_some=head)

    def _whole_lines(self, max_bytes: int) -> bytes:
        """The pending bytes, filled up to ``max_bytes``, as far as they are whole lines; all of them at the end."""
        pieces, size = [self._pending], len(self._pending)
        at_hand = b"\n" in self._pending
        while size < max_bytes and not self._ended and not (at_hand and self._must_wait()):
            piece = self._read_raw(max_bytes - size)
            pieces.append(piece)
            size += len(piece)
            at_hand = at_hand or b"\n" in piece
        if len(pieces) > 1:
            self._pending = b"".join(pieces)
        if self._ended and size <= max_bytes:
            return self._pending
        # A line that doesn't fit in max_bytes is handed out unfinished: it is found not to be plain.
        return self._pending[: self._pending.rfind(b"\n", 0, max_bytes) + 1] or self._pending[:max_bytes]

    def _must_wait(self) -> bool:
        """Whether more of a pipe is still to be written; a file always has its next bytes, or its end, at hand."""
        if self.size_bytes is not None:
            return False
        if self.must_wait is not None:
            return self.must_wait()
        try:
            return not select.select([self._file or sys.stdin.buffer], [], [], 0)[0]
        except (OSError, ValueError, TypeError, io.UnsupportedOperation):
            return True  # standard input that was put in place by another program's code

    def _has_long_line(self, data: bytes) -> bool:
        """Whether a line may be longer than max_row; counts bytes, of which there are at least as many."""
        at = 0
        while len(data) - at > self._max_row:
            at = data.rfind(b"\n", at, at + self._max_row) + 1
            if at == 0:
                return True
        return False

    def _go_carefully(self, to: int) -> None:
        """Let CsvSource read on from here, at least up to the byte offset ``to``."""
        self._bulk = False
        self._careful_to = to
        self._careful_lines = self._line
        self._line_whole = True
        self._lines = LineReader(
            self._careful_bytes, self.name, self._encoding, self._max_row, offset=self._offset, line=self._line
        )
        self._blocks = self._lines.blocks()
        self._queue.clear()
        self._long = None
        self._restart([])

    def _careful_bytes(self, size: int) -> bytes:
        """Whole lines where possible, so that there comes a point where nothing is left inside of CsvSource."""
        if not self._pending and not self._ended:
            self._pending = self._read_raw(size)
        piece = self._pending[:size]
        piece = piece[: piece.rfind(b"\n") + 1] or piece
        self._pending = self._pending[len(piece) :]
        self._offset += len(piece)
        self._careful_lines += piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")
        self._line_whole = piece.endswith(b"\n")
        return piece

    def _at_boundary(self) -> bool:
        """Whether all bytes that were handed to CsvSource have become rows, and blocks may be tried again."""
        return (
            self._blocks_wanted
            and self._error is None
            and self._offset >= self._careful_to
            and self._line_whole
            and self._line == self._careful_lines
        )


def _without(rows: PlainRows, count: int) -> PlainRows:
    at = 0
    for _ in range(count):
        at = rows.index(b"\n", at) + 1
    return PlainRows(rows[at:])
