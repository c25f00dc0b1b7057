"""Rejected files of captures, and their retry on the broker in memory."""

from pathlib import Path

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.pipelines.rejects.files import find
from sensorstream.pipelines.rejects.marks import MARKS_TOPIC
from sensorstream.pipelines.rejects.retry import Retry, RetryResult, retry
from sensorstream.records import ConsumedRecord, Headers
from sensorstream.sinks.dead_letter import letter_of, rejected_record
from sensorstream.sinks.rejected import append


def again(broker: MemoryBroker, *paths: Path, client: MemoryClient | None = None) -> RetryResult:
    """A retry as the command makes it."""
    return retry(client or MemoryClient(broker), Retry(find(paths)), lambda: broker.create_topic(MARKS_TOPIC, 1))


def records(broker: MemoryBroker, topic: str = "AIR") -> list[ConsumedRecord]:
    return [one for partition in range(len(broker.topic(topic).logs)) for one in broker.records(topic, partition)]


def rejected(path: Path, *values: bytes | None, headers: Headers = (), first: int = 0) -> Path:
    """A rejected file of a capture of AIR[1]."""
    for offset, value in enumerate(values, first):
        record = ConsumedRecord("AIR", 1, offset, 1000 + offset, b"k%d" % offset, value, headers)
        append(path, letter_of(rejected_record(record, "it is not JSON: Expecting value at character 0")).dump())
    return path
