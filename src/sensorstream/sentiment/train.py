"""Train a model from labelled texts, and evaluate it on texts that it has not seen.

Needs scikit-learn (``pip install 'sensorstream[ml]'``); scoring with the model does not. The same file, options and
library versions give the same model, byte for byte.
"""

import math
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensorstream.errors import DataError, Interrupted, SensorstreamError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.sentiment.base import LABELS, Thresholds
from sensorstream.sentiment.evaluate import MeasuredScorer, Measures, measure
from sensorstream.sentiment.labelled import LabelledFile, LabelledText, RejectedText
from sensorstream.sentiment.model import (
    FEATURES,
    Description,
    ModelScorer,
    Parameters,
    model_bytes,
    parse_model,
    terms,
    vader_features,
)
from sensorstream.sentiment.vader import VaderScorer
from sensorstream.wording import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST: Final = 10
"""Texts of each label below which nothing is trained: a share of them is held out, and the rest is split again."""
FOLDS: Final = 3
OCCURRENCES: Final = 2
STEP: Final = 0.01

_CODE: Final = re.compile("[a-z]{2}")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train. ``held_out`` is the share of texts kept for the report; ``name`` None is the model file's, without
    its suffix; ``languages`` are those of the texts, None: any; ``force`` replaces a file that is there.
    """

    seed: int = 0
    held_out: float = 0.2
    name: str | None = None
    languages: tuple[str, ...] | None = ("en",)
    force: bool = False


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """What a scorer came to on the texts held out; see :class:`~sensorstream.sentiment.evaluate.Measures`."""

    scorer: MeasuredScorer
    texts: int
    accuracy: float
    macro_f1: float
    texts_per_s: float | None


@dataclass(frozen=True, slots=True)
class Training:
    """The model that was made. ``duplicates`` and ``empty`` rows were left out: a text that is in both parts would make
    the figures too good. ``labels`` counts those of the texts that remain.
    """

    file: str
    model: str
    name: str
    version: str
    bytes: int
    seed: int
    trained_on: int
    held_out: int
    labels: dict[str, int]
    terms: int
    thresholds: dict[str, float]
    rejected: int
    rejected_rows: tuple[RejectedText, ...]
    excluded: dict[str, int]
    duplicates: int
    empty: int
    figures: HeldOutFigures
    vader: HeldOutFigures
    seconds: float


def train(
    file: LabelledFile,
    to: str | Path,
    options: TrainOptions | None = None,
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Training:
    """Train on a part of the file, measure on the rest, and write the model to ``to``.

    The model that is written is the one that was measured. Raises UsageError for wrong options and without
    scikit-learn, DataError for too few texts, what reading the file raises, and Interrupted; then nothing is written.
    """
    options = options or TrainOptions()
    started = time.monotonic()
    target = Path(to)
    _check(options, target)
    rows, duplicates, empty = _distinct(file)
    if not rows and not empty:
        raise file.nothing_usable()
    counts = Counter(row.label for row in rows)
    for label in LABELS:
        if counts[label] < FEWEST and (counts[label] or label != "neutral"):
            raise DataError(
                f"{file.name} has {counts[label]} usable texts labelled {label}, at least {FEWEST} are needed",
                hint="label more of them" if counts[label] else "a model needs positive and negative texts",
            )
    learned, held = _split(rows, options)
    _go_on(stop)
    listener(Notice(f"training on {counted(len(learned), 'text')}, {len(held):,} held out"))
    vader = VaderScorer()
    parameters, thresholds = _fit(learned, vader, options.seed, stop, listener)
    description = Description(
        options.name or target.stem,
        options.languages,
        thresholds,
        vader.version,
        {
            "file": Path(file.name).name,
            "format": file.format,
            "seed": options.seed,
            "trained_on": dict(sorted(Counter(row.label for row in learned).items())),
            "held_out": dict(sorted(Counter(row.label for row in held).items())),
        },
    )
    content = model_bytes(description, parameters)
    scorer = ModelScorer(*parse_model(content, target))
    figures, baseline = _figures(measure(held, scorer, worst=0)), _figures(measure(held, vader, worst=0))
    _go_on(stop)
    _write(target, content)
    return Training(
        file=file.name,
        model=str(target),
        name=scorer.name,
        version=scorer.version,
        bytes=len(content),
        seed=options.seed,
        trained_on=len(learned),
        held_out=len(held),
        labels={label: counts[label] for label in LABELS},
        terms=len(parameters.terms),
        thresholds=dict(thresholds._asdict()),
        rejected=file.rejected,
        rejected_rows=tuple(file.rejected_rows),
        excluded=dict(file.excluded),
        duplicates=duplicates,
        empty=empty,
        figures=figures,
        vader=baseline,
        seconds=time.monotonic() - started,
    )


def _check(options: TrainOptions, target: Path) -> None:
    """Say what is wrong before minutes are spent."""
    if not 0.05 <= options.held_out <= 0.5:
        raise UsageError(f"held-out share {options.held_out:g} is not in 0.05 to 0.5", hint="for example 0.2")
    if options.name is not None and not options.name.strip():
        raise UsageError("the model's name is empty", hint="it is stored with every score")
    wrong = next((code for code in options.languages or () if not _CODE.fullmatch(code)), None)
    if wrong is not None:
        raise UsageError(f"{wrong!r} is not the code of a language", hint="for example en (ISO 639-1), or any alone")
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint="name a file for the model")
    if target.exists() and not options.force:
        raise UsageError(f"{target} is there already", hint="name another file, or replace it with --force")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", hint="make it first")
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "training needs scikit-learn, which is not installed",
            hint="install it with: pip install 'sensorstream[ml]'",
        ) from error


def _go_on(stop: threading.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Interrupted("stopped before the model was made", hint="nothing was written")


def _distinct(file: LabelledFile) -> tuple[list[LabelledText], int, int]:
    """The texts, each once and none blank; and how many rows were left out as duplicates and as empty."""
    rows: dict[str, LabelledText] = {}
    duplicates = empty = 0
    for row in file.read():
        if not row.text.strip():
            empty += 1
        elif row.text in rows:
            duplicates += 1
        else:
            rows[row.text] = row
    return list(rows.values()), duplicates, empty


def _split(rows: Sequence[LabelledText], options: TrainOptions) -> tuple[list[LabelledText], list[LabelledText]]:
    """The texts to learn from and those held out: of each label the same share, drawn by the seed."""
    drawn: set[int] = set()
    chance = random.Random(options.seed)  # noqa: S311  # a split, not a secret
    for label in LABELS:
        places = [at for at, row in enumerate(rows) if row.label == label]
        chance.shuffle(places)
        drawn.update(places[: round(len(places) * options.held_out)])
    return [row for at, row in enumerate(rows) if at not in drawn], [rows[at] for at in sorted(drawn)]


def _fit(
    rows: Sequence[LabelledText], vader: VaderScorer, seed: int, stop: threading.Event | None, listener: Listener
) -> tuple[Parameters, Thresholds]:
    """Learn the weights from all rows, and the thresholds from what models of two thirds say of the other third."""
    import numpy as np

    names, idf, matrix = _features(rows, vader)
    labels = np.array([LABELS.index(row.label) for row in rows])
    folds = _folds(labels, seed)
    compounds = np.zeros(len(rows))
    for fold in range(FOLDS):
        _go_on(stop)
        inside = folds != fold
        weights, intercept = _regression(matrix[inside], labels[inside], listener)
        compounds[~inside] = _compounds(matrix[~inside], weights, intercept)
    _go_on(stop)
    weights, intercept = _regression(matrix, labels, listener)
    return Parameters(tuple(names), idf, weights, intercept), fit_thresholds(compounds, labels)


def _features(rows: Sequence[LabelledText], vader: VaderScorer) -> "tuple[list[str], NDArray[np.float64], Any]":
    """TF-IDF of the terms, with VADER's figures behind it, as a sparse matrix; as scikit-learn has TF-IDF.

    A term counts 1 + ln(tf) times its idf, ln((1 + texts) / (1 + texts with the term)) + 1, and each text's terms are
    brought to length 1 (``TfidfVectorizer(sublinear_tf=True)``). A term of one text alone says nothing of others.
    """
    import numpy as np
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    counted = [Counter(terms(row.text)) for row in rows]
    texts_with: Counter[str] = Counter()
    for counts in counted:
        texts_with.update(counts.keys())
    names = sorted(term for term, count in texts_with.items() if count >= OCCURRENCES)
    place = {name: at for at, name in enumerate(names)}
    idf = np.array([math.log((1 + len(rows)) / (1 + texts_with[name])) + 1 for name in names], dtype=np.float64)
    values: list[float] = []
    columns: list[int] = []
    ends = [0]
    for row, counts in zip(rows, counted, strict=True):
        own = {place[term]: 1 + math.log(count) for term, count in counts.items() if term in place}
        weighed = [tf * float(idf[at]) for at, tf in own.items()]
        length = math.sqrt(sum(value * value for value in weighed)) or 1.0
        values += [value / length for value in weighed]
        columns += own
        values += vader_features(vader, row.text)
        columns += range(len(names), len(names) + len(FEATURES))
        ends.append(len(values))
    return names, idf, csr_matrix((values, columns, ends), shape=(len(rows), len(names) + len(FEATURES)))


def _folds(labels: "NDArray[np.int64]", seed: int) -> "NDArray[np.int64]":
    """The fold of each row, each label spread evenly over them."""
    import numpy as np

    chance = random.Random(seed)  # noqa: S311  # a split, not a secret
    folds = np.zeros(len(labels), dtype=np.int64)
    for label in range(len(LABELS)):
        places = np.flatnonzero(labels == label).tolist()
        chance.shuffle(places)
        for at, place in enumerate(places):
            folds[place] = at % FOLDS
    return folds


def _regression(
    matrix: Any, labels: "NDArray[np.int64]", listener: Listener
) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Weights (a column a label) and intercept of a logistic regression; a label that is not there gets -inf."""
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    # One thread: how many there are changes the last digits, and threads that wait for each other on a busy machine
    # take many times as long.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fitted = LogisticRegression(C=1.0, tol=1e-3, max_iter=500).fit(matrix, labels)
    if any(issubclass(one.category, ConvergenceWarning) for one in told):
        listener(Notice("the regression stopped before it had converged: the model may be weaker", "warning"))
    coefficients, starts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:
        # Of two labels scikit-learn gives the log-odds of the second; the first one's are then 0.
        coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
        starts = np.array([0.0, starts[0]])
    weights = np.zeros((matrix.shape[1], len(LABELS)))
    intercept = np.full(len(LABELS), -np.inf)
    weights[:, fitted.classes_] = coefficients.T
    intercept[fitted.classes_] = starts
    return weights, intercept


