"""Metrics of a cluster for Prometheus, with the names of common exporters, so that their dashboards and alerts work.

What kafka_exporter tells has its names and labels; what only KMinion tells has KMinion's; what neither tells begins
with ``sensorstream_``. What is not known is absent: no sample is -1 or 0 for want of a better one. Names of topics,
groups and jobs are labels; ids of members and clients, which are new with each start, are not.
"""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sensorstream.addresses import bracketed
from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.monitor.snapshot import GroupState, Snapshot
from sensorstream.monitor.view import View
from sensorstream.pipelines.replay.jobs import Job
from sensorstream.records import TopicPartition

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import CollectorRegistry

MOST_SAMPLES: Final = 10_000
"""The most samples of one name: what is beyond is left out, and counted."""
MOST_JOBS: Final = 100
_CAPTURE: Final = re.compile(r"sensorstream-\d+")
"""The client id that a capture has."""

_OF_PARTITION: Final = ("topic", "partition")
_OF_GROUP: Final = ("consumergroup", "topic", "partition")
_OF_JOB: Final = ("job", "topic")


@dataclass(slots=True)
class _Gauge:
    """A name, what it tells, its labels, and its samples so far."""

    name: str
    about: str
    labels: tuple[str, ...] = ()
    samples: list[tuple[tuple[str, ...], float]] = field(default_factory=list)

    def add(self, value: float | None, *labels: object) -> None:
        """One sample; none where the value is not known."""
        if value is not None:
            self.samples.append((tuple(map(str, labels)), float(value)))


class Collector:
    """Makes samples of the newest view whenever Prometheus asks; it asks no broker itself."""

    def __init__(self, view: Callable[[], View | None], jobs: Callable[[], Sequence[Job]] = tuple) -> None:
        self._view = view
        self._jobs = jobs

    def collect(self) -> "Iterator[GaugeMetricFamily]":
        """All samples, by name."""
        from prometheus_client.core import GaugeMetricFamily

        left_out = GaugeMetricFamily(
            "sensorstream_samples_left_out", f"Samples of a name beyond {MOST_SAMPLES}", labels=["name"]
        )
        for gauge in gauges(self._view(), self._jobs()):
            family = GaugeMetricFamily(gauge.name, gauge.about, labels=gauge.labels)
            for labels, value in gauge.samples[:MOST_SAMPLES]:
                family.add_metric(labels, value)
            if len(gauge.samples) > MOST_SAMPLES:
                left_out.add_metric([gauge.name], len(gauge.samples) - MOST_SAMPLES)
            if family.samples:
                yield family
        if left_out.samples:
            yield left_out


def registry_of(collector: Collector) -> "CollectorRegistry":
    """A registry of this collector alone. Raises UsageError where prometheus-client is not installed."""
    try:
        from prometheus_client.registry import CollectorRegistry
    except ImportError as error:
        raise UsageError(
            "metrics need prometheus-client, which is not installed",
            hint="install it with: pip install 'sensorstream[monitor]'",
        ) from error
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def text_of(collector: Collector) -> str:
    """The samples as Prometheus reads them. Raises UsageError where prometheus-client is not installed."""
    registry = registry_of(collector)
    from prometheus_client.exposition import generate_latest

    return generate_latest(registry).decode("utf-8")


def gauges(view: View | None, jobs: Sequence[Job] = ()) -> list[_Gauge]:
    """All that is known, as gauges."""
    up = _Gauge("sensorstream_cluster_up", "Whether a broker answers")
    brokers = _Gauge("kafka_brokers", "Brokers that are alive")
    if view is None:
        return []
    up.add(view.snapshot.reachable)
    brokers.add(None if view.snapshot.refusal else sum(broker.alive for broker in view.snapshot.brokers))
    if not view.snapshot.reachable:
        # What was last known is no more what is.
        return [up, brokers]
    return [
        up,
        brokers,
        *_of_cluster(view.snapshot),
        *_of_topics(view),
        *_of_partitions(view.snapshot),
        *_of_groups(view),
        *_of_captures(view.snapshot.groups),
        *_of_jobs(jobs),
    ]


