"""Stations 4-6 in memory, for tests and dry runs."""

from sensorstream.clients.memory.broker import MemoryBroker
from sensorstream.clients.memory.client import MemoryClient
from sensorstream.clients.memory.publisher import MemoryPublisher, MemoryTransactionalPublisher
from sensorstream.clients.memory.reader import MemoryReader

__all__ = ["MemoryBroker", "MemoryClient", "MemoryPublisher", "MemoryReader", "MemoryTransactionalPublisher"]
