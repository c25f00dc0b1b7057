"""Station 5 managed: consumer groups, their members, committed offsets and end offsets."""

from collections.abc import Iterable, Sequence
from typing import Any

from sensorstream.admin.results import GroupDescription, GroupMember
from sensorstream.clients.causes import Waited
from sensorstream.clients.kafka_python.admin import Session, administer
from sensorstream.config import Settings, nearest
from sensorstream.errors import BrokerError, SensorstreamError, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.records import TopicPartition, note_in


def list_groups(settings: Settings, *, listener: Listener = ignore) -> tuple[str, ...]:
    """The names of all consumer groups."""
    return administer(settings, "the groups can't be listed", _group_names, listener)


def _group_names(session: Session) -> tuple[str, ...]:
    return tuple(sorted({str(group["group_id"]) for group in session.client.list_groups()}))


def describe_group(settings: Settings, group: str, *, listener: Listener = ignore) -> GroupDescription:
    """A group's members and committed offsets. Raises UsageError for a group that the cluster does not know."""

    def read(session: Session) -> GroupDescription:
        committed = session.client.list_group_offsets(group).get(group, {})
        told = _describe(session, group)
        offsets = {
            TopicPartition(*where): (int(one.offset), note_in(one.metadata))
            for where, one in committed.items()
            if one.offset >= 0
        }
        state = str(told["group_state"])
        members = tuple(_member(one) for one in told["members"])
        if not offsets and not members and state in ("Dead", "Empty", ""):
            names = _group_names(session)
            if group not in names:
                raise _unknown_group(group, names)
        return GroupDescription(group, state, members, offsets)

    return administer(settings, f"group {group} can't be described", read, listener, Waited(group=group))


def _describe(session: Session, group: str) -> dict[str, Any]:
    """The group as Kafka tells it; one that is not there as a dead one."""
    from kafka.errors import KafkaError

    try:
        told: dict[str, Any] = session.client.describe_groups([group])[group]
    except KafkaError as error:
        if type(error).__name__ != "GroupIdNotFoundError":
            raise
        told = {}
    return {"group_state": told.get("group_state") or "Dead", "members": told.get("members") or []}


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


def remove_members(settings: Settings, group: str, client_id: str, *, listener: Listener = ignore) -> int:
    """Take the members that go by this ``client.id`` out of a group, so that nobody waits for them; how many.

    Raises BrokerError when the group refuses.
    """
    from kafka.admin import MemberToRemove

    def remove(session: Session) -> int:
        members = [one["member_id"] for one in _describe(session, group)["members"] if one["client_id"] == client_id]
        if members:
            answers = session.client.remove_group_members(group, [MemberToRemove(member_id=one) for one in members])
            for kind in answers.values():
                if kind.__name__ not in ("NoError", "UnknownMemberIdError"):
                    raise BrokerError(f"group {group} did not let {client_id} go: {kind.__name__}")
        return len(members)

    return administer(settings, f"group {group} did not let {client_id} go", remove, listener, Waited(group=group))


def end_offsets(
    settings: Settings, partitions: Iterable[TopicPartition], *, listener: Listener = ignore
) -> dict[TopicPartition, int]:
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

    return administer(settings, "the end offsets can't be read", read, listener)
