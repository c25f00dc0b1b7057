"""Station 5 watched: all consumer groups at once, queried at their coordinators.

A broker lists the groups that it coordinates, so nobody has to be asked who coordinates which.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sensorstream.admin.asking import Asker, words
from sensorstream.admin.results import GroupMember
from sensorstream.records import TopicPartition, note_in

_MANY_GROUPS: Final = 8
"""The version of OffsetFetch that takes many groups at once (KIP-709, Kafka 3.0)."""


@dataclass(frozen=True, slots=True)
class GroupSeen:
    """One group. ``members`` and ``committed`` (offset and note by partition) are None where they are not known."""

    group: str
    state: str
    coordinator: int
    members: tuple[GroupMember, ...] | None
    committed: Mapping[TopicPartition, tuple[int, str]] | None


@dataclass(frozen=True, slots=True)
class Listed:
    """The consumer groups that each broker coordinates, with their states.

    ``failed`` brokers did not tell them, ``silent`` ones among those gave no answer at all.
    """

    groups: Mapping[int, Mapping[str, str]]
    failed: frozenset[int]
    silent: frozenset[int]


class Groups:
    """Asks coordinators about their groups."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def listed(self, brokers: Collection[int], problems: list[str]) -> Listed:
        """The groups of each broker."""
        from kafka.protocol.admin import ListGroupsRequest

        answers = self._asker.each(sorted(brokers), lambda: ListGroupsRequest(min_version=0))
        groups: dict[int, dict[str, str]] = {}
        failed = set(answers.failed)
        for broker, error in answers.failed.items():
            problems.append(f"broker {broker} tells nothing: {self._asker.why(broker, error)}")
        for broker, answer in answers.told.items():
            if answer.error_code:
                problems.append(f"the groups of broker {broker} are not known: {words(answer.error_code)}")
                failed.add(broker)
                continue
            groups[broker] = {
                str(one.group_id): str(one.group_state or "")
                for one in answer.groups
                if one.protocol_type in ("consumer", "") and (one.group_type or "").lower() not in ("share", "streams")
            }
        return Listed(groups, frozenset(failed), frozenset(answers.failed))

    def describe(self, listed: Listed, problems: list[str]) -> tuple[GroupSeen, ...]:
        """Members and commits of all groups, by name."""
        from kafka.protocol.admin import DescribeGroupsRequest

        requests: dict[tuple[str, int, str], tuple[int, Any]] = {}
        for broker, names in listed.groups.items():
            if not names:
                continue
            wanted = DescribeGroupsRequest(groups=list(names), include_authorized_operations=False)
            requests["members", broker, ""] = (broker, wanted)
            for group, request in _offset_requests(list(names), self._asker):
                requests["offsets", broker, group] = (broker, request)
        answers = self._asker.all(requests)
        members: dict[str, tuple[str, tuple[GroupMember, ...] | None]] = {}
        committed: dict[str, dict[TopicPartition, tuple[int, str]]] = {}
        refused: dict[str, list[str]] = defaultdict(list)
        for (what, _, group), answer in answers.told.items():
            if what == "members":
                for one in answer.groups:
                    if one.error_code:
                        refused[f"members are not known: {words(one.error_code)}"].append(one.group_id)
                    else:
                        members[one.group_id] = (str(one.group_state), tuple(map(_member, one.members)))
            else:
                for name, code, topics in _offset_answers(answer, group):
                    if code:
                        refused[f"commits are not known: {words(code)}"].append(name)
                    else:
                        committed[name] = _committed(topics)
        for (what, broker, _), error in answers.failed.items():
            text = "members" if what == "members" else "commits"
            problems.append(f"the {text} of broker {broker}'s groups are not known: {self._asker.why(broker, error)}")
        for text, of in refused.items():
            shown = ", ".join(sorted(of)[:3]) + (f" and {len(of) - 3} more" if len(of) > 3 else "")
            problems.append(f"group {shown}: {text}")
        found = []
        for broker, states in listed.groups.items():
            for name, listed_state in states.items():
                told, seen = members.get(name, ("", None))
                found.append(GroupSeen(name, told or listed_state or "Unknown", broker, seen, committed.get(name)))
        return tuple(sorted(found, key=lambda one: one.group))


def _offset_requests(names: list[str], asker: Asker) -> list[tuple[str, Any]]:
    from kafka.protocol.consumer import OffsetFetchRequest

    if asker.supports(OffsetFetchRequest, _MANY_GROUPS):
        groups = [OffsetFetchRequest.OffsetFetchRequestGroup(group_id=name, topics=None) for name in names]
        return [("", OffsetFetchRequest(groups=groups, min_version=_MANY_GROUPS, max_version=_MANY_GROUPS))]
    return [
        (name, OffsetFetchRequest(group_id=name, topics=None, min_version=2, max_version=_MANY_GROUPS - 1))
        for name in names
    ]


def _offset_answers(answer: Any, group: str) -> list[tuple[str, int, Any]]:
    if answer.API_VERSION >= _MANY_GROUPS:
        return [(str(one.group_id), int(one.error_code), one.topics) for one in answer.groups]
    return [(group, int(answer.error_code), answer.topics)]


def _committed(topics: Any) -> dict[TopicPartition, tuple[int, str]]:
    offsets = {}
    for topic in topics:
        for one in topic.partitions:
            if one.committed_offset >= 0 and not one.error_code:
                where = TopicPartition(topic.name, one.partition_index)
                offsets[where] = (int(one.committed_offset), note_in(one.metadata))
    return offsets


def _member(row: Any) -> GroupMember:
    from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

    partitions: list[TopicPartition] = []
    if row.member_assignment:
        try:
            told = ConsumerProtocolAssignment.decode(row.member_assignment)
            partitions = [
                TopicPartition(one.topic, number) for one in told.assigned_partitions for number in one.partitions
            ]
        except Exception:  # another client's own format: who it is can be shown all the same
            partitions = []
    return GroupMember(
        str(row.member_id), str(row.client_id), str(row.client_host).removeprefix("/"), tuple(sorted(partitions))
    )
