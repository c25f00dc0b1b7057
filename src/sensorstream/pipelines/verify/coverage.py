"""Station 9: which offsets the folders of a group's members hold together.

It speaks of positions alone: each file remembers which spans of offsets it holds. What two files hold is there twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sensorstream.errors import SourceError, UsageError
from sensorstream.pipelines.verify.captured_files import SQLITE_ENDINGS
from sensorstream.sinks import checkpoint
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.held import Span
from sensorstream.sinks.segment_names import OPEN

_POSITION = ".position"


@dataclass(frozen=True, slots=True)
class HeldSpan:
    """One span of offsets, from ``first_offset`` up to before ``next_offset``, and the file that holds it."""

    file: str
    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class DoubledSpan:
    """Offsets that two files hold."""

    files: tuple[str, str]
    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class MissingSpan:
    """Offsets between the first and the last that are held, which no file holds."""

    first_offset: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class PartitionCoverage:
    """What is held of one partition; ``unknown`` are files that an earlier version began, and which don't say."""

    topic: str
    partition: int
    held: tuple[HeldSpan, ...]
    doubled: tuple[DoubledSpan, ...]
    missing: tuple[MissingSpan, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the folders hold together. ``doubled`` and ``missing`` count offsets."""

    partitions: tuple[PartitionCoverage, ...]
    doubled: int
    missing: int
    each_once: bool


def cover(folders: Sequence[Path]) -> Coverage:
    """Look at the positions of all captured files in ``folders``.

    Raises SourceError (no such folder, nothing captured in it) and UsageError (files of two logs of one name).
    """
    found: dict[tuple[str, int], list[tuple[str, Checkpoint]]] = {}
    for folder in dict.fromkeys(path.resolve() for path in folders):
        inside = list(_positions(folder))
        if not inside:
            raise SourceError(f"there is no captured file with a position in {folder}", hint="name captured folders")
        for name, position in inside:
            found.setdefault((position.topic, position.partition), []).append((name, position))
    partitions = tuple(_partition(*key, found[key]) for key in sorted(found))
    doubled = sum(one.next_offset - one.first_offset for part in partitions for one in part.doubled)
    missing = sum(one.next_offset - one.first_offset for part in partitions for one in part.missing)
    whole = not (doubled or missing or any(part.unknown for part in partitions))
    return Coverage(partitions, doubled, missing, whole)


def _positions(folder: Path) -> Iterator[tuple[str, Checkpoint]]:
    """The captured files of a folder, by name, and their positions."""
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}", hint="name captured folders")
    for place in sorted(folder.iterdir()):
        if place.suffix.lower() in SQLITE_ENDINGS and place.is_file():
            from sensorstream.pipelines.verify.typed_files import captured_in_database

            yield from ((str(place), position) for position in captured_in_database(place))
        elif place.name.endswith(_POSITION):
            path = place.with_name(place.name.removesuffix(_POSITION))
            position = checkpoint.load(path)
            if position is not None:
                # Rows that wait and finished files are one capture, which goes by its topic's folder.
                yield str(folder / position.topic if path.name.endswith(OPEN) else path), position


def _partition(topic: str, partition: int, files: Sequence[tuple[str, Checkpoint]]) -> PartitionCoverage:
    logs = {(one.cluster_id, one.topic_id) for _, one in files}
    if len(logs) > 1:
        raise UsageError(
            f"{files[0][0]} and {files[-1][0]} hold {topic}[{partition}] of different clusters, or of a topic that was "
            "created again",
            hint="name the folders of one group",
        )
    spans = sorted(
        (HeldSpan(name, *span) for name, one in files if one.held is not None for span in _spans(one)),
        key=lambda span: (span.first_offset, span.next_offset, span.file),
    )
    doubled = [
        DoubledSpan((one.file, other.file), other.first_offset, min(one.next_offset, other.next_offset))
        for at, one in enumerate(spans)
        for other in spans[at + 1 :]
        if other.first_offset < one.next_offset
    ]
    missing, reached = [], spans[0].next_offset if spans else 0
    for _, span in pairwise(spans):
        if span.first_offset > reached:
            missing.append(MissingSpan(reached, span.first_offset))
        reached = max(reached, span.next_offset)
    unknown = tuple(name for name, one in files if one.held is None)
    return PartitionCoverage(topic, partition, tuple(spans), tuple(doubled), tuple(missing), unknown)


def _spans(position: Checkpoint) -> tuple[Span, ...]:
    return () if position.held is None else position.held.up_to(position.next_offset)
