"""Stations 4 and 6 with kafka-python, the default client (PyPI ``kafka-python``)."""

from typing import Final

from sensorstream.clients.kafka_python.publisher import KafkaPythonPublisher
from sensorstream.clients.kafka_python.reader import KafkaPythonReader
from sensorstream.clients.kafka_python.transactions import KafkaPythonTransactionalPublisher
from sensorstream.clients.watched import WatchedClient
from sensorstream.events import Listener, ignore


class KafkaPythonClient(WatchedClient):
    """A :class:`~sensorstream.clients.base.Client`; it connects when a publisher or reader is made."""

    name: Final = "kafka-python"

    def publisher(self, *, client_id: str = "sensorstream", listener: Listener = ignore) -> KafkaPythonPublisher:
        """A connected publisher. Raises ClusterUnreachable or CredentialsRefused within 10 s."""
        return self._watched(KafkaPythonPublisher(self._bootstrap, self._properties, client_id, listener))

    def transactional_publisher(
        self, transactional_id: str, *, client_id: str = "sensorstream", listener: Listener = ignore
    ) -> KafkaPythonTransactionalPublisher:
        """A connected publisher of transactions; older ones of the same id are fenced by now.

        Raises ClusterUnreachable or CredentialsRefused within 10 s, BrokerError when the id can't be had within 30 s.
        """
        return self._watched(
            KafkaPythonTransactionalPublisher(self._bootstrap, self._properties, transactional_id, client_id, listener)
        )

    def reader(
        self,
        *,
        group: str | None = None,
        client_id: str = "sensorstream",
        listener: Listener = ignore,
        fetch_wait_ms: int | None = None,
    ) -> KafkaPythonReader:
        """A connected reader. Raises ClusterUnreachable or CredentialsRefused within 10 s."""
        return self._watched(
            KafkaPythonReader(self._bootstrap, self._properties, group, client_id, listener, fetch_wait_ms)
        )
