"""Stations 6 and 9: what is written becomes durable with its position, and the group is told how far that is.

Per partition: every second or 5,000 rows, flush the sink together with the position; then, every second and at the end,
commit the position to the group. A commit that fails costs no row: the file goes on from its own position.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from sensorstream.clients.base import Reader
from sensorstream.errors import BrokerError, ClusterUnreachable, NotAllowed, PositionMismatch, SensorstreamError
from sensorstream.events import Listener, Notice
from sensorstream.pipelines.capture.partition_progress import PartitionProgress
from sensorstream.pipelines.capture.spec import CaptureJob
from sensorstream.pipelines.read_timeouts import POLL_S
from sensorstream.records import TopicIdentity, commit_note

COMMIT_EVERY_S: Final = 1.0
COMMIT_EVERY_ROWS: Final = 5000
HAND_OVER_S: Final = 10.0
"""How long a member that ends tries to tell its group how far it has stored."""
REVOKED_S: Final = 5.0
"""How long it tries when partitions are taken from it: within the session, after which it is none any more."""
_AGAIN_S: Final = 0.1


class Storing:
    """Stores the partitions of a capture; ``identity`` is the topic that their files are of."""

    def __init__(self, reader: Reader, job: CaptureJob, identity: TopicIdentity, listener: Listener) -> None:
        self._reader = reader
        self._job = job
        self._identity = identity
        self._listener = listener
        self._stored_at = 0.0
        self._committed_at = 0.0

    def store_if_due(self, all_progress: Collection[PartitionProgress]) -> None:
        """Store, a second after the last time or when 5,000 rows wait. Raises as :meth:`store` does."""
        now = time.monotonic()
        full = any(progress.unstored >= COMMIT_EVERY_ROWS for progress in all_progress)
        if full or now - self._stored_at >= COMMIT_EVERY_S:
            self.store(all_progress, commit=now - self._committed_at >= COMMIT_EVERY_S)

    def store(self, all_progress: Collection[PartitionProgress], *, commit: bool = True, last: bool = False) -> None:
        """Flush the sinks with their positions, then commit those for the lag display.

        ``last``: the sinks are not written to any more. Raises SinkError; PositionMismatch where the topic is another
        one by now; NotAllowed.
        """
        moved = [progress for progress in all_progress if progress.position != progress.stored or progress.unstored]
        now = time.monotonic()
        if moved and now - self._stored_at >= COMMIT_EVERY_S:
            self._check_identity()
        self._stored_at = now
        for progress in moved:
            progress.store()
        for progress in all_progress:
            progress.sink.settle(last=last)
        if commit:
            self._committed_at = now
            self.commit([progress for progress in all_progress if progress.committed != progress.stored])

    def commit(self, all_progress: Sequence[PartitionProgress]) -> None:
        """Show the stored positions to the group; the first time at once, so that lag knows this reader.

        Raises NotAllowed. What else goes wrong costs nothing that is stored, and is told.
        """
        if all_progress and self._job.commit:
            try:
                self._reader.commit(
                    {progress.tp: progress.stored for progress in all_progress},
                    {progress.tp: self._note(progress) for progress in all_progress},
                )
                for progress in all_progress:
                    progress.committed = progress.stored
            except NotAllowed:
                raise
            except (BrokerError, ClusterUnreachable) as error:
                self._listener(Notice(f"the position was stored, but not committed to the group: {error}", "debug"))

    def _note(self, progress: PartitionProgress) -> str:
        held = progress.sink.held
        whose = ("", 0) if held is None else (held.file, held.since)
        return commit_note(self._job.client_id, self._job.host, *whose)

    def hand_over(self, all_progress: Collection[PartitionProgress]) -> None:
        """See to it that the group knows what is stored before it gives the partitions to others.

        While the group is being reshuffled it takes no commits; that is over when this member has polled. What is taken
        from it then is gone from ``all_progress``.
        """
        if self._job.partitions is not None or not self._job.commit:
            return
        deadline = time.monotonic() + HAND_OVER_S
        while (behind := _behind(all_progress)) and time.monotonic() < deadline:
            # All is stored: what fails now costs a repetition at most, and that is told.
            with suppress(SensorstreamError):
                self._reader.pause([progress.tp for progress in behind])
                self._reader.poll_values(POLL_S, 1)  # what it brings is not stored, and so read by whoever comes next
            self.commit(_behind(all_progress))
        self.tell_not_handed_over(_behind(all_progress))

    def give_up(self, all_progress: Collection[PartitionProgress]) -> None:
        """Store partitions that are about to go to another member, and tell the group how far they are.

        Raises as :meth:`store` does.
        """
        self.store(all_progress, last=True)
        deadline = time.monotonic() + REVOKED_S
        while (behind := _behind(all_progress)) and self._job.commit:
            # No other member has them before this one is done here.
            if time.monotonic() >= deadline:
                self.tell_not_handed_over(behind)
                break
            time.sleep(_AGAIN_S)
            self.commit(behind)

    def tell_not_handed_over(self, all_progress: Sequence[PartitionProgress]) -> None:
        """Tell that another member may store rows of these once more."""
        for progress in all_progress:
            since = "" if progress.committed is None else f" from offset {progress.committed} on"
            self._listener(
                Notice(
                    f"{progress.tp}: the group could not be told that the rows up to before offset {progress.stored} "
                    f"are in {progress.sink.name}: a member with another folder stores them once more{since}",
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


def _behind(all_progress: Collection[PartitionProgress]) -> list[PartitionProgress]:
    """The partitions of which the group doesn't know yet how far they are stored."""
    return [progress for progress in all_progress if progress.committed != progress.stored]
