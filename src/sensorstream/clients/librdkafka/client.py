"""Stations 4 and 6 with librdkafka, the fast client (PyPI ``confluent-kafka``, extra ``[fast]``)."""

from typing import Final

from sensorstream.clients.librdkafka.publisher import LibrdkafkaPublisher
from sensorstream.clients.librdkafka.reader import LibrdkafkaReader
from sensorstream.clients.librdkafka.transactions import LibrdkafkaTransactionalPublisher
from sensorstream.clients.watched import WatchedClient
from sensorstream.events import Listener


class LibrdkafkaClient(WatchedClient[LibrdkafkaPublisher, LibrdkafkaTransactionalPublisher, LibrdkafkaReader]):
    """A :class:`~sensorstream.clients.base.Client`; it connects when a publisher or reader is made."""

    name: Final = "librdkafka"

    def _make_publisher(self, client_id: str, listener: Listener) -> LibrdkafkaPublisher:
        return LibrdkafkaPublisher(self._bootstrap, self._properties, client_id, listener)

    def _make_transactional_publisher(
        self, transactional_id: str, client_id: str, listener: Listener
    ) -> LibrdkafkaTransactionalPublisher:
        return LibrdkafkaTransactionalPublisher(
            self._bootstrap, self._properties, transactional_id, client_id, listener
        )

    def _make_reader(
        self, group: str | None, client_id: str, listener: Listener, fetch_wait_ms: int | None
    ) -> LibrdkafkaReader:
        return LibrdkafkaReader(self._bootstrap, self._properties, group, client_id, listener, fetch_wait_ms)
