"""A view as one plain result, with each rate next to its figure: for ``--output json`` and for tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from sensorstream.monitor.snapshot import BrokerState, GroupState, Snapshot, TopicState
from sensorstream.monitor.view import Progress, Status, View
from sensorstream.records import TopicPartition


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """One partition; ``rate`` is rows a second, None where it is not known."""

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    first_offset: int | None
    end_offset: int | None
    rows: int | None
    size_bytes: int | None
    rate: float | None


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic; ``age_s`` is how old its newest record is, by its timestamp."""

    name: str
    internal: bool
    topic_id: str | None
    replication_factor: int
    under_replicated: int
    offline: int
    rows: int | None
    size_bytes: int | None
    rate: float | None
    age_s: float | None
    partitions: tuple[PartitionReport, ...]


@dataclass(frozen=True, slots=True)
class GroupPartitionReport:
    """A group on one partition: the columns of ``lag``, and what a series of snapshots tells."""

    topic: str
    partition: int
    consumer_id: str | None
    host: str | None
    lag: int | None
    current_offset: int | None
    end_offset: int | None
    rate_in: float | None
    rate_out: float | None
    catch_up_s: float | None
    age_s: float | None
    status: Status


@dataclass(frozen=True, slots=True)
class GroupReport:
    """One group; ``members`` counts those that are live, None where they are not known."""

    group: str
    state: str
    total_lag: int | None
    partitions: tuple[GroupPartitionReport, ...]
    status: Status
    rate_in: float | None
    rate_out: float | None
    catch_up_s: float | None
    age_s: float | None
    members: int | None
    coordinator: int | None


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """A cluster at ``taken_at`` (Unix seconds)."""

    taken_at: float
    took_s: float
    requests: int
    reachable: bool
    cluster_id: str | None
    version: str | None
    controller: int | None
    under_replicated: int
    offline: int
    rate: float | None
    problems: tuple[str, ...]
    brokers: tuple[BrokerState, ...]
    topics: tuple[TopicReport, ...]
    groups: tuple[GroupReport, ...]


_NOTHING = Progress(None, None, None, None, None, "UNKNOWN")


def report(view: View) -> ClusterReport:
    """All of a view but its series."""
    snapshot: Snapshot = view.snapshot
    return ClusterReport(
        snapshot.taken_at,
        snapshot.took_s,
        snapshot.requests,
        snapshot.reachable,
        snapshot.cluster_id,
        snapshot.version,
        snapshot.controller,
        snapshot.under_replicated,
        snapshot.offline,
        view.rate,
        snapshot.problems,
        snapshot.brokers,
        tuple(_topic(view, one) for one in snapshot.topics),
        tuple(group_report(view, one) for one in snapshot.groups),
    )


def _topic(view: View, topic: TopicState) -> TopicReport:
    return TopicReport(
        topic.name,
        topic.internal,
        topic.topic_id,
        topic.replication_factor,
        topic.under_replicated,
        topic.offline,
        topic.rows,
        topic.size_bytes,
        view.topic_rate.get(topic.name),
        view.age_s.get(topic.name),
        tuple(
            PartitionReport(
                one.partition,
                one.leader,
                one.replicas,
                one.isr,
                one.first_offset,
                one.end_offset,
                one.rows,
                one.size_bytes,
                view.partition_rate.get(one.where),
            )
            for one in topic.partitions
        ),
    )


def group_report(view: View, group: GroupState) -> GroupReport:
    """One group of a view."""
    whole = view.group_progress.get(group.name, _NOTHING)
    return GroupReport(
        group.name,
        group.state,
        group.lag.total_lag,
        tuple(_group_partitions(view.progress, group)),
        whole.status,
        whole.rate_in,
        whole.rate_out,
        whole.catch_up_s,
        whole.age_s,
        None if group.members is None else len(group.members),
        group.coordinator,
    )


def _group_partitions(
    progress: Mapping[tuple[str, TopicPartition], Progress], group: GroupState
) -> list[GroupPartitionReport]:
    rows = []
    for one in group.partitions:
        how = progress.get((group.name, TopicPartition(one.topic, one.partition)), _NOTHING)
        rows.append(
            GroupPartitionReport(
                one.topic,
                one.partition,
                one.consumer_id,
                one.host,
                one.lag,
                one.current_offset,
                one.end_offset,
                how.rate_in,
                how.rate_out,
                how.catch_up_s,
                how.age_s,
                how.status,
            )
        )
    return rows
