"""Station 4, publish, in transactions with librdkafka: every delivery checked before a commit, every wait bounded.

``send_offsets_to_transaction`` does not keep the deadline that it is given, and where the group's coordinator has
died it can wait without an end (librdkafka 2.16, its issues 5456 and 5511). So it is called on a thread of its own
here, and left behind there when it is late.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from functools import partial
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from sensorstream.clients.base import Reader
from sensorstream.clients.librdkafka.delivery import (
    THROWN_AWAY,
    TOO_LARGE,
    RdDelivery,
    VouchedDelivery,
    delivery_error,
)
from sensorstream.clients.librdkafka.failures import broker_error, denied, error_of, reason
from sensorstream.clients.librdkafka.publisher import LibrdkafkaPublisher
from sensorstream.clients.librdkafka.reader import LibrdkafkaReader
from sensorstream.clients.own_thread import on_own_thread
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.publisher import BaseTransactionalPublisher
from sensorstream.clients.transaction import TRANSACTION_S
from sensorstream.errors import (
    BrokerError,
    ClusterUnreachable,
    DeliveryError,
    DeliveryTimeout,
    NotAllowed,
    SensorstreamError,
    UsageError,
)
from sensorstream.events import Listener
from sensorstream.records import TopicPartition

INIT_S: Final = 30.0
"""How long the id may be asked for: the brokers may have to finish an older transaction of it first."""
_SLICE_S: Final = 5.0
_PAUSE_S: Final = 0.05
_LATE_S: Final = 2.0
"""So much later than its deadline a call may come back."""
_NOT_SENT: Final = "the positions can't be sent with the transaction"
_REFUSAL: Final = re.compile(r"failed: (?:Broker: )?(.*?) \(broker ")
_FENCED: Final = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)


class LibrdkafkaTransactionalPublisher(BaseTransactionalPublisher[RdDelivery], LibrdkafkaPublisher):
    """A :class:`~sensorstream.clients.base.TransactionalPublisher` on librdkafka's producer."""

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        properties: ClientProperties,
        transactional_id: str,
        client_id: str,
        listener: Listener,
    ) -> None:
        wanted = {"transactional.id": transactional_id, "transaction.timeout.ms": int(TRANSACTION_S * 1000)}
        if "delivery.timeout.ms" not in properties.values:
            wanted["delivery.timeout.ms"] = wanted["transaction.timeout.ms"]
        super().__init__(bootstrap, properties, client_id, listener, **wanted)
        self._begin_as(transactional_id)
        self._cause: KafkaError | None = None
        self._left_behind: Future[None] | None = None
        try:
            self._ask(self._producer.init_transactions, INIT_S, f"transactional id {transactional_id} can't be had")
        except BaseException:
            self.close(0)
            raise

    def _ask(self, question: Callable[[float], object], timeout_s: float, what: str) -> None:
        """Ask again until the deadline, while librdkafka says that it may help."""
        deadline = time.monotonic() + timeout_s
        pause = threading.Event()
        while True:
            left = deadline - time.monotonic()
            try:
                question(max(0.1, min(left, _SLICE_S)))
            except (KafkaException, SystemError) as error:
                inner = error_of(error)
                self._note_death(error)
                if self._is_fenced() or (inner is not None and inner.code() in _FENCED):
                    raise self._stage.fenced() from error
                if inner is None or not inner.retriable() or left <= 0:
                    raise self._explain(what, error) from error
                pause.wait(_PAUSE_S)
            else:
                return

    def _is_fenced(self) -> bool:
        return self.fatal is not None and self.fatal.code() in _FENCED

    def _explain(self, what: str, error: BaseException) -> SensorstreamError:
        inner = error_of(error)
        if inner is not None and (inner.retriable() or inner.code() == KafkaError._TIMED_OUT):
            return DeliveryTimeout(f"{what}: {reason(inner)}", hint="look at: sensorstream cluster status")
        return broker_error(what, error, "Write")

    def _ask_begin(self) -> None:
        self.watch.doomed = self._cause = None
        self._ask(lambda _: self._producer.begin_transaction(), 0, "a transaction can't be begun")

    def _batch_delivery(self, where: TopicPartition, count: int) -> tuple[RdDelivery, RdDelivery | None]:
        return VouchedDelivery(self, where, count), None

    def failure(self, where: TopicPartition, error: KafkaError) -> DeliveryError:
        """As the publisher's; of records that were thrown away or not taken, what their transaction failed with."""
        cause = self._failed_with() if error.code() in (*THROWN_AWAY, KafkaError._STATE) else None
        if cause is not None and cause.code() in TOO_LARGE:
            return delivery_error(where, cause)
        return self._refusal_in(cause) or super().failure(where, error)

    def _failed_with(self) -> KafkaError | None:
        """What the open transaction has failed with, where it has."""
        if self._cause is None and self._stage.is_open:
            # Refused in an open transaction: with what that has failed with, where it has.
            try:
                self._producer.begin_transaction()
            except KafkaException as error:
                inner = error_of(error)
                self._cause = inner if inner is not None and inner.code() != KafkaError._STATE else None
        return self._cause

    def _refused(self) -> DeliveryError | None:
        """That a right is missing, where the open transaction has failed with that."""
        return self._refusal_in(self._failed_with())

    def _refusal_in(self, cause: KafkaError | None) -> DeliveryError | None:
        """That a right is missing, where that is the cause; it is not told for which topic."""
        refused = None if cause is None else denied(cause)
        if refused is None or not self._deliveries:
            return None
        return refused.delivery_error(self._deliveries[0].where, *(one.where.topic for one in self._deliveries))

    def _check_open(self) -> None:
        # What is still queued then waits for the abort, and nothing else brings it on.
        if self.watch.doomed is None:
            return
        refused = self._refused()
        if refused is not None:
            raise refused
        for delivery in self._deliveries:
            if delivery.failed and not delivery.open:
                delivery.wait(0)  # it says which record it was
        why = _REFUSAL.search(self.watch.doomed)
        raise DeliveryError(f"a record was not delivered: {why[1] if why else self.watch.doomed}")

    def send_offsets(self, positions: Mapping[TopicPartition, int], reader: Reader, timeout_s: float = 30.0) -> None:
        """Commit these positions for the reader's group with the transaction."""
        self._stage.require_open()
        if not isinstance(reader, LibrdkafkaReader) or reader.group is None:
            raise UsageError("positions can only be sent for a reader of this client that has a group")
        offsets = [KafkaPartition(*partition, offset) for partition, offset in positions.items()]
        try:
            member = reader.membership()
            self._ask(lambda left: self._call_send_offsets(offsets, member, left), timeout_s, _NOT_SENT)
        except BaseException as error:
            refused = self._refused()
            # Left open, it would hide what lies behind it until it times out.
            self._abort_quietly()
            if refused is not None:
                raise refused from error
            raise

    def _call_send_offsets(self, offsets: list[KafkaPartition], member: object, timeout_s: float) -> None:
        """One call, which is left behind when it is late. Raises what it raises, or DeliveryTimeout."""
        call = partial(self._producer.send_offsets_to_transaction, offsets, member, timeout_s)
        sent = on_own_thread("sensorstream-send-offsets", call)
        try:
            sent.result(timeout_s + _LATE_S)
        except TimeoutError as error:
            self._left_behind = sent
            raise DeliveryTimeout(
                f"{_NOT_SENT}: the group's coordinator has not answered for {timeout_s:.0f} s",
                hint="look at: sensorstream cluster status",
            ) from error

    def _give_up(self) -> bool:
        fenced = self._is_fenced()
        self._abort_quietly()
        return fenced

    def _ask_commit(self, timeout_s: float) -> None:
        try:
            self._ask(self._producer.commit_transaction, timeout_s, "the transaction was not committed")
        except NotAllowed:
            self._abort_quietly()
            raise
        except (DeliveryTimeout, ClusterUnreachable) as error:
            raise self._unknown(error) from error
        except BrokerError as error:
            self._abort_quietly()
            raise DeliveryError(f"the transaction was aborted: {error.message}", hint=error.hint) from error

    def _ask_abort(self, timeout_s: float) -> None:
        self._ask(self._producer.abort_transaction, timeout_s, "the transaction was not aborted")

    def _abort_quietly(self) -> None:
        if self._left_behind is None:
            super()._abort_quietly()
        else:
            self._stage.spend()  # librdkafka does one of these at a time

    def _let_go(self) -> None:
        if self._left_behind is not None:
            # It is still inside librdkafka, which must not be torn down around it.
            wait([self._left_behind])
        super()._let_go()
