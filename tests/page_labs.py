"""The page's server in memory, for tests that have no browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

from page_views import view
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import Settings, TopicSettings, sensor_topics
from sensorstream.monitor.view import View
from sensorstream.monitor.web.access import AccessRules
from sensorstream.monitor.web.actions import Changes
from sensorstream.monitor.web.app import Reading, make_app

HERE = "http://127.0.0.1:8765"
TOKEN = "a-token-of-24-characters"
TOPICS = (*sensor_topics(), TopicSettings("PLAIN"))


class Shown:
    """A source of views that a test sets."""

    def __init__(self, now: View | None = None) -> None:
        self.view = now


class Lab:
    """A server in memory on a broker in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.shown = Shown(view())
        self.settings = Settings(topics=TOPICS)
        self.reading = Reading(lambda: MemoryClient(self.broker), self.settings)
        self._publisher = MemoryClient(self.broker).publisher()

    def put(self, topic: str, *values: bytes | None, partition: int = 0, key: bytes | None = None) -> None:
        for value in values:
            self._publisher.publish(topic, value, partition=partition, key=key)

    @contextmanager
    def client(
        self, rules: AccessRules | None = None, *, changes: bool = False, base: str = HERE
    ) -> Iterator[TestClient]:
        app = make_app(
            self.shown,
            self.reading,
            rules or AccessRules.of("127.0.0.1", 8765),
            self.settings,
            changes=Changes(self.settings) if changes else None,
        )
        with TestClient(app, base_url=base, raise_server_exceptions=False, follow_redirects=False) as client:
            yield client


def said(client: TestClient, path: str, status: int = 200) -> Any:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()
