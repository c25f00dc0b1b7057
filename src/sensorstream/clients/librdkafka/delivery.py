"""Station 4: what has become of the records that were given to librdkafka."""

import time
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError

from sensorstream.clients.librdkafka.failures import denied, reason
from sensorstream.errors import DeliveryError, DeliveryTimeout, Fenced, RecordTooLarge
from sensorstream.records import TopicPartition

_SLICE_S: Final = 0.05
THROWN_AWAY: Final = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL)
"""What records end with that are given up because of something else."""
TOO_LARGE: Final = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
"""What a broker says of a batch beyond the topic's ``max.message.bytes``."""
_UNCERTAIN: Final = (
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._PURGE_QUEUE,
    KafkaError._DESTROY,
)


class _Publisher(Protocol):
    """What a delivery asks of its publisher."""

    def pump(self, timeout_s: float) -> None: ...

    def death(self) -> KafkaError | None: ...

    def failure(self, where: TopicPartition, error: KafkaError) -> DeliveryError: ...


class RdDelivery:
    """The fate of the records queued by one call; librdkafka calls it once for each of them."""

    __slots__ = ("_error", "_offset", "_publisher", "count", "failed", "open", "where")

    def __init__(self, publisher: _Publisher, where: TopicPartition, count: int) -> None:
        self._publisher = publisher
        self.where = where
        self._offset = -1
        self._error: KafkaError | None = None
        self.count = self.open = count
        self.failed = 0

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        """librdkafka's delivery report of one record."""
        self.open -= 1
        if error is not None:
            self.failed += 1
            if self._error is None:
                self._error = error
        elif not self.open:
            offset = message.offset()
            self._offset = -1 if offset is None else offset

    def done(self) -> bool:
        """Whether every outcome is known."""
        if self.open:
            self._look(0)
        return not self.open

    def _look(self, timeout_s: float) -> None:
        self._publisher.pump(timeout_s)
        death = self._publisher.death()
        if self.open and death is not None:
            self.failed += self.open
            self.open = 0
            self._error = self._error or death

    def wait(self, timeout_s: float) -> int:
        """Wait for the outcomes; the last record's offset."""
        if self.open:
            deadline = time.monotonic() + timeout_s
            while True:
                left = deadline - time.monotonic()
                self._look(max(0.0, min(left, _SLICE_S)))
                if not self.open:
                    break
                if left <= 0:
                    raise DeliveryTimeout(f"{self.where}: no acknowledgement of a record within {timeout_s:.0f} s")
        if self._error is not None:
            raise self._publisher.failure(self.where, self._error)
        return self._offset


class VouchedDelivery(RdDelivery):
    """The fate of the records queued by one call in a transaction; librdkafka calls it for the last of them alone.

    In a transaction the records of a partition are stored in order, so the last one's success is that of all before
    it, but for those that failed: these make the commit fail, which is when it counts. How many they were is unknown.
    """

    __slots__ = ()

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        """librdkafka's delivery report of the last record, or its refusal to queue one of them."""
        self.open = 0
        if error is not None:
            self.failed = self.count
            self._error = self._error or error
        elif self._error is None:
            offset = message.offset()
            self._offset = -1 if offset is None else offset


def delivery_error(where: TopicPartition, error: KafkaError) -> DeliveryError:
    """An error of librdkafka that a record ended with, as ours."""
    refused = denied(error)
    if refused is not None:
        return refused.delivery_error(where)
    if error.code() in TOO_LARGE:
        return RecordTooLarge(
            f"{where}: the broker refuses a record as too large",
            hint="raise max.message.bytes of the topic, or lower batch.size below it",
        )
    if error.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
        return Fenced(f"{where}: a record was not delivered: another run has taken over")
    if error.code() in _UNCERTAIN:
        return DeliveryTimeout(f"{where}: it is not known whether a record was delivered: {reason(error)}")
    return DeliveryError(f"{where}: a record was not delivered: {reason(error)}")
