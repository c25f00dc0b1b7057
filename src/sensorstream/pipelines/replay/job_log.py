"""Stations 1-4, exactly once: reading the topic of jobs, so that nothing committed is missed.

A committed record may lie behind another job's open transaction, where a committed reader does not see it yet. So a
run first commits a record of its own, which lies behind everything that its forerunners committed, and reads up to it.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sensorstream.clients.base import Client, Reader, TransactionalPublisher
from sensorstream.clients.transaction import TRANSACTION_S, wait_until_seen
from sensorstream.errors import ClusterUnreachable, DeliveryTimeout, UnknownTopic
from sensorstream.events import Listener, Notice
from sensorstream.pipelines.replay.job_records import (
    JOBS_TOPIC,
    JobRun,
    JobState,
    decode,
    decode_run,
    encode_run,
    partition_of,
    run_key,
)
from sensorstream.records import TopicIdentity, TopicPartition

_READ_S: Final = TRANSACTION_S + 15.0
"""How long reading may take: so long another job's open transaction can hide what lies behind it."""
_TELL_AFTER_S: Final = 3.0
_POLL_S: Final = 0.1
_FETCH_WAIT_MS: Final = 10


class JobLog:
    """The topic of jobs. May be used from several threads; closed on leaving the ``with`` block by its owner."""

    def __init__(self, client: Client, make_topic: Callable[[], object], listener: Listener) -> None:
        """``make_topic`` is called when the topic does not exist. Raises ClusterUnreachable, CredentialsRefused."""
        self._listener = listener
        self._lock = threading.Lock()
        self._reader: Reader = client.reader(listener=listener, fetch_wait_ms=_FETCH_WAIT_MS)
        self._read_to: dict[TopicPartition, int] = {}
        self._values: dict[TopicPartition, dict[str, bytes | None]] = {}
        try:
            try:
                self.partitions = self._reader.partitions_for(JOBS_TOPIC)
            except UnknownTopic:
                make_topic()
                self.partitions = self._reader.partitions_for(JOBS_TOPIC)
        except BaseException:
            self._reader.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()

    def partitions_for(self, topic: str) -> int:
        """The number of partitions of a topic that is published to. Raises UnknownTopic, ClusterUnreachable."""
        with self._lock:
            return self._reader.partitions_for(topic)

    def identity(self, topic: str) -> TopicIdentity:
        """Which log the topic's name stands for now. Raises UnknownTopic, ClusterUnreachable."""
        with self._lock:
            return self._reader.identity(topic)

    def where(self, name: str) -> TopicPartition:
        """The partition with a job's records."""
        return TopicPartition(JOBS_TOPIC, partition_of(name, self.partitions))

    def take_over(self, publisher: TransactionalPublisher, name: str, key: str, run: JobRun) -> dict[str, JobState]:
        """Say that ``run`` works on this key from now on, and give all jobs of the partition as they stand then.

        The publisher has fenced every older one of the key. Raises Fenced, DeliveryError, DeliveryTimeout,
        ClusterUnreachable, DataError.
        """
        where = self.where(name)
        publisher.begin()
        publisher.publish(JOBS_TOPIC, encode_run(run), partition=where.partition, key=run_key(key).encode())
        publisher.commit()
        with self._lock:
            return decode(self._read({where: publisher.ends[where]}))

    def latest_run(self, name: str, key: str) -> JobRun | None:
        """The run that was the last to take this key over, as far as it is seen by now. Raises as take_over does."""
        with self._lock:
            value = self._read(self._reader.end_offsets([self.where(name)])).get(run_key(key))
        return None if value is None else decode_run(key, value)

    def all_jobs(self) -> dict[str, JobState]:
        """All jobs of all partitions, as far as they are seen by now. Raises DataError, ClusterUnreachable."""
        partitions = [TopicPartition(JOBS_TOPIC, number) for number in range(self.partitions)]
        with self._lock:
            ends = self._reader.end_offsets(partitions)
            # The last entry is most likely the mark of a commit, which a reader would have to wait for.
            return decode(self._read({partition: end - 1 for partition, end in ends.items()}))

    def wait_until_seen(self, ends: Mapping[TopicPartition, int]) -> None:
        """Wait until readers see what was committed, as :func:`~sensorstream.clients.transaction.wait_until_seen`."""
        with self._lock:
            wait_until_seen(self._reader, ends, self._listener)

    def _read(self, ends: Mapping[TopicPartition, int]) -> dict[str, bytes]:
        """The last value of each key before these offsets, without the keys that were deleted; what was read before
        is not read again."""
        new = [partition for partition in ends if partition not in self._read_to]
        if new:
            self._read_to.update(self._reader.beginning_offsets(new))
        left = {
            partition: self._read_to[partition] for partition, end in ends.items() if self._read_to[partition] < end
        }
        if left:
            self._reader.assign(left)
            self._catch_up(left, ends)
            self._reader.assign({})  # it would go on fetching, and questions wait behind that
        latest = {key: value for partition in ends for key, value in self._values.get(partition, {}).items()}
        return {key: value for key, value in latest.items() if value is not None}

    def _catch_up(self, partitions: Iterable[TopicPartition], ends: Mapping[TopicPartition, int]) -> None:
        began, told = time.monotonic(), False
        left = set(partitions)
        while left:
            for partition, batch in self._reader.poll(_POLL_S).items():
                values = self._values.setdefault(partition, {})
                for record in batch:
                    if record.key is not None:
                        values[record.key.decode(errors="replace")] = record.value
            for partition in left:
                self._read_to[partition] = self._reader.position(partition)
            left = {partition for partition in left if self._read_to[partition] < ends[partition]}
            waited = time.monotonic() - began
            if left and waited > _TELL_AFTER_S and not told:
                told = True
                self._listener(Notice("waiting for another job's transaction to end, to read the progress of ours"))
            if left and waited > _READ_S:
                raise DeliveryTimeout(
                    f"{JOBS_TOPIC} can't be read: a transaction has been open in it for {_READ_S:g} s",
                    hint="look at: sensorstream cluster status",
                )


def open_log(client: Client, make_topic: Callable[[], object], listener: Listener) -> JobLog:
    """A connected :class:`JobLog`. Raises ClusterUnreachable when the topic can't be found or made."""
    try:
        return JobLog(client, make_topic, listener)
    except UnknownTopic as error:
        raise ClusterUnreachable(
            f"the topic of jobs, {JOBS_TOPIC}, can't be used: {error.message}",
            hint=f"create it with: sensorstream topics create {JOBS_TOPIC} --set cleanup.policy=compact",
        ) from error
