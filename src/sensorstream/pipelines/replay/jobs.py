"""Stations 1-4, exactly once: list jobs and their progress, and forget a job."""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from sensorstream.clients.base import Client
from sensorstream.errors import UnknownTopic, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.replay.claims import fence_shares
from sensorstream.pipelines.replay.job_identity import this_run
from sensorstream.pipelines.replay.job_log import JobLog
from sensorstream.pipelines.replay.job_records import (
    JobProgress,
    JobState,
    forget,
    transactional_id,
)


@dataclass(frozen=True, slots=True)
class Job:
    """One exactly-once replay. ``rows`` are committed, ``rejected`` could not be used; ``next_row`` (of round
    ``round``) is published next. ``began`` and ``committed`` are ISO 8601 times, ``committed`` None before the first
    commit. ``host`` and ``pid`` tell the run that worked on it last; ``path`` is where the file was when it began."""

    name: str
    topic: str
    path: str
    path_host: str
    size: int
    sha256: str
    partitions: int
    shares: int
    rule: dict[str, str]
    rows: int
    rejected: int
    round: int
    next_row: int
    finished: bool
    began: str
    committed: str | None
    host: str | None
    pid: int | None


@dataclass(frozen=True, slots=True)
class JobList:
    """The jobs of a cluster, those that were committed last at first."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class JobsForgotten:
    """The names of the jobs that are no longer known."""

    forgotten: tuple[str, ...]


def list_jobs(client: Client, listener: Listener = ignore) -> JobList:
    """All jobs; none where nothing was ever published exactly once. Raises ClusterUnreachable, DataError."""
    jobs = sorted(map(_job, _stored(client, listener).values()), key=lambda job: job.name)
    return JobList(tuple(sorted(jobs, key=lambda job: job.committed or job.began, reverse=True)))


def find_job(client: Client, name: str, listener: Listener = ignore) -> Job:
    """The job of this name, or the only one whose name begins with it. Raises UsageError, as list_jobs does."""
    return _job(_match(_stored(client, listener), name)[0])


def forget_jobs(client: Client, name: str, listener: Listener = ignore) -> JobsForgotten:
    """Forget a job, or all jobs of one ``--job NAME``; runs that work on them are fenced.

    The rows stay in their topics; the same replay would publish them again. Raises UsageError, as list_jobs does, and
    Fenced, DeliveryError.
    """
    states = _match(_stored(client, listener), name, several=True)
    run = this_run()
    with closing(JobLog(client, _not_made, listener)) as log:
        for record in (state.record for state in states):
            fence_shares(client, record, listener)
            with client.transactional_publisher(transactional_id(record.name), listener=listener) as publisher:
                log.take_over(publisher, record.name, record.name, run)
                publisher.begin()
                forget(publisher, log.where(record.name), record)
                publisher.commit()
                log.wait_until_seen(publisher.ends)
    return JobsForgotten(tuple(state.record.name for state in states))


def _stored(client: Client, listener: Listener) -> dict[str, JobState]:
    try:
        with closing(JobLog(client, _not_made, listener)) as log:
            return log.all_jobs()
    except UnknownTopic:
        return {}


def _not_made() -> None:
    """The topic is not made to look into it."""


def _match(states: dict[str, JobState], name: str, *, several: bool = False) -> list[JobState]:
    if name in states:
        return [states[name]]
    found = [key for key in states if key.startswith(f"{name}/")] if several else []
    found = found or [key for key in states if key.startswith(name)]
    if len(found) > 1 and not (several and all(key.startswith(f"{name}/") for key in found)):
        raise UsageError(f"{name!r} is the beginning of {len(found)} jobs' names", hint=", ".join(sorted(found)[:5]))
    if not found:
        raise UsageError(f"there is no job {name!r}", hint="see them with: sensorstream jobs list")
    return [states[key] for key in sorted(found)]


def _job(state: JobState) -> Job:
    record, parts = state.record, [part for part in state.progress if part is not None]
    committed = max((part.committed_ms for part in parts if part.committed_ms is not None), default=None)
    behind = min(parts, key=lambda part: (part.round, part.next_row), default=JobProgress(""))
    return Job(
        record.name,
        record.topic,
        record.file.path,
        record.file.host,
        record.file.size,
        record.file.sha256,
        record.partitions,
        record.shares,
        dict(record.rule),
        sum(part.rows for part in parts),
        sum(part.rejected for part in parts),
        behind.round,
        behind.next_row,
        bool(parts) and all(part.ended for part in parts),
        _iso(record.began_ms),
        None if committed is None else _iso(committed),
        None if state.run is None else state.run.host,
        None if state.run is None else state.run.pid,
    )


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
