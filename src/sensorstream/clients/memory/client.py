"""Stations 4-6 in memory: the client of a :class:`~sensorstream.clients.memory.broker.MemoryBroker`."""

from collections.abc import Sequence
from typing import Final

from sensorstream.clients.causes import Cause, Waited
from sensorstream.clients.memory.broker import MemoryBroker
from sensorstream.clients.memory.publisher import MemoryPublisher, MemoryTransactionalPublisher
from sensorstream.clients.memory.reader import MemoryReader
from sensorstream.events import Listener, ignore


class MemoryClient:
    """A :class:`~sensorstream.clients.base.Client` on a :class:`MemoryBroker`."""

    name: Final = "memory"

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def publisher(self, *, client_id: str = "sensorstream", listener: Listener = ignore) -> MemoryPublisher:
        """A publisher. Raises ClusterUnreachable while the broker is stopped."""
        return MemoryPublisher(self._broker)

    def transactional_publisher(
        self, transactional_id: str, *, client_id: str = "sensorstream", listener: Listener = ignore
    ) -> MemoryTransactionalPublisher:
        """A publisher of transactions. Raises ClusterUnreachable while the broker is stopped."""
        return MemoryTransactionalPublisher(self._broker, transactional_id)

    def reader(
        self,
        *,
        group: str | None = None,
        client_id: str = "sensorstream",
        listener: Listener = ignore,
        fetch_wait_ms: int | None = None,
    ) -> MemoryReader:
        """A reader. Raises ClusterUnreachable while the broker is stopped."""
        return MemoryReader(self._broker, group)

    def causes(self, waited: Waited) -> Sequence[Cause]:
        """What the broker was told to blame, or that it is stopped."""
        return self._broker.causes
