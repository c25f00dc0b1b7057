"""How far a consumer group is behind: for its live members, and for pinned and stopped consumers too.

A pinned consumer (one that was given its partition) is no member of its group, and a stopped one no longer is. Both
have committed offsets, and a capture commits a note with them that tells who it was; see
:func:`sensorstream.records.commit_note`. What is not known is None, never 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sensorstream import admin
from sensorstream.config import Settings
from sensorstream.events import Listener, ignore
from sensorstream.records import TopicPartition, parse_commit_note


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of a group.

    ``lag`` counts offsets from ``current_offset`` (the next to be read) to ``end_offset`` (the last stable offset);
    ``consumer_id`` is a live member's id, else the client id in the note of the last commit.
    """

    topic: str
    partition: int
    consumer_id: str | None
    host: str | None
    lag: int | None
    current_offset: int | None
    end_offset: int | None


@dataclass(frozen=True, slots=True)
class GroupLag:
    """A group's lag. ``state`` is Kafka's word (Empty: no live member); ``total_lag`` is None if any lag is unknown."""

    group: str
    state: str
    total_lag: int | None
    partitions: tuple[PartitionLag, ...]


def lag(current: int | None, end: int | None) -> int | None:
    """The lag in offsets; None where either is unknown, or where the position is past the end.

    A position past the end belongs to another log: the topic was deleted and created again, or lost its tail.
    """
    if current is None or end is None or current > end:
        return None
    return end - current


def lag_of(group: admin.GroupDescription, ends: Mapping[TopicPartition, int]) -> GroupLag:
    """The lag of a described group, given the end offsets that are known."""
    owners = {partition: member for member in group.members for partition in member.partitions}
    rows = []
    for partition in sorted(group.committed.keys() | owners.keys()):
        offset, note = group.committed.get(partition, (None, ""))
        owner = owners.get(partition)
        consumer_id, host = (owner.member_id, owner.host) if owner else parse_commit_note(note) or (None, None)
        end = ends.get(partition)
        rows.append(
            PartitionLag(
                partition.topic,
                partition.partition,
                consumer_id,
                host,
                lag(offset, end),
                offset,
                end,
            )
        )
    known = [row.lag for row in rows if row.lag is not None]
    return GroupLag(group.group, group.state, sum(known) if known and len(known) == len(rows) else None, tuple(rows))


def group_lag(settings: Settings, group: str | None = None, *, listener: Listener = ignore) -> GroupLag:
    """The lag of a group (None: the configured one).

    Raises UsageError for a group that the cluster does not know, ClusterUnreachable, BrokerError.
    """
    described = admin.describe_group(settings, group or settings.group, listener=listener)
    partitions = described.committed.keys() | {one for member in described.members for one in member.partitions}
    return lag_of(described, admin.end_offsets(settings, partitions, listener=listener))
