"""Stations 6-9: read all partitions of a topic, put rows into event-time windows, and emit closed windows.

A window is handed out once, with the state that a later run needs to go on after it: what a target stores it stores
together with that state, or not at all. Reading continues at the oldest row of a window that was open.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from sensorstream.clients.base import Client, Reader
from sensorstream.clients.causes import Waited
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.config import nearest
from sensorstream.errors import (
    ClusterUnreachable,
    DecodeError,
    OffsetOutOfRange,
    SinkError,
    UsageError,
)
from sensorstream.events import Listener, Notice, Progress, ignore
from sensorstream.pipelines.aggregate.spec import AggregateJob, AggregateResult, Ended, JobMark, Target
from sensorstream.pipelines.read_timeouts import ReadTimeouts
from sensorstream.pipelines.start_at import StartAt, resolve
from sensorstream.records import ConsumedRecord, Row, TopicPartition, Value
from sensorstream.serde import json as json_serde
from sensorstream.sinks.dead_letter import rejected_record
from sensorstream.sinks.rejected import RejectedFile
from sensorstream.transforms.event_time import iso
from sensorstream.transforms.measures import Place
from sensorstream.transforms.windows import Windows, WindowState, load_state
from sensorstream.wording import counted

NOTICED: Final = 3
"""Rejected records that are told one by one; the others are counted."""
STORE_EVERY_S: Final = 5.0


def aggregate(
    client: Client,
    job: AggregateJob,
    target: Target,
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> AggregateResult:
    """Aggregate until ``stop`` is set or the job's own end is reached.

    Raises UnknownTopic, ClusterUnreachable, OffsetOutOfRange, PositionMismatch, SinkError; UsageError where the records
    have none of a column that was asked for; SensorstreamError when more windows are open than allowed.
    """
    with client.reader(listener=listener) as reader:
        try:
            run = _Aggregation(reader, job, target, stop or threading.Event(), listener)
            with Waiting(client.causes, run.open_things, listener):
                return run.run()
        finally:
            target.close()


class _Aggregation:
    def __init__(
        self, reader: Reader, job: AggregateJob, target: Target, stop: threading.Event, listener: Listener
    ) -> None:
        self._reader = reader
        self._job = job
        self._target = target
        self._stop = stop
        self._listener = listener
        self._read_time = job.event_time.reader()
        self._parts = [TopicPartition(job.topic, number) for number in range(reader.partitions_for(job.topic))]
        self._ends: dict[TopicPartition, int] = {}
        self._read: dict[TopicPartition, int] = {}
        self._heard: dict[TopicPartition, float] = {}
        self._checked = False
        self._reasons: list[str] = []
        # Each record is counted and told here; the file only keeps it.
        self._letters = None if job.rejected is None else RejectedFile(job.rejected, ignore, once=True)
        self._records = self._rejected = self._handed_out = 0
        self._dirty = False
        self._stored_at = time.monotonic()
        self._told_backwards = False

    def run(self) -> AggregateResult:
        job = self._job
        mark = JobMark(job.topic, self._reader.identity(job.topic), job)
        columns = Windows(job.rule, ()).columns()
        stored = self._target.open(mark, columns)
        state = None if stored is None else _loaded(stored, self._target.name)
        self._windows = Windows(job.rule, [tp.partition for tp in self._parts], state)
        self._reader.assign(self._positions(state))
        ended = self._loop()
        self._keep_letters()
        if ended == "end":
            self._hand_out(self._windows.flush())
            self._target.finish()
        elif not job.stop_at_end:
            self._store()
            self._target.finish()
        closed_until = self._windows.closed_until_ms
        return AggregateResult(
            job.topic,
            self._target.name,
            ended,
            job.rule.size_ms,
            self._records,
            self._rejected,
            self._windows.late,
            self._handed_out,
            self._windows.open_count,
            None if closed_until is None else iso(closed_until),
            tuple(self._reasons),
        )

    def open_things(self) -> list[Open]:
        """What is waited for; called on another thread."""
        job = self._job
        return [
            Open(
                f"records of {job.topic}",
                self._read.get(tp),
                Waited(partitions=(tp,)),
                surely=tp in self._ends or not self._heard,
                key=tp,
            )
            for tp in self._parts
            if self._read.get(tp, -1) < self._ends.get(tp, 1 << 63)
        ]

    def _positions(self, state: WindowState | None) -> dict[TopicPartition, int]:
        job = self._job
        firsts = self._reader.beginning_offsets(self._parts)
        ends = self._reader.end_offsets(self._parts)
        positions: dict[TopicPartition, int] = {}
        for tp in self._parts:
            first, end = firsts[tp], ends[tp]
            resumed = None if state is None else state.resume.get(tp.partition)
            if resumed is None:
                positions[tp] = resolve(job.start or StartAt("beginning"), self._reader, tp, first, end)
                if not first <= positions[tp] <= end:
                    raise UsageError(f"{tp} has no offset {positions[tp]}", hint=f"it holds {first} to {end - 1}")
                continue
            if not first <= resumed <= end:
                raise OffsetOutOfRange(
                    f"{tp}: offset {resumed}, from which {self._target.name} goes on, is not in the log "
                    f"({first} to {end})",
                    hint="give another --to to aggregate the records that are left",
                )
            positions[tp] = resumed
        if state is not None:
            if job.start is not None:
                raise UsageError(
                    f"{self._target.name} holds windows already, so -o can't apply",
                    hint="leave -o out to continue there, or give another --to",
                )
            self._listener(Notice(f"continuing {self._target.name}"))
        if job.stop_at_end:
            self._ends = ends
        self._heard = dict.fromkeys(self._parts, time.monotonic())
        return positions

    def _loop(self) -> Ended:
        timeouts = ReadTimeouts(
            self._stop,
            self._listener,
            idle_timeout_s=self._job.idle_timeout_s,
            has_end=self._job.stop_at_end,
        )
        while not self._stop.is_set():
            if self._ends and all(self._reader.position(tp) >= end for tp, end in self._ends.items()):
                return "end"
            try:
                polled = self._reader.poll(timeouts.poll_s)
                if polled:
                    timeouts.heard()
                    self._take(polled, time.monotonic())
                elif timeouts.idle:
                    return "timeout"
                self._follow()
                timeouts.answered()
            except ClusterUnreachable as error:
                timeouts.sit_out(error)
                self._heard = dict.fromkeys(self._parts, time.monotonic())
                continue
            closed = self._windows.closed()
            if closed:
                self._hand_out(closed)
            elif self._dirty and time.monotonic() - self._stored_at >= STORE_EVERY_S:
                self._store()
        return "stopped"

    def _take(self, polled: Mapping[TopicPartition, Sequence[ConsumedRecord]], now: float) -> None:
        for tp, records in polled.items():
            self._heard[tp] = now
            taken = records
            if tp in self._ends:
                taken = records[: bisect_left(records, self._ends[tp], key=lambda record: record.offset)]
            if not taken:
                continue
            rows = [(record, self._decoded(record)) for record in taken]
            if not self._checked:
                self._check_columns([row for _, row in rows if row is not None])
            for record, row in rows:
                if row is not None:
                    self._add(row, record)
            self._windows.passed(tp.partition, taken[-1].offset + 1)
            self._dirty = True
            self._listener(Progress(f"{tp}", taken[-1].offset + 1, self._ends.get(tp)))
        self._tell_backwards()

    def _decoded(self, record: ConsumedRecord) -> Row | None:
        new = not self._windows.seen_before(record.partition, record.offset)
        self._records += new
        try:
            if record.value is None:
                raise DecodeError("a record without a value (tombstone)")
            return json_serde.decode(record.value)
        except DecodeError as error:
            self._reject(record, error.message)
            return None

    def _add(self, row: Row, record: ConsumedRecord) -> None:
        try:
            time_ms = self._read_time(row, record)
            self._windows.add(row, Place(time_ms, record.partition, record.offset))
        except DecodeError as error:
            self._reject(record, error.message)

    def _reject(self, record: ConsumedRecord, reason: str) -> None:
        if self._windows.seen_before(record.partition, record.offset):
            return
        self._rejected += 1
        if self._letters is not None:
            self._letters.add(rejected_record(record, reason))
        if len(self._reasons) < NOTICED:
            told = f"{record.topic}[{record.partition}] offset {record.offset}: {reason}"
            self._reasons.append(told)
            self._listener(Notice(f"not aggregated: {told}", "warning"))

    def _keep_letters(self) -> None:
        """Make dead letters durable, before a state is stored that has passed them."""
        if self._letters is not None:
            self._letters.sync()

    def _check_columns(self, rows: Sequence[Row]) -> None:
        """Refuse a column that none of the first rows has: it is misspelt, or another topic's."""
        if not rows:
            return
        self._checked = True
        known = list(dict.fromkeys(name for row in rows for name in row))
        rule, times = self._job.rule, self._job.event_time.columns
        wanted = [*rule.by, *(measure.column for measure in rule.measures), *times]
        for name in wanted:
            if name not in known:
                guess = nearest(name, known)
                had = f"there are: {', '.join(known)}"
                raise UsageError(
                    f"the records of {self._job.topic} have no column {name!r}", hint=f"{guess} {had}" if guess else had
                )

    def _follow(self) -> None:
        """Move past control records, and find out which partitions have nothing more to read."""
        now = time.monotonic()
        for tp in self._parts:
            position = self._read[tp] = self._reader.position(tp)
            self._windows.passed(tp.partition, min(position, self._ends.get(tp, position)))
        if self._job.rule.late_ms is None:
            return
        if self._ends:
            # Of these it is known that nothing more comes.
            self._windows.idle(tp.partition for tp, end in self._ends.items() if self._reader.position(tp) >= end)
            return
        quiet = [tp for tp in self._parts if now - self._heard[tp] >= self._job.idle_s]
        if quiet:
            ends = self._reader.end_offsets(quiet)
            self._windows.idle(tp.partition for tp in quiet if self._reader.position(tp) >= ends[tp])

    def _tell_backwards(self) -> None:
        late = self._windows.late
        if not self._told_backwards and late > 100 and late * 4 > self._records:
            self._told_backwards = True
            self._listener(
                Notice(
                    f"{late:,} of {counted(self._records, 'row')} came after their window was closed; "
                    f"does time run backwards in {self._job.topic}? Use -e, which holds windows until "
                    "the end, or a longer --late",
                    "warning",
                )
            )

    def _hand_out(self, rows: Sequence[Mapping[str, Value]]) -> None:
        self._keep_letters()
        self._target.write(rows, self._windows.state().dump())
        self._handed_out += len(rows)
        self._stored_at = time.monotonic()
        self._dirty = False

    def _store(self) -> None:
        """Store how far reading has come, so that a later run need not count late rows once more."""
        if not self._windows.catching_up:
            self._keep_letters()
            self._target.write((), self._windows.state().dump())
            self._stored_at = time.monotonic()
            self._dirty = False


def _loaded(stored: str, name: str) -> WindowState:
    try:
        return load_state(stored)
    except (ValueError, KeyError, TypeError) as error:
        raise SinkError(
            f"the state of {name} can't be read", hint="give another --to to start a new aggregation"
        ) from error
