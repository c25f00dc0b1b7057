"""Station 5: this program's own compacted topics, in which the last record of a key is valid."""

import time
from collections.abc import Iterator, Mapping
from typing import Final

from sensorstream.clients.base import Reader
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import DeliveryTimeout
from sensorstream.records import TopicPartition

_COMPACTED: Final = {
    "cleanup.policy": "compact",
    # Small segments that are compacted early: whoever needs such a topic reads it from the beginning.
    "segment.bytes": str(4 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
}
_MOST_REPLICAS: Final = 3
_READ_S: Final = 30.0


def make_compacted(
    settings: Settings, name: str, partitions: int, *, replicated_configs: Mapping[str, str] | None = None
) -> None:
    """Create a compacted topic where it is missing, with as many replicas as there are brokers, three at the most.

    ``replicated_configs`` are added where it has three. Raises as :func:`sensorstream.admin.create_topics` does.
    """
    # With it comes kafka-python, which most replays with librdkafka do without.
    from sensorstream import admin

    replicas = min(_MOST_REPLICAS, len(admin.describe_cluster(settings).brokers))
    added = (replicated_configs or {}) if replicas == _MOST_REPLICAS else {}
    admin.create_topics(settings, [TopicSettings(name, partitions, replicas, configs={**_COMPACTED, **added})])


def entries(reader: Reader, where: TopicPartition, what: str, hint: str) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each record with both, from the beginning of a partition to where it ends now.

    ``what`` says what the topic holds, ``hint`` what to do, for the message of an error. Raises UnknownTopic,
    ClusterUnreachable, and DeliveryTimeout after 30 s.
    """
    end = reader.end_offsets([where])[where]
    first = reader.beginning_offsets([where])[where]
    if first >= end:
        return
    reader.assign({where: first})
    deadline = time.monotonic() + _READ_S
    while reader.position(where) < end:
        for record in reader.poll(0.2).get(where, ()):
            if record.key is not None and record.value is not None:
                yield record.key, record.value
        if time.monotonic() >= deadline:
            raise DeliveryTimeout(f"{where.topic}, which {what}, can't be read to its end", hint=hint)
