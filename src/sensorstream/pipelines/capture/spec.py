"""Stations 6-9: what to capture, and what it came to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sensorstream.pipelines.capture.ranges import Range
from sensorstream.pipelines.read_timeouts import Ended
from sensorstream.pipelines.start_at import StartAt
from sensorstream.records import ConsumedRecord, TopicIdentity, TopicPartition
from sensorstream.sinks.base import Sink

SinkFactory = Callable[[TopicPartition, TopicIdentity], Sink]


@dataclass(frozen=True, slots=True)
class CaptureJob:
    """What to capture, and when to stop.

    ``partitions`` None joins ``group`` and shares the topic's partitions with its other members; otherwise just these
    are read. ``commit`` False keeps the group's committed offsets as they are. ``count`` stops after so many records,
    ``idle_timeout_s`` when none has come for that long, ``stop_at_end`` at the end as it is at the start;
    ``max_rejects`` stops the job when more records than that can't be used. A ``range`` ends the capture by itself.
    ``prepare`` is given the values of records before any of them is written, ``arrived`` the records at once when they
    have been read.
    """

    topic: str
    partitions: tuple[int, ...] | None
    group: str
    client_id: str
    host: str
    start: StartAt | None = None
    range: Range | None = None
    commit: bool = True
    stop_at_end: bool = False
    count: int | None = None
    idle_timeout_s: float | None = None
    max_rejects: int | None = None
    log_rows: bool = True
    one_file: bool = False
    prepare: Callable[[Iterable[bytes | None]], None] | None = None
    arrived: Callable[[Iterable[ConsumedRecord]], None] | None = None


@dataclass(frozen=True, slots=True)
class CapturedPartition:
    """What one partition came to in this run; offsets are from ``first_offset`` up to before ``next_offset``."""

    topic: str
    partition: int
    target: str
    first_offset: int
    next_offset: int
    rows: int
    rejected: int


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """How a capture ended: at the ``end``, after ``count`` records, at the ``timeout``, or ``stopped`` by the user."""

    topic: str
    group: str
    ended: Ended
    rows: int
    rejected: int
    partitions: tuple[CapturedPartition, ...]
