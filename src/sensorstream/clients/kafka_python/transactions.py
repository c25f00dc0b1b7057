"""Station 4, publish, in transactions with kafka-python: every delivery checked, every wait bounded.

The mends of this file, by the fault they mend in kafka-python 3.0.12:

- ``__init__``: a producer that is fenced asks for a new epoch of its own accord. While it does, nothing tells that it
  was fenced; with it, it would fence its successor; and it can complete a commit that the brokers never saw.
- ``__init__``: brokers refuse the partitions of a transaction until the last one is in the logs, some milliseconds
  later; the library asks again after ``retry_backoff_ms``, as for everything, not after the 20 ms that it has for this.
- ``commit``: a transaction is committed although a batch of it has failed.
- ``commit``, ``abort``, ``send_offsets``: the library waits for them without a deadline.
- after an abort the publisher is spent: positions of an aborted transaction leak into the next one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import kafka.errors as kafka_errors
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaPartition

from sensorstream.clients import refusals
from sensorstream.clients.base import Reader
from sensorstream.clients.kafka_python.delivery import RecordDelivery, RunDelivery
from sensorstream.clients.kafka_python.denied import denied
from sensorstream.clients.kafka_python.net import broker_error, reason
from sensorstream.clients.kafka_python.publisher import KafkaPythonPublisher, _Lane
from sensorstream.clients.kafka_python.reader import KafkaPythonReader
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.transaction import TRANSACTION_S, Stage, ends_of
from sensorstream.errors import DeliveryError, DeliveryTimeout, Fenced, NotAllowed, SensorstreamError, UsageError
from sensorstream.events import Listener
from sensorstream.records import Headers, TopicPartition

INIT_S: Final = 30.0
"""How long the id may be asked for: the brokers may have to finish an older transaction of it first."""
_ABORT_S: Final = 5.0
_RETRY_MS: Final = 20
_FENCED: Final = (kafka_errors.ProducerFencedError, kafka_errors.InvalidProducerEpochError)


class KafkaPythonTransactionalPublisher(KafkaPythonPublisher):
    """A :class:`~sensorstream.clients.base.TransactionalPublisher` on kafka-python's producer."""

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        properties: ClientProperties,
        transactional_id: str,
        client_id: str,
        listener: Listener,
    ) -> None:
        self._stage = Stage(transactional_id)
        wanted = {"transactional_id": transactional_id, "transaction_timeout_ms": int(TRANSACTION_S * 1000)}
        if "retry.backoff.ms" not in properties.values:
            wanted["retry_backoff_ms"] = _RETRY_MS
        super().__init__(bootstrap, properties, client_id, listener, **wanted)
        self._transactions = self._producer._transaction_manager
        self._transactions._supports_epoch_bump = lambda: False
        self._deliveries: list[RecordDelivery | RunDelivery] = []
        self.ends: dict[TopicPartition, int] = {}
        try:
            self._ask(
                self._transactions.initialize_transactions, INIT_S, f"transactional id {transactional_id} can't be had"
            )
        except BaseException:
            self.close(0)
            raise

    def _ask(self, question: Callable[[], Any], timeout_s: float, what: str) -> None:
        """Have the sender ask, and wait for the answer until the deadline."""
        try:
            result = question()
            if result is None:
                return
            self._producer._sender.wakeup()
            answered = result.wait(timeout_ms=max(0.0, timeout_s * 1000))
        except (kafka_errors.KafkaError, RuntimeError) as error:
            if isinstance(error, _FENCED) or isinstance(self._transactions.last_error, _FENCED):
                raise self._stage.fenced() from error
            raise broker_error(what, error, "Write") from error
        if not answered:
            raise DeliveryTimeout(
                f"{what}: no answer within {timeout_s:.0f} s", hint="look at: sensorstream cluster status"
            )

    def begin(self) -> None:
        """Begin a transaction."""
        self._stage.begin()
        self._deliveries = []
        try:
            self._ask(self._transactions.begin_transaction, 0, "a transaction can't be begun")
        except BaseException:
            self._stage.spend()
            raise

    def _enlist(self, lane: _Lane) -> None:
        try:
            self._transactions.maybe_add_partition_to_transaction(lane.partition)
        except kafka_errors.KafkaError as error:
            failure = self._transactions.last_error or error
            if isinstance(failure, _FENCED):
                raise self._stage.fenced() from error
            refused = denied(failure)
            if refused is not None:
                raise refused.delivery_error(TopicPartition(*lane.partition)) from error
            raise DeliveryError(f"the transaction has failed: {reason(failure)}") from error

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Headers = (),
    ) -> RecordDelivery:
        """Queue one record of the transaction."""
        if not self._closed:
            self._stage.require_open()
        delivery = super().publish(
            topic, value, partition=partition, key=key, timestamp_ms=timestamp_ms, headers=headers
        )
        self._deliveries.append(delivery)
        return delivery

    def publish_batch(self, topic: str, values: Sequence[bytes | str], *, partition: int) -> RunDelivery:
        """Queue many records of the transaction."""
        if not self._closed:
            self._stage.require_open()
        delivery = super().publish_batch(topic, values, partition=partition)
        self._deliveries.append(delivery)
        return delivery

    def send_offsets(self, positions: Mapping[TopicPartition, int], reader: Reader, timeout_s: float = 30.0) -> None:
        """Commit these positions for the reader's group with the transaction."""
        self._stage.require_open()
        if not isinstance(reader, KafkaPythonReader) or reader.group is None:
            raise UsageError("positions can only be sent for a reader of this client that has a group")
        offsets = {KafkaPartition(*one): OffsetAndMetadata(offset, "", -1) for one, offset in positions.items()}
        try:
            member = reader.membership()
            self._ask(
                lambda: self._transactions.send_offsets_to_transaction(offsets, member),
                timeout_s,
                "the positions can't be sent with the transaction",
            )
        except BaseException:
            # Left open, it would hide what lies behind it until it times out.
            self._abort_quietly()
            raise

    def commit(self, timeout_s: float = 30.0) -> None:
        """Wait until every record is delivered, then make them seen."""
        self._stage.require_open()
        deadline = time.monotonic() + timeout_s
        try:
            self.flush(timeout_s)
            ends = ends_of(self._deliveries)
        except DeliveryError as error:
            self._abort_quietly()
            if isinstance(error, Fenced) or isinstance(self._transactions.last_error, _FENCED):
                raise self._stage.fenced() from error
            raise refusals.aborted(error) from error
        left = max(1.0, deadline - time.monotonic())
        self._stage.spend()
        unknown = f"it is not known whether the transaction of {self._stage.transactional_id} was committed"
        try:
            self._ask(self._transactions.begin_commit, left, "the transaction was not committed")
        except (Fenced, NotAllowed):
            raise
        except SensorstreamError as error:
            raise DeliveryTimeout(f"{unknown}: {error.message}", hint=error.hint) from error
        self._stage.committed()
        self.ends |= ends
        self._deliveries = []

    def abort(self, timeout_s: float = 30.0) -> None:
        """Make sure that none of the transaction's records is ever seen."""
        self._stage.require_open()
        self._stage.spend()
        self._ask(self._transactions.begin_abort, timeout_s, "the transaction was not aborted")

    def _abort_quietly(self) -> None:
        """Abort as well as can be: whoever opens the next publisher of this id makes sure of it."""
        self._stage.spend()
        with suppress(SensorstreamError):
            self._ask(self._transactions.begin_abort, _ABORT_S, "the transaction was not aborted")

    def close(self, timeout_s: float = 10.0) -> None:
        """Abort what is open, and let go of everything."""
        if not self._closed and self._stage.is_open:
            self._abort_quietly()
        super().close(timeout_s)
