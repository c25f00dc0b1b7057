"""Station 4, publish, in transactions with kafka-python: every delivery checked, every wait bounded.

The mends of this file, by the fault they mend in kafka-python 3.0.12:

- ``__init__``: a producer that is fenced asks for a new epoch of its own accord. While it does, nothing tells that it
  was fenced; with it, it would fence its successor; and it can complete a commit that the brokers never saw.
- ``__init__``: brokers refuse the partitions of a transaction until the last one is in the logs, some milliseconds
  later; the library asks again after ``retry_backoff_ms``, as for everything, not after the 20 ms that it has for this.
- ``BaseTransactionalPublisher.commit``: a transaction is committed although a batch of it has failed.
- ``commit``, ``abort``, ``send_offsets``: the library waits for them without a deadline.
- after an abort the publisher is spent: positions of an aborted transaction leak into the next one.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import kafka.errors as kafka_errors
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaPartition

from sensorstream.clients.base import Reader
from sensorstream.clients.kafka_python.delivery import RecordDelivery, RunDelivery
from sensorstream.clients.kafka_python.denied import denied
from sensorstream.clients.kafka_python.failures import broker_error, reason
from sensorstream.clients.kafka_python.publisher import KafkaPythonPublisher, PartitionQueue
from sensorstream.clients.kafka_python.reader import KafkaPythonReader
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.publisher import BaseTransactionalPublisher
from sensorstream.clients.transaction import TRANSACTION_S
from sensorstream.errors import DeliveryError, DeliveryTimeout, Fenced, NotAllowed, SensorstreamError, UsageError
from sensorstream.events import Listener
from sensorstream.records import TopicPartition

INIT_S: Final = 30.0
"""How long the id may be asked for: the brokers may have to finish an older transaction of it first."""
_RETRY_MS: Final = 20
_FENCED: Final = (kafka_errors.ProducerFencedError, kafka_errors.InvalidProducerEpochError)


class KafkaPythonTransactionalPublisher(BaseTransactionalPublisher[RecordDelivery | RunDelivery], KafkaPythonPublisher):
    """A :class:`~sensorstream.clients.base.TransactionalPublisher` on kafka-python's producer."""

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        properties: ClientProperties,
        transactional_id: str,
        client_id: str,
        listener: Listener,
    ) -> None:
        self._begin_as(transactional_id)
        wanted = {"transactional_id": transactional_id, "transaction_timeout_ms": int(TRANSACTION_S * 1000)}
        if "retry.backoff.ms" not in properties.values:
            wanted["retry_backoff_ms"] = _RETRY_MS
        super().__init__(bootstrap, properties, client_id, listener, **wanted)
        self._transactions = self._producer._transaction_manager
        self._transactions._supports_epoch_bump = lambda: False
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

    def _ask_begin(self) -> None:
        self._ask(self._transactions.begin_transaction, 0, "a transaction can't be begun")

    def _enlist(self, queue: PartitionQueue) -> None:
        try:
            self._transactions.maybe_add_partition_to_transaction(queue.partition)
        except kafka_errors.KafkaError as error:
            failure = self._transactions.last_error or error
            if isinstance(failure, _FENCED):
                raise self._stage.fenced() from error
            refused = denied(failure)
            if refused is not None:
                raise refused.delivery_error(TopicPartition(*queue.partition)) from error
            raise DeliveryError(f"the transaction has failed: {reason(failure)}") from error

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

    def _give_up(self) -> bool:
        self._abort_quietly()
        return isinstance(self._transactions.last_error, _FENCED)

    def _ask_commit(self, timeout_s: float) -> None:
        try:
            self._ask(self._transactions.begin_commit, timeout_s, "the transaction was not committed")
        except (Fenced, NotAllowed):
            raise
        except SensorstreamError as error:
            raise self._unknown(error) from error

    def _ask_abort(self, timeout_s: float) -> None:
        self._ask(self._transactions.begin_abort, timeout_s, "the transaction was not aborted")
