"""Stations 6-9: read partitions and store each record once, whatever fails in between.

The file owns its position: a capture always seeks from it, and commits to Kafka only so that lag can be shown.
Per partition and batch: write to the sink; then, every second or 5,000 rows, flush the sink together with the
position; then, every second and at the end, commit the position to the group.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sensorstream.clients.base import Client, Reader, Rebalance, ValueBatch
from sensorstream.clients.causes import Waited
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.errors import (
    BrokerError,
    ClusterUnreachable,
    NotAllowed,
    OffsetOutOfRange,
    PositionMismatch,
    SchemasRefused,
    SchemasUnreachable,
    SensorstreamError,
    SinkError,
    UnknownPartition,
    UsageError,
)
from sensorstream.events import Listener, Notice, PartitionEnd, Progress, RowStored, ignore
from sensorstream.pipelines.capture.handover import Taken, taken_by_others
from sensorstream.pipelines.capture.ranges import Range, range_end
from sensorstream.pipelines.read_timeouts import GIVE_UP_S, POLL_S, Ended, ReadTimeouts
from sensorstream.pipelines.start_at import StartAt, resolve
from sensorstream.records import Commit, ConsumedRecord, TopicIdentity, TopicPartition, commit_note
from sensorstream.sinks.base import Sink
from sensorstream.sinks.positioned_file import FileBusy
from sensorstream.wording import counted

COMMIT_EVERY_S: Final = 1.0
COMMIT_EVERY_ROWS: Final = 5000
POLLED_ROWS: Final = 50_000
LOGGED_ROWS: Final = 100
"""A poll that brings more rows than this is told as progress, not row by row."""
WAITING_S: Final = 4.0
"""So long after it has joined a member says that it has no partitions; a first join takes about three seconds."""
HAND_OVER_S: Final = 10.0
"""How long a member that ends tries to tell its group how far it has stored."""
REVOKED_S: Final = 5.0
"""How long it tries when partitions are taken from it: within the session, after which it is none any more."""
_AGAIN_S: Final = 0.1
_BUSY_FILE_S: Final = 10.0

SinkFactory = Callable[[TopicPartition, TopicIdentity], Sink]


@dataclass(frozen=True, slots=True)
class CaptureJob:
    """What to capture, and when to stop.

    ``partitions`` None joins ``group`` and shares the topic's partitions with its other members; otherwise just these
    are read. ``commit`` False keeps the group's committed offsets as they are. ``count`` stops after so many records,
    ``idle_timeout_s`` when none has come for that long, ``stop_at_end`` at the end as it is at the start;
    ``max_rejects`` stops the job when more records than that can't be used. A ``range`` ends the capture by itself.
    ``prepare`` is given the values of records before any of them is written, ``arrived`` the records at once when they
    have been read.
    """

    topic: str
    partitions: tuple[int, ...] | None
    group: str
    client_id: str
    host: str
    start: StartAt | None = None
    range: Range | None = None
    commit: bool = True
    stop_at_end: bool = False
    count: int | None = None
    idle_timeout_s: float | None = None
    max_rejects: int | None = None
    log_rows: bool = True
    one_file: bool = False
    prepare: Callable[[Iterable[bytes | None]], None] | None = None
    arrived: Callable[[Iterable[ConsumedRecord]], None] | None = None


@dataclass(frozen=True, slots=True)
class CapturedPartition:
    """What one partition came to in this run; offsets are from ``first_offset`` up to before ``next_offset``."""

    topic: str
    partition: int
    target: str
    first_offset: int
    next_offset: int
    rows: int
    rejected: int


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """How a capture ended: at the ``end``, after ``count`` records, at the ``timeout``, or ``stopped`` by the user."""

    topic: str
    group: str
    ended: Ended
    rows: int
    rejected: int
    partitions: tuple[CapturedPartition, ...]


class _Partition:
    """One partition on its way into its sink."""

    def __init__(self, tp: TopicPartition, sink: Sink, position: int) -> None:
        self.tp = tp
        self.sink = sink
        self.first = self.position = self.stored = position
        self.committed: int | None = None
        self.end: int | None = None
        self.end_told = -1
        self.paused = False
        self.unstored = 0
        self.rows = self.rejected = 0

    def store(self) -> None:
        """Make what was written durable with its position; only that counts."""
        self.sink.commit(self.position)
        self.stored, self.unstored = self.position, 0
        self.rows, self.rejected = self.sink.rows, self.sink.rejected

    def summary(self) -> CapturedPartition:
        return CapturedPartition(*self.tp, self.sink.name, self.first, self.stored, self.rows, self.rejected)


def capture(
    client: Client,
    job: CaptureJob,
    make_sink: SinkFactory,
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> CaptureResult:
    """Capture until ``stop`` is set or the job's own end is reached.

    Raises UnknownTopic, UnknownPartition, ClusterUnreachable, PositionMismatch, OffsetOutOfRange, SinkError. What the
    sinks hold is whole in every case.
    """
    with client.reader(group=job.group, client_id=job.client_id, listener=listener) as reader:
        run = _Capture(reader, job, make_sink, stop or threading.Event(), listener)
        try:
            with Waiting(client.causes, run.open_things, listener):
                return run.run()
        finally:
            run.close()


class _Capture:
    def __init__(
        self,
        reader: Reader,
        job: CaptureJob,
        make_sink: SinkFactory,
        stop: threading.Event,
        listener: Listener,
    ) -> None:
        self._reader = reader
        self._job = job
        self._make_sink = make_sink
        self._stop = stop
        self._listener = listener
        self._open: dict[TopicPartition, _Partition] = {}
        self._finished: list[CapturedPartition] = []
        self._committed: Mapping[TopicPartition, Commit | None] = {}
        self._identity = TopicIdentity(None, None)
        self._taken = 0
        self._stored_at = 0.0
        self._committed_at = 0.0
        self._joined_at: float | None = None
        self._ending = False
        # Some file of it has a range, be it from an earlier start.
        self._ranged = job.range is not None
        self._timeouts = ReadTimeouts(
            stop,
            listener,
            idle_timeout_s=job.idle_timeout_s,
            has_end=job.stop_at_end or self._ranged or job.count is not None,
        )

    def run(self) -> CaptureResult:
        reader, job = self._reader, self._job
        known = reader.partitions_for(job.topic)
        if job.one_file and job.partitions is None and known > 1:
            raise UsageError(
                f"the target is one file, but {job.topic} has {known} partitions",
                hint="give a folder: each partition gets its own file in it",
            )
        self._identity = reader.identity(job.topic)
        if job.partitions is None:
            self._joined_at = time.monotonic()
            reader.subscribe([job.topic], Rebalance(self._assigned, self._revoked, self._lost))
        else:
            for partition in job.partitions:
                if not 0 <= partition < known:
                    raise UnknownPartition(
                        f"topic {job.topic} has no partition {partition}",
                        hint=f"it has {known}: 0 to {known - 1}",
                    )
            reader.assign(self._assigned([TopicPartition(job.topic, number) for number in job.partitions]))
        try:
            ended = self._loop()
            self._store(self._open.values(), last=True)
            self._hand_over()
        except SinkError as error:
            # What is stored stays so: the others must know, or they store it once more. Not of a topic made anew.
            if not isinstance(error, PositionMismatch):
                self._hand_over()
            raise
        partitions = tuple(sorted(self._finished + [part.summary() for part in self._open.values()], key=_by_partition))
        return CaptureResult(
            job.topic,
            job.group,
            ended,
            sum(part.rows for part in partitions),
            sum(part.rejected for part in partitions),
            partitions,
        )

    def close(self) -> None:
        for part in self._open.values():
            part.sink.close()

    def open_things(self) -> list[Open]:
        """What is waited for; called on another thread."""
        job = self._job
        group = job.group if job.partitions is None else None
        parts = list(self._open.values())
        if not parts:
            begun = self._joined_at is not None or self._finished
            return [Open(f"partitions of {job.topic}", None, Waited((job.topic,), group=group), surely=not begun)]
        return [
            Open(
                f"records of {job.topic}",
                (part.position, part.rows),
                Waited(partitions=(part.tp,), group=group),
                surely=part.end is not None,
                key=part.tp,
            )
            for part in parts
            if part.end is None or part.position < part.end
        ]

    def _loop(self) -> Ended:
        self._timeouts.heard()
        while not self._stop.is_set():
            try:
                ended = self._turn()
            except ClusterUnreachable as error:
                self._timeouts.sit_out(error)
                self._store_if_due()
            else:
                self._timeouts.answered()
                if ended is not None:
                    return ended
        return "stopped"

    def _turn(self) -> Ended | None:
        """Read once and store what is due; how the capture has ended, if it has."""
        job = self._job
        if job.count is not None and self._taken >= job.count:
            return "count"
        if (job.stop_at_end or self._ranged) and self._at_end():
            return "end"
        if self._ranged:
            self._pause_ended()
        wanted = POLLED_ROWS if job.count is None else min(POLLED_ROWS, job.count - self._taken)
        batches = self._reader.poll_values(self._timeouts.poll_s, wanted)
        if job.arrived is not None:
            for batch in batches.values():
                job.arrived(batch.records())
        if any(batch.offsets for batch in batches.values()):
            if not self._prepare(batches):
                return "stopped"
            self._take(batches, wanted)
            self._timeouts.heard()
        else:
            self._follow()
            self._tell_ends()
            self._tell_waiting()
            if self._timeouts.idle:
                return "timeout"
        self._store_if_due()
        return None

    def _prepare(self, batches: Mapping[TopicPartition, ValueBatch]) -> bool:
        """Get what decoding needs, before anything is written. False when it was not to be had before the stop.

        Who knows the schemas may be away for a while; the batches are kept meanwhile, and read again by the next run
        otherwise. Raises SchemasUnreachable.
        """
        prepare, told = self._job.prepare, False
        if prepare is None:
            return True
        deadline = time.monotonic() + GIVE_UP_S
        while not self._stop.is_set():
            try:
                for batch in batches.values():
                    prepare(batch.values)
            except SchemasUnreachable as error:
                if isinstance(error, SchemasRefused) or time.monotonic() >= deadline:
                    raise
                if not told:
                    self._listener(Notice(f"{error.message}; trying again until it answers", "warning"))
                told = True
                self._store_if_due()
                self._stop.wait(POLL_S)
            else:
                return True
        return False

    def _take(self, batches: Mapping[TopicPartition, ValueBatch], wanted: int) -> None:
        job = self._job
        log_rows = job.log_rows and sum(len(batch.offsets) for batch in batches.values()) <= LOGGED_ROWS
        for tp, read in batches.items():
            part = self._open.get(tp)
            if part is None:
                continue
            count = len(read.offsets) if part.end is None else bisect_left(read.offsets, part.end)
            batch = read.first(min(count, wanted))
            if not batch.offsets:
                continue
            wanted -= len(batch.offsets)
            nothing = part.sink.write_values(batch.values, batch.records)
            self._taken += len(batch.offsets)
            part.unstored += len(batch.offsets)
            part.position = batch.offsets[-1] + 1
            if log_rows:
                for offset, value in zip(batch.offsets, batch.values, strict=True):
                    if offset not in nothing:
                        self._listener(RowStored(*tp, offset, value or b"null"))
            else:
                self._listener(Progress(f"{tp}", part.position, part.end))
        self._check_rejects()

    def _check_rejects(self) -> None:
        limit = self._job.max_rejects
        rejected = sum(part.sink.rejected for part in self._open.values())
        if limit is not None and rejected > limit:
            self._store(self._open.values(), last=True)
            raise SinkError(
                f"{counted(rejected, 'record')} of {self._job.topic} could not be used, over --max-rejects {limit}",
                hint="see the .rejected.jsonl file beside the capture",
            )

    def _follow(self) -> None:
        """Move positions past control records and aborted transactions, which are never handed out."""
        for part in self._open.values():
            seen = self._reader.position(part.tp)
            # Not past the agreed end: rows behind it may have been fetched, but were not stored.
            seen = seen if part.end is None else min(seen, part.end)
            part.position = max(part.position, seen)

    def _at_end(self) -> bool:
        self._follow()
        if not self._open or any(part.end is None or part.position < part.end for part in self._open.values()):
            return False
        for part in self._open.values():
            self._tell_end(part, part.position)
        return True

    def _pause_ended(self) -> None:
        """Fetch nothing more of partitions that have reached their end while others have not."""
        for part in self._open.values():
            if not part.paused and part.end is not None and part.position >= part.end:
                self._reader.pause([part.tp])
                part.paused = True

    def _tell_ends(self) -> None:
        waiting = [part for part in self._open.values() if part.position > part.end_told]
        if not waiting:
            return
        ends = self._reader.end_offsets([part.tp for part in waiting])
        for part in waiting:
            if part.position >= ends[part.tp]:
                self._tell_end(part, part.position)

    def _tell_waiting(self) -> None:
        """Say once that the group has given nothing yet, which may look as if nothing happened."""
        joined_at = None if self._open or self._finished else self._joined_at
        if joined_at is not None and time.monotonic() - joined_at >= WAITING_S:
            self._joined_at = None
            self._listener(
                Notice(
                    f"waiting for partitions of {self._job.topic}: other members of group {self._job.group} own them, "
                    "or a killed member has not been removed from it yet"
                )
            )

    def _tell_end(self, part: _Partition, offset: int) -> None:
        if part.end_told != offset:
            part.end_told = offset
            self._listener(PartitionEnd(part.tp.topic, part.tp.partition, offset))

    def _store_if_due(self) -> None:
        now = time.monotonic()
        full = any(part.unstored >= COMMIT_EVERY_ROWS for part in self._open.values())
        if full or now - self._stored_at >= COMMIT_EVERY_S:
            self._store(self._open.values(), commit=now - self._committed_at >= COMMIT_EVERY_S)

    def _store(self, parts: Collection[_Partition], *, commit: bool = True, last: bool = False) -> None:
        """Flush the sinks with their positions, then commit those for the lag display.

        ``last``: the sinks are not written to any more.
        """
        moved = [part for part in parts if part.position != part.stored or part.unstored]
        now = time.monotonic()
        if moved and now - self._stored_at >= COMMIT_EVERY_S:
            self._check_identity()
        self._stored_at = now
        for part in moved:
            part.store()
        for part in parts:
            part.sink.settle(last=last)
        if commit:
            self._committed_at = now
            self._commit([part for part in parts if part.committed != part.stored])

    def _commit(self, parts: Sequence[_Partition]) -> None:
        """Show the stored positions to the group; the first time at once, so that lag knows this reader."""
        if parts and self._job.commit:
            try:
                self._reader.commit(
                    {part.tp: part.stored for part in parts}, {part.tp: self._note(part) for part in parts}
                )
                for part in parts:
                    part.committed = part.stored
            except NotAllowed:
                raise
            except (BrokerError, ClusterUnreachable) as error:
                self._listener(Notice(f"the position was stored, but not committed to the group: {error}", "debug"))

    def _note(self, part: _Partition) -> str:
        held = part.sink.held
        whose = ("", 0) if held is None else (held.file, held.since)
        return commit_note(self._job.client_id, self._job.host, *whose)

    def _behind(self) -> list[_Partition]:
        """The partitions of which the group doesn't know yet how far they are stored."""
        return [part for part in self._open.values() if part.committed != part.stored]

    def _hand_over(self) -> None:
        """See to it that the group knows what is stored before it gives the partitions to others.

        While the group is being reshuffled it takes no commits; that is over when this member has polled.
        """
        self._ending = True
        if self._job.partitions is not None or not self._job.commit:
            return
        deadline = time.monotonic() + HAND_OVER_S
        while (behind := self._behind()) and time.monotonic() < deadline:
            # All is stored: what fails now costs a repetition at most, and that is told.
            with suppress(SensorstreamError):
                self._reader.pause([part.tp for part in behind])
                self._reader.poll_values(POLL_S, 1)  # what it brings is not stored, and so read by whoever comes next
            self._commit(self._behind())
        self._tell_not_handed_over(self._behind())

    def _tell_not_handed_over(self, parts: Sequence[_Partition]) -> None:
        for part in parts:
            since = "" if part.committed is None else f" from offset {part.committed} on"
            self._listener(
                Notice(
                    f"{part.tp}: the group could not be told that the rows up to before offset {part.stored} are in "
                    f"{part.sink.name}: a member with another folder stores them once more{since}",
                    "warning",
                )
            )

    def _check_identity(self) -> None:
        """Refuse to mix two topics of the same name: one deleted and made again starts at offset 0."""
        try:
            now = self._reader.identity(self._job.topic)
        except ClusterUnreachable:
            # Nothing has been read since the brokers went, so nothing can have been mixed.
            return
        was = self._identity
        if None not in (now.topic_id, was.topic_id) and now != was:
            raise PositionMismatch(
                f"topic {self._job.topic} was deleted and created again while it was read "
                f"(id {was.topic_id}, now {now.topic_id})",
                hint="what was captured before is whole; give another --to to capture the new topic",
            )

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Open a sink for each new partition and say where to read on."""
        reader = self._reader
        first = reader.beginning_offsets(partitions)
        if self._ending:
            return first  # they are not begun: nothing that comes is taken
        ends = reader.end_offsets(partitions)
        if self._job.partitions is None:
            # All at once: a question for each of a thousand partitions would take seconds.
            self._committed = reader.commits(partitions)
        positions: dict[TopicPartition, int] = {}
        try:
            for tp in partitions:
                positions[tp] = self._begin(tp, first[tp], ends[tp])
        except BaseException:
            # Asked once more after an outage, the files must not be found locked by ourselves.
            for tp in positions:
                self._open.pop(tp).sink.close()
            raise
        return positions

    def _begin(self, tp: TopicPartition, first: int, end: int) -> int:
        """Open one partition's sink; the offset to read on from."""
        job = self._job
        sink = self._make_sink(tp, self._identity)
        try:
            stored = self._open_sink(sink)
            if stored is None:
                position = self._first_position(tp, first, end)
                asked = job.range
                until = None if asked is None else range_end(asked, self._reader, tp, position, first, end)
                self._listener(Notice(f"{tp}: capturing into {sink.name} from offset {position}{_up_to(until)}"))
                sink.start(position, until)
            else:
                until = sink.end
                taken = None if until is not None and stored >= until else self._taken_by_others(tp, sink, stored)
                position = stored if taken is None else taken.position
                if until is None or position < until:
                    self._check_stored(tp, position, first, end)
                    told = f"{tp}: continuing {sink.name} at offset {position}{_up_to(until)}"
                elif position > stored:
                    told = f"{tp}: the range is complete,{_up_to(until)}: nothing is left to capture"
                else:
                    told = f"{tp}: {sink.name} holds its whole range,{_up_to(until)}: nothing is left to capture"
                self._check_start(sink, stored)
                if taken is not None:
                    self._listener(
                        Notice(
                            f"{tp}: offsets {stored} to {position - 1} are not in {sink.name}: other members of group "
                            f"{job.group} have stored them, {taken.by.client_id} on {taken.by.host} the last"
                        )
                    )
                    sink.skip(position)
                self._listener(Notice(told))
        except BaseException:
            sink.close()
            raise
        self._open[tp] = part = _Partition(tp, sink, position)
        part.end = until
        self._ranged |= until is not None
        if job.stop_at_end:
            part.end = end if until is None else min(until, end)
        # What comes before the log begins can't be read from, and where all is there nothing need be read.
        return max(position, first)

    def _taken_by_others(self, tp: TopicPartition, sink: Sink, stored: int) -> Taken | None:
        """What other members of the group have stored in folders of their own, behind the file's position."""
        if self._job.partitions is not None:
            return None
        return taken_by_others(sink.held, stored, self._committed.get(tp))

    def _first_position(self, tp: TopicPartition, first: int, end: int) -> int:
        job = self._job
        had = [part.next_offset for part in self._finished if (part.topic, part.partition) == tp]
        if job.partitions is None and (job.start is None or had):
            # A member that takes a partition over without its file goes on where the group was; also on stdout,
            # when a partition comes back.
            committed = self._committed.get(tp)
            if had:
                return max(0 if committed is None else committed.offset, *had)
            if committed is not None:
                return committed.offset
        position = resolve(job.start or StartAt("beginning"), self._reader, tp, first, end)
        if not first <= position <= end:
            raise UsageError(f"{tp} has no offset {position}", hint=f"it holds offsets {first} to {end - 1}")
        return position

    def _open_sink(self, sink: Sink) -> int | None:
        """Open a sink; the member that had the partition before may need a moment to let go of the file."""
        deadline = time.monotonic() + (_BUSY_FILE_S if self._job.partitions is None else 0.0)
        while True:
            try:
                return sink.open()
            except FileBusy:
                if time.monotonic() >= deadline or self._stop.wait(0.1):
                    raise

    def _check_stored(self, tp: TopicPartition, stored: int, first: int, end: int) -> None:
        """Refuse to go on where the log no longer fits the stored position; nothing is skipped in silence."""
        if stored < first:
            raise OffsetOutOfRange(
                f"{tp}: offsets {stored} to {first - 1} are no longer in the log; "
                f"retention has removed {counted(first - stored, 'offset')} before the capture",
                hint=f"to continue without them, capture into another --to with -o {first}",
            )
        if stored > end:
            raise OffsetOutOfRange(
                f"{tp}: the stored position {stored} is past the end of the log at {end}",
                hint="the topic has lost records or is another one; give another --to to start a new capture",
            )

    def _check_start(self, sink: Sink, stored: int) -> None:
        """Refuse -o for a file that was begun, unless it names the range that the file has anyway."""
        # In a group, -o is for partitions without a file: one may come back, or come from another member.
        if self._job.start is not None and self._job.range is None and self._job.partitions is not None:
            raise UsageError(
                f"{sink.name} holds rows up to offset {stored} already, so -o can't apply",
                hint="leave -o out to continue there, or give another --to",
            )

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        parts = [self._open[tp] for tp in partitions if tp in self._open]
        self._store(parts, last=True)
        deadline = time.monotonic() + REVOKED_S
        while (behind := [part for part in parts if part.committed != part.stored]) and self._job.commit:
            # No other member has them before this one is done here.
            if time.monotonic() >= deadline:
                self._tell_not_handed_over(behind)
                break
            time.sleep(_AGAIN_S)
            self._commit(behind)
        self._let_go(partitions)

    def _lost(self, partitions: Sequence[TopicPartition]) -> None:
        """The partitions are somebody else's by now: what is not stored is dropped, nothing is written."""
        held = [self._open[tp] for tp in partitions if tp in self._open]
        self._tell_not_handed_over([part for part in held if part.committed not in (None, part.stored)])
        self._let_go(partitions)

    def _let_go(self, partitions: Sequence[TopicPartition]) -> None:
        for tp in partitions:
            part = self._open.pop(tp, None)
            if part is not None:
                self._finished.append(part.summary())
                part.sink.close()


def _up_to(end: int | None) -> str:
    return "" if end is None else f" up to before {end}"


def _by_partition(part: CapturedPartition) -> tuple[str, int]:
    return part.topic, part.partition