def _of_cluster(snapshot: Snapshot) -> Iterable[_Gauge]:
    info = _Gauge(
        "kminion_kafka_cluster_info",
        "The cluster",
        ("cluster_id", "cluster_version", "controller_id", "broker_count"),
    )
    alive = sum(broker.alive for broker in snapshot.brokers)
    info.add(1, *map(_known, (snapshot.cluster_id, snapshot.version, snapshot.controller)), alive)
    broker_info = _Gauge("kafka_broker_info", "A broker and its address", ("id", "address"))
    broker_up = _Gauge("sensorstream_broker_up", "Whether a broker is alive", ("id",))
    leaders = _Gauge("sensorstream_broker_leaders", "Partitions that a broker leads", ("id",))
    size = _Gauge(
        "kminion_kafka_broker_log_dir_size_total_bytes", "Bytes of a broker's logs", ("broker_id", "address", "port")
    )
    for broker in snapshot.brokers:
        broker_up.add(broker.alive, broker.id)
        leaders.add(broker.leaders, broker.id)
        if broker.host is not None and broker.port is not None:
            broker_info.add(1 if broker.alive else None, broker.id, bracketed(broker.host, broker.port))
            size.add(broker.size_bytes, broker.id, broker.host, broker.port)
    taken = _Gauge("sensorstream_snapshot_timestamp_seconds", "When the figures were taken, in Unix seconds")
    taken.add(snapshot.taken_at)
    took = _Gauge("sensorstream_snapshot_duration_seconds", "How long the brokers took to tell them")
    took.add(snapshot.took_s)
    problems = _Gauge("sensorstream_snapshot_problems", "How many things could not be learnt")
    problems.add(len(snapshot.problems))
    return (info, broker_info, broker_up, leaders, size, taken, took, problems)


def _of_topics(view: View) -> Iterable[_Gauge]:
    partitions = _Gauge("kafka_topic_partitions", "Partitions of a topic", ("topic",))
    info = _Gauge("kminion_kafka_topic_info", "A topic", ("topic_name", "partition_count", "replication_factor"))
    rows = _Gauge("sensorstream_topic_rows", "Offsets that a topic holds", ("topic",))
    size = _Gauge("sensorstream_topic_size_bytes", "Bytes of the leaders' logs of a topic", ("topic",))
    age = _Gauge("sensorstream_topic_age_seconds", "How old a topic's newest record is, by its timestamp", ("topic",))
    for topic in view.snapshot.topics:
        partitions.add(len(topic.partitions), topic.name)
        info.add(1, topic.name, len(topic.partitions), topic.replication_factor)
        rows.add(topic.rows, topic.name)
        size.add(topic.size_bytes, topic.name)
        age.add(view.age_s.get(topic.name), topic.name)
    return (partitions, info, rows, size, age)


def _of_partitions(snapshot: Snapshot) -> Iterable[_Gauge]:
    told = {
        "current_offset": "The offset behind the last record that a committed reader sees",
        "oldest_offset": "The first offset that is still there",
        "replicas": "Replicas of a partition",
        "in_sync_replica": "Replicas of a partition that are in sync",
        "leader": "The broker that leads a partition",
        "leader_is_preferred": "Whether the preferred broker leads a partition",
        "under_replicated_partition": "Whether a replica of a partition is out of sync",
    }
    made = {name: _Gauge(f"kafka_topic_partition_{name}", about, _OF_PARTITION) for name, about in told.items()}
    for topic in snapshot.topics:
        for part in topic.partitions:
            led = part.leader is not None
            values = {
                "current_offset": part.end_offset,
                "oldest_offset": part.first_offset,
                "replicas": len(part.replicas),
                "in_sync_replica": len(part.isr),
                "leader": part.leader,
                "leader_is_preferred": part.replicas[:1] == (part.leader,) if led else None,
                "under_replicated_partition": part.under_replicated,
            }
            for name, value in values.items():
                made[name].add(value, topic.name, part.partition)
    return made.values()


