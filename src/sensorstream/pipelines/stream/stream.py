"""Stations 6-8-4: read a topic as a member of a group, transform its rows, publish them exactly once.

One transaction holds the output, the dead letters and the group's offsets: all of them are seen, or none. What a
transaction failed with is kept and published again in the next one, by a new publisher of the same transactional id,
unless the group's committed offsets say that the transaction was committed after all. A partition that goes to
another member is settled first; what can't be settled is dropped, and read again by that other member. It can't
commit late: the brokers check the member's generation with the offsets (KIP-447), and whoever reads the committed
offsets waits for transactions that are still open.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sensorstream.clients.base import Client, Reader, Rebalance, TransactionalPublisher
from sensorstream.clients.causes import Waited
from sensorstream.clients.transaction import wait_until_seen
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.errors import (
    BrokerError,
    ClusterUnreachable,
    DeliveryError,
    NotAllowed,
    SensorstreamError,
)
from sensorstream.events import Listener, Notice, Progress, ignore
from sensorstream.pipelines.read_timeouts import Ended, ReadTimeouts
from sensorstream.pipelines.stream.end_offsets import EndOffsets
from sensorstream.pipelines.stream.first_positions import first_positions
from sensorstream.pipelines.stream.job import StreamedPartition, StreamJob, StreamResult, result_of
from sensorstream.pipelines.stream.pace import Pace
from sensorstream.pipelines.stream.partition_progress import PartitionProgress
from sensorstream.pipelines.stream.publishing import publish
from sensorstream.pipelines.stream.records import RecordTransformer, Route
from sensorstream.pipelines.stream.retries import Retries
from sensorstream.records import ConsumedRecord, TopicPartition
from sensorstream.transforms.base import Transform

_MORE_S: Final = 0.02
"""How long an open transaction waits for more rows before it is committed."""


def stream(
    client: Client,
    job: StreamJob,
    make_transform: Callable[[], Transform],
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> StreamResult:
    """Stream until ``stop`` is set or the job's own end is reached; what is open then is committed first.

    Raises UnknownTopic, ClusterUnreachable, OffsetOutOfRange, Fenced when another process uses the same transactional
    id, DeliveryError or BrokerError when rows can't be published for two minutes. What was not committed by then is
    not seen, and the next run goes on with it.
    """
    transform = make_transform()
    with client.reader(group=job.group, client_id=job.client_id, listener=listener) as reader:
        names = (job.source, job.target, job.dead_letters)
        with Waiting(client.causes, lambda: [Open("the topics", None, Waited(names))], listener):
            counts = [reader.partitions_for(topic) for topic in names]
        topics = (job.source, counts[0], job.target, counts[1], job.dead_letters, counts[2])
        route = Route(*topics, job.target_limit, job.dead_limit)
        run = _Stream(client, reader, job, RecordTransformer(transform, route, job.plain), stop, listener)
        try:
            with Waiting(client.causes, run.open_things, listener):
                return run.run(counts[0])
        finally:
            run.close()


class _Stream:
    def __init__(
        self,
        client: Client,
        reader: Reader,
        job: StreamJob,
        transformer: RecordTransformer,
        stop: threading.Event | None,
        listener: Listener,
    ) -> None:
        self._client = client
        self._reader = reader
        self._job = job
        self._transformer = transformer
        self._stop = stop or threading.Event()
        self._listener = listener
        self._publisher: TransactionalPublisher | None = None
        self._open = False
        self._retrying = False
        self._doubtful: dict[TopicPartition, tuple[int, int]] = {}
        self._progress: dict[TopicPartition, PartitionProgress] = {}
        self._finished: list[StreamedPartition] = []
        self._end_offsets = EndOffsets(reader, listener)
        self._pace = Pace()
        self._began_at = 0.0
        self._timeouts = ReadTimeouts(
            self._stop,
            listener,
            idle_timeout_s=job.idle_timeout_s,
            has_end=job.stop_at_end or job.count is not None,
        )
        self._retries = Retries(job.transactional_id, listener)
        self._written: dict[TopicPartition, int] = {}
        self._rows_in = self._transactions = self._aborted = 0

    def run(self, partitions: int) -> StreamResult:
        job = self._job
        # First of all: it fences an older run of this id, and ends what that one left open.
        self._publisher = self._open_publisher()
        if job.stop_at_end:
            self._end_offsets.agree([TopicPartition(job.source, one) for one in range(partitions)])
        self._reader.subscribe([job.source], Rebalance(self._assigned, self._revoked, self._lost))
        ended = self._loop()
        self._finish()
        if not self._timeouts.away:
            wait_until_seen(self._reader, self._written, self._listener)
        done = sorted([*self._finished, *(progress.summary() for progress in self._progress.values())], key=_by_offset)
        return result_of(job, ended, done, self._transactions, self._aborted)

    def open_things(self) -> list[Open]:
        """What is waited for; called on another thread."""
        job = self._job
        if self._publisher is None or self._open or self._retrying:
            # The transactional id is asked for, or a transaction is on its way.
            topics = (job.target, job.dead_letters)
            waited = Waited(topics, writes=True, group=job.group, transactional_id=job.transactional_id)
            mark = (
                self._transactions,
                self._rows_in,
                sum(len(progress.made) for progress in list(self._progress.values())),
            )
            return [Open(f"a transaction into {job.target}", mark, waited, surely=self._retrying)]
        all_progress = list(self._progress.values())
        if not all_progress:
            return [Open(f"partitions of {job.source}", None, Waited((job.source,), group=job.group), surely=False)]
        return [
            Open(
                f"records of {job.source}",
                progress.position,
                Waited(partitions=(progress.tp,), group=job.group),
                surely=False,
                key=progress.tp,
            )
            for progress in all_progress
        ]

    def close(self) -> None:
        if self._publisher is not None:
            self._publisher.close(5.0)  # aborts what is open
            self._publisher = None

    def _loop(self) -> Ended:
        self._timeouts.heard()
        while not self._stop.is_set():
            try:
                if self._retrying:
                    self._redo()
                    continue
                ended = self._turn()
            except ClusterUnreachable as error:
                self._timeouts.sit_out(error)
                # Nor do they say anything about whether the rows would be taken.
                self._retries.away()
            else:
                self._timeouts.answered()
                if ended is not None:
                    return ended
        return "stopped"

    def _turn(self) -> Ended | None:
        """Read once, publish what has come, commit what is due; how the stream has ended, if it has."""
        job = self._job
        taken = self._rows_in + sum(len(progress.made) for progress in self._progress.values())
        if job.count is not None and taken >= job.count:
            self._commit()
            return None if self._retrying else "count"
        if job.stop_at_end and not self._open and self._end_offsets.group_is_there(self._progress.values()):
            return "end"
        wanted = job.batch_rows if job.count is None else min(job.batch_rows, job.count - taken)
        batches = self._reader.poll(_MORE_S if self._open else self._timeouts.poll_s, min(wanted, self._pace.rows))
        if job.arrived is not None:
            for records in batches.values():
                job.arrived(records)
        came = any(batches.values())
        if came:
            self._timeouts.heard()
            self._take(batches)
        if self._open:
            rows = sum(len(progress.made) for progress in self._progress.values())
            due = time.monotonic() - self._began_at >= job.commit_every_s
            if not came or due or rows >= job.batch_rows:
                self._follow()
                self._commit()
        elif not came and not self._retrying:
            self._follow()
            if any(progress.moved for progress in self._progress.values()):
                self._commit()
            self._end_offsets.tell(self._progress.values())
            if self._timeouts.idle:
                return "timeout"
        return None

    # Publishing

    def _take(self, batches: Mapping[TopicPartition, Sequence[ConsumedRecord]]) -> None:
        """Transform what has come, and publish it in the open transaction."""
        for tp, read in batches.items():
            progress = self._progress.get(tp)
            if progress is None or not read:
                continue
            records = self._end_offsets.cut(tp, read)
            if not records:
                continue
            began = time.monotonic()
            made = self._transformer.make(records)
            self._pace.took(len(records), time.monotonic() - began)
            progress.made += made
            progress.position = records[-1].offset + 1
            if not self._retrying:
                try:
                    publish(self._begin(), made, self._transformer)
                except (DeliveryError, BrokerError, ClusterUnreachable) as error:
                    self._failed(error)

    def _open_publisher(self) -> TransactionalPublisher:
        job = self._job
        return self._client.transactional_publisher(
            job.transactional_id, client_id=job.client_id, listener=self._listener
        )

    def _begin(self) -> TransactionalPublisher:
        """The publisher, with a transaction that has begun."""
        if self._publisher is None:
            self._publisher = self._open_publisher()
        if not self._open:
            self._publisher.begin()
            self._open = True
            self._began_at = time.monotonic()
        return self._publisher

    def _commit(self) -> None:
        """Commit what has been published, with the positions behind it; on failure it is done again later."""
        moved = {progress.tp: progress.position for progress in self._progress.values() if progress.moved}
        if self._retrying or (not moved and not self._open):
            return
        try:
            self._end_transaction(self._begin(), moved)
        except (DeliveryError, BrokerError, ClusterUnreachable) as error:
            self._failed(error)

    def _end_transaction(self, publisher: TransactionalPublisher, positions: Mapping[TopicPartition, int]) -> None:
        if positions:
            publisher.send_offsets(positions, self._reader)
        held = {tp: (position, len(self._progress[tp].made)) for tp, position in positions.items()}
        try:
            publisher.commit()
        except SensorstreamError:
            # Whatever the error says: where the group's offsets are just these, this transaction has committed them.
            self._doubtful = held
            raise
        self._written |= publisher.ends
        self._open = False
        self._settled(held)

    def _settled(self, held: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """A transaction with these positions, and so many records of each partition, is committed."""
        self._transactions += 1
        self._retries.succeeded()
        for tp, (position, count) in held.items():
            self._rows_in += count
            self._progress[tp].settle(position, count)
        self._listener(Progress(f"{self._job.source} to {self._job.target}", self._rows_in, None))

    def _failed(self, error: SensorstreamError) -> None:
        """Throw the publisher away; what its transaction held is published again, if it was not committed.

        Raises ``error`` when that has been tried for too long.
        """
        self._throw_publisher_away()
        self._retrying = True
        self._aborted += 1
        self._retries.failed(error)

    def _throw_publisher_away(self) -> None:
        publisher, self._publisher, self._open = self._publisher, None, False
        if publisher is not None:
            publisher.close(0.0)  # aborts as well as it can; the next one of this id makes sure of it

    def _redo(self) -> None:
        """Find out what became of the failed transaction, and publish again what was not committed."""
        paused = list(self._progress)
        self._reader.pause(paused)
        try:
            # So that the group still knows this member, and it hears what it has lost.
            self._take(self._reader.poll(_MORE_S))
        finally:
            self._reader.resume(self._end_offsets.not_reached(self._progress))
        if not self._retrying:
            return  # settled while the group took partitions away; what has come since is in a transaction of its own
        try:
            self._try_again()
        except (DeliveryError, BrokerError) as error:
            self._failed(error)
            self._stop.wait(self._retries.pause_s)

    def _try_again(self) -> None:
        try:
            self._settle_what_is_left()
        except BaseException:
            self._throw_publisher_away()
            raise
        self._retrying = False

    def _settle_what_is_left(self) -> None:
        # Opened first: then the older transaction has ended, one way or the other, and the offsets can be trusted.
        self._publisher = self._publisher or self._open_publisher()
        settled: dict[TopicPartition, tuple[int, int]] = {}
        told = self._reader.committed_offsets([progress.tp for progress in self._progress.values() if progress.moved])
        for progress in self._progress.values():
            committed = told.get(progress.tp, progress.committed)
            if committed != progress.committed:
                held = self._doubtful.get(progress.tp)
                if held is None or held[0] != committed:
                    raise BrokerError(
                        f"{progress.tp}: the group's committed offset is {committed}, but this member last saw "
                        f"{progress.committed}",
                        hint="make sure that nothing else commits offsets for this group",
                    )
                settled[progress.tp] = held
        self._doubtful = {}
        if settled:
            self._settled(settled)
        left = {progress.tp: progress.position for progress in self._progress.values() if progress.moved}
        if left:
            for tp in left:
                publish(self._begin(), self._progress[tp].made, self._transformer)
            self._end_transaction(self._begin(), left)

    # EndOffsets

    def _follow(self) -> None:
        """Move positions past control records and aborted transactions, which are never handed out."""
        for progress in self._progress.values():
            progress.position = max(
                progress.position, self._end_offsets.bound(progress.tp, self._reader.position(progress.tp))
            )

    def _finish(self) -> None:
        """Commit what is open; what can't be committed is left to the next run. Raises NotAllowed."""
        try:
            self._commit()
            if self._retrying:
                self._try_again()
        except NotAllowed:
            raise
        except (DeliveryError, BrokerError, ClusterUnreachable):
            pass

    # The group

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        new = first_positions(self._reader, partitions, self._stop)
        for progress in new:
            self._listener(Notice(f"{progress.tp}: streaming from offset {progress.position}"))
        self._progress.update({progress.tp: progress for progress in new})
        self._end_offsets.forget(partitions)
        return {progress.tp: progress.position for progress in new}

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Settle what is open before others go on: commit it, or at least know that it was not."""
        self._finish()
        self._let_go(partitions)

    def _lost(self, partitions: Sequence[TopicPartition]) -> None:
        """The partitions are somebody else's by now: nothing of them may be committed."""
        if self._open and any(self._progress[tp].made for tp in partitions if tp in self._progress):
            self._throw_publisher_away()
            self._retrying = True
            self._aborted += 1
        self._let_go(partitions)

    def _let_go(self, partitions: Sequence[TopicPartition]) -> None:
        self._end_offsets.forget(partitions)
        for tp in partitions:
            progress = self._progress.pop(tp, None)
            self._doubtful.pop(tp, None)
            if progress is not None:
                self._finished.append(progress.summary())


def _by_offset(progress: StreamedPartition) -> tuple[str, int, int]:
    return progress.topic, progress.partition, progress.first_offset
