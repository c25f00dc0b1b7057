"""Stations 1-2: the rows of a growing file, of any kind that is read line by line.

The file's own source reads it on a thread of its own, where it waits for lines as it would at a pipe; the owner takes
what is there and never waits. One object is one file: when another one has its name, the :meth:`successor` reads that.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from sensorstream.closing import Closing
from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.base import Batch, Block, Source
from sensorstream.sources.csv_blocks import CsvBlocks
from sensorstream.sources.csv_file import CsvSource
from sensorstream.sources.followed_file import FollowedFile
from sensorstream.sources.line_source import LineSource
from sensorstream.sources.rotation import Found, Prefix, find

_BATCH_ROWS: Final = 500
_BLOCK_BYTES: Final = 1 << 20
_AHEAD: Final = 4
"""So many batches or blocks are read ahead."""


class FollowedSource(Closing):
    """A :class:`~sensorstream.sources.base.Source` that waits for more at its end.

    ``make_source`` makes the file's own source, not opened, that begins at a row. ``read`` gives an empty batch when
    nothing is there now; ``over`` says that nothing will come any more. The encoding is one that :func:`check_encoding`
    lets pass. Raises UsageError for a source that is not read line by line.
    """

    def __init__(
        self,
        path: str,
        make_source: Callable[[int], Source],
        start_row: int = 0,
        *,
        listener: Listener = ignore,
        find_file: Callable[[], Found] | None = None,
        left: FollowedFile | None = None,
        keep: bool = False,
    ) -> None:
        source = make_source(start_row)
        if not isinstance(source, LineSource):
            raise UsageError(f"{path} can't be followed: it is not read line by line", hint="leave out --follow")
        self._path = path
        self._make_source = make_source
        self._listener = listener
        self._keep = keep
        self._source = source
        self._start_row = start_row
        self._find_file = find_file
        self._left = left
        self._file = self._new_file()
        self._items: deque[Batch | Block] = deque()
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._ended = False
        self._closing = False
        self._handed_over = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._next = start_row
        self._next_line = 1

    def _new_file(self) -> FollowedFile:
        return FollowedFile(Path(self._path), self._listener, find=self._find_file, keep=self._keep, left=self._left)

    def go_on(self, prefix: Prefix) -> None:
        """Begin with the file that begins so, which may have been rotated; :meth:`prefix` will be asked for.

        Called before it is opened, which raises UsageError where there is no such file.
        """
        self._find_file = lambda: find(Path(self._path), prefix)
        self._keep = True
        self._file = self._new_file()

    @property
    def name(self) -> str:
        """The path."""
        return self._source.name

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, once it is ``ready``."""
        return self._source.columns

    @property
    def form(self) -> Mapping[str, str | list[str]]:
        """How a row is written, once it is ``ready``."""
        return self._source.form

    @property
    def position(self) -> int:
        """The index of the next row to be read."""
        return self._next

    @property
    def size_bytes(self) -> None:
        """Not known: it grows."""
        return

    @property
    def bytes_read(self) -> int:
        """How much has been read, a few batches ahead of the rows."""
        return self._source.bytes_read

    @property
    def ready(self) -> bool:
        """Whether its head was read. Raises what came instead, as :meth:`read` does."""
        if not self._ready.is_set() and self._error is not None:
            raise self._error
        return self._ready.is_set()

    @property
    def over(self) -> bool:
        """Whether everything was read, and another file has its name."""
        return self._ended and not self._items

    @property
    def caught_up(self) -> bool:
        """Whether everything was read that is there."""
        return self._file.waiting and not self._items  # in this order: what was read is there before it waits

    @property
    def half_line(self) -> int:
        """How many bytes at the end wait for their line end."""
        return self._file.half_line

    @property
    def unfinished(self) -> tuple[int, int]:
        """The line at which a row begins whose end is not there, and how many whole lines of it are: none, mostly."""
        return self._source.unfinished if isinstance(self._source, CsvSource) else (0, 0)

    @property
    def bulk(self) -> bool:
        """Whether a block is there."""
        return bool(self._items) and isinstance(self._items[0], Block)

    def open(self) -> None:
        """Begin to read; what there is of the head has been read on return. Raises SourceError, UsageError."""
        self._source.opener, self._source.must_wait = self._file.open_source, self._file.must_wait
        thread = threading.Thread(target=self._work, name=f"follow-{self.name}", daemon=True)
        with self._changed:
            if self._closing:
                return  # by another thread, which did not want to wait any longer
            thread.start()
            self._thread = thread
        self._file.wait_until_waiting(self._ready)
        if self._error is not None:
            raise self._error

    def read(self, limit: int) -> Batch:
        """Up to ``limit`` rows of those that are there. Raises SourceError behind the rows ahead of the fault."""
        with self._changed:
            if not self._items:
                if self._error is not None:
                    raise self._error
                return Batch([], [])
            item = self._items.popleft()
            batch = item if isinstance(item, Batch) else Batch(item.source_rows(), [])
            batch, rest = _split(batch, limit)
            if rest:
                self._items.appendleft(rest)
            self._changed.notify_all()
        self._next += len(batch.rows) + len(batch.rejected)
        self._next_line = _line(_in_order(batch)[-1]) + 1
        return batch

    def read_block(self, max_bytes: int = 0) -> Block | None:
        """The block that is there; None where there is none."""
        with self._changed:
            if not self._items or not isinstance(self._items[0], Block):
                return None
            block = self._items.popleft()
            self._changed.notify_all()
        assert isinstance(block, Block)  # noqa: S101  # for the type checker
        self._next = block.first_row + block.rows
        self._next_line = block.first_line + block.rows
        return block

    def prefix(self, next_line: int | None = None) -> Prefix:
        """The beginning of the file before this line; None: before the first row that was not handed out."""
        if next_line is None:
            with self._changed:
                first = self._items[0] if self._items else None
                if isinstance(first, Block):
                    next_line = first.first_line
                elif first is not None:
                    next_line = _line(_in_order(first)[0])
                elif not self._file.waiting:
                    # The reader is at work on what comes next, and may have read beyond it.
                    next_line = self._next_line
                elif self.unfinished[1]:
                    next_line = self.unfinished[0]
        return self._file.prefix(next_line)

    def successor(self) -> "FollowedSource":
        """The source, not opened, of the file that is to be read after this one; this one is to be closed then."""
        self._handed_over = True
        return FollowedSource(
            self._path,
            self._make_source,
            listener=self._listener,
            find_file=self._file.next_file,
            left=self._file.keep_open(),
            keep=self._keep,
        )

    def text_of(self, cells: Sequence[str]) -> str:
        """The text of a row."""
        return self._source.text_of(cells)

    def place(self, line: int) -> tuple[str, int]:
        """The file and the line in it of a line."""
        return self._source.place(line)

    def close(self) -> None:
        """Stop reading. The file is left to the successor, where there is one."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._file.close()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._source.close()
        if not self._handed_over:
            self._file.close_file()

    def __enter__(self) -> Self:
        self.open()
        return self

    # The thread that reads

    def _work(self) -> None:
        try:
            self._source.open()
            self._ready.set()
            while (item := self._read_item()) is not None and not self._closing:
                with self._changed:
                    while len(self._items) >= _AHEAD and not self._closing:
                        self._changed.wait()
                    self._items.append(item)
            self._ended = self._file.over
        except SensorstreamError as error:
            if self._file.over and not self._ready.is_set() and not self._file.handed_out:
                self._ended = True  # an empty file that another one has replaced
            elif not self._closing:
                self._error = error
        except BaseException as error:
            # A fault of this program: it shows itself where the rows are asked for.
            self._error = error
        finally:
            self._file.wake()

    def _read_item(self) -> Batch | Block | None:
        """The next rows, one at least; None at the end."""
        source = self._source
        if isinstance(source, CsvBlocks) and source.bulk:
            block = source.read_block(_BLOCK_BYTES)
            if block is not None:
                return block
        return source.read(_BATCH_ROWS) or None


def check_encoding(path: str, encoding: str) -> None:
    """Raises UsageError for an encoding in which a line end is not the one byte that it is in ASCII."""
    try:
        is_byte = "\n".encode(encoding) == b"\n"
    except (LookupError, ValueError, TypeError):
        return  # not known at all, which is told where the file is opened
    if not is_byte:
        raise UsageError(
            f"{path} can't be followed in {encoding}: a half-written line can't be told from a whole one there",
            hint="follow files in utf-8, latin-1 and the like",
        )


def _line(row: SourceRow | Rejected) -> int:
    return row.line if isinstance(row, SourceRow) else int(row.where["line"])


def _in_order(batch: Batch) -> list[SourceRow | Rejected]:
    if not batch.rejected:
        return list(batch.rows)
    return sorted([*batch.rows, *batch.rejected], key=_number)


def _number(row: SourceRow | Rejected) -> int:
    return row.number if isinstance(row, SourceRow) else int(row.where["row"])


def _split(batch: Batch, limit: int) -> tuple[Batch, Batch]:
    """The first ``limit`` rows of a batch, and the others."""
    if len(batch.rows) + len(batch.rejected) <= limit:
        return batch, Batch([], [])
    ordered = _in_order(batch)
    return _batch(ordered[:limit]), _batch(ordered[limit:])


def _batch(rows: Sequence[SourceRow | Rejected]) -> Batch:
    good = [row for row in rows if isinstance(row, SourceRow)]
    return Batch(good, [row for row in rows if not isinstance(row, SourceRow)])
