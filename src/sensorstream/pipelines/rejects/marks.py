"""Station 5: the markers in the cluster that tell which dead letters were retried.

A mark is a record in a compacted topic of ours, keyed by the letter's id, written in the transaction of the record
that was sent for it (the pattern of Kafka Connect's KIP-618). Only retries write to the topic, all under one
transactional id: who opens it last has fenced all before, whose transactions have ended by then, so what can be read is
all there is.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from sensorstream.clients.base import Client, Publisher
from sensorstream.config import Settings
from sensorstream.errors import UnknownTopic
from sensorstream.events import Listener
from sensorstream.pipelines.own_topics import entries, make_compacted
from sensorstream.records import TopicPartition

MARKS_TOPIC: Final = "_sensorstream_retries"
TRANSACTIONAL_ID: Final = "sensorstream-retries"
_WHERE: Final = TopicPartition(MARKS_TOPIC, 0)


def make_topic(settings: Settings) -> None:
    """Create the topic of marks where it is missing, with up to three replicas. Raises as admin.create_topics does."""
    make_compacted(settings, MARKS_TOPIC, 1)


def read(client: Client, listener: Listener) -> dict[str, Mapping[str, Any]]:
    """The marks by the ids of their letters. Raises UnknownTopic, ClusterUnreachable, DeliveryTimeout."""
    found: dict[str, Mapping[str, Any]] = {}
    with client.reader(listener=listener) as reader:
        reader.partitions_for(MARKS_TOPIC)
        hint = "look at: sensorstream cluster status; nothing was sent"
        for key, value in entries(reader, _WHERE, "says what was retried", hint):
            found[key.decode(errors="replace")] = _decoded(value)
    return found


def exists(client: Client, listener: Listener) -> bool:
    """Whether the topic of marks is there. Raises ClusterUnreachable."""
    with client.reader(listener=listener) as reader:
        try:
            reader.partitions_for(MARKS_TOPIC)
        except UnknownTopic:
            return False
    return True


def write(publisher: Publisher, identity: str, mark: Mapping[str, Any]) -> None:
    """Queue the mark of a letter, in the open transaction. Raises what publishing raises."""
    publisher.publish(MARKS_TOPIC, json.dumps(mark).encode(), partition=_WHERE.partition, key=identity.encode())


def _decoded(value: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(value)
    except ValueError:
        document = None
    # Whatever it says, its key is there: the letter was retried.
    return document if isinstance(document, dict) else {}
