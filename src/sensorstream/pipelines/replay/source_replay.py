"""Stations 1-4 for one source: its rows, their pace, and the outcome of the rows that were sent.

A source's replay is in one thread's hands at a time. It knows the first row that is not safely stored. Its rows go one
of two ways: many at once where none of them need be looked at (``block_publishing.py``), else one by one
(``row_publishing.py``).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from sensorstream.clients.base import RecordSink
from sensorstream.clients.causes import Waited
from sensorstream.errors import DeliveryError, SourceError, UsageError
from sensorstream.events import Listener, Notice, Progress
from sensorstream.pipelines.replay.block_publishing import BLOCK_BYTES, BlockPublishing
from sensorstream.pipelines.replay.destination import Destination
from sensorstream.pipelines.replay.first_times import row_times
from sensorstream.pipelines.replay.how import how_published
from sensorstream.pipelines.replay.outbox import Outbox
from sensorstream.pipelines.replay.row_order import UnusableRow, in_order
from sensorstream.pipelines.replay.row_publishing import RowPublishing
from sensorstream.pipelines.replay.spec import Begin, ReplayedSource, Rules
from sensorstream.records import Rejected, SourceRow
from sensorstream.sinks.rejected import RejectedFile
from sensorstream.sources.base import Source
from sensorstream.sources.csv_blocks import CsvBlocks
from sensorstream.sources.followed import FollowedSource
from sensorstream.sources.row_times import RowTimes
from sensorstream.sources.schedule import Schedule, Unpaced
from sensorstream.wording import counted

BATCH_ROWS: Final = 500
"""Rows that are published one by one before the thread is let go of."""
_ANSWERS_S: Final = 0.02
_TELL_EVERY_S: Final = 0.05
_READ_AHEAD: Final = 4 * 1024 * 1024
"""From so many bytes on, what a source has read says how far it is."""


class SourceReplay:
    """One source on its way into its topic."""

    def __init__(
        self,
        topic: str,
        make_source: Callable[[int], Source],
        begin: Begin,
        rules: Rules,
        *,
        rejected: Path,
        publisher: RecordSink,
        partitions: int,
        listener: Listener,
        loop: bool,
        log_rows: bool,
        again: bool = False,
    ) -> None:
        """``again``: rows from ``begin`` on may have been published before, in a transaction that was not committed."""
        self.topic = topic
        self.round = begin.round
        self.source = make_source(begin.row)
        self._make_source = make_source
        self.outbox = Outbox(topic, rules.answer_s)
        self.ended = False
        self._exhausted = False
        self._rules = rules
        self._partitions = partitions
        self._destination = Destination(topic, partitions, publisher, self.outbox)
        self._blocks = BlockPublishing(self._destination, rules.share)
        self._listener = listener
        self._loop = loop
        self._log_rows = log_rows
        self._begin = begin
        self._again = again
        self._rejects = RejectedFile(rejected, listener, once=again, topic=topic)
        self._ready: deque[SourceRow | UnusableRow] = deque()
        self._sent_before = -1 if begin.row else 0
        self._next_row = self._first_row = begin.row
        # Rows that were passed over, because another process publishes them.
        self._passed = 0
        self._began = self._told = 0.0
        self._schedule: Schedule = Unpaced()
        self._due: float | None = None

    @property
    def name(self) -> str:
        """What to call the source."""
        return self.source.name

    @property
    def on_clock(self) -> bool:
        """Whether it goes by a clock that other sources go by, too."""
        return self._rules.on_clock

    @property
    def rejected(self) -> int:
        """Rows that could not be used."""
        return self._begin.rejected + self._rejects.count

    @property
    def acknowledged(self) -> int:
        """Rows that all in-sync replicas have."""
        return self.outbox.acknowledged

    @property
    def waited(self) -> Waited:
        """What the acknowledgements of its rows need."""
        return Waited((self.topic,), writes=True)

    @property
    def open_rows(self) -> int:
        """Rows that were sent and have no outcome yet."""
        return self.outbox.open_rows

    @property
    def due(self) -> float | None:
        """When the next row is due (monotonic), where that is known and it is still to come."""
        return self._due

    @property
    def idle(self) -> bool:
        """Whether the source has nothing now, and may have more later."""
        return False

    @property
    def exhausted(self) -> bool:
        """Whether the source has been read to its end, and every row of it was dealt with."""
        return self._exhausted and not self._ready

    @property
    def next_row(self) -> int:
        """The first row that is not safely stored: where the next run must go on."""
        return self.outbox.first_unsafe(self._next_row)

    @property
    def sent_up_to(self) -> int:
        """The first row that was not sent: where to go on when everything that was sent is stored."""
        return self._next_row

    def open(self) -> None:
        """Open the source, check the rules against its columns, and find the first row.

        Waits for somebody to write when the source is a pipe. Raises SourceError, UsageError.
        """
        self.source.open()
        self._look_at_columns()
        if self._first_row:
            self._find_first_row()

    def _look_at_columns(self) -> None:
        """Find what the rules speak of in the columns of the open source. Raises UsageError."""
        columns = self.source.columns
        rules = self._rules
        encoder = rules.make_encoder(columns)
        self._blocks.forget_columns()
        key_at = self._column(rules.key, "--key")
        needs_time = rules.original_timestamps or rules.paced_by_time
        self._times: RowTimes | None = None
        if needs_time:
            if rules.time is None:
                raise UsageError(f"{self.source.name}: the time column is not known", hint="name it with --time-column")
            self._times, rule = row_times(self.source, self._make_source, self._first_row, rules.time, self._listener)
            rules = self._rules = replace(rules, time=rule)
        self._rejects.how = how_published(self.source, rules)
        self._schedule = rules.make_schedule(self._times)
        kind, _, name = rules.partition_by.partition(":")
        self._rows = RowPublishing(
            self._destination,
            rules,
            encoder,
            key_at=key_at,
            hashed_at=self._column(name, "--partition-by") if kind == "column" else None,
            times=self._times,
            reject=self._reject,
            published=self._listener if self._log_rows else None,
        )

    def _find_first_row(self) -> None:
        """Read on to the first row, so that a source that is too short for it is found before anything is sent."""
        block = self.source.read_block(BLOCK_BYTES) if isinstance(self.source, CsvBlocks) else None
        if block is not None:
            self._ready.extend(block.source_rows())
        else:
            begin = self.source.position
            self._ready.extend(in_order(self.source.read(1), begin))
        if not self._ready:
            self._exhausted = True
            share = self._rules.share
            if not self._loop and not self._again and (share is None or share.index == 0):
                text = f"{self.source.name} ends with row {self._first_row - 1}: there is nothing left to publish"
                self._listener(Notice(text, "warning"))

    def begin(self, now: float) -> None:
        """Start the source's clock."""
        self._began = self._schedule.start(now, self.round)

    def step(self, stop: threading.Event) -> float | None:
        """Publish what is due, a batch at the most; return when the next row is due (monotonic), None at the end."""
        self.outbox.reap()
        if self._publish_block(stop):
            self._tell()
            return time.monotonic()
        for _ in range(BATCH_ROWS):
            row = self._next()
            if row is None:
                return self._finish(stop)
            if self._schedule.paced:
                held = self._schedule.held(row)
                if held is not None:
                    # With many rows due at once it is held at each of them.
                    if time.monotonic() - self._told >= _TELL_EVERY_S:
                        self._tell()
                    return self._began + held
                if self._due is None:
                    self._due = self._moment(row)
                now = time.monotonic()
                if self._due > now:
                    self._tell()
                    # The answers to what was sent are looked at soon, however far away the next row is.
                    return min(self._due, now + _ANSWERS_S) if self.outbox.open_rows else self._due
            self.outbox.make_room(stop)
            if stop.is_set():
                break
            self._ready.popleft()
            self._due = None
            self._publish(row)
        self._tell()
        return time.monotonic()

    def sync_rejected(self) -> None:
        """Make the dead letters durable, where that is not done for each. Raises OSError."""
        self._rejects.sync()

    def settle(self) -> None:
        """Take the last outcomes. Raises DeliveryError for the first row that failed."""
        try:
            self.outbox.settle()
            if self.exhausted and not self.outbox.open_rows and not self._loop:
                # Stopped between the last row and its answer: there is nothing left to go on with.
                self.ended = True
        finally:
            self._tell()

    def close(self) -> None:
        """Close the source."""
        self._schedule.pause()
        self.source.close()

    def result(self) -> ReplayedSource:
        """What has come of the source so far."""
        return ReplayedSource(
            self.topic,
            self.name,
            self.outbox.sent,
            self.outbox.acknowledged,
            self.outbox.failed,
            self.rejected,
            self.next_row,
            self.ended and not self.outbox.open_rows,
        )

    def _next(self) -> SourceRow | None:
        """The next row, left in the queue; rejected ones are put aside. None at the end of the source or the limit."""
        limit = self._rules.limit
        while True:
            while self._ready:
                first = self._ready[0]
                if isinstance(first, SourceRow):
                    if self._is_ours(first):
                        return first
                    self._ready.popleft()
                    if self._times is not None and self._times.in_order:
                        self._times.pass_over(first)
                    self._passed += 1
                    self._next_row = first.number + 1
                    continue
                # In its turn, not when it is read: a stopped replay that goes on meets it once more otherwise.
                self._ready.popleft()
                if self._rules.share is None or self._rules.share.has(first.row % self._partitions):
                    self._reject(first.rejected)
                else:
                    self._passed += 1
                self._next_row = first.row + 1
            if self._exhausted or (limit is not None and self.taken >= limit):
                return None
            want = BATCH_ROWS if limit is None else min(BATCH_ROWS, limit - self.taken)
            begin = self.source.position
            batch = self.source.read(want)
            if not batch:
                self._exhausted = True
                return None
            self._ready.extend(in_order(batch, begin) if batch.rejected else batch.rows)

    @property
    def taken(self) -> int:
        """Rows of the source that were dealt with, whatever became of them."""
        return self._begin.taken + self.outbox.sent + self._rejects.count + self._passed

    def _is_ours(self, row: SourceRow) -> bool:
        """Whether this process publishes the row, and no other."""
        share = self._rules.share
        partition = None if share is None else self._rows.partition(row)
        return share is None or partition is None or share.has(partition)

    def _moment(self, row: SourceRow) -> float:
        """When the row is due (monotonic)."""
        return self._began + self._schedule.due(row)

    def _finish(self, stop: threading.Event) -> float | None:
        """At the end of the source: begin anew when looping, else wait for the last answers. None when done."""
        limit = self._rules.limit
        self._next_row = max(self._next_row, self.source.position)
        # A round without one row that could be used would be repeated for ever, as fast as it goes.
        more = limit is None or self.taken < limit
        if self._loop and more and not stop.is_set() and self.outbox.sent > self._sent_before:
            self._begin_anew()
            return time.monotonic()
        self._schedule.end()
        self.outbox.wait_a_moment()
        self.ended = not self.outbox.open_rows
        return None if self.ended else time.monotonic()

    def _begin_anew(self) -> None:
        columns = self.source.columns
        self._sent_before = self.outbox.sent
        self.round += 1
        self._next_row = 0
        self.source.close()
        self.source = self._make_source(0)
        self.source.open()
        self._exhausted = False
        if self.source.columns != columns:
            raise SourceError(f"{self.source.name}: its columns have changed since the last round")
        if self._times is not None:
            self._times.restart()
        self._schedule.restart()

    def _publish_block(self, stop: threading.Event) -> bool:
        """Publish the next rows of the source all at once, where that can be done; whether it was."""
        if not isinstance(self.source, CsvBlocks | FollowedSource) or self._ready or not self.source.bulk:
            return False
        burst = self._blocks.gather(self.source, stop)
        self._ready.extend(burst.to_look_at)
        if not burst.blocks:
            return False
        self._passed += burst.rows - len(burst.values)
        self._blocks.publish(burst, self._publish)
        self._next_row = burst.first_row + burst.rows
        return True

    def _publish(self, row: SourceRow) -> None:
        self._rows.publish(self.source, row)
        self._next_row = row.number + 1

    def _reject(self, rejected: Rejected) -> None:
        self._rejects.add(rejected)
        limit = self._rules.max_rejects
        if limit is not None and self.rejected > limit:
            raise DeliveryError(
                f"{counted(self.rejected, 'row')} of {self.source.name} could not be used, over --max-rejects {limit}",
                hint=f"see {self._rejects.path}",
            )

    def expected(self) -> tuple[int | None, bool]:
        """How many rows the source has, where that is known, and whether it is an estimate."""
        total, estimated = self._rules.limit, False
        read, size, rows = self.source.bytes_read, self.source.size_bytes, self.source.position
        if total is None and not self._loop:
            if self._exhausted:
                total = rows
            elif size and _READ_AHEAD < read < size:
                # The rows that are read and not handed out yet make it a little too small at first.
                total, estimated = round(rows * size / read), True
        return total, estimated

    def _tell(self) -> None:
        self._told = time.monotonic()
        total, estimated = self.expected()
        self._listener(
            Progress(self.topic, self.outbox.acknowledged, total, self.outbox.failed, estimated, self.next_row)
        )

    def _column(self, name: str | None, option: str) -> int | None:
        if name is None:
            return None
        if name not in self.source.columns:
            raise UsageError(
                f"{self.source.name} has no column {name!r} for {option}",
                hint=f"it has {', '.join(self.source.columns)}",
            )
        return self.source.columns.index(name)
