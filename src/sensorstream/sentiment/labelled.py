"""Labelled or rated texts from a file: to evaluate a scorer or to train a model.

A row that can't be used is counted and named with its line, never guessed at and never taken for neutral.
"""

import itertools
import json
import math
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from sensorstream.errors import DataError, SourceError, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.records import Rejected
from sensorstream.sentiment.base import LABELS, Label, Thresholds
from sensorstream.sources.compressed import inner_name
from sensorstream.sources.formats import SourceForm
from sensorstream.sources.line_source import MAX_ROW
from sensorstream.sources.opening import open_bytes
from sensorstream.sources.text_lines import LineReader, LongLine

Format: TypeAlias = Literal["csv", "tsv", "jsonl", "goemotions", "vader"]
Excluded: TypeAlias = Literal["exclude"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
SUFFIXES: Final[dict[str, Format]] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
VADER_SCALE: Final = 4.0
KEPT_REJECTED: Final = 1000
READ_AT_ONCE: Final = 1000

WORDS: Final[dict[str, Label]] = {
    "positive": "positive",
    "pos": "positive",
    "neutral": "neutral",
    "neu": "neutral",
    "negative": "negative",
    "neg": "negative",
}
"""The labels that need no explanation. Numbers do: 1 is positive in one data set and neutral in the next."""

EMOTION_GROUPS: Final[dict[str, Label | Literal["ambiguous"]]] = {
    **dict.fromkeys(
        (
            *("admiration", "amusement", "approval", "caring", "desire", "excitement"),
            *("gratitude", "joy", "love", "optimism", "pride", "relief"),
        ),
        "positive",
    ),
    **dict.fromkeys(
        (
            *("anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment"),
            *("fear", "grief", "nervousness", "remorse", "sadness"),
        ),
        "negative",
    ),
    **dict.fromkeys(("confusion", "curiosity", "realization", "surprise"), "ambiguous"),
    "neutral": "neutral",
}
"""GoEmotions' emotions by sentiment, as its authors group them: Demszky et al. 2020, "GoEmotions: A Dataset of
Fine-Grained Emotions" (ACL), and ``goemotions/data/sentiment_dict.json`` (later ``sentiment_mapping.json``) of
github.com/google-research/google-research."""

EMOTIONS: Final = (*sorted(set(EMOTION_GROUPS) - {"neutral"}), "neutral")
"""The order that GoEmotions' ids index (its ``emotions.txt``): by the alphabet, ``neutral`` last."""


class LabelledText(NamedTuple):
    """One text and what people said of it.

    ``line`` is where it stands in its file, from 1; ``rating`` lies in -1 to 1 and is None where the text was only
    labelled.
    """

    line: int
    text: str
    label: Label
    rating: float | None = None


@dataclass(frozen=True, slots=True)
class RejectedText:
    """A row that can't be used: its line in the file, from 1, and why, in one line."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class LabelledOptions:
    """How to read a labelled file.

    ``format`` None goes by the file's suffix. ``label_column`` None is ``label``, or no column where a
    ``rating_column`` is given; then a rating r gives the gold score (r - ``rating_centre``) / ``rating_scale``, which
    must lie in -1 to 1, and the label by the cut ``gold_cut``. ``labels`` says what values of the label column mean
    that are not in :data:`WORDS`; ``exclude`` leaves such rows out. ``rating_scale`` None is 1, for ``vader`` 4.
    ``form`` is how the file is written; its ``format`` is not looked at. ``limit`` rows are taken at most.
    """

    format: Format | None = None
    text_column: str = "text"
    label_column: str | None = None
    rating_column: str | None = None
    labels: Mapping[str, Label | Excluded] = field(default_factory=dict)
    gold_cut: float = 0.05
    rating_scale: float | None = None
    rating_centre: float = 0.0
    form: SourceForm = field(default_factory=SourceForm)
    limit: int | None = None


class _Bad(Exception):  # never leaves this file
    """A row that can't be used, and why."""


class _Excluded(Exception):  # never leaves this file
    """A row that is left out on purpose, and as what."""


class LabelledFile:
    """A file of labelled texts; ``read`` goes through it, once, and counts what it can't give.

    ``path`` "-" is standard input. ``rejected`` and ``excluded`` (rows that the data set itself holds for undecided,
    by reason) grow as it is read; ``rejected_rows`` keeps the first 1,000. Raises UsageError for wrong options.
    """

    def __init__(
        self, path: str | Path, options: LabelledOptions | None = None, *, listener: Listener = ignore
    ) -> None:
        options = options or LabelledOptions()
        self._path = path
        self._options = options
        self._listener = listener
        self.name = "stdin" if str(path) == "-" else str(path)
        self.format: Format = options.format or self._by_suffix()
        preset = self.format in ("goemotions", "vader")
        columns = (options.label_column, options.rating_column, *options.form.of_tables, *options.labels)
        if preset and (any(columns) or options.text_column != "text"):
            raise UsageError(
                f"the format {self.format} fixes the columns and labels",
                hint="leave out the column, label and delimiter options, or name another --format",
            )
        if options.form.of_tables and self.format not in ("csv", "tsv"):
            told = ", ".join(options.form.of_tables)
            raise UsageError(f"{told}: not for the format {self.format}", hint="--format csv has such options")
        self.rated = self.format == "vader" or options.rating_column is not None
        self.gold_cut = options.gold_cut if self.rated else None
        scale = options.rating_scale
        self.rating_scale = (scale or (VADER_SCALE if self.format == "vader" else 1.0)) if self.rated else None
        self.rating_centre = options.rating_centre if self.rated else None
        if not 0 <= options.gold_cut <= 1:
            raise UsageError(f"gold cut {options.gold_cut:g} is not in 0 to 1", hint="for example 0.05")
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise UsageError(f"rating scale {scale:g} is not above 0", hint="4 for ratings from -4 to 4")
        if not math.isfinite(options.rating_centre):
            raise UsageError("the rating centre is not a number", hint="3 for ratings from 1 to 5")
        if not self.rated and (scale is not None or options.rating_centre):
            raise UsageError("a rating's scale and centre need ratings", hint="name their column with --rating-column")
        self._cut = Thresholds(options.gold_cut, -options.gold_cut)
        self._label_column = options.label_column or (None if options.rating_column else "label")
        self._labels: dict[str, Label | Excluded] = {
            **WORDS,
            **{name.strip().casefold(): label for name, label in options.labels.items()},
        }
        self.rejected = 0
        self.rejected_rows: list[RejectedText] = []
        self.excluded: dict[str, int] = {}

    def nothing_usable(self) -> DataError:
        """The error of a file that has been read and had no usable row, with the reason of its first one."""
        first = f": line {self.rejected_rows[0].line}: {self.rejected_rows[0].reason}" if self.rejected_rows else ""
        return DataError(
            f"{self.name} has no labelled text{first}", hint="its columns and labels can be named: see --help"
        )

    def read(self) -> Iterator[LabelledText]:
        """The usable rows, in the file's order. Raises SourceError, UsageError for a column that is not there."""
        readers: dict[Format, Callable[[], Iterator[LabelledText]]] = {
            "csv": self._read_csv,
            "tsv": self._read_csv,
            "jsonl": lambda: self._read_lines(self._of_json),
            "vader": lambda: self._read_lines(self._of_vader),
            "goemotions": lambda: self._read_lines(self._of_goemotions(self._emotions())),
        }
        yield from itertools.islice(readers[self.format](), self._options.limit)

    def _by_suffix(self) -> Format:
        suffix = Path(inner_name(str(self._path))).suffix.lower()
        if self.name == "stdin":
            return "csv"
        if suffix not in SUFFIXES:
            raise UsageError(
                f"{self.name}: its format can't be told from its name",
                hint=f"name it with --format {', '.join(FORMATS)}",
            )
        return SUFFIXES[suffix]

    def _take(self, line: int, make: Callable[[], LabelledText]) -> LabelledText | None:
        try:
            return make()
        except _Bad as fault:
            self._reject(line, str(fault))
        except _Excluded as fault:
            self.excluded[str(fault)] = self.excluded.get(str(fault), 0) + 1
        return None

    def _reject(self, line: int, reason: str) -> None:
        self.rejected += 1
        if len(self.rejected_rows) < KEPT_REJECTED:
            self.rejected_rows.append(RejectedText(line, reason))

    def _reject_row(self, bad: Rejected) -> None:
        self._reject(int(bad.where["line"]), bad.reason)

    def _read_csv(self) -> Iterator[LabelledText]:
        self._check_readable()
        form = replace(self._options.form, format=self.format)
        source = form.source(str(self._path), listener=self._listener)
        with source:
            places = {name: at for at, name in enumerate(source.columns)}
            for flag, name in (
                ("--text-column", self._options.text_column),
                ("--label-column", self._label_column),
                ("--rating-column", self._options.rating_column),
            ):
                if name is not None and name not in places:
                    shown = ", ".join(map(repr, source.columns[:12]))
                    raise UsageError(f"{self.name} has no column {name!r}", hint=f"{flag} names one of {shown}")
            while batch := source.read(READ_AT_ONCE):
                if not batch.rows and not batch.rejected:
                    return
                rejected = deque(batch.rejected)
                for _, line, cells in batch.rows:
                    while rejected and int(rejected[0].where["line"]) < line:
                        self._reject_row(rejected.popleft())

                    def cell(name: str, cells: Sequence[str] = cells) -> str:
                        return cells[places[name]]

                    row = self._take(line, lambda line=line, cell=cell: self._of_cells(line, cell))  # type: ignore[misc]
                    if row is not None:
                        yield row
                for bad in rejected:
                    self._reject_row(bad)

    def _read_lines(self, parse: Callable[[int, str], LabelledText]) -> Iterator[LabelledText]:
        for number, line in self._lines():
            if isinstance(line, LongLine):
                self._reject(number, f"it is longer than {MAX_ROW} characters")
                continue
            text = line.rstrip("\r\n")
            if not text.strip():
                continue
            row = self._take(number, lambda number=number, text=text: parse(number, text))  # type: ignore[misc]
            if row is not None:
                yield row

    def _lines(self) -> Iterator[tuple[int, str | LongLine]]:
        self._check_readable()
        number = 0
        file, read_some, _ = open_bytes(self._path, self.name)
        try:
            for block in LineReader(read_some, self.name, self._options.form.encoding, MAX_ROW).blocks():
                for line in block if isinstance(block, list) else (block,):
                    number += 1
                    yield number, line
        finally:
            if file is not None:
                file.close()

    def _check_readable(self) -> None:
        """Say what is wrong with the path before a reader does, whose hints are about topics."""
        if self.name == "stdin":
            if sys.stdin is None:
                raise SourceError("there is no standard input", hint="name a file")
            return
        try:
            path = Path(self._path)
            folder = stat.S_ISDIR(path.stat().st_mode)
            if not folder:
                path.open("rb").close()
        except FileNotFoundError as error:
            raise SourceError(f"there is no file {self.name}", hint="name a file of labelled texts") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SourceError(
                f"{self.name} can't be read: {reason}", hint="check the path and its permissions"
            ) from error
        if folder:
            raise SourceError(f"{self.name} is a folder", hint="name a file of labelled texts in it")

    def _of_cells(self, line: int, cell: Callable[[str], Any]) -> LabelledText:
        """A row of named values; ``cell`` gives the one of a column."""
        text = cell(self._options.text_column)
        if not isinstance(text, str):
            raise _Bad(f"{self._options.text_column!r} is not a text")
        rating = None if self._options.rating_column is None else self._rating(cell(self._options.rating_column))
        if self._label_column is None:
            return LabelledText(line, text, self._cut.label(rating or 0.0), rating)
        return LabelledText(line, text, self._label(cell(self._label_column)), rating)

    def _label(self, value: Any) -> Label:
        shown = str(value)
        label = self._labels.get(shown.strip().casefold()) if isinstance(value, str | int | float) else None
        if label is None:
            raise _Bad(
                f"{shown[:40]!r} is not a label: it says positive, neutral or negative (pos, neu, neg), "
                "or what --label VALUE=LABEL explains"
            )
        if label == "exclude":
            raise _Excluded(shown.strip())
        return label

    def _rating(self, value: Any) -> float:
        assert self.rating_scale is not None and self.rating_centre is not None  # noqa: S101  # for the type checker
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise _Bad(f"{str(value)[:40]!r} is not a rating")
        rating = (number - self.rating_centre) / self.rating_scale
        if not -1 <= rating <= 1:
            low, high = self.rating_centre - self.rating_scale, self.rating_centre + self.rating_scale
            raise _Bad(f"the rating {number:g} is not in {low:g} to {high:g} (--rating-scale, --rating-centre)")
        return rating

    def _of_json(self, line: int, text: str) -> LabelledText:
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _Bad(f"it is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise _Bad("it is not a JSON object")

        def cell(name: str) -> Any:
            if name not in record:
                raise _Bad(f"it has no field {name!r}")
            return record[name]

        return self._of_cells(line, cell)

    def _of_vader(self, line: int, text: str) -> LabelledText:
        """``id TAB mean rating TAB text``: the ground truth files of VADER's authors (Hutto and Gilbert 2014)."""
        parts = text.split("\t", 2)
        if len(parts) != 3:
            raise _Bad("it is not: id, tab, mean rating, tab, text")
        rating = self._rating(parts[1])
        return LabelledText(line, parts[2], self._cut.label(rating), rating)

    def _of_goemotions(self, emotions: Sequence[str]) -> Callable[[int, str], LabelledText]:
        """``text TAB emotion ids with commas TAB comment id``; all emotions of a row must be of one group."""

        def parse(line: int, text: str) -> LabelledText:
            parts = text.split("\t")
            if len(parts) != 3:
                raise _Bad("it is not: text, tab, emotion ids, tab, comment id")
            groups: set[str] = set()
            for number in parts[1].split(","):
                if not (number.isascii() and number.isdigit() and int(number) < len(emotions)):
                    raise _Bad(f"{number[:40]!r} is not the id of an emotion (0 to {len(emotions) - 1})")
                groups.add(EMOTION_GROUPS[emotions[int(number)]])
            if "ambiguous" in groups:
                raise _Excluded("ambiguous")
            if len(groups) > 1:
                raise _Excluded("mixed")
            return LabelledText(line, parts[0], next(label for label in LABELS if label in groups))

        return parse

    def _emotions(self) -> Sequence[str]:
        """The names that the ids index: of ``labels.txt`` or ``emotions.txt`` beside the file, else GoEmotions' own."""
        for name in ("labels.txt", "emotions.txt"):
            path = Path(self._path).with_name(name)
            if self.name == "stdin" or not path.is_file():
                continue
            try:
                emotions = path.read_text(encoding="utf-8").split()
            except (OSError, ValueError) as error:
                raise SourceError(f"{path} can't be read: {error}", hint="it names an emotion a line") from error
            unknown = next((emotion for emotion in emotions if emotion not in EMOTION_GROUPS), None)
            if unknown is not None or not emotions:
                raise SourceError(f"{path}: {unknown!r} is not an emotion of GoEmotions", hint="one name a line")
            return emotions
        return EMOTIONS
