"""Stations 4 and 6 with kafka-python, the default client (PyPI ``kafka-python``)."""

from typing import Final

from sensorstream.clients.kafka_python.publisher import KafkaPythonPublisher
from sensorstream.clients.kafka_python.reader import KafkaPythonReader
from sensorstream.clients.kafka_python.transactions import KafkaPythonTransactionalPublisher
from sensorstream.clients.watched import WatchedClient
from sensorstream.events import Listener


class KafkaPythonClient(WatchedClient[KafkaPythonPublisher, KafkaPythonTransactionalPublisher, KafkaPythonReader]):
    """A :class:`~sensorstream.clients.base.Client`; it connects when a publisher or reader is made."""

    name: Final = "kafka-python"

    def _make_publisher(self, client_id: str, listener: Listener) -> KafkaPythonPublisher:
        return KafkaPythonPublisher(self._bootstrap, self._properties, client_id, listener)

    def _make_transactional_publisher(
        self, transactional_id: str, client_id: str, listener: Listener
    ) -> KafkaPythonTransactionalPublisher:
        return KafkaPythonTransactionalPublisher(
            self._bootstrap, self._properties, transactional_id, client_id, listener
        )

    def _make_reader(
        self, group: str | None, client_id: str, listener: Listener, fetch_wait_ms: int | None
    ) -> KafkaPythonReader:
        return KafkaPythonReader(self._bootstrap, self._properties, group, client_id, listener, fetch_wait_ms)
