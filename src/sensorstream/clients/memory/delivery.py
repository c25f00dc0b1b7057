"""Station 4: what has become of the records that were given to the broker in memory."""

from typing import TYPE_CHECKING

from sensorstream.clients.deliveries import wait_for_all
from sensorstream.errors import DeliveryError, DeliveryTimeout
from sensorstream.records import TopicPartition

if TYPE_CHECKING:
    from sensorstream.clients.memory.broker import MemoryBroker


class MemoryDelivery:
    """The fate of one record published to a :class:`MemoryBroker`."""

    __slots__ = ("_broker", "_error", "_offset", "where")

    def __init__(self, broker: "MemoryBroker", where: TopicPartition) -> None:
        self._broker = broker
        self.where = where
        self._offset: int | None = None
        self._error: DeliveryError | None = None

    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._offset is not None or self._error is not None

    def wait(self, timeout_s: float) -> int:
        """Wait for the outcome; the record's offset."""
        with self._broker.changed:
            if not self._broker.changed.wait_for(self.done, timeout_s):
                raise DeliveryTimeout(f"{self.where}: no acknowledgement of a record within {timeout_s:.0f} s")
        if self._error is not None:
            raise self._error
        return -1 if self._offset is None else self._offset

    @property
    def failed(self) -> bool:
        """Whether the record is known to have failed."""
        return self._error is not None

    def settle(self, offset: int | None, error: DeliveryError | None) -> None:
        """The broker's verdict; called with the broker's lock held."""
        self._offset, self._error = offset, error


class MemoryBatchDelivery:
    """The fate of the records of one ``publish_batch``."""

    __slots__ = ("_parts", "count")

    def __init__(self, parts: list[MemoryDelivery]) -> None:
        self._parts = parts
        self.count = len(parts)

    @property
    def where(self) -> TopicPartition:
        """The partition of its records."""
        return self._parts[0].where

    def done(self) -> bool:
        """Whether every outcome is known."""
        return all(part.done() for part in self._parts)

    @property
    def failed(self) -> int:
        """How many of the records have failed so far."""
        return sum(part.failed for part in self._parts)

    def wait(self, timeout_s: float) -> int:
        """Wait for the outcomes; the last record's offset."""
        return wait_for_all(self._parts, timeout_s)
