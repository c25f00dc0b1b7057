"""Station 5 managed: reset a group's committed offsets, and delete groups."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sensorstream.admin.groups import describe_group
from sensorstream.admin.results import GroupDescription
from sensorstream.clients import refusals
from sensorstream.clients.causes import Waited
from sensorstream.clients.kafka_python.admin import Session, administer, answer_error
from sensorstream.config import Settings
from sensorstream.errors import BrokerError, UnknownPartition, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.start_at import StartAt
from sensorstream.records import TopicPartition, metadata_of, parse_commit_note
from sensorstream.wording import counted

SETTLE_S: Final = 2.5
"""How long a group's commits are watched for a pinned consumer at work: one of ours commits every second."""


@dataclass(frozen=True, slots=True)
class Shift:
    """So many offsets forward, or with a negative number back."""

    by: int


@dataclass(frozen=True, slots=True)
class OffsetChange:
    """One partition: the committed offset ``before`` (None: there was none) and ``after``, and what the log holds."""

    topic: str
    partition: int
    before: int | None
    after: int
    first_offset: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class GroupReset:
    """What was done, or with ``executed`` False would be; ``blocked`` is why it can't be done now."""

    group: str
    state: str
    executed: bool
    blocked: str | None
    partitions: tuple[OffsetChange, ...]


@dataclass(frozen=True, slots=True)
class GroupsDeleted:
    """The groups that are gone, with their committed offsets."""

    deleted: tuple[str, ...]


def plan_reset(
    settings: Settings,
    group: str,
    target: StartAt | Shift,
    *,
    topics: Sequence[str] = (),
    partitions: Collection[int] = (),
    listener: Listener = ignore,
) -> GroupReset:
    """Where each of the group's partitions would go: those of ``topics`` and ``partitions``, by default all committed.

    What lies before the first or behind the last offset of a log becomes that one. A topic that is named counts with
    all its partitions, committed or not. Changes nothing. Raises UsageError for a group that the cluster does not know
    and for a shift of what was never committed, UnknownTopic, UnknownPartition.
    """
    described = describe_group(settings, group, listener=listener)

    def read(session: Session) -> GroupReset:
        wanted = _wanted(session, described, topics, partitions)
        first, end = session.offsets(wanted, first=True), session.offsets(wanted, first=False)
        missing = sorted(wanted - (first.keys() & end.keys()))
        if missing:
            raise BrokerError(f"{missing[0]} did not report its offsets", hint="it may have no leader now; try again")
        times = _times(session, wanted, target) if isinstance(target, StartAt) and target.kind == "time" else {}
        changes = []
        for where in sorted(wanted):
            before = described.committed.get(where, (None, ""))[0]
            after = _place(target, where, before, first[where], end[where], times)
            after = min(max(after, first[where]), end[where])
            changes.append(OffsetChange(where.topic, where.partition, before, after, first[where], end[where]))
        blocked = _members(described) if described.members else None
        return GroupReset(group, described.state, False, blocked, tuple(changes))

    return administer(settings, f"the offsets of group {group} can't be planned", read, listener)


def reset(settings: Settings, plan: GroupReset, *, listener: Listener = ignore) -> GroupReset:
    """Carry out what :func:`plan_reset` has planned. Notes that say who read a partition stay with it.

    Raises BrokerError, with the reason, while somebody reads in this group, or if a broker refuses.
    """
    if plan.blocked:
        raise BrokerError(f"the offsets of group {plan.group} were not changed: {plan.blocked}", hint="stop it first")
    notes = _settled(settings, plan, listener)

    def commit(session: Session) -> None:
        from kafka.structs import OffsetAndMetadata
        from kafka.structs import TopicPartition as KafkaPartition

        offsets = {
            KafkaPartition(one.topic, one.partition): OffsetAndMetadata(
                one.after, metadata_of(notes.get(TopicPartition(one.topic, one.partition), "")), -1
            )
            for one in plan.partitions
        }
        for where, kind in session.client.alter_group_offsets(plan.group, offsets).items():
            _check(f"the offset of group {plan.group} on {TopicPartition(*where)} was not changed", kind)

    what = f"the offsets of group {plan.group} were not changed"
    administer(settings, what, commit, listener, Waited(group=plan.group))
    return replace(plan, executed=True)