def _of_groups(view: View) -> Iterable[_Gauge]:
    offset = _Gauge("kafka_consumergroup_current_offset", "The offset that a group has committed", _OF_GROUP)
    lag = _Gauge("kafka_consumergroup_lag", "Offsets that a group is behind", _OF_GROUP)
    sums = ("consumergroup", "topic")
    offset_sum = _Gauge("kafka_consumergroup_current_offset_sum", "The same of all partitions together", sums)
    lag_sum = _Gauge("kafka_consumergroup_lag_sum", "The same of all partitions together", sums)
    members = _Gauge("kafka_consumergroup_members", "Live members of a group", ("consumergroup",))
    info = _Gauge(
        "kminion_kafka_consumer_group_info",
        "A group: 1 while it is stable, else 0",
        ("group_id", "state", "coordinator_id"),
    )
    age = _Gauge(
        "sensorstream_consumergroup_lag_seconds", "How old the oldest record is that a group has not read", _OF_GROUP
    )
    catch_up = _Gauge("sensorstream_consumergroup_catch_up_seconds", "Until a group has caught up", ("consumergroup",))
    status = _Gauge("sensorstream_consumergroup_status", "1 for its status now", ("consumergroup", "status"))
    for group in view.snapshot.groups:
        offsets: dict[str, list[int | None]] = defaultdict(list)
        lags: dict[str, list[int | None]] = defaultdict(list)
        for row in group.partitions:
            labels = (group.name, row.topic, row.partition)
            offset.add(row.current_offset, *labels)
            lag.add(row.lag, *labels)
            one = view.progress.get((group.name, TopicPartition(row.topic, row.partition)))
            age.add(None if one is None else one.age_s, *labels)
            offsets[row.topic].append(row.current_offset)
            lags[row.topic].append(row.lag)
        for topic, known in offsets.items():
            offset_sum.add(_sum(known), group.name, topic)
            lag_sum.add(_sum(lags[topic]), group.name, topic)
        members.add(None if group.members is None else len(group.members), group.name)
        info.add(group.state == "Stable", group.name, group.state, _known(group.coordinator))
        whole = view.group_progress.get(group.name)
        if whole is not None:
            catch_up.add(whole.catch_up_s, group.name)
            status.add(1, group.name, whole.status)
    return (offset, lag, offset_sum, lag_sum, members, info, age, catch_up, status)


def _of_captures(groups: Iterable[GroupState]) -> Iterable[_Gauge]:
    """What is seen of captures from outside: each commits its position behind every file that it has made durable."""
    info = _Gauge("sensorstream_capture_info", "A partition that is captured, or was", (*_OF_GROUP, "host"))
    stored = _Gauge("sensorstream_capture_next_offset", "All before this offset is stored in a file", _OF_GROUP)
    waiting = _Gauge("sensorstream_capture_waiting_rows", "Offsets that are not stored yet", _OF_GROUP)
    for group in groups:
        live = group.members or ()
        captures = {member.member_id for member in live if _CAPTURE.fullmatch(member.client_id)}
        others = {member.member_id for member in live} - captures
        for row in group.partitions:
            # One that is no member is known by the note that it leaves with its commits.
            if row.consumer_id is None or row.consumer_id in others or row.current_offset is None:
                continue
            labels = (group.name, row.topic, row.partition)
            # A member's host has another form than the one in its note.
            info.add(None if group.members is None else 1, *labels, _known(row.host))
            stored.add(row.current_offset, *labels)
            waiting.add(row.lag, *labels)
    return (info, stored, waiting)


def _of_jobs(jobs: Sequence[Job]) -> Iterable[_Gauge]:
    rows = _Gauge("sensorstream_replay_rows", "Rows that an exactly-once replay has committed", _OF_JOB)
    rejected = _Gauge("sensorstream_replay_rejected_rows", "Rows of its file that it could not use", _OF_JOB)
    next_row = _Gauge("sensorstream_replay_next_row", "The row of its file that it publishes next", _OF_JOB)
    turn = _Gauge("sensorstream_replay_round", "The turn through its file that it is in, from 0", _OF_JOB)
    finished = _Gauge("sensorstream_replay_finished", "Whether it has come to its end", _OF_JOB)
    committed = _Gauge(
        "sensorstream_replay_last_commit_timestamp_seconds", "When it last committed, in Unix seconds", _OF_JOB
    )
    for job in jobs[:MOST_JOBS]:
        labels = (job.name, job.topic)
        rows.add(job.rows, *labels)
        rejected.add(job.rejected, *labels)
        next_row.add(job.next_row, *labels)
        turn.add(job.round, *labels)
        finished.add(job.finished, *labels)
        committed.add(None if job.committed is None else datetime.fromisoformat(job.committed).timestamp(), *labels)
    return (rows, rejected, next_row, turn, finished, committed)


def _known(value: object) -> str:
    return "" if value is None else str(value)


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum; None where one is not known."""
    known = list(values)
    return None if None in known else sum(one or 0 for one in known)


class JobsSeen:
    """The jobs that the cluster knows, read again now and then on a thread of its own (``with``)."""

    def __init__(self, read: Callable[[], Sequence[Job]], every_s: float = 15.0) -> None:
        self._read = read
        self._every_s = every_s
        self._stop = threading.Event()
        self._jobs: Sequence[Job] = ()
        self._thread = threading.Thread(target=self._run, name="jobs-seen", daemon=True)

    def jobs(self) -> Sequence[Job]:
        """Those that were read last; none while they can't be read."""
        return self._jobs

    def __enter__(self) -> "JobsSeen":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._jobs = self._read()
            except SensorstreamError:
                self._jobs = ()
            self._stop.wait(max(self._every_s - (time.monotonic() - began), 1.0))
