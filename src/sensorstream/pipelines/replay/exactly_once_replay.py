"""Stations 1-4 for one source, exactly once: rows and progress are one transaction.

A :class:`SourceReplay` publishes; here its records are gathered in transactions, and each one ends with the progress up
to there. When a transaction fails, or nobody knows whether it was committed, its publisher and its replay are thrown
away: the next publisher of the same id makes sure that the transaction has ended, the progress then says how, and a new
replay goes on from there.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from sensorstream.clients.base import Client, TransactionalPublisher
from sensorstream.clients.causes import Waited
from sensorstream.errors import (
    BrokerError,
    ClusterUnreachable,
    DeliveryError,
    DeliveryTimeout,
    Fenced,
    SensorstreamError,
    SourceError,
)
from sensorstream.events import Listener, Notice, Progress
from sensorstream.pipelines.replay.claims import fence_replaced
from sensorstream.pipelines.replay.followed_job import followed_file, prefix_of, published
from sensorstream.pipelines.replay.followed_replay import FollowedReplay, replay_for
from sensorstream.pipelines.replay.held_events import HeldEvents
from sensorstream.pipelines.replay.in_transaction import InTransaction
from sensorstream.pipelines.replay.job_choice import going_on, how_it_begins
from sensorstream.pipelines.replay.job_identity import OnceRules, SourceFile, new_record
from sensorstream.pipelines.replay.job_log import JobLog
from sensorstream.pipelines.replay.job_records import (
    JOBS_TOPIC,
    JobProgress,
    JobRecord,
    JobRun,
    JobState,
    encode_job,
    encode_progress,
    forget,
    share_key,
    transactional_id,
)
from sensorstream.pipelines.replay.retries import Retries
from sensorstream.pipelines.replay.source_replay import SourceReplay
from sensorstream.pipelines.replay.spec import Begin, ReplayedSource, ReplaySource
from sensorstream.records import TopicPartition
from sensorstream.sources.base import Source
from sensorstream.sources.followed import FollowedSource
from sensorstream.sources.rotation import find
from sensorstream.wording import counted

COMMIT_S: Final = 1.0
"""So long at the most a row waits for its commit; readers see it after that."""
_IDLE_S: Final = 0.2
"""A row that is due later than this is not waited for: what is there is committed."""
SETTLE_S: Final = 35.0
"""How long a stopped replay waits for a transaction that is just being settled."""


class ExactlyOnceReplay:
    """One source on its way into its topic, each row exactly once. Used as a :class:`SourceReplay` is."""

    def __init__(
        self,
        source: ReplaySource,
        rules: OnceRules,
        *,
        client: Client,
        log: JobLog,
        run: JobRun,
        restart: bool,
        listener: Listener,
        loop: bool,
        log_rows: bool,
    ) -> None:
        self.topic = source.topic
        self.on_clock = source.rules.on_clock
        self.name = rules.path
        self.ended = False
        self.ends: dict[TopicPartition, int] = {}
        """The offset behind the last record that was committed in each partition."""
        self._source = source
        self._rules = rules
        self._client = client
        self._log = log
        self._run = run
        self._restart = restart
        self._listener = listener
        self._loop = loop
        self._log_rows = log_rows
        self._share = source.rules.share
        self._is_followed = source.rules.follow is not None
        self._name = self._key = rules.name or ""
        self._job: JobRecord | None = source.claimed
        self._replaced: list[JobRecord] = []
        self._earlier = self._committed = self._begun = JobProgress("")
        self._replay: SourceReplay | None = None
        self._publisher: TransactionalPublisher | None = None
        self._transaction: InTransaction | None = None
        self._events = HeldEvents(listener)
        self._busy = threading.Lock()
        self._topic_is_new = False
        self._superseded = False
        self._retries = Retries(source.topic, listener)

    # Opening

    def open(self) -> None:
        """Find out which job this is and how far it is, and open the source there.

        Raises UsageError for a job that can't go on, SourceError, Fenced, DeliveryError, ClusterUnreachable.
        """
        self._file = None if self._is_followed else SourceFile(self._rules.path, self._rules.order)
        file = followed_file(self._rules.path) if self._file is None else self._file.file
        self._partitions = self._log.partitions_for(self.topic)
        topic_id = self._log.identity(self.topic).topic_id
        wanted = new_record(self._rules, file, self.topic, topic_id, self._partitions)
        self._name = wanted.name if self._source.claimed is None else self._source.claimed.name
        self._key = share_key(self._name, None if self._share is None else self._share.index)
        if self._source.claimed is not None and self._source.claimed.file.sha256 != file.sha256:
            raise SourceError(f"{self.name} was changed just now", hint="publish only files that are no longer written")
        # Looked at before anybody is fenced: a job that is refused, or has nothing to do, must not stop another run.
        jobs = self._log.all_jobs()
        self._choose(wanted, jobs)
        if self._is_finished():
            return
        if self._is_followed and self._job is not None:
            find(Path(self.name), prefix_of(self._job.file))
        if self._restart and self._source.claimed is None:
            self._replaced = fence_replaced(self._client, wanted, jobs, self._listener)
        self._choose(wanted, self._take_over())
        if not self._is_finished():
            new = self._topic_is_new
            self._listener(how_it_begins(self.topic, self._key, self._committed, new_topic=new, loop=self._loop))
            self._begin_replay()

    def _choose(self, wanted: JobRecord, jobs: Mapping[str, JobState]) -> None:
        """Go on with what is stored, or begin anew. Raises UsageError, Fenced."""
        stored = jobs.get(self._name)
        claimed = self._source.claimed
        if claimed is not None:
            progress = None if stored is None else self._of_share(stored)
            if progress is None or progress.generation != claimed.generation:
                raise Fenced(f"another run has restarted job {self._name}", hint="let that run continue")
            self._earlier = self._committed = progress
            return
        state = going_on(wanted, jobs, restart=self._restart)
        progress = None if state is None else self._of_share(state)
        self._topic_is_new = state is None and stored is not None and not self._restart
        if state is None or progress is None:
            self._job = wanted
            self._committed = JobProgress(wanted.generation, next_row=self._source.first_row)
        else:
            self._job, self._committed = state.record, progress
        self._earlier = self._committed

    def _of_share(self, stored: JobState) -> JobProgress | None:
        at = 0 if self._share is None else self._share.index
        return stored.progress[at] if at < len(stored.progress) else None

    def _is_finished(self) -> bool:
        done, limit = self._committed, self._source.rules.limit
        self.ended = (done.ended and not self._loop) or (limit is not None and done.taken >= limit)
        if self.ended:
            self._throw_away()
            self._source.rules.leave_clock()
            self._listener(Notice(f"{self.topic}: job {self._key} is finished: {counted(done.rows, 'row')} published"))
        return self.ended

    def _take_over(self) -> dict[str, JobState]:
        """Open the job's publisher, which fences every older one, and read what is committed by then."""
        identity = transactional_id(self._key)
        self._publisher = self._client.transactional_publisher(identity, listener=self._listener)
        return self._log.take_over(self._publisher, self._name, self._key, self._run)

    def _begin_replay(self) -> None:
        """A replay that goes on behind what is committed."""
        if self._publisher is None:
            raise DeliveryError("the publisher is closed")
        done = self._begun = self._committed
        self._transaction = InTransaction(self._publisher)
        self._events.drop()
        self._replay = replay_for(self._source.rules)(
            self.topic,
            self._make_source,
            Begin(done.next_row, done.round, done.taken, done.rejected),
            self._source.rules,
            rejected=self._source.rejected,
            publisher=self._transaction,
            partitions=self._partitions,
            listener=self._events,
            loop=self._loop,
            log_rows=self._log_rows,
            again=True,
        )
        self._replay.open()

    def _make_source(self, row: int) -> Source:
        source = self._source.make_source(row)
        if isinstance(source, FollowedSource) and self._job is not None:
            source.go_on(prefix_of(self._job.file))
        return source

    # Publishing

    def begin(self, now: float) -> None:
        """Start the source's clock."""
        if self._replay is not None:
            self._replay.begin(now)

    def step(self, stop: threading.Event) -> float | None:
        """Publish what is due and commit what is to be; when to come again (monotonic), None at the end.

        Raises Fenced, SourceError, and the error of a transaction that was tried again for too long.
        """
        with self._busy:
            if self.ended:
                return None
            try:
                if self._replay is None:
                    self._go_on()
                return self._step(stop)
            except (DeliveryError, BrokerError, ClusterUnreachable) as error:
                self._failed(error)
                return time.monotonic() + self._retries.pause_s

    def _step(self, stop: threading.Event) -> float | None:
        replay, transaction = self._replay, self._transaction
        if replay is None or transaction is None:
            return time.monotonic()
        due = replay.step(stop)
        if due is None:
            self._commit(replay, transaction, ended=True)
            self.ended = True
            self._throw_away()
            return None
        began = transaction.began_at
        if began is None:
            return due
        now = time.monotonic()
        soon = now - began < _IDLE_S and replay.idle
        later = replay.due is not None and replay.due - now > _IDLE_S
        if now - began >= COMMIT_S or later or (replay.idle and not soon):
            self._commit(replay, transaction, ended=False)
            return due
        return min(due, began + COMMIT_S)

    def _commit(self, replay: SourceReplay, transaction: InTransaction, *, ended: bool) -> None:
        """Commit what was published, and the progress with it, where there is anything new."""
        job = self._job
        if job is None:
            return
        progress = JobProgress(
            job.generation,
            replay.round,
            replay.sent_up_to,
            replay.taken,
            self._begun.rows + replay.outbox.sent,
            replay.rejected,
            ended and replay.exhausted,
            self._committed.committed_ms,
        )
        if transaction.began_at is None and progress == self._committed:
            return
        if isinstance(replay, FollowedReplay):
            job = replace(job, file=published(job.file, replay.prefix()))
        elif self._file is not None:
            try:
                self._file.check_unchanged()
            except SourceError:
                self._throw_away()
                raise
        replay.sync_rejected()
        progress = replace(progress, committed_ms=int(time.time() * 1000))
        publisher = transaction.begin()
        value = encode_job(job, progress) if self._share is None else encode_progress(progress)
        for old in self._replaced:
            forget(publisher, self._log.where(old.name), old)
        publisher.publish(JOBS_TOPIC, value, partition=self._log.where(self._name).partition, key=self._key.encode())
        publisher.commit()
        transaction.began_at = None
        self.ends |= publisher.ends
        self._replaced = []
        self._job, self._committed = job, progress
        self._retries.succeeded()
        replay.outbox.reap()
        self._events.tell()
        total, estimated = replay.expected()
        self._listener(Progress(self.topic, self._new_rows, total, 0, estimated, progress.next_row))

    @property
    def _new_rows(self) -> int:
        """Rows that this run has committed."""
        return self._committed.rows - self._earlier.rows

    # Failing

    def _failed(self, error: SensorstreamError) -> None:
        """Throw away what was not committed. Raises ``error`` when it is of no use to try again."""
        self._throw_away()
        if self._superseded:
            raise error
        self._retries.failed(error)

    def _go_on(self) -> None:
        """Find out what is committed, and begin a replay behind it. Raises Fenced when another run has taken over."""
        latest = self._log.latest_run(self._name, self._key)
        if latest is not None and latest.run != self._run.run:
            self._superseded = True
            raise Fenced(
                f"another run of job {self._key} has taken over (process {latest.pid} on {latest.host})",
                hint="what this one had not committed is aborted; let the other run continue",
            )
        stored = self._take_over().get(self._name)
        progress = None if stored is None else self._of_share(stored)
        generation = "" if self._job is None else self._job.generation
        if stored is not None and progress is not None and progress.generation == generation:
            self._job, self._committed = stored.record, progress
        elif self._new_rows or self._source.claimed is not None:
            self._superseded = True
            raise Fenced(f"another run has restarted job {self._name}", hint="let that run continue")
        self._begin_replay()
        self.begin(time.monotonic())

    def _throw_away(self) -> None:
        if self._replay is not None:
            self._replay.close()
        self._replay = self._transaction = None
        if self._publisher is not None:
            self._publisher.close(0.0)  # aborts as well as it can; the next one of this id makes sure of it
            self._publisher = None

    # Ending

    @property
    def acknowledged(self) -> int:
        """Rows that this run has committed, and those of the open transaction that all in-sync replicas have."""
        replay = self._replay
        return self._new_rows if replay is None else self._begun.rows - self._earlier.rows + replay.outbox.acknowledged

    @property
    def open_rows(self) -> int:
        """Rows that were sent and are not committed yet, or that can't be sent just now."""
        if self.ended:
            return 0
        replay = self._replay
        return 1 if replay is None else replay.outbox.sent - (self._committed.rows - self._begun.rows)

    @property
    def waited(self) -> Waited:
        """What the rows and their commit need."""
        return Waited((self.topic, JOBS_TOPIC), writes=True, transactional_id=transactional_id(self._key))

    def settle(self) -> None:
        """Commit what was published. Raises DeliveryError and others when it can't be."""
        if not self._busy.acquire(timeout=SETTLE_S):
            raise DeliveryTimeout(
                f"{self.topic}: a transaction was still open after {SETTLE_S:g} s",
                hint="run the same command again: it continues where the committed rows end",
            )
        try:
            if self._replay is not None and self._transaction is not None:
                self._commit(self._replay, self._transaction, ended=self._replay.exhausted and not self._loop)
                self.ended = self._committed.ended
        except (DeliveryError, BrokerError, ClusterUnreachable):
            self._throw_away()
            raise
        finally:
            self._busy.release()

    def close(self) -> None:
        """Abort what is open, and let go of everything."""
        if self._busy.acquire(timeout=SETTLE_S):
            try:
                self._throw_away()
            finally:
                self._busy.release()

    def result(self) -> ReplayedSource:
        """What has come of the source so far."""
        replay = self._replay
        sent = self._new_rows if replay is None else self._begun.rows - self._earlier.rows + replay.outbox.sent
        return ReplayedSource(
            self.topic,
            self.name,
            sent,
            self._new_rows,
            0,
            self._committed.rejected - self._earlier.rejected,
            self._committed.next_row,
            self.ended,
            self._key or None,
            self._earlier.rows,
        )
