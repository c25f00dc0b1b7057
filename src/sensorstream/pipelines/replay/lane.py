"""Stations 1-4 for one source: its rows, their pace, and what has become of the rows that were sent.

A lane is in one thread's hands at a time. It knows the first row that is not safely stored.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from sensorstream.clients.base import Publisher
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import DecodeError, DeliveryError, RecordTooLarge, SourceError, UsageError
from sensorstream.events import Listener, Notice, Progress, RowPublished
from sensorstream.pipelines.replay.outbox import Outbox
from sensorstream.pipelines.replay.share import Share
from sensorstream.records import Rejected, SourceRow
from sensorstream.serde.bulk_json import BlockEncoder
from sensorstream.serde.json import RowEncoder
from sensorstream.sinks.rejected import RejectedFile
from sensorstream.sources.base import Batch, Block, Source
from sensorstream.sources.csv_blocks import CsvBlocks
from sensorstream.sources.formats import Encoder
from sensorstream.sources.schedule import Schedule, time_parser

BATCH_ROWS: Final = 500
"""Rows that a lane publishes before it lets go of its thread."""
_ANSWERS_S: Final = 0.02
BLOCK_BYTES: Final = 1 << 20
"""How much of a source is published at once where its rows need not be looked at one by one."""
_READ_AHEAD: Final = 4 * 1024 * 1024
"""From so many bytes on, what a source has read says how far it is."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the rows of one source become records.

    ``make_schedule`` takes the index of the time column (None: there is none); ``paced_by_time`` says that it needs
    one. ``partition_by`` is ``row`` (row index modulo partitions), ``key`` (the key's murmur2 hash) or ``column:NAME``
    (the same hash of that column); ``key`` names the column whose cell is the record's key; ``time_column`` and
    ``time_format`` say where a row's own time stands; with ``original_timestamps`` it becomes the record's.
    ``limit`` is the most rows to publish; ``answer_s`` how long an acknowledgement may take in seconds.
    ``make_encoder`` takes the source's columns; ``share`` says which partitions' rows to publish, where other
    processes publish the others.
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
    make_encoder: Callable[[Sequence[str]], Encoder] = RowEncoder
    share: Share | None = None


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
        self.outbox = Outbox(topic, rules.answer_s)
        self.ended = False
        self._exhausted = False
        self._rules = rules
        self._publisher = publisher
        self._partitions = partitions
        self._listener = listener
        self._loop = loop
        self._log_rows = log_rows
        self._rejects = RejectedFile(rejected, listener)
        self._ready: deque[SourceRow | _Unusable] = deque()
        self._sent_before = -1 if first_row else 0
        self._next_row = self._first_row = first_row
        # Rows that were passed over, because another process publishes them.
        self._passed = 0
        self._began = 0.0
        self._due: float | None = None

    @property
    def rejected(self) -> int:
        """Rows that could not be used."""
        return self._rejects.count

    @property
    def next_row(self) -> int:
        """The first row that is not safely stored: where the next run must go on."""
        return self.outbox.first_unsafe(self._next_row)

    def open(self) -> None:
        """Open the source, check the rules against its columns, and find the first row.

        Waits for somebody to write when the source is a pipe. Raises SourceError, UsageError.
        """
        self.source.open()
        columns = self.source.columns
        rules = self._rules
        self._encoder = rules.make_encoder(columns)
        self._block_encoder: BlockEncoder | None = None
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
        if self._first_row:
            self._find_first_row()

    def _find_first_row(self) -> None:
        """Read on to the first row, so that a source that is too short for it is found before anything is sent."""
        block = self.source.read_block(BLOCK_BYTES) if isinstance(self.source, CsvBlocks) else None
        if block is not None:
            self._ready.extend(block.source_rows())
        else:
            begin = self.source.position
            self._ready.extend(_in_order(self.source.read(1), begin))
        if not self._ready:
            self._exhausted = True
            share = self._rules.share
            if not self._loop and (share is None or share.index == 0):
                text = f"{self.source.name} ends with row {self._first_row - 1}: there is nothing left to publish"
                self._listener(Notice(text, "warning"))

    def begin(self, now: float) -> None:
        """Start the source's clock."""
        self._began = now

    def step(self, stop: threading.Event) -> float | None:
        """Publish what is due, a batch at the most; return when the next row is due (monotonic), None at the end."""
        self.outbox.reap()
        if self._publish_block(stop):
            self._tell()
            return time.monotonic()
        for _ in range(BATCH_ROWS):
            row = self._next()
            if row is None:
                return None if self._finish(stop) else time.monotonic()
            if self._schedule.paced:
                if self._due is None:
                    self._due = self._began + self._schedule.due(row)
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

    def settle(self) -> None:
        """Take the last outcomes. Raises DeliveryError for the first row that failed."""
        try:
            self.outbox.settle()
            if self._exhausted and not self._ready and not self.outbox.open_rows and not self._loop:
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
                    if self._is_ours(first):
                        return first
                    self._ready.popleft()
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
            if self._exhausted or (limit is not None and self._taken >= limit):
                return None
            want = BATCH_ROWS if limit is None else min(BATCH_ROWS, limit - self._taken)
            begin = self.source.position
            batch = self.source.read(want)
            if not batch:
                self._exhausted = True
                return None
            self._ready.extend(_in_order(batch, begin) if batch.rejected else batch.rows)

    @property
    def _taken(self) -> int:
        """Rows of the source that were dealt with, whatever became of them."""
        return self.outbox.sent + self.rejected + self._passed

    def _is_ours(self, row: SourceRow) -> bool:
        """Whether this process publishes the row, and no other."""
        share = self._rules.share
        partition = None if share is None else self._partition(row)
        return share is None or partition is None or share.has(partition)

    def _finish(self, stop: threading.Event) -> bool:
        """At the end of the source: begin anew when looping, else wait for the last answers. True when done."""
        limit = self._rules.limit
        self._next_row = max(self._next_row, self.source.position)
        # A round without one row that could be used would be repeated for ever, as fast as it goes.
        more = limit is None or self._taken < limit
        if self._loop and more and not stop.is_set() and self.outbox.sent > self._sent_before:
            self._begin_anew()
            return False
        self.outbox.wait_a_moment()
        self.ended = not self.outbox.open_rows
        return self.ended

    def _begin_anew(self) -> None:
        columns = self.source.columns
        self._sent_before = self.outbox.sent
        self.source.close()
        self.source = self._make_source(0)
        self.source.open()
        self._exhausted = False
        if self.source.columns != columns:
            raise SourceError(f"{self.source.name}: its columns have changed since the last round")
        self._schedule.restart()

    def _publish_block(self, stop: threading.Event) -> bool:
        """Publish the next rows of the source all at once, where that can be done; whether it was."""
        if not isinstance(self.source, CsvBlocks) or self._ready or not self.source.bulk:
            return False
        self.outbox.make_room(stop)
        block = None if stop.is_set() else self.source.read_block(BLOCK_BYTES)
        if block is None:
            return False
        if self._block_encoder is None:
            self._block_encoder = BlockEncoder(self.source.columns, block.delimiter)
        share = self._rules.share
        values = self._block_encoder.encode(block.data if share is None else share.rows(block, self._partitions))
        if values is None:
            self._ready.extend(block.source_rows())
            return False
        partitions = range(self._partitions) if share is None else share.partitions(self._partitions)
        # The first value belongs to the first of our partitions from that of the block's first row on.
        first = sum(partition < block.first_row % self._partitions for partition in partitions)
        for at, partition in enumerate(partitions):
            of_partition = values[(at - first) % len(partitions) :: len(partitions)]
            if of_partition:
                self._publish_share(block, partition, of_partition)
        self._passed += block.rows - len(values)
        self._next_row = block.first_row + block.rows
        return True

    def _publish_share(self, block: Block, partition: int, values: list[bytes]) -> None:
        try:
            delivery = self._publisher.publish_batch(self.topic, values, partition=partition)
        except RecordTooLarge:
            # Nothing of the batch was queued: one by one, so that just the rows that are too large are put aside.
            for row in block.source_rows():
                if row.number % self._partitions == partition:
                    self._publish(row)
        else:
            self.outbox.add(block.first_row, len(values), sum(map(len, values)), delivery)

    def _publish(self, row: SourceRow) -> None:
        value = self._encoder.encode(row.cells)
        key = None if self._key_at is None else row.cells[self._key_at].encode()
        partition = self._partition(row)
        try:
            delivery = self._publisher.publish(
                self.topic, value, partition=partition, key=key, timestamp_ms=self._timestamp(row)
            )
        except (RecordTooLarge, DecodeError) as error:
            self._reject(Rejected({"file": self.source.name, "line": row.line}, error.message, value))
        else:
            then = partial(self._published, partition or 0, value) if self._log_rows else None
            self.outbox.add(row.number, 1, len(value), delivery, then)
        self._next_row = row.number + 1

    def _partition(self, row: SourceRow) -> int | None:
        """Where the row goes; None: anywhere."""
        if self._rules.partition_by == "key":
            at = self._key_at
            return None if at is None else partition_for_key(row.cells[at].encode(), self._partitions)
        if self._hashed_at is not None:
            return partition_for_key(row.cells[self._hashed_at].encode(), self._partitions)
        return row.number % self._partitions

    def _timestamp(self, row: SourceRow) -> int | None:
        """The record's time in ms since 1970 UTC; None for now. Raises DecodeError on a cell that is no time."""
        if not self._rules.original_timestamps or self._time_at is None:
            return None
        return self._parse_time(row.cells[self._time_at])

    def _published(self, partition: int, value: bytes, offset: int) -> None:
        self._listener(RowPublished(self.topic, partition, offset, value))

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
