"""Station 4 with kafka-python: the outcome of queued records.

Records of one batch share its outcome, until the library splits a batch that a broker refuses as too large.
"""

import time
from typing import Any

import kafka.errors as kafka_errors

from sensorstream.clients.deliveries import wait_for_all
from sensorstream.clients.kafka_python.denied import denied
from sensorstream.clients.kafka_python.failures import reason
from sensorstream.errors import DeliveryError, DeliveryTimeout, Fenced, RecordTooLarge
from sensorstream.records import TopicPartition


class RecordDelivery:
    """The fate of one record: its batch's future, and its place in the batch."""

    __slots__ = ("_batch", "_index")

    def __init__(self, batch: Any, index: int) -> None:
        self._batch = batch
        self._index = index

    @property
    def where(self) -> TopicPartition:
        """The record's partition."""
        return TopicPartition(*self._batch.topic_partition)

    def done(self) -> bool:
        """Whether the outcome is known."""
        return bool(self._batch.is_done)

    def wait(self, timeout_s: float) -> int:
        """Wait for the outcome; the record's offset."""
        deadline = time.monotonic() + timeout_s
        while not self._batch.is_done:
            left = deadline - time.monotonic()
            if left <= 0:
                raise DeliveryTimeout(f"{self.where}: no acknowledgement of a record within {timeout_s:.0f} s")
            self._batch.wait(left)  # also ends when the batch is split, and this record is in another one
        first, _, failure = self._batch.value
        if failure is not None:
            raise delivery_error(self.where, failure(self._index))
        return int(first + self._index) if first is not None and first >= 0 else -1

    @property
    def failed(self) -> bool:
        """Whether the record is known to have failed."""
        return bool(self._batch.is_done) and self._batch.value[2] is not None

    def rebind(self, batch: Any, index: int) -> None:
        """The library has split the batch: this record is in another one now."""
        old, self._batch, self._index = self._batch, batch, index
        old._latch.set()


class Part:
    """Consecutive records of one call that are in one batch: they share its outcome."""

    __slots__ = ("_batch", "_last", "_records", "count")

    def __init__(self, batch: Any, first: int, count: int) -> None:
        self._batch = batch
        self._last = first + count - 1
        self._records: list[RecordDelivery] | None = None
        self.count = count

    @property
    def where(self) -> TopicPartition:
        """The records' partition."""
        return TopicPartition(*self._batch.topic_partition)

    def record(self, index: int) -> RecordDelivery:
        """The library is about to split the batch: from now on the records go their own ways."""
        if self._records is None:
            self._records = []
        self._records.append(RecordDelivery(self._batch, index))
        return self._records[-1]

    def done(self) -> bool:
        """Whether the outcome is known."""
        if self._records is None:
            return bool(self._batch.is_done)
        return len(self._records) == self.count and all(record.done() for record in self._records)

    @property
    def failed(self) -> int:
        """How many of the records have failed so far."""
        if self._records is not None:
            return sum(record.failed for record in self._records)
        return self.count if self._batch.is_done and self._batch.value[2] is not None else 0

    def wait(self, timeout_s: float) -> int:
        """Wait for the outcome; the last record's offset."""
        deadline = time.monotonic() + timeout_s
        while self._records is None:
            left = max(0.0, deadline - time.monotonic())
            if self._batch.is_done or left == 0:
                return RecordDelivery(self._batch, self._last).wait(0)
            self._batch.wait(left)
        while len(self._records) < self.count:
            time.sleep(0.001)  # the library is just at it
        return wait_for_all(self._records, deadline - time.monotonic())


class Futures(list[Any]):
    """What a batch keeps for its records: a :class:`Part` stands for many, until the library asks for each."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return found.record(index) if isinstance(found, Part) else found


class RunDelivery:
    """The fate of the records that were queued by one call."""

    __slots__ = ("_parts", "count")

    def __init__(self, parts: list[Part], count: int) -> None:
        self._parts = parts
        self.count = count

    @property
    def where(self) -> TopicPartition:
        """The records' partition."""
        return self._parts[0].where

    def done(self) -> bool:
        """Whether every outcome is known."""
        return all(part.done() for part in reversed(self._parts))

    @property
    def failed(self) -> int:
        """How many of the records have failed so far."""
        return sum(part.failed for part in self._parts)

    def wait(self, timeout_s: float) -> int:
        """Wait for the outcomes; the last record's offset."""
        return wait_for_all(self._parts, timeout_s)


def delivery_error(where: TopicPartition, error: BaseException) -> DeliveryError:
    """An exception of the library that a record ended with, as ours."""
    refused = denied(error)
    if refused is not None:
        return refused.delivery_error(where)
    if isinstance(error, kafka_errors.MessageSizeTooLargeError | kafka_errors.RecordListTooLargeError):
        return RecordTooLarge(
            f"{where}: the broker refuses a record as too large", hint="raise max.message.bytes of the topic"
        )
    if isinstance(error, kafka_errors.ProducerFencedError | kafka_errors.InvalidProducerEpochError):
        return Fenced(f"{where}: a record was not delivered: another run has taken over")
    if isinstance(error, kafka_errors.KafkaTimeoutError | kafka_errors.KafkaConnectionError | Abandoned):
        return DeliveryTimeout(f"{where}: it is not known whether a record was delivered: {reason(error)}")
    return DeliveryError(f"{where}: a record was not delivered: {reason(error)}")


class Abandoned(Exception):
    """The publisher was closed before the record was acknowledged."""
