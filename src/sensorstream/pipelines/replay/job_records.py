"""Stations 1-4, exactly once: the stored record of a replay job, and its topic.

The topic is compacted; the last record of a key counts. A job has these keys, all in one partition of the topic:

    NAME       the job: its file, topic and rules; and its progress, unless it is shared by processes
    NAME#I     the progress of share I of a job that is shared by processes
    KEY@       the run that works on NAME or NAME#I

Progress is written in the transaction of the rows that it speaks of (the pattern of Kafka Connect's KIP-618).
Times are milliseconds since 1970-01-01 UTC.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sensorstream.clients.base import RecordSink
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import DataError
from sensorstream.records import TopicPartition

JOBS_TOPIC: Final = "_sensorstream_jobs"
JOBS_PARTITIONS: Final = 8
"""More than one: an open transaction of one job delays whoever reads behind it in the same partition."""
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class JobFile:
    """The file of a job: where it was when the job began, its size in bytes and its SHA-256.

    Of a file that is followed: size and SHA-256 of its beginning, as far as its rows are committed, and its inode."""

    path: str
    host: str
    size: int
    sha256: str
    inode: int | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What a job publishes. ``generation`` is new with each restart; ``named``: by the user, with ``--job``;
    ``rule`` is what makes records of rows, by option; ``shares`` is the number of processes that share the source."""

    name: str
    generation: str
    named: bool
    topic: str
    topic_id: str | None
    partitions: int
    rule: Mapping[str, str]
    file: JobFile
    shares: int
    began_ms: int


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job, or one share of it, is committed.

    ``next_row`` of round ``round`` (both from 0) is published next; ``taken`` rows of the source were dealt with,
    ``rows`` of them published and ``rejected`` not usable. ``ended``: the source has no more rows.
    """

    generation: str
    round: int = 0
    next_row: int = 0
    taken: int = 0
    rows: int = 0
    rejected: int = 0
    ended: bool = False
    committed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class JobRun:
    """The run of the program that works on a job, or did last."""

    run: str
    host: str
    pid: int
    started_ms: int


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as the topic tells it. ``progress`` has one element, or one for each share; None where none is stored."""

    record: JobRecord
    progress: tuple[JobProgress | None, ...]
    run: JobRun | None


def share_key(name: str, share: int | None) -> str:
    """The key of the progress of a share; of the job itself where it is not shared."""
    return name if share is None else f"{name}#{share}"


def run_key(key: str) -> str:
    """The key of the run that works on a job or a share."""
    return f"{key}@"


def partition_of(name: str, partitions: int) -> int:
    """The partition of the topic that has all records of a job."""
    return partition_for_key(name.encode(), partitions)


def transactional_id(key: str) -> str:
    """Under which id a job or a share is published: whoever opens it last fences all before."""
    return f"sensorstream-job-{key}"


def keys_of(record: JobRecord) -> list[str]:
    """All keys of a job."""
    shares = [share_key(record.name, share) for share in range(record.shares)] if record.shares > 1 else []
    keys = [record.name, *shares]
    return [*keys, *map(run_key, keys)]


def forget(publisher: RecordSink, where: TopicPartition, record: JobRecord) -> None:
    """Publish that there is no such job any more; ``where`` is the partition with its records."""
    for key in keys_of(record):
        publisher.publish(where.topic, None, partition=where.partition, key=key.encode())


def encode_job(record: JobRecord, progress: JobProgress | None) -> bytes:
    """The value under the job's own key."""
    document: dict[str, Any] = {"version": _VERSION, "job": asdict(record)}
    if progress is not None:
        document["progress"] = asdict(progress)
    return json.dumps(document, ensure_ascii=False).encode()


def encode_progress(progress: JobProgress) -> bytes:
    """The value under a share's key."""
    return json.dumps({"version": _VERSION, "progress": asdict(progress)}).encode()


def encode_run(run: JobRun) -> bytes:
    """The value under a run's key."""
    return json.dumps({"version": _VERSION, "run": asdict(run)}, ensure_ascii=False).encode()


def decode(records: Mapping[str, bytes]) -> dict[str, JobState]:
    """The jobs by name, from the last value of each key. Raises DataError for a value that is not a job."""
    documents = {key: _document(key, value) for key, value in records.items()}
    jobs = {}
    for key, document in documents.items():
        if "job" not in document:
            continue
        try:
            fields = dict(document["job"])
            record = JobRecord(**{**fields, "file": JobFile(**fields["file"])})
            keys = [key] if record.shares == 1 else [share_key(key, share) for share in range(record.shares)]
            parts = [documents.get(part, {}).get("progress") for part in keys]
            progress = tuple(None if part is None else JobProgress(**part) for part in parts)
            runs = [documents[run_key(part)]["run"] for part in (key, *keys) if run_key(part) in documents]
            latest = max((JobRun(**run) for run in runs), key=lambda run: run.started_ms, default=None)
        except (KeyError, TypeError, ValueError) as error:
            raise _foreign(key) from error
        jobs[key] = JobState(record, progress, latest)
    return jobs


def decode_run(key: str, value: bytes) -> JobRun:
    """The run of a value of :func:`encode_run`. Raises DataError."""
    try:
        return JobRun(**_document(key, value)["run"])
    except (KeyError, TypeError) as error:
        raise _foreign(key) from error


def _document(key: str, value: bytes) -> dict[str, Any]:
    try:
        document = json.loads(value)
    except ValueError as error:
        raise _foreign(key) from error
    if not isinstance(document, dict):
        raise _foreign(key)
    if document.get("version") != _VERSION:
        raise DataError(
            f"{JOBS_TOPIC}: the record of {key!r} is of version {document.get('version')}, this program knows "
            f"{_VERSION}",
            hint="use the version of sensorstream that began the job",
        )
    return document


def _foreign(key: str) -> DataError:
    return DataError(
        f"{JOBS_TOPIC}: the record of {key!r} is not one of sensorstream's",
        hint="somebody else has written to this topic; to publish the file again, use another --job",
    )
