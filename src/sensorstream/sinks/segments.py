"""Station 9: the records of one partition in finished files, each for a range of offsets, that never change again.

Rows wait in a file of their own, ``_AIR_Consumer_0.parquet.open``, which owns its position as every captured file does;
so they are stored each second, however long a segment is. A segment is finished in four steps:

1. the rows that wait become files with names of their own, which are made durable
2. the position is stored: nothing waits any more, and these files are to be renamed
3. the waiting rows are cut
4. the files get their names, below the topic's folder

Killed before 2, the rows still wait, and what was made is thrown away; after it, the next start does 3 and 4.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from sensorstream.errors import DecodeError, SinkError
from sensorstream.events import Listener, ignore
from sensorstream.own_files import make_folder
from sensorstream.records import ConsumedRecord
from sensorstream.serde import json as json_serde
from sensorstream.serde.row_maker import PLAIN, RowMaker, json_line
from sensorstream.sinks.checkpoint import Checkpoint, sync_folder
from sensorstream.sinks.positioned_file import PositionedFile
from sensorstream.sinks.positioned_sink import PositionedSink
from sensorstream.sinks.segment_names import (
    ParseTime,
    day_of_column,
    day_of_timestamp,
    open_name,
    parse_segment,
    segment_path,
    segments_below,
)
from sensorstream.storage_rules import StorageRules

MAX_COLUMNS: Final = 4096
"""A record that would bring more columns into a segment is rejected."""


class WaitingRow(NamedTuple):
    """A row that waits: the record's offset and timestamp, and its value as one line of JSON."""

    offset: int
    timestamp_ms: int
    value: bytes


Rows = Callable[[], Iterator[WaitingRow]]
"""The rows of a file to be made; may be asked for more than once."""


class SegmentFormat(Protocol):
    """How the rows of a segment become files of one kind."""

    name: str

    def lock(self) -> AbstractContextManager[None]:
        """Held from before files are written until they have their names."""

    def write(self, files: Sequence[tuple[Path, Rows]]) -> None:
        """Write each file of a segment. Raises OSError, SinkError."""

    def adopt(self, paths: Sequence[Path]) -> None:
        """Files have got their names only now, after a crash: make them fit in with what came since."""


