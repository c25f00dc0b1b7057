"""Stations 6-9: where the capture of a partition begins: its sink is opened, and says where to read on."""

import threading
import time
from collections.abc import Sequence
from typing import Final

from sensorstream.clients.base import Reader
from sensorstream.errors import OffsetOutOfRange, UsageError
from sensorstream.events import Listener, Notice
from sensorstream.pipelines.capture.handover import Taken, taken_by_others
from sensorstream.pipelines.capture.partition_progress import PartitionProgress
from sensorstream.pipelines.capture.ranges import range_end
from sensorstream.pipelines.capture.spec import CaptureJob, SinkFactory
from sensorstream.pipelines.start_at import StartAt, resolve
from sensorstream.records import Commit, TopicIdentity, TopicPartition
from sensorstream.sinks.base import Sink
from sensorstream.sinks.positioned_file import FileBusy
from sensorstream.wording import counted

_BUSY_FILE_S: Final = 10.0


class Beginning:
    """Opens the sinks of a capture's partitions; ``identity`` is the topic that is captured."""

    def __init__(
        self,
        reader: Reader,
        job: CaptureJob,
        make_sink: SinkFactory,
        identity: TopicIdentity,
        stop: threading.Event,
        listener: Listener,
    ) -> None:
        self._reader = reader
        self._job = job
        self._make_sink = make_sink
        self._identity = identity
        self._stop = stop
        self._listener = listener

    def begin(
        self, tp: TopicPartition, first: int, end: int, committed: Commit | None, had: Sequence[int]
    ) -> PartitionProgress:
        """Open one partition's sink, and find where to read on.

        The log holds offsets from ``first`` up to before ``end``; the group has ``committed`` (None: nothing, or it is
        not asked). ``had`` are the next offsets with which this run has given the partition up before. Raises
        SinkError, PositionMismatch, OffsetOutOfRange, UsageError; the sink is closed then.
        """
        job = self._job
        sink = self._make_sink(tp, self._identity)
        try:
            stored = self._open_sink(sink)
            if stored is None:
                position = self._first_position(tp, first, end, committed, had)
                asked = job.range
                until = None if asked is None else range_end(asked, self._reader, tp, position, first, end)
                self._listener(Notice(f"{tp}: capturing into {sink.name} from offset {position}{_up_to(until)}"))
                sink.start(position, until)
            else:
                until = sink.end
                taken = (
                    None if until is not None and stored >= until else self._taken_by_others(sink, stored, committed)
                )
                position = stored if taken is None else taken.position
                if until is None or position < until:
                    _check_stored(tp, position, first, end)
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
        agreed = until
        if job.stop_at_end:
            agreed = end if until is None else min(until, end)
        return PartitionProgress(tp, sink, position, end=agreed, ranged=until is not None)

    def _taken_by_others(self, sink: Sink, stored: int, committed: Commit | None) -> Taken | None:
        """What other members of the group have stored in folders of their own, behind the file's position."""
        if self._job.partitions is not None:
            return None
        return taken_by_others(sink.held, stored, committed)

    def _first_position(
        self, tp: TopicPartition, first: int, end: int, committed: Commit | None, had: Sequence[int]
    ) -> int:
        job = self._job
        if job.partitions is None and (job.start is None or had):
            # A member that takes a partition over without its file goes on where the group was; also on stdout,
            # when a partition comes back.
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

    def _check_start(self, sink: Sink, stored: int) -> None:
        """Refuse -o for a file that was begun, unless it names the range that the file has anyway."""
        # In a group, -o is for partitions without a file: one may come back, or come from another member.
        if self._job.start is not None and self._job.range is None and self._job.partitions is not None:
            raise UsageError(
                f"{sink.name} holds rows up to offset {stored} already, so -o can't apply",
                hint="leave -o out to continue there, or give another --to",
            )


def _check_stored(tp: TopicPartition, stored: int, first: int, end: int) -> None:
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


def _up_to(end: int | None) -> str:
    return "" if end is None else f" up to before {end}"
