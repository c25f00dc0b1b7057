"""Station 6 with librdkafka: check that the topics being read still exist and were not created again.

librdkafka reads a topic that was deleted and made again as if nothing had happened; its admin client knows the ids.
It asks only the broker that it takes for the controller, and that may be dead: then any broker's metadata, which names
another one, is asked for. An admin client that has not answered in time is not asked again, but another one.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from sensorstream.clients import refusals
from sensorstream.clients.librdkafka.failures import broker_error, error_of, passes
from sensorstream.clients.librdkafka.net import ASK_S, LOG, metadata
from sensorstream.clients.own_thread import on_own_thread
from sensorstream.errors import UnknownTopic

GONE: Final = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError.INCONSISTENT_TOPIC_ID,
)
_SILENT_S: Final = 0.25
"""How long a question may stay unanswered, until a dead controller is taken for the reason."""


class TopicWatch:
    """Whether the topics that are read are still there, and still the same; asked without waiting for the answer."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._admin: Any = None
        self._ids: dict[str, str | None] = {}
        self._asked: dict[str, Any] = {}
        self._looked = self._asked_at = time.monotonic()
        self._looking: Future[Any] | None = None

    def topic_id(self, topic: str) -> str | None:
        """The topic's id now, in the 22 letters that Kafka's own tools show; None where the brokers have none.

        It is asked for again while brokers come and go. Raises UnknownTopic, BrokerError, ClusterUnreachable.
        """
        deadline = time.monotonic() + ASK_S
        while True:
            future = self._describe([topic])[topic]
            try:
                return _id_of(self._answer(future, max(0.0, deadline - time.monotonic()) + 1))
            except (KafkaException, TimeoutError) as error:
                self._renew_after(error)
                problem = _gone(topic, error)
                if isinstance(problem, UnknownTopic):
                    raise refusals.unknown_topic(topic) from error
                inner = error_of(error)
                if inner is None or not passes(inner) or time.monotonic() >= deadline:
                    raise broker_error(f"topic {topic!r} can't be described", error) from error
            threading.Event().wait(0.1)

    def watch(self, topics: Iterable[str]) -> None:
        """Watch these topics from now on."""
        self._ids = {topic: self.topic_id(topic) for topic in topics}
        self._looked = time.monotonic()

    def look_now(self) -> None:
        """Have the next :meth:`problem` ask."""
        self._looked = 0.0

    def problem(self, every_s: float) -> UnknownTopic | None:
        """What has been found out since; asks again when the last time is longer ago than ``every_s``."""
        now = time.monotonic()
        if self._admin is not None:
            self._admin.poll(0)  # its log lines
        if not self._asked:
            if self._ids and now - self._looked >= every_s:
                self._looked = now
                self._asked = self._describe(list(self._ids))
            return None
        if not all(future.done() for future in self._asked.values()):
            self._look_for_controller()
            return None
        asked, self._asked = self._asked, {}
        return self._judge(asked)

    def look(self) -> UnknownTopic | None:
        """Ask, and wait for the answer."""
        return self._judge(self._describe(list(self._ids))) if self._ids else None

    def _judge(self, asked: Mapping[str, Any]) -> UnknownTopic | None:
        for topic, future in asked.items():
            try:
                found = _id_of(self._answer(future, ASK_S))
            except (KafkaException, TimeoutError) as error:
                self._renew_after(error)
                gone = _gone(topic, error)
                if gone is not None:
                    return gone
                continue
            expected = self._ids.get(topic)
            if expected is not None and found is not None and found != expected:
                return refusals.topic_replaced(topic)
        return None

    def admin(self) -> Any:
        """The admin client, made when it is first needed."""
        if self._admin is None:
            from confluent_kafka.admin import AdminClient

            self._admin = AdminClient(self._options, logger=LOG)
        return self._admin

    def _renew_after(self, error: BaseException) -> None:
        """Let go of an admin client that was silent; to end it may take as long as it has questions under way."""
        inner = error_of(error)
        silent = isinstance(error, TimeoutError) or (inner is not None and inner.code() == KafkaError._TIMED_OUT)
        if silent and self._admin is not None:
            old, self._admin = [self._admin], None
            on_own_thread("sensorstream-admin-close", old.clear)

    def _answer(self, future: Any, timeout_s: float) -> Any:
        """What a question brings. Raises KafkaException, TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            try:
                return future.result(min(max(0.0, left), _SILENT_S))
            except TimeoutError:
                if left <= _SILENT_S:
                    raise
            self._look_for_controller()

    def _look_for_controller(self) -> None:
        """Ask for metadata, so that a dead broker is not taken for the controller any more; without waiting for it.

        librdkafka does not do so by itself: it tries to connect to that broker for as long as the question lasts, with
        no pause (``rd_kafka_broker_controller_async``, librdkafka 2.16), thousands of times a second.
        """
        under_way = self._looking is not None and not self._looking.done()
        if not under_way and time.monotonic() - self._asked_at >= _SILENT_S:
            self._asked_at = time.monotonic()
            admin = self.admin()
            self._looking = on_own_thread("sensorstream-metadata", lambda: metadata(admin))

    def _describe(self, topics: list[str]) -> dict[str, Any]:
        self._asked_at = time.monotonic()
        answer: dict[str, Any] = self.admin().describe_topics(TopicCollection(topics), request_timeout=ASK_S)
        return answer

    def close(self) -> None:
        """Ask nothing any more."""
        self._ids = {}
        self._asked = {}
        self._admin = None


def _gone(topic: str, error: BaseException) -> UnknownTopic | None:
    inner = error_of(error)
    return refusals.topic_gone(topic) if inner is not None and inner.code() in GONE else None


def _id_of(description: Any) -> str | None:
    # librdkafka writes the id in base64's first alphabet (RFC 4648, section 4), Kafka's tools in the one for URLs.
    text = str(description.topic_id).rstrip("=").replace("+", "-").replace("/", "_")
    return None if text.strip("A") == "" else text
