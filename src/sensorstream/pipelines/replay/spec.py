"""Stations 1-4: the specification of a replay, and its result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensorstream.pipelines.replay.share import Share
from sensorstream.serde.json import RowEncoder
from sensorstream.serde.value_rules import ValueRule
from sensorstream.sources.base import Source
from sensorstream.sources.common_clock import CommonClock
from sensorstream.sources.formats import Encoder
from sensorstream.sources.row_times import RowTimes
from sensorstream.sources.schedule import Schedule
from sensorstream.sources.times import TimeRule

if TYPE_CHECKING:
    from sensorstream.pipelines.replay.job_identity import OnceRules
    from sensorstream.pipelines.replay.job_records import JobRecord


@dataclass(frozen=True, slots=True)
class Follow:
    """What is appended to a source is published, too, until ``timeout_s`` seconds bring no row; None: for ever."""

    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How the rows of one source become records.

    ``make_schedule`` takes the rows' times (None: there are none); ``paced_by_time`` says that it needs them.
    ``partition_by`` is ``row`` (row index modulo partitions), ``key`` (the key's murmur2 hash) or ``column:NAME``
    (the same hash of that column); ``key`` names the column whose cell is the record's key; ``time`` says where a
    row's own time stands; with ``original_timestamps`` it becomes the record's.
    ``limit`` is the most rows to publish; ``answer_s`` how long an acknowledgement may take in seconds.
    ``on_clock``: the source goes by the same clock as others; ``leave_clock`` tells them that nothing comes of it.
    ``make_encoder`` takes the source's columns; ``value`` is the rule that it follows where values are more than rows
    as JSON; ``share`` says which partitions' rows to publish, where other processes publish the others; ``follow`` is
    None for a source that ends.
    """

    make_schedule: Callable[[RowTimes | None], Schedule]
    paced_by_time: bool = False
    partition_by: str = "row"
    key: str | None = None
    time: TimeRule | None = None
    original_timestamps: bool = False
    limit: int | None = None
    max_rejects: int | None = None
    answer_s: float = 120.0
    make_encoder: Callable[[Sequence[str]], Encoder] = RowEncoder
    value: ValueRule | None = None
    share: Share | None = None
    follow: Follow | None = None
    on_clock: bool = False
    leave_clock: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Begin:
    """Where a source is begun: row ``row`` of round ``round``, both from 0, after ``taken`` rows of it were dealt with
    by earlier runs, ``rejected`` of them not usable."""

    row: int = 0
    round: int = 0
    taken: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """A topic and the source that feeds it. ``make_source`` opens nothing; it takes the row, from 0, to begin at."""

    topic: str
    make_source: Callable[[int], Source]
    first_row: int
    rules: Rules
    rejected: Path
    once: "OnceRules | None" = None
    claimed: "JobRecord | None" = None


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """What to publish. ``threads`` is at least 1; ``loop`` begins every source anew when it ends, until stopped.

    ``exactly_once``: rows and progress are one transaction; every source has its ``once`` then, and one that is shared
    by processes the job that its owner has ``claimed``. ``restart``: from the beginning, whatever is stored of the
    jobs. ``make_jobs_topic`` creates the topic of jobs. ``clock`` is that which several sources share.
    """

    sources: Sequence[ReplaySource]
    threads: int = 3
    loop: bool = False
    log_rows: bool = False
    exactly_once: bool = False
    restart: bool = False
    make_jobs_topic: Callable[[], object] = lambda: None
    clock: CommonClock | None = None


@dataclass(frozen=True, slots=True)
class ReplayedSource:
    """What one source came to. ``sent`` rows were queued, ``acknowledged`` by all in-sync replicas, ``failed`` not;
    ``rejected`` could not be used and went to the rejected file. ``next_row`` is where the next run goes on.

    With ``exactly_once``, ``job`` is the job's name, ``acknowledged`` rows are committed, and ``earlier`` rows were
    committed by earlier runs."""

    topic: str
    source: str
    sent: int
    acknowledged: int
    failed: int
    rejected: int
    next_row: int
    complete: bool
    job: str | None = None
    earlier: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """How a replay ended. ``problem`` is the one-line reason when it could not go on; ``not_allowed``: it is that this
    user has no right to. ``seconds`` is the wall time."""

    sent: int
    acknowledged: int
    failed: int
    rejected: int
    seconds: float
    complete: bool
    problem: str | None
    sources: tuple[ReplayedSource, ...]
    not_allowed: bool = False

    @property
    def delivered(self) -> bool:
        """Whether every row was sent and acknowledged."""
        return self.sent == self.acknowledged and not self.failed and not self.rejected and self.problem is None
