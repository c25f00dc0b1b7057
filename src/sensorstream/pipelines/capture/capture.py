"""Stations 6-9: read partitions and store each record once, whatever fails in between.

The file owns its position: a capture always seeks from it, and commits to Kafka only so that lag can be shown.
Per partition and batch: write to the sink; then, every second or 5,000 rows, flush the sink together with the
position; then, every second and at the end, commit the position to the group.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from sensorstream.clients.base import Client, Reader, Rebalance, ValueBatch
from sensorstream.clients.causes import Waited
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.errors import (
    ClusterUnreachable,
    PositionMismatch,
    SchemasRefused,
    SchemasUnreachable,
    SinkError,
    UnknownPartition,
    UsageError,
)
from sensorstream.events import Listener, Notice, PartitionEnd, Progress, RowStored, ignore
from sensorstream.pipelines.capture.beginning import Beginning
from sensorstream.pipelines.capture.partition_progress import PartitionProgress
from sensorstream.pipelines.capture.spec import CapturedPartition, CaptureJob, CaptureResult, SinkFactory
from sensorstream.pipelines.capture.storing import Storing
from sensorstream.pipelines.read_timeouts import GIVE_UP_S, POLL_S, Ended, ReadTimeouts
from sensorstream.records import Commit, TopicPartition
from sensorstream.wording import counted

POLLED_ROWS: Final = 50_000
LOGGED_ROWS: Final = 100
"""A poll that brings more rows than this is told as progress, not row by row."""
WAITING_S: Final = 4.0
"""So long after it has joined a member says that it has no partitions; a first join takes about three seconds."""


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
        self._open: dict[TopicPartition, PartitionProgress] = {}
        self._finished: list[CapturedPartition] = []
        self._storing: Storing
        self._beginning: Beginning
        self._taken = 0
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
        identity = reader.identity(job.topic)
        self._storing = Storing(reader, job, identity, self._listener)
        self._beginning = Beginning(reader, job, self._make_sink, identity, self._stop, self._listener)
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
            self._storing.store(self._open.values(), last=True)
            self._hand_over()
        except SinkError as error:
            # What is stored stays so: the others must know, or they store it once more. Not of a topic made anew.
            if not isinstance(error, PositionMismatch):
                self._hand_over()
            raise
        partitions = tuple(
            sorted(self._finished + [progress.summary() for progress in self._open.values()], key=_by_partition)
        )
        return CaptureResult(
            job.topic,
            job.group,
            ended,
            sum(progress.rows for progress in partitions),
            sum(progress.rejected for progress in partitions),
            partitions,
        )

    def close(self) -> None:
        for progress in self._open.values():
            progress.sink.close()

    def open_things(self) -> list[Open]:
        """What is waited for; called on another thread."""
        job = self._job
        group = job.group if job.partitions is None else None
        all_progress = list(self._open.values())
        if not all_progress:
            begun = self._joined_at is not None or self._finished
            return [Open(f"partitions of {job.topic}", None, Waited((job.topic,), group=group), surely=not begun)]
        return [
            Open(
                f"records of {job.topic}",
                (progress.position, progress.rows),
                Waited(partitions=(progress.tp,), group=group),
                surely=progress.end is not None,
                key=progress.tp,
            )
            for progress in all_progress
            if progress.end is None or progress.position < progress.end
        ]

    def _loop(self) -> Ended:
        self._timeouts.heard()
        while not self._stop.is_set():
            try:
                ended = self._turn()
            except ClusterUnreachable as error:
                self._timeouts.sit_out(error)
                self._storing.store_if_due(self._open.values())
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
        self._storing.store_if_due(self._open.values())
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
                self._storing.store_if_due(self._open.values())
                self._stop.wait(POLL_S)
            else:
                return True
        return False

    def _take(self, batches: Mapping[TopicPartition, ValueBatch], wanted: int) -> None:
        job = self._job
        log_rows = job.log_rows and sum(len(batch.offsets) for batch in batches.values()) <= LOGGED_ROWS
        for tp, read in batches.items():
            progress = self._open.get(tp)
            if progress is None:
                continue
            count = len(read.offsets) if progress.end is None else bisect_left(read.offsets, progress.end)
            batch = read.first(min(count, wanted))
            if not batch.offsets:
                continue
            wanted -= len(batch.offsets)
            nothing = progress.sink.write_values(batch.values, batch.records)
            self._taken += len(batch.offsets)
            progress.unstored += len(batch.offsets)
            progress.position = batch.offsets[-1] + 1
            if log_rows:
                for offset, value in zip(batch.offsets, batch.values, strict=True):
                    if offset not in nothing:
                        self._listener(RowStored(*tp, offset, value or b"null"))
            else:
                self._listener(Progress(f"{tp}", progress.position, progress.end))
        self._check_rejects()

    def _check_rejects(self) -> None:
        limit = self._job.max_rejects
        rejected = sum(progress.sink.rejected for progress in self._open.values())
        if limit is not None and rejected > limit:
            self._storing.store(self._open.values(), last=True)
            raise SinkError(
                f"{counted(rejected, 'record')} of {self._job.topic} could not be used, over --max-rejects {limit}",
                hint="see the .rejected.jsonl file beside the capture",
            )

    def _follow(self) -> None:
        """Move positions past control records and aborted transactions, which are never handed out."""
        for progress in self._open.values():
            seen = self._reader.position(progress.tp)
            # Not past the agreed end: rows behind it may have been fetched, but were not stored.
            seen = seen if progress.end is None else min(seen, progress.end)
            progress.position = max(progress.position, seen)

    def _at_end(self) -> bool:
        self._follow()
        if not self._open or any(
            progress.end is None or progress.position < progress.end for progress in self._open.values()
        ):
            return False
        for progress in self._open.values():
            self._tell_end(progress, progress.position)
        return True

    def _pause_ended(self) -> None:
        """Fetch nothing more of partitions that have reached their end while others have not."""
        for progress in self._open.values():
            if not progress.paused and progress.end is not None and progress.position >= progress.end:
                self._reader.pause([progress.tp])
                progress.paused = True

    def _tell_ends(self) -> None:
        waiting = [progress for progress in self._open.values() if progress.position > progress.end_told]
        if not waiting:
            return
        ends = self._reader.end_offsets([progress.tp for progress in waiting])
        for progress in waiting:
            if progress.position >= ends[progress.tp]:
                self._tell_end(progress, progress.position)

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

    def _tell_end(self, progress: PartitionProgress, offset: int) -> None:
        if progress.end_told != offset:
            progress.end_told = offset
            self._listener(PartitionEnd(progress.tp.topic, progress.tp.partition, offset))

    def _hand_over(self) -> None:
        self._ending = True
        self._storing.hand_over(self._open.values())

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Open a sink for each new partition and say where to read on."""
        reader = self._reader
        first = reader.beginning_offsets(partitions)
        if self._ending:
            return first  # they are not begun: nothing that comes is taken
        ends = reader.end_offsets(partitions)
        committed: Mapping[TopicPartition, Commit | None] = {}
        if self._job.partitions is None:
            # All at once: a question for each of a thousand partitions would take seconds.
            committed = reader.commits(partitions)
        positions: dict[TopicPartition, int] = {}
        try:
            for tp in partitions:
                had = [done.next_offset for done in self._finished if (done.topic, done.partition) == tp]
                progress = self._beginning.begin(tp, first[tp], ends[tp], committed.get(tp), had)
                self._open[tp] = progress
                self._ranged |= progress.ranged
                # What comes before the log begins can't be read from, and where all is there nothing need be read.
                positions[tp] = max(progress.position, first[tp])
        except BaseException:
            # Asked once more after an outage, the files must not be found locked by ourselves.
            for tp in positions:
                self._open.pop(tp).sink.close()
            raise
        return positions

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self._storing.give_up([self._open[tp] for tp in partitions if tp in self._open])
        self._let_go(partitions)

    def _lost(self, partitions: Sequence[TopicPartition]) -> None:
        """The partitions are somebody else's by now: what is not stored is dropped, nothing is written."""
        held = [self._open[tp] for tp in partitions if tp in self._open]
        self._storing.tell_not_handed_over(
            [progress for progress in held if progress.committed not in (None, progress.stored)]
        )
        self._let_go(partitions)

    def _let_go(self, partitions: Sequence[TopicPartition]) -> None:
        for tp in partitions:
            progress = self._open.pop(tp, None)
            if progress is not None:
                self._finished.append(progress.summary())
                progress.sink.close()


def _by_partition(progress: CapturedPartition) -> tuple[str, int]:
    return progress.topic, progress.partition
