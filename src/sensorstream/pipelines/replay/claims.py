"""Stations 1-4, exactly once: the job of a source that several processes share, begun by their owner.

Each share has its own progress and its own transactional id. Into how many shares a source is cut is part of the job:
its shares can't be told from each other's rows otherwise. The owner stores that once, before any process begins.
"""

from collections.abc import Mapping, Sequence

from sensorstream.clients.base import Client
from sensorstream.events import Listener
from sensorstream.pipelines.replay.job_choice import going_on, related
from sensorstream.pipelines.replay.job_identity import SourceFile, new_record
from sensorstream.pipelines.replay.job_log import JobLog
from sensorstream.pipelines.replay.job_records import (
    JOBS_TOPIC,
    JobProgress,
    JobRecord,
    JobRun,
    JobState,
    encode_job,
    encode_progress,
    forget,
    share_key,
    transactional_id,
)
from sensorstream.pipelines.replay.spec import ReplaySource


def claim(
    client: Client, log: JobLog, run: JobRun, source: ReplaySource, shares: int, *, restart: bool, listener: Listener
) -> JobRecord | None:
    """The job of a source that ``shares`` processes share, begun where it is not stored yet.

    None for a source that is not published exactly once. Raises UsageError for a job that can't go on, SourceError,
    Fenced, DeliveryError, ClusterUnreachable.
    """
    if source.once is None:
        return None
    file = SourceFile(source.once.path, source.once.order)
    topic_id = log.identity(source.topic).topic_id
    partitions = log.partitions_for(source.topic)
    wanted = new_record(source.once, file.file, source.topic, topic_id, partitions, shares)
    jobs = log.all_jobs()
    state = going_on(wanted, jobs, restart=restart)
    if state is not None:
        return state.record
    for old in _of_name(jobs, wanted.name):
        fence_shares(client, old, listener)
    replaced = related(wanted, jobs)
    for old in replaced:
        fence_job(client, old, listener)
    with client.transactional_publisher(transactional_id(wanted.name), listener=listener) as publisher:
        now = log.take_over(publisher, wanted.name, wanted.name, run)
        state = going_on(wanted, now, restart=restart)
        if state is not None:
            return state.record  # another run has begun it meanwhile
        where = log.where(wanted.name)
        publisher.begin()
        for old in (*replaced, *_of_name(now, wanted.name)):
            forget(publisher, log.where(old.name), old)
        publisher.publish(JOBS_TOPIC, encode_job(wanted, None), partition=where.partition, key=wanted.name.encode())
        progress = encode_progress(JobProgress(wanted.generation, next_row=source.first_row))
        for share in range(shares):
            key = share_key(wanted.name, share).encode()
            publisher.publish(JOBS_TOPIC, progress, partition=where.partition, key=key)
        publisher.commit()
        log.wait_until_seen(publisher.ends)
    return wanted


def _of_name(jobs: dict[str, JobState], name: str) -> Sequence[JobRecord]:
    return [jobs[name].record] if name in jobs else []


def fence_shares(client: Client, record: JobRecord, listener: Listener) -> None:
    """End what older runs still publish of the shares of a job that begins anew, or is forgotten."""
    for share in range(record.shares) if record.shares > 1 else ():
        _fence(client, share_key(record.name, share), listener)


def fence_job(client: Client, record: JobRecord, listener: Listener) -> None:
    """End what older runs still publish of a job that another one replaces."""
    fence_shares(client, record, listener)
    _fence(client, record.name, listener)


def _fence(client: Client, key: str, listener: Listener) -> None:
    client.transactional_publisher(transactional_id(key), listener=listener).close(0.0)


def fence_replaced(
    client: Client, wanted: JobRecord, jobs: Mapping[str, JobState], listener: Listener
) -> list[JobRecord]:
    """Fence every stored job that ``wanted`` is to be published instead of; they are returned.

    Raises BrokerError, ClusterUnreachable.
    """
    replaced = related(wanted, jobs)
    for old in replaced:
        fence_job(client, old, listener)
    if wanted.name in jobs and jobs[wanted.name].record.shares > 1:
        replaced.append(jobs[wanted.name].record)
        fence_shares(client, jobs[wanted.name].record, listener)
    return replaced
