"""Station 8, evaluated: the accuracy of a scorer on labelled texts. Pure arithmetic, except for the clock.

A text that the scorer gave no label (empty, of another language, an error) is never taken for neutral: it has a column
of its own, ``unscored``, in the confusion matrix and counts as missed in accuracy and recall. So a scorer can't win by
answering only where it is easy, and ``--min-macro-f1`` can't be met that way.
"""

import heapq
import itertools
import math
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias, get_args

from sensorstream.errors import Interrupted, SensorstreamError
from sensorstream.events import Listener, Progress, ignore
from sensorstream.sentiment.base import LABELS, Label, Score, Scorer, Status
from sensorstream.sentiment.labelled import LabelledFile, LabelledText, RejectedText
from sensorstream.wording import counted

BATCH: Final = 1000
UNSCORED: Final = "unscored"
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
TARGETS: Final[dict[Label, float]] = {"negative": -1.0, "neutral": 0.0, "positive": 1.0}

Outcome: TypeAlias = Label | Literal["unscored"]


@dataclass(frozen=True, slots=True)
class MeasuredScorer:
    """Which scorer was measured, and how it cuts its compound score; None: it makes its labels in another way."""

    name: str
    version: str
    thresholds: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How well one label was found; ``support`` is how many texts people gave it. None: nothing to divide by."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, slots=True)
class WorstError:
    """A text with a wrong label: ``gold`` is its rating, or -1, 0, 1 for its label; ``distance`` is how far off."""

    line: int
    text: str
    gold_label: Label
    label: Label
    gold: float
    compound: float
    distance: float


@dataclass(frozen=True, slots=True)
class Measures:
    """The figures of one scorer on one set of texts.

    ``confusion`` goes from the gold label to the given one, or ``unscored``. ``accuracy`` is the share of all texts
    with the right label. ``macro_f1`` is the plain mean of F1 over the labels that occur, as gold or as given.
    ``pearson`` is over the ``pearson_texts`` that are both rated and scored; None where there are fewer than two or one
    of the sides never changes. ``texts_per_s`` is of the scorer alone, reading not counted.
    """

    scorer: MeasuredScorer
    texts: int
    scored: int
    statuses: dict[str, int]
    gold: dict[str, int]
    predicted: dict[str, int]
    accuracy: float
    macro_f1: float
    classes: dict[str, ClassFigures]
    confusion: dict[str, dict[str, int]]
    pearson: float | None
    pearson_texts: int
    texts_per_s: float | None
    worst: tuple[WorstError, ...]


@dataclass(frozen=True, slots=True)
class Evaluation(Measures):
    """The figures, and what of the file they are of.

    A rating r was taken as (r - ``rating_centre``) / ``rating_scale`` and cut into a gold label at ``gold_cut``; all
    three are None where the file has labels only. ``rejected`` rows could not be used, ``excluded`` ones are those that
    the data set itself holds for undecided; neither is among the ``texts``.
    """

    file: str
    format: str
    gold_cut: float | None
    rating_scale: float | None
    rating_centre: float | None
    rejected: int
    rejected_rows: tuple[RejectedText, ...]
    excluded: dict[str, int]


