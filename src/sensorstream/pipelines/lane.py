"""Stations 1-4 for one source: its rows, their pace, and what has become of the rows that were sent.

A lane is in one thread's hands at a time. It bounds what is sent and not yet acknowledged, in rows and in bytes,
since the client does not; it looks at every delivery; and it knows the first row that is not safely stored.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sensorstream.clients.base import Delivery, Publisher
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import DecodeError, DeliveryError, DeliveryTimeout, RecordTooLarge, SourceError, UsageError
from sensorstream.events import Listener, Progress, RowPublished
from sensorstream.records import Rejected, SourceRow
from sensorstream.serde.json import RowEncoder
from sensorstream.sinks.rejected import RejectedFile
from sensorstream.sources.base import Batch, Source
from sensorstream.sources.schedule import Schedule, time_parser

BATCH_ROWS: Final = 500
"""Rows that a lane publishes before it lets go of its thread."""
_READ_AHEAD: Final = 4 * 1024 * 1024
"""From so many bytes on, what a source has read says how far it is."""
MAX_OPEN_ROWS: Final = 20_000
MAX_OPEN_BYTES: Final = 16 * 1024 * 1024
"""What may be sent and unanswered, per source; a row counts at least its share of the client's bookkeeping."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the rows of one source become records.

    ``make_schedule`` takes the index of the time column (None: there is none); ``paced_by_time`` says that it needs
    one. ``partition_by`` is ``row`` (row index modulo partitions), ``key`` (the key's murmur2 hash) or ``column:NAME``
    (the same hash of that column); ``key`` names the column whose cell is the record's key; ``time_column`` and
    ``time_format`` say where a row's own time stands; with ``original_timestamps`` it becomes the record's.
    ``limit`` is the most rows to publish; ``answer_s`` how long an acknowledgement may take in seconds.
    """

    make_schedule: Callable[[int | None], Schedule]
    paced_by_time: bool = False
    partition_by: str = "row"
    key: str | None = None
    time_column: str | None = None
    time_format: str | None = None
    original_timestamps: bool = False
    limit: int | None = None
    max_rejects: int | None = None
    answer_s: float = 120.0


class _Sent(NamedTuple):
    row: int
    partition: int
    value: bytes
    at: float
    delivery: Delivery


class _Unusable(NamedTuple):
    row: int
    rejected: Rejected


class Lane:
    """One source on its way into its topic."""

    def __init__(
        self,
        topic: str,
        make_source: Callable[[int], Source],
        first_row: int,
        rules: Rules,
        *,
        rejected: Path,
        publisher: Publisher,
        partitions: int,
        listener: Listener,
        loop: bool,
        log_rows: bool,
    ) -> None:
        self.topic = topic
        self.source = make_source(first_row)
        self._make_source = make_source
        self.sent = self.acknowledged = self.failed = 0
        self.ended = False
        self._exhausted = False
        self._rules = rules
        self._publisher = publisher
        self._partitions = partitions
        self._listener = listener
        self._loop = loop
        self._log_rows = log_rows
        self._rejects = RejectedFile(rejected, listener)
        self._open: deque[_Sent] = deque()
        self._open_bytes = 0
        self._ready: deque[SourceRow | _Unusable] = deque()
        self._sent_before = -1 if first_row else 0
        self._next_row = 0
        self._first_failed: int | None = None
        self._began = 0.0
        self._due: float | None = None

    @property
    def rejected(self) -> int:
        """Rows that could not be used."""
        return self._rejects.count

    @property
    def open_rows(self) -> int:
        """Rows that were sent and have no outcome yet."""
        return len(self._open)

    @property
    def next_row(self) -> int:
        """The first row that is not safely stored: where the next run must go on."""
        waiting = self._open[0].row if self._open else self._next_row
        return waiting if self._first_failed is None else min(waiting, self._first_failed)

    def open(self) -> None:
        """Open the source and check the rules against its columns. Raises SourceError, UsageError."""
        self.source.open()
        self._next_row = self.source.position
        columns = self.source.columns
        rules = self._rules
        self._encoder = RowEncoder(columns)
        self._key_at = self._column(rules.key, "--key")
        needs_time = rules.original_timestamps or rules.paced_by_time
        if needs_time and rules.time_column is None:
            raise UsageError(
                f"{self.source.name}: no column is known to hold the time", hint="name it with --time-column"
            )
        self._time_at = self._column(rules.time_column if needs_time else None, "--time-column")
        self._parse_time = time_parser(rules.time_format)
        self._schedule = rules.make_schedule(self._time_at)
        kind, _, name = rules.partition_by.partition(":")
        self._hashed_at = self._column(name, "--partition-by") if kind == "column" else None

    def begin(self, now: float) -> None:
        """Start the source's clock."""
        self._began = now

    def step(self, stop: threading.Event) -> float | None:
        """Publish what is due, a batch at the most; return when the next row is due (monotonic), None at the end."""
        self._reap()
        for _ in range(BATCH_ROWS):
            row = self._next()
            if row is None:
                return None if self._finish(stop) else time.monotonic()
            if self._schedule.paced:
                if self._due is None:
                    self._due = self._began + self._schedule.due(row)
                if self._due > time.monotonic():
                    self._tell()
                    return self._due
            self._make_room(stop)
            if stop.is_set():
                break
            self._ready.popleft()
            self._due = None
            self._publish(row)
        self._tell()
        return time.monotonic()

    def settle(self) -> None:
        """Take the last outcomes. Raises DeliveryError for the first row that failed."""
        try:
            self._reap(all_of_them=True)
            if self._exhausted and not self._ready and not self._open and not self._loop:
                # Stopped between the last row and its answer: there is nothing left to go on with.
                self.ended = True
        finally:
            self._tell()

    def close(self) -> None:
        """Close the source."""
        self.source.close()

    def _next(self) -> SourceRow | None:
        """The next row, left in the queue; rejected ones are put aside. None at the end of the source or the limit."""
        limit = self._rules.limit
        while True:
            while self._ready:
                first = self._ready[0]
                if isinstance(first, SourceRow):
                    return first
                # In its turn, not when it is read: a stopped replay that goes on meets it once more otherwise.
                self._ready.popleft()
                self._reject(first.rejected)
                self._next_row = first.row + 1
            if self._exhausted or (limit is not None and self.sent + self.rejected >= limit):
                return None
            want = BATCH_ROWS if limit is None else min(BATCH_ROWS, limit - self.sent - self.rejected)
            begin = self.source.position
            batch = self.source.read(want)
            if not batch:
                self._exhausted = True
                return None
            self._ready.extend(_in_order(batch, begin) if batch.rejected else batch.rows)

    def _finish(self, stop: threading.Event) -> bool:
        """At the end of the source: begin anew when looping, else wait for the last answers. True when done."""
        limit = self._rules.limit
        self._next_row = max(self._next_row, self.source.position)
        # A round without one row that could be used would be repeated for ever, as fast as it goes.
        more = limit is None or self.sent + self.rejected < limit
        if self._loop and more and not stop.is_set() and self.sent > self._sent_before:
            self._begin_anew()
            return False
        if self._open:
            self._wait(self._open[0])
            self._reap()
        self.ended = not self._open
        return self.ended

    def _begin_anew(self) -> None:
        columns = self.source.columns
        self._sent_before = self.sent
        self.source.close()
        self.source = self._make_source(0)
        self.source.open()
        self._exhausted = False
        if self.source.columns != columns:
            raise SourceError(f"{self.source.name}: its columns have changed since the last round")
        self._schedule.restart()

    def _publish(self, row: SourceRow) -> None:
        value = self._encoder.encode(row.cells)
        key = None if self._key_at is None else row.cells[self._key_at].encode()
        partition: int | None = row.number % self._partitions
        if self._rules.partition_by == "key":
            partition = None if key is None else partition_for_key(key, self._partitions)
        elif self._hashed_at is not None:
            partition = partition_for_key(row.cells[self._hashed_at].encode(), self._partitions)
        try:
            delivery = self._publisher.publish(
                self.topic, value, partition=partition, key=key, timestamp_ms=self._timestamp(row)
            )
        except (RecordTooLarge, DecodeError) as error:
            self._reject(Rejected({"file": self.source.name, "line": row.line}, error.message, value))
        else:
            self.sent += 1
            self._open.append(_Sent(row.number, partition or 0, value, time.monotonic(), delivery))
            self._open_bytes += len(value) + 500
        self._next_row = row.number + 1

    def _timestamp(self, row: SourceRow) -> int | None:
        """The record's time in ms since 1970 UTC; None for now. Raises DecodeError on a cell that is no time."""
        if not self._rules.original_timestamps or self._time_at is None:
            return None
        return self._parse_time(row.cells[self._time_at])

    def _make_room(self, stop: threading.Event) -> None:
        while (len(self._open) >= MAX_OPEN_ROWS or self._open_bytes >= MAX_OPEN_BYTES) and not stop.is_set():
            self._wait(self._open[0])
            self._reap()

    def _wait(self, sent: _Sent) -> None:
        """Wait a moment for the oldest open row. Raises DeliveryTimeout when it is overdue."""
        try:
            sent.delivery.wait(0.2)
        except DeliveryTimeout:
            self._check_overdue()
        except DeliveryError:
            # It is counted, and raised, where all outcomes are: in _reap.
            return

    def _check_overdue(self) -> None:
        if self._open and time.monotonic() - self._open[0].at > self._rules.answer_s:
            raise DeliveryTimeout(
                f"{self.topic}: row {self._open[0].row} was not acknowledged within {self._rules.answer_s:g} s",
                hint="bring the brokers back, then go on with --from-row",
            )

    def _reap(self, *, all_of_them: bool = False) -> None:
        """Look at the outcomes that are there, oldest first. Raises the first failure, after counting all."""
        problem: DeliveryError | None = None
        still: deque[_Sent] = deque()
        opened = self._open
        while opened:
            sent = opened[0]
            if not sent.delivery.done():
                if not all_of_them:
                    break
                still.append(opened.popleft())
                continue
            opened.popleft()
            self._open_bytes -= len(sent.value) + 500
            try:
                offset = sent.delivery.wait(0)
            except DeliveryError as error:
                self.failed += 1
                problem = problem or error
                if self._first_failed is None:
                    self._first_failed = sent.row
            else:
                self.acknowledged += 1
                if self._log_rows:
                    self._listener(RowPublished(self.topic, sent.partition, offset, sent.value))
        self._open = still or opened
        if problem is not None:
            raise problem
        if not all_of_them:
            self._check_overdue()

    def _reject(self, rejected: Rejected) -> None:
        self._rejects.add(rejected)
        limit = self._rules.max_rejects
        if limit is not None and self.rejected > limit:
            raise DeliveryError(
                f"{self.rejected} rows of {self.source.name} could not be used, over --max-rejects {limit}",
                hint=f"see {self._rejects.path}",
            )

    def _tell(self) -> None:
        total, estimated = self._rules.limit, False
        read, size, rows = self.source.bytes_read, self.source.size_bytes, self.source.position
        if total is None and not self._loop:
            if self._exhausted:
                total = rows
            elif size and _READ_AHEAD < read < size:
                # The rows that are read and not handed out yet make it a little too small at first.
                total, estimated = round(rows * size / read), True
        self._listener(Progress(self.topic, self.acknowledged, total, self.failed, estimated))

    def _column(self, name: str | None, option: str) -> int | None:
        if name is None:
            return None
        if name not in self.source.columns:
            raise UsageError(
                f"{self.source.name} has no column {name!r} for {option}",
                hint=f"it has {', '.join(self.source.columns)}",
            )
        return self.source.columns.index(name)


def _in_order(batch: Batch, begin: int) -> Iterator[SourceRow | _Unusable]:
    """Rows and rejected rows as they stand in the source; a rejected one took the next index that no row has."""
    rejected = iter(batch.rejected)
    number = begin
    for row in batch.rows:
        while number < row.number:
            yield _Unusable(number, next(rejected))
            number += 1
        yield row
        number += 1
    for at, last in enumerate(rejected, number):
        yield _Unusable(at, last)
