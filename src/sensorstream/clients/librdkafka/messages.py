"""librdkafka's messages, gathered by partition and made values or records."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from confluent_kafka import Message

from sensorstream.clients.base import ValueBatch
from sensorstream.records import ConsumedRecord, TopicPartition


def by_partition(messages: list[Any], only: TopicPartition | None) -> Iterator[tuple[TopicPartition, list[Any]]]:
    """The messages in runs of one partition; ``only`` is the reader's one partition, where it has just one."""
    if not messages:
        return
    if only is not None and all((one.topic(), one.partition()) == only for one in messages[:: len(messages) - 1 or 1]):
        yield only, messages
        return
    for (topic, number), run in groupby(messages, lambda one: (one.topic(), one.partition())):
        yield TopicPartition(topic, number), list(run)


def values(partition: TopicPartition, messages: list[Any]) -> ValueBatch:
    """The values of consecutive messages of one partition."""
    first, last = messages[0].offset(), messages[-1].offset()
    without_gaps = last - first + 1 == len(messages)
    return ValueBatch(
        range(first, last + 1) if without_gaps else [message.offset() for message in messages],
        list(map(Message.value, messages)),
        lambda: records(partition, messages),
    )


def records(partition: TopicPartition, messages: list[Any]) -> list[ConsumedRecord]:
    """The messages of one partition as records."""
    topic, number = partition
    return [
        ConsumedRecord(
            topic,
            number,
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            tuple((name, value or b"") for name, value in message.headers() or ()),
        )
        for message in messages
    ]
