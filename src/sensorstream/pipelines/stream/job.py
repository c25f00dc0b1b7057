"""Stations 6-8-4: the specification of a stream, and its result."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sensorstream.pipelines.read_timeouts import Ended
from sensorstream.records import ConsumedRecord

BATCH_ROWS: Final = 10_000
COMMIT_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class StreamJob:
    """What to stream, and when to stop.

    ``transactional_id`` is this worker's own. ``plain`` names the column for records that are plain text. ``count``
    stops after so many records, ``idle_timeout_s`` when none has come for that long, ``stop_at_end`` when the group
    has committed all partitions up to their ends as they are at the start. A transaction holds at the most
    ``batch_rows`` consumed records (one poll more) and ``commit_every_s`` seconds. The target takes
    ``target_limit`` bytes at once, and a record whose output is larger is a dead letter; their topic takes
    ``dead_limit``. ``arrived`` is given the records at once when they have been read.
    """

    source: str
    target: str
    dead_letters: str
    group: str
    transactional_id: str
    client_id: str = "sensorstream"
    plain: str | None = None
    stop_at_end: bool = False
    count: int | None = None
    idle_timeout_s: float | None = None
    batch_rows: int = BATCH_ROWS
    commit_every_s: float = COMMIT_EVERY_S
    target_limit: int | None = None
    dead_limit: int | None = None
    arrived: Callable[[Iterable[ConsumedRecord]], None] | None = None


@dataclass(frozen=True, slots=True)
class StreamedPartition:
    """What one partition of the source came to; offsets are from ``first_offset`` up to before ``next_offset``."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    rows_in: int
    rows_out: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class StreamResult:
    """How a stream ended, and what it committed. ``aborted`` counts transactions that had to be done again,
    ``killed`` workers that were killed: what those had committed is in no figure here."""

    source: str
    target: str
    dead_letters_topic: str
    group: str
    ended: Ended
    rows_in: int
    rows_out: int
    dead_letters: int
    transactions: int
    aborted: int
    partitions: tuple[StreamedPartition, ...]
    killed: int = 0


def result_of(
    job: StreamJob, ended: Ended, partitions: Sequence[StreamedPartition], transactions: int, aborted: int
) -> StreamResult:
    """What a stream came to, of what its partitions did."""
    return StreamResult(
        job.source,
        job.target,
        job.dead_letters,
        job.group,
        ended,
        sum(partition.rows_in for partition in partitions),
        sum(partition.rows_out for partition in partitions),
        sum(partition.dead_letters for partition in partitions),
        transactions,
        aborted,
        tuple(partitions),
    )