class SegmentSink(PositionedSink):
    """Captures what ``rows`` makes of the records of one partition into finished files below ``folder``.

    ``parse_time`` reads the rules' date column where its format is known. JSON Lines take any JSON value, as they do in
    one file; the other formats take objects.
    """

    def __init__(
        self,
        folder: Path,
        log: Checkpoint,
        rules: StorageRules,
        form: SegmentFormat,
        listener: Listener = ignore,
        rows: RowMaker = PLAIN,
        *,
        parse_time: ParseTime | None = None,
    ) -> None:
        self._folder = folder
        super().__init__(PositionedFile(folder / open_name(log.topic, log.partition, log.format)), log, listener, rows)
        self._rules = rules
        self._form = form
        self._parse_time = parse_time
        self._first = 0
        self._waiting = self._size = 0
        self._columns: set[str] = set()
        self._begun: float | None = None

    @property
    def name(self) -> str:
        """The folder of the topic's finished files."""
        return str(self._folder / self._log.topic)

    def open(self) -> int | None:
        """Lock the waiting rows, and finish what a crash has left; see :class:`sensorstream.sinks.base.Sink`."""
        stored = self._file.open(self._log)
        if stored is None:
            self._check_new()
            return None
        try:
            state = json.loads(stored.state)
            self._first, self._waiting = state["first"], state["rows"]
            moves = [(self._folder / fresh, self._folder / path) for fresh, path in state.get("moves", ())]
        except (ValueError, KeyError, TypeError) as error:
            raise SinkError(f"{self._file.path} has a position that can't be read") from error
        try:
            if moves:
                with self._form.lock():
                    moved = self._rename(moves)
                    if moved:
                        self._form.adopt(moved)
            self._remove_leftovers()
            if self._waiting:
                self._size = stored.length
                self._begun = time.monotonic()
                self._columns = {name for row in self._journal() for name in self._names(row.value)}
        except OSError as error:
            raise self._error(error) from error
        self._check_ranges(self._first)
        return stored.next_offset

    def start(self, offset: int, end: int | None = None) -> None:
        """Begin at ``offset``."""
        self._first = offset
        self._file.start(replace(self._log, next_offset=offset, range_end=end, state=self._state()))

    def skip(self, position: int) -> None:
        """Go on at ``position``: the segment ends here, since no file's range may speak of what is elsewhere."""
        self._finish()
        self._first = position
        self._file.skip(position, self._state())

    def write(self, records: Sequence[ConsumedRecord]) -> Collection[int]:
        """Add records; what can't be used goes to the rejected file. A full segment is finished on the way."""
        rejected: set[int] = set()
        lines: list[bytes] = []
        offset = -1
        for record in records:
            if record.offset != offset:
                offset = record.offset
                if self._is_full():
                    self._append(lines)
                    self._commit(offset)
                    self._finish()
            try:
                value, names = self._usable(record)
            except DecodeError as error:
                self.reject(record, error.message)
                rejected.add(offset)
                continue
            self._columns.update(names)
            line = b"%d %d %b\n" % (offset, record.timestamp_ms, value)
            lines.append(line)
            self._waiting += 1
            self._size += len(line)
        self._append(lines)
        return rejected

    def commit(self, position: int) -> None:
        """Make everything written durable, with the next offset to read."""
        self._commit(position)

    def settle(self, *, last: bool = False) -> None:
        """Finish the segment when its time has come, or when this is the ``last`` that is written."""
        seconds = self._rules.rotate_time
        due = self._begun is not None and seconds is not None and time.monotonic() - self._begun >= seconds
        if self._waiting and (last or due or self._is_full()):
            self._finish()

    def close(self) -> None:
        """Let go; what was not committed is cut."""
        self._file.close()

    def _usable(self, record: ConsumedRecord) -> tuple[bytes, Collection[str]]:
        """A record's value on one line, and its columns. Raises DecodeError."""
        maker = self._maker
        if self._form.name == "jsonl":
            return json_line(record, maker), ()
        row = maker.row(record)
        if not row:
            raise DecodeError("an object without columns")
        new = row.keys() - self._columns
        if len(self._columns) + len(new) > MAX_COLUMNS:
            raise DecodeError(f"its new columns would make {len(self._columns) + len(new)}, over {MAX_COLUMNS}")
        value = record.value if maker.plain and record.value is not None else json_serde.encode(row)
        # Within a JSON text a bare line end can only stand between tokens: in a string it would be escaped.
        return (value if b"\n" not in value else value.replace(b"\r", b" ").replace(b"\n", b" ")), new

    def _names(self, value: bytes) -> Collection[str]:
        return () if self._form.name == "jsonl" else json_serde.decode(value)

    def _append(self, lines: list[bytes]) -> None:
        if lines:
            self._file.append(b"".join(lines))
            self.rows += len(lines)
            if self._begun is None:
                self._begun = time.monotonic()
            lines.clear()

    def _commit(self, position: int) -> None:
        self._file.commit(position, state=self._state())

    def _state(self, moves: Sequence[tuple[str, str]] = ()) -> str:
        state: dict[str, object] = {"first": self._first, "rows": self._waiting}
        return json.dumps({**state, "moves": moves} if moves else state)

    def _is_full(self) -> bool:
        rules = self._rules
        return (rules.rotate_rows is not None and self._waiting >= rules.rotate_rows) or (
            rules.rotate_size is not None and self._size >= rules.rotate_size
        )

    def _finish(self) -> None:
        """Make files of the rows that wait, all of which are committed."""
        stored = self._file.checkpoint
        if stored is None or not self._waiting:
            return
        days = self._days()
        log, moves, files = self._log, list[tuple[str, str]](), list[tuple[Path, Rows]]()
        for day in sorted(set(days)):
            path = segment_path(
                log.topic, log.partition, self._first, stored.next_offset - 1, log.format, self._rules, day
            )
            fresh = path.with_name(f"_{path.name}.tmp")
            moves.append((str(fresh), str(path)))
            files.append((self._folder / fresh, self._rows_of(days, day)))
        try:
            with self._form.lock():
                self._write(files, moves)
                first, waiting = self._first, self._waiting
                self._first, self._waiting = stored.next_offset, 0
                try:
                    self._file.empty(self._state(moves))
                except BaseException:
                    self._first, self._waiting = first, waiting
                    raise
                self._rename([(self._folder / fresh, self._folder / path) for fresh, path in moves])
        except OSError as error:
            raise self._error(error) from error
        self._size, self._begun = 0, None
        self._columns.clear()

    def _write(self, files: Sequence[tuple[Path, Rows]], moves: Sequence[tuple[str, str]]) -> None:
        try:
            for fresh, path in moves:
                if (self._folder / path).exists():
                    raise SinkError(f"{self._folder / path} is there already", hint="move it away, then start again")
                make_folder((self._folder / fresh).parent)
            self._form.write(files)
            for folder in {path.parent.relative_to(self._folder) for path, _ in files}:
                for each in (folder, *folder.parents):
                    sync_folder(self._folder / each)
        except BaseException:
            for made, _ in files:
                made.unlink(missing_ok=True)
            raise

    def _days(self) -> list[str]:
        """The day of each row that waits, where folders are made of it; else one for all."""
        if "date" not in self._rules.folders:
            return [""] * self._waiting
        column = self._rules.date_column
        if column is None:
            return [day_of_timestamp(row.timestamp_ms) for row in self._journal()]
        days = []
        for row in self._journal():
            try:
                values = json_serde.decode(row.value)
            except DecodeError:
                values = {}  # JSON, but no object
            days.append(day_of_column(values, column, self._parse_time))
        return days

    def _rows_of(self, days: Sequence[str], day: str) -> Rows:
        return lambda: (row for row, its in zip(self._journal(), days, strict=True) if its == day)

    def _journal(self) -> Iterator[WaitingRow]:
        """The rows that wait."""
        with self._file.path.open("rb") as lines:
            for _ in range(self._waiting):
                offset, stamp, value = lines.readline().split(b" ", 2)
                yield WaitingRow(int(offset), int(stamp), value[:-1])

    def _rename(self, moves: Sequence[tuple[Path, Path]]) -> list[Path]:
        """Give finished files their names, those that have not got them yet; which these are."""
        moved = []
        for fresh, path in moves:
            if fresh.exists():
                fresh.replace(path)
                moved.append(path)
        for folder in {path.parent for path in moved}:
            sync_folder(folder)
        return moved

    def _remove_leftovers(self) -> None:
        """Throw away what was being made when a crash came: its rows still wait."""
        for path in (self._folder / self._log.topic).rglob("_*.tmp"):
            made = parse_segment(path.with_name(path.name[1 : -len(".tmp")]))
            log = self._log
            if made and (made.topic, made.partition, made.format) == (log.topic, log.partition, log.format):
                path.unlink(missing_ok=True)

    def _check_new(self) -> None:
        for segment in segments_below(self._folder / self._log.topic):
            if (segment.partition, segment.format) == (self._log.partition, self._log.format):
                raise SinkError(
                    f"{segment.path} is there already, and there is no {self._file.path}.position",
                    hint="move the finished files away, put the position back, or give another --to",
                )

    def _check_ranges(self, first: int) -> None:
        """Raise SinkError where finished files overlap, or hold what is still to come."""
        before = None
        for segment in segments_below(self._folder / self._log.topic):
            if (segment.partition, segment.format) != (self._log.partition, self._log.format):
                continue
            same = before is not None and (before.first, before.last) == (segment.first, segment.last)
            if segment.last >= first or (before is not None and not same and segment.first <= before.last):
                other = f"{before.path}" if before is not None and segment.last < first else f"position {first}"
                raise SinkError(
                    f"{segment.path} and {other} both hold the same offsets",
                    hint="somebody has put files or the position there; move away files that are not from this capture",
                )
            before = segment

    def _error(self, error: OSError) -> SinkError:
        where = error.filename or self._folder
        if error.errno is not None and os.strerror(error.errno) == "No space left on device":
            return SinkError(
                f"no space left for {where}; what was captured before is whole",
                hint="make room and start the same command again",
            )
        return SinkError(f"{where} can't be written: {error.strerror or error}", hint="give another --to")