class _Correlation:
    """Pearson's r of pairs as they come (Welford's update for means and co-moments; Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean_x = self._mean_y = 0.0
        self._xx = self._yy = self._xy = 0.0

    def add(self, x: float, y: float) -> None:
        self.count += 1
        dx, dy = x - self._mean_x, y - self._mean_y
        self._mean_x += dx / self.count
        self._mean_y += dy / self.count
        self._xx += dx * (x - self._mean_x)
        self._yy += dy * (y - self._mean_y)
        self._xy += dx * (y - self._mean_y)

    def value(self) -> float | None:
        """sum(dx dy) / sqrt(sum(dx²) sum(dy²)), d being the distance from the mean."""
        if self.count < 2 or not self._xx or not self._yy:
            return None
        return max(-1.0, min(1.0, self._xy / math.sqrt(self._xx * self._yy)))


def evaluate(
    file: LabelledFile,
    scorer: Scorer,
    *,
    worst: int = 5,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Evaluation:
    """Measure a scorer on a file. Raises what reading it raises, DataError where it has no usable row, Interrupted."""
    measured = measure(file.read(), scorer, worst=worst, stop=stop, listener=listener, what=file.name)
    if not measured.texts:
        raise file.nothing_usable()
    return Evaluation(
        **{part.name: getattr(measured, part.name) for part in fields(measured)},
        file=file.name,
        format=file.format,
        gold_cut=file.gold_cut,
        rating_scale=file.rating_scale,
        rating_centre=file.rating_centre,
        rejected=file.rejected,
        rejected_rows=tuple(file.rejected_rows),
        excluded=dict(file.excluded),
    )


def measure(
    rows: Iterable[LabelledText],
    scorer: Scorer,
    *,
    worst: int = 5,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    what: str = "texts",
) -> Measures:
    """Score the texts in batches of 1,000 and compare. Memory doesn't grow with the texts.

    Raises Interrupted when ``stop`` is set, SensorstreamError for a scorer that doesn't keep the protocol.
    """
    confusion: dict[Label, dict[Outcome, int]] = {gold: dict.fromkeys((*LABELS, UNSCORED), 0) for gold in LABELS}
    statuses: dict[Status, int] = dict.fromkeys(STATUSES, 0)
    correlation = _Correlation()
    worst_heap: list[tuple[float, int, WorstError]] = []
    seconds, done = 0.0, 0
    source = iter(rows)
    while batch := list(itertools.islice(source, BATCH)):
        if stop is not None and stop.is_set():
            raise Interrupted(f"stopped after {counted(done, 'text')}", hint="the figures of a part would mislead")
        started = time.perf_counter()
        scores = scorer.score_batch([row.text for row in batch])
        seconds += time.perf_counter() - started
        if len(scores) != len(batch):
            raise SensorstreamError(
                f"the scorer {scorer.name} gave {counted(len(scores), 'score')} for {counted(len(batch), 'text')}"
            )
        for row, score in zip(batch, scores, strict=True):
            compound, label = _answer(score)
            statuses["error" if score.status in ("ok", "truncated") and label is None else score.status] += 1
            confusion[row.label][UNSCORED if label is None else label] += 1
            if label is None or compound is None:
                continue
            if row.rating is not None:
                correlation.add(row.rating, compound)
            if label != row.label and worst:
                _keep_worst(worst_heap, worst, row, label, compound)
        done += len(batch)
        listener(Progress(what, done, None))
    errors = tuple(error for _, _, error in sorted(worst_heap, key=lambda one: (-one[0], -one[1])))
    cut = None if scorer.thresholds is None else dict(scorer.thresholds._asdict())
    identity = MeasuredScorer(scorer.name, scorer.version, cut)
    return _figures(identity, confusion, statuses, correlation, done / seconds if done and seconds else None, errors)


def _answer(score: Score) -> tuple[float | None, Label | None]:
    """What the scorer said; (None, None) where it said nothing, or nothing that is a score."""
    if score.status not in ("ok", "truncated") or score.compound is None or score.label not in LABELS:
        return None, None
    return (score.compound, score.label) if math.isfinite(score.compound) else (None, None)


def _keep_worst(
    heap: list[tuple[float, int, WorstError]], worst: int, row: LabelledText, label: Label, compound: float
) -> None:
    gold = TARGETS[row.label] if row.rating is None else row.rating
    distance = abs(compound - gold)
    if len(heap) == worst and distance <= heap[0][0]:
        return
    # Of equals the first in the file stays: later lines are the smaller ones here.
    entry = (distance, -row.line, WorstError(row.line, row.text, row.label, label, gold, compound, distance))
    (heapq.heappush if len(heap) < worst else heapq.heapreplace)(heap, entry)


def _figures(
    scorer: MeasuredScorer,
    confusion: dict[Label, dict[Outcome, int]],
    statuses: dict[Status, int],
    correlation: _Correlation,
    texts_per_s: float | None,
    worst: Sequence[WorstError],
) -> Measures:
    """Precision, recall and F1 as van Rijsbergen 1979 has them, from the counts."""
    gold: dict[str, int] = {label: sum(confusion[label].values()) for label in LABELS}
    predicted: dict[str, int] = {label: sum(confusion[other][label] for other in LABELS) for label in LABELS}
    texts = sum(gold.values())
    right = {label: confusion[label][label] for label in LABELS}
    classes: dict[str, ClassFigures] = {}
    for label in LABELS:
        # F1 = 2PR / (P + R) = 2 right / (gold + given), which is there when P or R has nothing to divide by.
        both = gold[label] + predicted[label]
        classes[label] = ClassFigures(
            precision=right[label] / predicted[label] if predicted[label] else None,
            recall=right[label] / gold[label] if gold[label] else None,
            f1=2 * right[label] / both if both else None,
            support=gold[label],
        )
    f1s = [one.f1 for one in classes.values() if one.f1 is not None]
    return Measures(
        scorer=scorer,
        texts=texts,
        scored=sum(predicted.values()),
        statuses={str(status): count for status, count in statuses.items()},
        gold=gold,
        predicted=predicted,
        accuracy=sum(right.values()) / texts if texts else 0.0,
        macro_f1=sum(f1s) / len(f1s) if f1s else 0.0,
        classes=classes,
        confusion={label: {str(given): count for given, count in row.items()} for label, row in confusion.items()},
        pearson=correlation.value(),
        pearson_texts=correlation.count,
        texts_per_s=texts_per_s,
        worst=tuple(worst),
    )
