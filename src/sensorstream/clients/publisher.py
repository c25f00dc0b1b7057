"""Station 4: what the publishers of every client have in common: when they take records, how they are closed, and how a
transaction is begun, committed and aborted.
"""

import time
from abc import abstractmethod
from contextlib import suppress
from typing import Final, Generic, TypeVar

from sensorstream.clients import refusals
from sensorstream.clients.base import PlacedDelivery
from sensorstream.clients.transaction import Stage, ends_of
from sensorstream.closing import Closing
from sensorstream.errors import DeliveryError, DeliveryTimeout, Fenced, SensorstreamError
from sensorstream.records import TopicPartition

_ABORT_S: Final = 5.0

D = TypeVar("D", bound=PlacedDelivery)


class BasePublisher(Closing, Generic[D]):
    """A publisher that may be closed, and may be one of transactions.

    The methods that publish look at ``_closed`` and ``_stage`` themselves and call :meth:`_require_open` where that may
    refuse: it would cost a call a record otherwise. They add each delivery to ``_deliveries``, where that is a list.
    """

    _closed = False
    _stage: Stage | None = None
    _deliveries: list[D] | None = None

    def _require_open(self) -> None:
        """Raises DeliveryError when it is closed, UsageError outside a transaction."""
        if self._closed:
            raise DeliveryError("the publisher is closed")
        if self._stage is not None:
            self._stage.require_open()

    @abstractmethod
    def flush(self, timeout_s: float) -> None:
        """Wait until every queued record has an outcome."""

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush for at most ``timeout_s``, then let go of everything; what is open then is unknown."""
        if not self._closed:
            self._before_close()
            self._closed = True
            self._end(timeout_s)

    def _before_close(self) -> None:
        """What is to be done before nothing is taken any more."""

    @abstractmethod
    def _end(self, timeout_s: float) -> None:
        """Flush, and let go of everything. Never raises, never hangs."""


class BaseTransactionalPublisher(BasePublisher[D]):
    """A :class:`~sensorstream.clients.base.TransactionalPublisher`, but for the questions to the client's library.

    It stands before the client's own publisher in the bases of a class.
    """

    _stage: Stage
    _deliveries: list[D]

    def _begin_as(self, transactional_id: str) -> None:
        """To be called before anything else is."""
        self._stage = Stage(transactional_id)
        self._deliveries = []
        self.ends: dict[TopicPartition, int] = {}

    @abstractmethod
    def _ask_begin(self) -> None:
        """Have the library begin a transaction. Raises Fenced, BrokerError."""

    @abstractmethod
    def _ask_commit(self, timeout_s: float) -> None:
        """Have the library commit; the publisher is spent meanwhile. Raises as :meth:`commit` does."""

    @abstractmethod
    def _ask_abort(self, timeout_s: float) -> None:
        """Have the library abort. Raises Fenced, BrokerError, DeliveryTimeout."""

    @abstractmethod
    def _give_up(self) -> bool:
        """Abort, as :meth:`_abort_quietly`, what could not be delivered; whether another publisher has taken the id."""

    def begin(self) -> None:
        """Begin a transaction."""
        self._stage.begin()
        self._deliveries = []
        try:
            self._ask_begin()
        except BaseException:
            self._stage.spend()
            raise

    def commit(self, timeout_s: float = 30.0) -> None:
        """Wait until every record is delivered, then make them seen."""
        self._stage.require_open()
        deadline = time.monotonic() + timeout_s
        try:
            self.flush(timeout_s)
            ends = ends_of(self._deliveries)
        except DeliveryError as error:
            if self._give_up() or isinstance(error, Fenced):
                raise self._stage.fenced() from error
            raise refusals.aborted(error) from error
        left = max(1.0, deadline - time.monotonic())
        self._stage.spend()
        self._ask_commit(left)
        self._stage.committed()
        self.ends |= ends
        self._deliveries = []

    def _unknown(self, error: SensorstreamError) -> DeliveryTimeout:
        """What to tell when nobody answers whether the transaction was committed."""
        unknown = f"it is not known whether the transaction of {self._stage.transactional_id} was committed"
        return DeliveryTimeout(f"{unknown}: {error.message}", hint=error.hint)

    def abort(self, timeout_s: float = 30.0) -> None:
        """Make sure that none of the transaction's records is ever seen."""
        self._stage.require_open()
        self._stage.spend()
        self._ask_abort(timeout_s)

    def _abort_quietly(self) -> None:
        """Abort as well as can be: whoever opens the next publisher of this id makes sure of it."""
        self._stage.spend()
        with suppress(SensorstreamError):
            self._ask_abort(_ABORT_S)

    def _before_close(self) -> None:
        if self._stage.is_open:
            self._abort_quietly()
