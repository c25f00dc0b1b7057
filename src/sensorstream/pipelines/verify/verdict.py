"""Stations 1 and 9: what is to be compared, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sensorstream.pipelines.verify.left_out import RejectedRecord
from sensorstream.sources.formats import SourceForm

PartitionRule = Literal["row", "any"]
Kind = Literal["missing", "doubled", "reordered", "different", "misplaced", "unexpected"]


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How sources are read and rows are assigned.

    ``partition_by`` "row": row index modulo ``partitions`` (None: the highest captured partition and one more);
    "any": any partition will do, the order within each captured file being the source's. ``limit``: only the first
    so many rows of each source were published. ``raw``: captured CSV without a position holds unescaped text.
    ``form`` is how the sources are written, ``forms`` that of topics that have their own.
    """

    partition_by: PartitionRule = "row"
    partitions: int | None = None
    limit: int | None = None
    form: SourceForm = field(default_factory=SourceForm)
    raw: bool = False
    forms: Mapping[str, SourceForm] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, and where it is; lines count from 1. What a kind has no use for is None.

    ``captured_line`` is the record's offset where the captured file is a database, and counts rows where it is one of
    finished files.

    missing: a source row is in no captured file. doubled: a captured row is there once more than in the source.
    misplaced: a captured row is one of another partition. unexpected: a captured row is not in the source.
    reordered: a captured row comes before one that it follows in the source. different: a value was changed.
    """

    kind: Kind
    source_file: str
    source_line: int | None
    captured_file: str | None
    captured_line: int | None
    column: str | None
    expected: str | None
    captured: str | None
    text: str


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A source row that could not be published and so is not compared."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class TopicVerdict:
    """The figures of one topic, in rows, of which ``expected`` are those of the source that were compared.

    ``rejected_rows`` lists the first 1,000 of ``rejected``, ``capture_rejected_records`` of ``capture_rejected``.
    ``not_covered`` says in words what the verdict does not speak of. Without a row to compare nothing is
    ``exactly_once``.
    """

    topic: str
    source: str
    captured_files: tuple[str, ...]
    partitions: int
    expected: int
    captured: int
    missing: int
    doubled: int
    reordered: int
    different: int
    misplaced: int
    unexpected: int
    rejected: int
    rejected_rows: tuple[RejectedRow, ...]
    capture_rejected: int
    capture_rejected_records: tuple[RejectedRecord, ...]
    partitions_without_file: tuple[int, ...]
    not_covered: tuple[str, ...]
    first_difference: Difference | None
    exactly_once: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """What :func:`verify` found; ``exactly_once`` is the verdict over all topics, ``compared`` their rows."""

    exactly_once: bool
    compared: int
    partition_by: str
    topics: tuple[TopicVerdict, ...]
