"""Stations 4 and 6 with librdkafka, the fast client (PyPI ``confluent-kafka``, extra ``[fast]``)."""

from typing import Final

from sensorstream.clients.librdkafka.publisher import LibrdkafkaPublisher
from sensorstream.clients.librdkafka.reader import LibrdkafkaReader
from sensorstream.clients.librdkafka.transactions import LibrdkafkaTransactionalPublisher
from sensorstream.clients.watched import WatchedClient
from sensorstream.events import Listener, ignore


class LibrdkafkaClient(WatchedClient):
    """A :class:`~sensorstream.clients.base.Client`; it connects when a publisher or reader is made."""

    name: Final = "librdkafka"

    def publisher(self, *, client_id: str = "sensorstream", listener: Listener = ignore) -> LibrdkafkaPublisher:
        """A connected publisher. Raises ClusterUnreachable or CredentialsRefused within 10 s."""
        return self._watched(LibrdkafkaPublisher(self._bootstrap, self._properties, client_id, listener))

    def transactional_publisher(
        self, transactional_id: str, *, client_id: str = "sensorstream", listener: Listener = ignore
    ) -> LibrdkafkaTransactionalPublisher:
        """A connected publisher of transactions; older ones of the same id are fenced by now.

        Raises ClusterUnreachable or CredentialsRefused within 10 s, BrokerError when the id can't be had within 30 s.
        """
        return self._watched(
            LibrdkafkaTransactionalPublisher(self._bootstrap, self._properties, transactional_id, client_id, listener)
        )

    def reader(
        self,
        *,
        group: str | None = None,
        client_id: str = "sensorstream",
        listener: Listener = ignore,
        fetch_wait_ms: int | None = None,
    ) -> LibrdkafkaReader:
        """A connected reader. Raises ClusterUnreachable or CredentialsRefused within 10 s."""
        return self._watched(
            LibrdkafkaReader(self._bootstrap, self._properties, group, client_id, listener, fetch_wait_ms)
        )
