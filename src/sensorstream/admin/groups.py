"""Station 5 managed: consumer groups, their members, their committed offsets, and the ends they run after."""

from collections.abc import Iterable, Sequence
from typing import Any

from sensorstream.admin.results import GroupDescription, GroupMember
from sensorstream.clients.kafka_python.admin import Session, administer
from sensorstream.config import Settings, nearest
from sensorstream.errors import BrokerError, SensorstreamError, UsageError
from sensorstream.records import TopicPartition


def list_groups(settings: Settings) -> tuple[str, ...]:
    """The names of all consumer groups."""
    return administer(settings, "the groups can't be listed", _group_names)


def _group_names(session: Session) -> tuple[str, ...]:
    return tuple(sorted({str(group["group_id"]) for group in session.client.list_groups()}))


def describe_group(settings: Settings, group: str) -> GroupDescription:
    """A group's members and committed offsets. Raises UsageError for a group that the cluster does not know."""
    from kafka.errors import KafkaError

    def read(session: Session) -> GroupDescription:
        committed = session.client.list_group_offsets(group).get(group, {})
        try:
            told = session.client.describe_groups([group])[group]
        except KafkaError as error:
            if type(error).__name__ != "GroupIdNotFoundError":
                raise
            told = {"group_state": "Dead", "members": []}
        offsets = {
            # confluent-kafka 2.16 commits the zero byte at the end of its string, too.
            TopicPartition(*where): (int(one.offset), str(one.metadata or "").rstrip("\0"))
            for where, one in committed.items()
            if one.offset >= 0
        }
        state = str(told.get("group_state") or "Dead")
        members = tuple(_member(one) for one in told.get("members") or ())
        if not offsets and not members and state in ("Dead", "Empty", ""):
            names = _group_names(session)
            if group not in names:
                raise _unknown_group(group, names)
        return GroupDescription(group, state, members, offsets)

    return administer(settings, f"group {group} can't be described", read)


def _unknown_group(group: str, names: Sequence[str]) -> SensorstreamError:
    hint = nearest(group, names) or (f"there are: {', '.join(names[:10])}" if names else "no group has committed yet")
    return UsageError(f"consumer group {group!r} is not known to the cluster", hint=hint)


def _member(row: Any) -> GroupMember:
    assignment = row.get("member_assignment") or {}
    topics = assignment.get("assigned_partitions", ()) if isinstance(assignment, dict) else ()
    partitions = [TopicPartition(topic["topic"], number) for topic in topics for number in topic.get("partitions", ())]
    return GroupMember(
        str(row["member_id"]),
        str(row["client_id"]),
        str(row["client_host"]).removeprefix("/"),
        tuple(sorted(partitions)),
    )


def remove_member(settings: Settings, group: str, instance: str) -> None:
    """Take a static member (its ``group.instance.id``) out of a group, so that nobody waits for it.

    Nothing happens when it is no member. Raises BrokerError when the group refuses.
    """
    from kafka.admin import MemberToRemove

    def remove(session: Session) -> None:
        answers = session.client.remove_group_members(group, [MemberToRemove(group_instance_id=instance)])
        for kind in answers.values():
            if kind.__name__ not in ("NoError", "UnknownMemberIdError"):
                raise BrokerError(f"group {group} did not let {instance} go: {kind.__name__}")

    administer(settings, f"group {group} did not let {instance} go", remove)


def end_offsets(settings: Settings, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """The last stable offset of each partition; one that does not exist or has no leader is left out."""
    wanted = set(partitions)

    def read(session: Session) -> dict[TopicPartition, int]:
        led = {
            TopicPartition(row.name, one.partition_index)
            for row in session.metadata(None).topics
            for one in row.partitions
            if one.leader_id >= 0
        }
        return session.offsets(wanted & led, first=False)

    return administer(settings, "the end offsets can't be read", read)
