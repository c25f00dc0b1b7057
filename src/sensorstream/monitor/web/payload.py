"""A View as JSON for the page. Unknown values are null, names and values are unchanged.

The overview goes out with every snapshot, so it has no partitions and no series; the rest is asked for.
"""

import time
from collections.abc import Sequence
from typing import Any, Final

from sensorstream.monitor.snapshot import BrokerState, GroupState, PartitionState, TopicState
from sensorstream.monitor.view import Point, Progress, View
from sensorstream.records import TopicPartition

MOST_SERIES: Final = 8
"""So many lines a plot has at the most; more can't be told apart."""


def overview(view: View) -> dict[str, Any]:
    """The cluster, its brokers, its topics and its groups, each in a line."""
    shot = view.snapshot
    groups = [_group_line(view, one) for one in shot.groups]
    # Of all groups nothing is known where it is not known of one.
    lags, ages = ([one[key] for one in groups] for key in ("lag", "age_s"))
    return {
        "at": time.time(),
        "taken_at": shot.taken_at,
        "took_s": shot.took_s,
        "requests": shot.requests,
        "reachable": shot.reachable,
        "cluster_id": shot.cluster_id,
        "version": shot.version,
        "controller": shot.controller,
        "problems": list(shot.problems),
        "rate": view.rate,
        "partitions": sum(len(topic.partitions) for topic in shot.topics),
        "under_replicated": shot.under_replicated,
        "offline": shot.offline,
        "brokers": [_broker_line(one) for one in shot.brokers],
        "topics": [_topic_line(view, one) for one in shot.topics],
        "groups": groups,
        "lag": None if None in lags else sum(lags),
        "oldest_s": None if None in ages else max(ages, default=None),
    }


def series(view: View) -> dict[str, Any]:
    """What the overview plots: rows a second of all topics and the busiest, the lag of the groups that are behind."""
    shot = view.snapshot
    own = [one.name for one in shot.topics if not one.internal]
    busiest = sorted(own, key=lambda name: (-_newest_sum(view.topic_series.get(name, ())), name))[:MOST_SERIES]
    behind = sorted((one.name for one in shot.groups), key=lambda name: (-_lag_of(view, name), name))[:MOST_SERIES]
    return {
        "rate": points(view.rate_series),
        "topics": [{"name": name, **points(view.topic_series.get(name, ()))} for name in busiest],
        "lag": [{"name": name, **points(view.lag_series.get(name, ()))} for name in behind],
    }


def broker(view: View, number: str) -> dict[str, Any] | None:
    """A broker with the partitions that have a replica on it; None: there is none of this number."""
    found = next((one for one in view.snapshot.brokers if str(one.id) == number), None)
    if found is None:
        return None
    return {
        **_broker_line(found),
        "parts": [
            {
                "topic": one.topic,
                "partition": one.partition,
                "leader": one.leader,
                "leads": one.leader == found.id,
                "in_sync": found.id in one.isr,
                "replicas": list(one.replicas),
            }
            for topic in view.snapshot.topics
            for one in topic.partitions
            if found.id in one.replicas
        ],
    }


def topic(view: View, name: str) -> dict[str, Any] | None:
    """A topic with its partitions, who reads it, and its throughput over time; None: there is none of this name."""
    found = view.snapshot.topic(name)
    if found is None:
        return None
    readers = [one for one in view.snapshot.groups if any(row.topic == name for row in one.partitions)]
    return {
        **_topic_line(view, found),
        "taken_at": view.snapshot.taken_at,
        "parts": [_partition(view, one) for one in found.partitions],
        "groups": [_group_on_topic(one, name) for one in readers],
        "series": points(view.topic_series.get(name, ())),
    }


def group(view: View, name: str) -> dict[str, Any] | None:
    """A group with its partitions and members, and its lag over time; None: there is none of this name."""
    found = view.snapshot.group(name)
    if found is None:
        return None
    return {
        **_group_line(view, found),
        "taken_at": view.snapshot.taken_at,
        "parts": [
            {
                "topic": row.topic,
                "partition": row.partition,
                "consumer_id": row.consumer_id,
                "host": row.host,
                "current_offset": row.current_offset,
                "end_offset": row.end_offset,
                **_progress(view.progress.get((name, TopicPartition(row.topic, row.partition))), row.lag),
            }
            for row in found.partitions
        ],
        "live": None
        if found.members is None
        else [
            {
                "member_id": one.member_id,
                "client_id": one.client_id,
                "host": one.host,
                "partitions": [str(where) for where in one.partitions],
            }
            for one in found.members
        ],
        "series": points(view.lag_series.get(name, ())),
    }


def points(given: Sequence[Point]) -> dict[str, list[float | None]]:
    """A series as two columns."""
    return {"x": [round(one.at, 1) for one in given], "y": [one.value for one in given]}


def _broker_line(one: BrokerState) -> dict[str, Any]:
    return {
        "id": one.id,
        "host": one.host,
        "port": one.port,
        "alive": one.alive,
        "controller": one.controller,
        "leaders": one.leaders,
        "replicas": one.replicas,
        "in_sync": one.in_sync,
        "size_bytes": one.size_bytes,
    }


def _topic_line(view: View, one: TopicState) -> dict[str, Any]:
    return {
        "name": one.name,
        "internal": one.internal,
        "partitions": len(one.partitions),
        "replication_factor": one.replication_factor,
        "under_replicated": one.under_replicated,
        "offline": one.offline,
        "rows": one.rows,
        "size_bytes": one.size_bytes,
        "rate": view.topic_rate.get(one.name),
        "age_s": view.age_s.get(one.name),
    }


def _partition(view: View, one: PartitionState) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "leader": one.leader,
        "replicas": list(one.replicas),
        "isr": list(one.isr),
        "first_offset": one.first_offset,
        "end_offset": one.end_offset,
        "rows": one.rows,
        "size_bytes": one.size_bytes,
        "rate": view.partition_rate.get(one.where),
    }


def _group_line(view: View, one: GroupState) -> dict[str, Any]:
    return {
        "name": one.name,
        "state": one.state,
        "members": None if one.members is None else len(one.members),
        "coordinator": one.coordinator,
        "topics": sorted({row.topic for row in one.partitions}),
        "partitions": len(one.partitions),
        **_progress(view.group_progress.get(one.name), one.lag.total_lag),
    }


def _group_on_topic(one: GroupState, name: str) -> dict[str, Any]:
    lags = [row.lag for row in one.partitions if row.topic == name]
    known = [lag for lag in lags if lag is not None]
    return {"name": one.name, "state": one.state, "lag": sum(known) if len(known) == len(lags) else None}


def _progress(one: Progress | None, lag: int | None) -> dict[str, Any]:
    if one is None:
        return {"lag": lag, "rate_in": None, "rate_out": None, "catch_up_s": None, "age_s": None, "status": "UNKNOWN"}
    return {
        "lag": one.lag,
        "rate_in": one.rate_in,
        "rate_out": one.rate_out,
        "catch_up_s": one.catch_up_s,
        "age_s": one.age_s,
        "status": one.status,
    }


def _newest_sum(given: Sequence[Point]) -> float:
    return sum(one.value or 0.0 for one in given[-30:])


def _lag_of(view: View, name: str) -> int:
    progress = view.group_progress.get(name)
    return (progress.lag if progress else None) or 0
