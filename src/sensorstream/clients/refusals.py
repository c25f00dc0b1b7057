"""Errors of all clients: the same text for the same fault, whichever client reports it."""

from collections.abc import Collection, Iterable
from typing import Final

from sensorstream.config import nearest
from sensorstream.errors import (
    BrokerError,
    CredentialsRefused,
    DeliveryError,
    NotAllowed,
    OffsetOutOfRange,
    RecordTooLarge,
    UnknownPartition,
    UnknownTopic,
    WriteNotAllowed,
)
from sensorstream.records import TopicPartition
from sensorstream.wording import counted

UNKNOWN_S: Final = 0.5
"""So long brokers are asked again for a topic that they don't know: one may not have heard yet of a new one."""


def unknown_topic(topic: str, known: Iterable[str] = ()) -> UnknownTopic:
    """The cluster has no such topic; ``known`` are those it has, for the hint."""
    names = sorted(name for name in known if not name.startswith("__"))
    guess, create = nearest(topic, names), f"create it with: sensorstream topics create {topic}"
    return UnknownTopic(f"topic {topic!r} does not exist", hint=f"{guess} Or {create}" if guess else create)


def topic_gone(topic: str) -> UnknownTopic:
    """The topic was there when reading began, and is no longer."""
    return UnknownTopic(f"topic {topic!r} has been deleted while it was being read")


def topic_replaced(topic: str) -> UnknownTopic:
    """Another topic has taken the name: its offsets mean other records."""
    return UnknownTopic(
        f"topic {topic!r} has been deleted and created again while it was being read",
        hint="its offsets now mean other records; start again from the beginning",
    )


def unknown_partition(partition: TopicPartition, count: int) -> UnknownPartition:
    """The topic has partitions 0 to ``count`` - 1 only."""
    return UnknownPartition(
        f"topic {partition.topic!r} has no partition {partition.partition}",
        hint=f"it has {count} partitions, 0 to {count - 1}" if count > 1 else "it has partition 0 only",
    )


def record_too_large(topic: str, size: int, limit: int) -> RecordTooLarge:
    """A record over the producer's limit; it was not queued. Sizes are bytes."""
    return RecordTooLarge(
        f"a record of {counted(size, 'byte')} for {topic} is over the limit of {limit} bytes",
        hint="raise max.request.size, and max.message.bytes of the topic",
    )


def refusal_of(address: str) -> str:
    """How the message of :func:`credentials_refused` begins, before the reason."""
    return f"{address} refuses the connection: "


def credentials_refused(address: str, why: str) -> CredentialsRefused:
    """A broker answers, and does not let this user in: a wrong password, mechanism, certificate or protocol."""
    return CredentialsRefused(
        f"{refusal_of(address)}{why}",
        hint="check security.protocol, sasl.mechanism, user name, password and certificates",
    )


def not_allowed(what: str, why: str, right: str = "") -> NotAllowed:
    """``what`` could not be done, as this user has no right to it; ``why`` are the broker's words.

    ``right`` is the right that is missing, where it is known: ``Read on topic AIR``.
    """
    return NotAllowed(f"{what}: not allowed for this user ({why})", hint=_granted(right))


def write_not_allowed(where: str, topics: Iterable[str], why: str) -> WriteNotAllowed:
    """A record was not delivered to ``where``, as this user has no right to write to that topic, or to one of these."""
    return WriteNotAllowed(
        f"{where}: a record was not delivered: not allowed for this user ({why})",
        hint=_granted(f"Write on topic {' and '.join(dict.fromkeys(topics))}"),
    )


def aborted(error: DeliveryError) -> DeliveryError:
    """What to raise for a transaction that was aborted because a record of it was not delivered."""
    kind = WriteNotAllowed if isinstance(error, WriteNotAllowed) else DeliveryError
    return kind(f"the transaction was aborted: {error.message}", hint=error.hint)


def _granted(right: str) -> str:
    return f"come as another user, or have {right or 'the right'} granted by an ACL"


def no_member(group: str, what: str = "the positions can't be sent with the transaction") -> BrokerError:
    """The reader has fallen out of its group, and others have its partitions; ``what`` did not happen for it."""
    return BrokerError(f"{what}: no longer a member of group {group}")


def out_of_range(partition: TopicPartition, wanted: int, first: int | None, end: int | None) -> OffsetOutOfRange:
    """The next offset to read is not in the log, which holds ``first`` up to (not including) ``end``."""
    if first is not None and wanted < first:
        return OffsetOutOfRange(
            f"{partition}: offset {wanted} is no longer in the log, the first one is {first}: "
            f"retention has removed offsets {wanted} to {first - 1} before they were read",
            hint=f"go on from offset {first} if that loss is accepted",
        )
    if end is not None:
        return OffsetOutOfRange(
            f"{partition}: offset {wanted} is not in the log, which ends at {end}",
            hint="the topic may have been deleted and created again, or records were lost with their broker",
        )
    return OffsetOutOfRange(f"{partition}: offset {wanted} is not in the log")


def whose(partitions: Collection[TopicPartition]) -> str:
    """Whose committed offsets are meant, for a message."""
    first = next(iter(partitions))
    return f"{first}: the committed offset" if len(partitions) == 1 else f"{first.topic}: the committed offsets"
