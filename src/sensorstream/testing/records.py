"""Publish values in a test, and read them back: the two fixtures that are functions."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import pytest

from sensorstream.config import Settings
from sensorstream.records import ConsumedRecord, TopicPartition

Value: TypeAlias = str | bytes | Mapping[str, Any] | list[Any] | None
"""Text is sent as UTF-8, a mapping or a list as JSON, None as a record without a value (a tombstone)."""
_POLL_S: Final = 0.2
_ACKNOWLEDGED_S: Final = 30.0


class Record(ConsumedRecord):
    """A record that was read, with its value as text and as JSON."""

    @property
    def text(self) -> str:
        """The value as UTF-8 text. Raises UnicodeDecodeError; TypeError for a record without a value."""
        if self.value is None:
            raise TypeError("a tombstone has no value")
        return self.value.decode()

    def json(self) -> Any:
        """The value, parsed as JSON. Raises json.JSONDecodeError, and what :attr:`text` raises."""
        return json.loads(self.text)


class Produce:
    """Publishes values; they are acknowledged by all in-sync replicas when the call returns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(
        self,
        topic: str,
        values: Iterable[Value],
        *,
        key: str | bytes | None = None,
        partition: int | None = None,
        headers: Mapping[str, bytes] | None = None,
        timestamp_ms: int | None = None,
    ) -> list[int]:
        """Publish ``values`` in order and return their offsets.

        All get the ``key``, ``headers`` and ``timestamp_ms`` that are given; ``partition`` None lets the key choose, or
        any partition without one. Raises UnknownTopic, DeliveryError, ClusterUnreachable.
        """
        from sensorstream.clients import open_client

        sent = []
        with open_client(self._settings).publisher() as publisher:
            publisher.partitions_for(topic)
            for value in values:
                sent.append(
                    publisher.publish(
                        topic,
                        _bytes(value),
                        partition=partition,
                        key=key.encode() if isinstance(key, str) else key,
                        timestamp_ms=timestamp_ms,
                        headers=tuple((headers or {}).items()),
                    )
                )
            return [one.wait(_ACKNOWLEDGED_S) for one in sent]


class Consume:
    """Reads a topic from its beginning, what transactions have not committed left out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, topic: str, count: int | None = None, *, timeout_s: float = 30.0) -> list[Record]:
        """The first ``count`` records of all partitions, or all that are there now; in order for each partition.

        Fails the test when fewer than ``count`` have come within ``timeout_s``. Raises UnknownTopic and
        ClusterUnreachable.
        """
        from sensorstream.clients import open_client

        found: list[Record] = []
        with open_client(self._settings).reader() as reader:
            partitions = [TopicPartition(topic, number) for number in range(reader.partitions_for(topic))]
            begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
            reader.assign(begins)
            deadline = time.monotonic() + timeout_s
            while len(found) < count if count is not None else any(reader.position(p) < ends[p] for p in partitions):
                if time.monotonic() >= deadline:
                    wanted = "not all" if count is None else f"{len(found)} of {count}"
                    pytest.fail(f"{wanted} records have come from topic {topic} within {timeout_s:g} s", pytrace=False)
                for records in reader.poll(_POLL_S).values():
                    found += [Record(*record) for record in records]
        if count is None:
            return [one for one in found if one.offset < ends[TopicPartition(one.topic, one.partition)]]
        return found[:count]


def _bytes(value: Value) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