def delete_groups(settings: Settings, groups: Sequence[str], *, listener: Listener = ignore) -> GroupsDeleted:
    """Delete these groups with their committed offsets. All must exist and be without members before one is deleted.

    Raises UsageError for a group that the cluster does not know, BrokerError while one has members.
    """
    wanted = list(dict.fromkeys(groups))
    for group in wanted:
        described = describe_group(settings, group, listener=listener)
        if described.members:
            raise BrokerError(f"group {group} was not deleted: {_members(described)}", hint="stop its consumers first")

    def delete(session: Session) -> None:
        import kafka.errors

        for group in wanted:
            for told in dict(session.client.delete_groups([group])).values():
                if told not in ("OK", "GroupIdNotFoundError"):  # the library tells the names of its exceptions
                    _check(f"group {group} was not deleted", getattr(kafka.errors, str(told)))

    administer(settings, "the groups were not all deleted", delete, listener, Waited(group=wanted[0]))
    return GroupsDeleted(tuple(wanted))


def _wanted(
    session: Session, described: GroupDescription, topics: Sequence[str], partitions: Collection[int]
) -> set[TopicPartition]:
    rows = {row.name: row for row in session.metadata(None).topics if not row.error_code}
    there = {TopicPartition(name, int(one.partition_index)) for name, row in rows.items() for one in row.partitions}
    for topic in topics:
        if topic not in rows:
            raise refusals.unknown_topic(topic, list(rows))
    if topics:
        wanted = {where for where in there if where.topic in topics}
    else:
        wanted = {where for where in described.committed if where in there}
    if partitions:
        chosen = {where for where in wanted if where.partition in partitions}
        missing = set(partitions) - {where.partition for where in chosen}
        if missing:
            raise UnknownPartition(f"group {described.group} has no partition {min(missing)} to reset")
        wanted = chosen
    if not wanted:
        raise UsageError(f"group {described.group} has no committed offset to reset", hint="name a topic with -t")
    return wanted


def _times(session: Session, wanted: Iterable[TopicPartition], target: StartAt) -> dict[TopicPartition, int]:
    """The first offset at or after a time; of a partition that has none so late there is nothing."""
    from kafka.structs import TopicPartition as KafkaPartition

    found = session.client.list_partition_offsets(
        {KafkaPartition(*where): max(0, target.value) for where in wanted}, timeout_ms=5000
    )
    return {TopicPartition(*where): int(one.offset) for where, one in found.items() if one.offset >= 0}


def _place(
    target: StartAt | Shift,
    where: TopicPartition,
    before: int | None,
    first: int,
    end: int,
    times: Mapping[TopicPartition, int],
) -> int:
    if isinstance(target, Shift):
        if before is None:
            raise UsageError(f"{where} has no committed offset that could be shifted", hint="use --to")
        return before + target.by
    return {
        "beginning": first,
        "end": end,
        "tail": end - target.value,
        "time": times.get(where, end),
        "offset": target.value,
    }[target.kind]


def _members(described: GroupDescription) -> str:
    names = ", ".join(sorted({f"{one.client_id} on {one.host}" for one in described.members})[:3])
    return f"it has {counted(len(described.members), 'live member')} ({names})"


def _settled(settings: Settings, plan: GroupReset, listener: Listener) -> dict[TopicPartition, str]:
    """The notes of the commits, when nobody commits: a pinned consumer is no member, only its commits tell of it."""
    changed = {TopicPartition(one.topic, one.partition) for one in plan.partitions}
    before = describe_group(settings, plan.group, listener=listener)
    threading.Event().wait(SETTLE_S)
    now = describe_group(settings, plan.group, listener=listener)
    what = f"the offsets of group {plan.group} were not changed"
    if now.members:
        raise BrokerError(f"{what}: {_members(now)}", hint="stop it first")
    for where in sorted(changed & now.committed.keys()):
        if now.committed[where] != before.committed.get(where):
            told = parse_commit_note(now.committed[where][1])
            who = f"{told[0]} on {told[1]}" if told else "a pinned consumer"
            raise BrokerError(f"{what}: {who} reads {where} and commits", hint="stop it first")
    return {where: note for where, (_, note) in now.committed.items()}


def _check(what: str, kind: type[Exception]) -> None:
    """Raise what a broker's answer is worth; passing faults so that it is tried again."""
    if kind.__name__ == "NoError":
        return
    answer_error(int(getattr(kind, "errno", 0)))
    if "Authorization" in kind.__name__:
        raise refusals.not_allowed(what, kind.__name__)
    if kind.__name__ in ("UnknownMemberIdError", "NonEmptyGroupError"):
        raise BrokerError(f"{what}: it has live members", hint="stop them first")
    raise BrokerError(f"{what}: {kind.__name__}")