def _compounds(matrix: Any, weights: "NDArray[np.float64]", intercept: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """p(positive) - p(negative) of each row, by the softmax of its three sums."""
    import numpy as np

    logits = matrix @ weights + intercept
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = odds / odds.sum(axis=1, keepdims=True)
    return np.asarray(chances[:, 2] - chances[:, 0])


def fit_thresholds(compounds: "NDArray[np.float64]", labels: "NDArray[np.int64]") -> Thresholds:
    """The cuts of ``compounds``, in steps of 0.01, that give the best macro-F1; ``labels`` index :data:`LABELS`.

    Without a neutral text both cuts are the same, and no text is called neutral.
    """
    import numpy as np

    steps = np.round(np.arange(1, round(1 / STEP)) * STEP, 2)
    counts = [int((labels == label).sum()) for label in range(len(LABELS))]
    if not counts[1]:
        both = np.concatenate([-steps[::-1], [0.0], steps])
        above = compounds >= both[:, None]
        scores = (_f1(above & (labels == 2), above, counts[2]) + _f1(~above & (labels == 0), ~above, counts[0])) / 2
        cut = float(both[_middle_of_best(scores)[0]])
        return Thresholds(cut, cut)
    above, below = compounds >= steps[:, None], compounds <= -steps[:, None]
    positive, negative = _f1(above & (labels == 2), above, counts[2]), _f1(below & (labels == 0), below, counts[0])
    # Neither cut takes a text from the other, so what is left for neutral is a difference of counts.
    left = len(labels) - above.sum(axis=1)[:, None] - below.sum(axis=1)[None, :]
    neutral = labels == 1
    right = counts[1] - (above & neutral).sum(axis=1)[:, None] - (below & neutral).sum(axis=1)[None, :]
    scores = positive[:, None] + negative[None, :] + 2 * right / (left + counts[1])
    at_positive, at_negative = _middle_of_best(scores)
    return Thresholds(float(steps[at_positive]), -float(steps[at_negative]))


def _middle_of_best(scores: "NDArray[np.float64]") -> "tuple[int, ...]":
    """The place of the highest score; of several equal ones that nearest to their middle, farthest from any worse."""
    import numpy as np

    best = np.argwhere(scores >= scores.max() - 1e-12)
    nearest = int(np.argmin(((best - best.mean(axis=0)) ** 2).sum(axis=1)))
    return tuple(int(at) for at in best[nearest])


def _f1(right: "NDArray[np.bool_]", given: "NDArray[np.bool_]", gold: int) -> "NDArray[np.float64]":
    """F1 for each row of cuts: 2 right / (given + gold)."""
    import numpy as np

    return np.asarray(2 * right.sum(axis=1) / (given.sum(axis=1) + gold))


def _figures(measures: Measures) -> HeldOutFigures:
    return HeldOutFigures(measures.scorer, measures.texts, measures.accuracy, measures.macro_f1, measures.texts_per_s)


def _write(target: Path, content: bytes) -> None:
    """The file is there whole or not at all."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SensorstreamError(
            f"{target} can't be written: {error.strerror or error}", hint="check the folder and its permissions"
        ) from error
