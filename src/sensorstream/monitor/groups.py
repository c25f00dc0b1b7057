"""All groups, one line each, and one group with its members: from one snapshot."""

from dataclasses import dataclass

from sensorstream.admin import GroupMember, describe_group
from sensorstream.config import Settings
from sensorstream.errors import BrokerError
from sensorstream.events import Listener, ignore
from sensorstream.monitor.gather import take
from sensorstream.monitor.lag import PartitionLag
from sensorstream.monitor.snapshot import GroupState


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """One group of a list.

    ``members`` are live ones (None: not known), ``topics`` what it has commits of or is assigned.
    """

    group: str
    state: str
    members: int | None
    coordinator: int | None
    topics: tuple[str, ...]
    total_lag: int | None


@dataclass(frozen=True, slots=True)
class GroupList:
    """All groups by name; ``problems`` says what could not be learnt."""

    groups: tuple[GroupSummary, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupDescribed:
    """One group with its live members (None: not known) and its lag."""

    group: str
    state: str
    coordinator: int | None
    total_lag: int | None
    members: tuple[GroupMember, ...] | None
    partitions: tuple[PartitionLag, ...]


def list_groups(settings: Settings, *, listener: Listener = ignore) -> GroupList:
    """All groups. Raises ClusterUnreachable, CredentialsRefused, BrokerError."""
    snapshot = take(settings, listener=listener)
    return GroupList(tuple(map(_summary, snapshot.groups)), snapshot.problems)


def _summary(group: GroupState) -> GroupSummary:
    topics = tuple(sorted({one.topic for one in group.partitions}))
    members = None if group.members is None else len(group.members)
    return GroupSummary(group.name, group.state, members, group.coordinator, topics, group.lag.total_lag)


def describe(settings: Settings, name: str, *, listener: Listener = ignore) -> GroupDescribed:
    """One group. Raises UsageError for one that the cluster does not know, and as :func:`list_groups`."""
    snapshot = take(settings, listener=listener)
    group = snapshot.group(name)
    if group is None:
        describe_group(settings, name, listener=listener)  # says which names there are
        problems = "; ".join(snapshot.problems) or "it is no group of consumers"
        raise BrokerError(f"group {name} can't be described: {problems}")
    return GroupDescribed(name, group.state, group.coordinator, group.lag.total_lag, group.members, group.partitions)
