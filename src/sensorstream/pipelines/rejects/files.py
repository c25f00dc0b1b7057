"""Station 9, read back: rejected files, line by line."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensorstream.errors import DecodeError, SourceError
from sensorstream.sinks import dead_letter
from sensorstream.sinks.dead_letter import DeadLetter
from sensorstream.sinks.rejected import ENDING

_REASONS: Final = 10


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no dead letter, edited badly as it may be; lines count from 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many letters of a file that are still open have this reason."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What a rejected file holds: ``open`` of its ``letters`` were not retried yet.

    ``topics`` are those that they come from or were to go to, in order of appearance; ``reasons`` the most frequent
    ones of the open letters; ``bad_lines`` what can't be read.
    """

    path: str
    letters: int
    open: int
    retried: int
    topics: tuple[str, ...]
    reasons: tuple[ReasonCount, ...]
    bad_lines: tuple[BadLine, ...]


@dataclass(frozen=True, slots=True)
class RejectedFiles:
    """The rejected files that were found, by name."""

    files: tuple[FileSummary, ...]


def find(paths: Sequence[Path]) -> list[Path]:
    """The files among ``paths``; of a folder, all rejected files in it, by name. Raises SourceError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            try:
                found += sorted(one for one in path.iterdir() if one.name.endswith(ENDING) and one.is_file())
            except OSError as error:
                raise _unreadable(path, error) from error
        elif path.exists():
            found.append(path)
        else:
            raise SourceError(f"there is no file {path}", hint="name rejected files, or their folder")
    return list(dict.fromkeys(found))


def letters(path: Path) -> Iterator[tuple[int, DeadLetter | BadLine]]:
    """The letters of a file with their lines, counted from 1; blank lines are none. Raises SourceError."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield number, dead_letter.load(line)
                except DecodeError as error:
                    yield number, BadLine(number, error.message)
    except OSError as error:
        raise _unreadable(path, error) from error


def summarise(paths: Sequence[Path]) -> RejectedFiles:
    """What the files, and those of the folders, hold. Raises SourceError."""
    return RejectedFiles(tuple(_summary(path) for path in find(paths)))


def _summary(path: Path) -> FileSummary:
    count = retried = 0
    topics: dict[str, None] = {}
    reasons: Counter[str] = Counter()
    bad: list[BadLine] = []
    for _, letter in letters(path):
        if isinstance(letter, BadLine):
            bad.append(letter)
            continue
        count += 1
        if letter.topic is not None:
            topics[letter.topic] = None
        if letter.retried is not None:
            retried += 1
        else:
            reasons[letter.reason] += 1
    most = tuple(ReasonCount(reason, times) for reason, times in reasons.most_common(_REASONS))
    return FileSummary(str(path), count, count - retried, retried, tuple(topics), most, tuple(bad))


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"{path} can't be read: {error.strerror or error}")
