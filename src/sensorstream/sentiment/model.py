"""Station 8: the scorer of a model that was trained here; reading and writing its file.

The model is a logistic regression on the words of a text (TF-IDF of words and pairs of words) and on what VADER says of
it. Scoring is sums over plain dictionaries: it needs no scikit-learn, and takes time linear in the text's length.

A model file is a zip of JSON and of arrays without Python objects in them: opening one never runs code, wherever it
came from. Its version is a digest of its content, so that two models never pass for the same.
"""

import hashlib
import io
import json
import math
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensorstream.errors import DataError, SourceError, UsageError
from sensorstream.sentiment.base import LABELS, Score, Scorer, Thresholds
from sensorstream.sentiment.vader import VaderScorer, thresholds_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT: Final = "sensorstream sentiment model"
FORMAT_VERSION: Final = 1
FEATURES: Final = ("compound", "pos", "neu", "neg")
ENTRIES: Final = ("model.json", "terms.json", "idf.npy", "weights.npy", "intercept.npy")
MAX_BYTES: Final = 1 << 30
VERSION_DIGITS: Final = 12
HINT: Final = "make one with: sensorstream sentiment train"

# What zipfile, zlib, json and numpy raise for bytes that somebody else wrote, or that were hit on the way.
_DAMAGES: Final = (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError),
    *(ValueError, TypeError, KeyError, IndexError, OverflowError, SyntaxError),
)

_WORDS: Final = re.compile(r"\w+(?:'\w+)*|[!?]+|[^\w\s]")
_CURLY: Final = "\N{RIGHT SINGLE QUOTATION MARK}"


def terms(text: str) -> list[str]:
    """What a text is made of for a model: its words in lower case, signs and emoji, and each two in a row."""
    words = _WORDS.findall(text.lower().replace(_CURLY, "'"))
    return words + [f"{first} {second}" for first, second in pairwise(words)]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What was learned. ``weights`` has a row for each term and then one for each of VADER's figures, and a column for
    each label (negative, neutral, positive), as ``intercept`` has; a label that was not learned has -inf there.
    """

    terms: tuple[str, ...]
    idf: "NDArray[np.float64]"
    weights: "NDArray[np.float64]"
    intercept: "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Description:
    """What a model says of itself. ``vader`` is the version of vaderSentiment whose figures it was trained with."""

    name: str
    languages: tuple[str, ...] | None
    thresholds: Thresholds
    vader: str
    training: Mapping[str, Any]


class ModelScorer:
    """A trained model as a scorer.

    ``compound`` is p(positive) - p(negative). ``pos``, ``neu`` and ``neg`` are the probabilities that the model gives
    the labels, not, as VADER's, proportions of the text. The label is ``compound`` cut at ``thresholds``, which were
    fitted in training. A text of blanks is ``empty``.
    """

    def __init__(self, description: Description, parameters: Parameters, version: str) -> None:
        self.name = description.name
        self.version = version
        self.languages = None if description.languages is None else frozenset(description.languages)
        self.thresholds = description.thresholds
        self.description = description
        self._vader = VaderScorer()
        if self._vader.version != description.vader:
            raise UsageError(
                f"the model {self.name} needs vaderSentiment {description.vader}, {self._vader.version} is installed",
                hint="install that version, or train the model again",
            )
        count = len(parameters.terms)
        idf, weights = parameters.idf.tolist(), parameters.weights.tolist()
        self._table: dict[str, tuple[float, float, float, float]] = {
            term: (idf[at], *weights[at]) for at, term in enumerate(parameters.terms)
        }
        self._of_vader: list[list[float]] = weights[count:]
        self._intercept: list[float] = parameters.intercept.tolist()

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order."""
        return [self._score(text) for text in texts]

    def _score(self, text: str) -> Score:
        if not text.strip():
            return Score(None, None, None, None, None, "empty")
        try:
            negative, neutral, positive = self.probabilities(text)
        except Exception as error:  # one bad text never fails its batch
            return Score(None, None, None, None, None, "error", reason=f"{type(error).__name__}: {error}")
        compound = positive - negative
        return Score(compound, positive, neutral, negative, self.thresholds.label(compound))

    def probabilities(self, text: str) -> tuple[float, float, float]:
        """How probable the model holds negative, neutral and positive; they add up to 1."""
        length = negative = neutral = positive = 0.0
        for term, count in Counter(terms(text)).items():
            known = self._table.get(term)
            if known is not None:
                idf, to_negative, to_neutral, to_positive = known
                value = idf if count == 1 else (1 + math.log(count)) * idf
                length += value * value
                negative += value * to_negative
                neutral += value * to_neutral
                positive += value * to_positive
        scale = 1 / math.sqrt(length) if length else 0.0
        logits = [
            start + scale * total for start, total in zip(self._intercept, (negative, neutral, positive), strict=True)
        ]
        for value, row in zip(vader_features(self._vader, text), self._of_vader, strict=True):
            for at, weight in enumerate(row):
                logits[at] += value * weight
        highest = max(logits)
        odds = [math.exp(logit - highest) for logit in logits]
        whole = sum(odds)
        return odds[0] / whole, odds[1] / whole, odds[2] / whole


def vader_features(vader: VaderScorer, text: str) -> tuple[float, float, float, float]:
    """What VADER says of a text, in the order of :data:`FEATURES`."""
    score = vader.score(text)
    return score.compound or 0.0, score.pos or 0.0, score.neu or 0.0, score.neg or 0.0


def open_model(path: str | Path, options: Mapping[str, str]) -> Scorer:
    """The scorer of a model file; the options ``positive`` and ``negative`` replace its thresholds.

    Raises SourceError for a file that can't be read, DataError for one that is no model or damaged, UsageError for an
    unknown option and where another vaderSentiment is installed than the model was trained with.
    """
    description, parameters, version = read_model(path)
    if options:
        positive, negative = map(repr, description.thresholds)
        thresholds = thresholds_of({"positive": positive, "negative": negative, **options})
        description = Description(
            description.name, description.languages, thresholds, description.vader, description.training
        )
    return ModelScorer(description, parameters, version)


def model_bytes(description: Description, parameters: Parameters) -> bytes:
    """A model file. The same model gives the same bytes."""
    head = {"format": FORMAT, "format_version": FORMAT_VERSION, "labels": LABELS, "features": FEATURES}
    said = asdict(description)
    said["thresholds"] = description.thresholds._asdict()
    contents = {
        "model.json": _json({**head, **said}),
        "terms.json": _json(parameters.terms),
        "idf.npy": _array(parameters.idf),
        "weights.npy": _array(parameters.weights),
        "intercept.npy": _array(parameters.intercept),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ENTRIES:
            # The entry's date is fixed (1980): a model is known by its content alone.
            archive.writestr(zipfile.ZipInfo(name), contents[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read_model(path: str | Path) -> tuple[Description, Parameters, str]:
    """A model file's description, parameters and version. Raises SourceError, DataError."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise SourceError(f"there is no model file {path}", hint=HINT) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{path} can't be read: {reason}", hint="check the path and its permissions") from error
    return parse_model(content, path)


def parse_model(content: bytes, path: str | Path) -> tuple[Description, Parameters, str]:
    """What the bytes of a model file hold; ``path`` is what errors call it. Raises DataError."""
    try:
        entries = _entries(content)
        description = _description(json.loads(entries["model.json"]))
        parameters = _parameters(entries)
    except _DAMAGES as error:
        reason = " ".join((str(error) or type(error).__name__).split())
        raise DataError(f"{path} is not a model, or a damaged one: {reason}", hint=HINT) from error
    digest = hashlib.sha256()
    for name in ENTRIES:
        digest.update(len(entries[name]).to_bytes(8, "big") + entries[name])
    return description, parameters, digest.hexdigest()[:VERSION_DIGITS]


def _entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sorted(archive.namelist()) != sorted(ENTRIES):
            raise ValueError("it is a zip of something else")
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES >> 20} MiB")
        return {name: archive.read(name) for name in ENTRIES}


def _description(said: Any) -> Description:
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ValueError("its description is of something else")
    if said["format_version"] != FORMAT_VERSION:
        raise ValueError(f"its format is {said['format_version']!r}, this program reads {FORMAT_VERSION}")
    if said["labels"] != list(LABELS) or said["features"] != list(FEATURES):
        raise ValueError("its labels or features are others")
    name, languages, vader, training = said["name"], said["languages"], said["vader"], said["training"]
    thresholds = Thresholds(**{side: float(value) for side, value in said["thresholds"].items()})
    texts = isinstance(name, str) and name and isinstance(vader, str) and isinstance(training, dict)
    codes = languages is None or (isinstance(languages, list) and all(isinstance(one, str) for one in languages))
    if not texts or not codes or not -1 <= thresholds.negative <= thresholds.positive <= 1:
        raise ValueError("its description has wrong values")
    return Description(name, None if languages is None else tuple(languages), thresholds, vader, training)


def _parameters(contents: Mapping[str, bytes]) -> Parameters:
    import numpy as np

    names = json.loads(contents["terms.json"])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("its terms are not texts")
    idf, weights, intercept = (_read_array(contents[f"{name}.npy"]) for name in ("idf", "weights", "intercept"))
    shapes = (idf.shape, weights.shape, intercept.shape)
    if shapes != ((len(names),), (len(names) + len(FEATURES), len(LABELS)), (len(LABELS),)):
        raise ValueError(f"its arrays have the shapes {shapes}")
    # -inf in the intercept is a label that was not learned.
    if not (np.isfinite(idf).all() and np.isfinite(weights).all() and np.isfinite(intercept.max())):
        raise ValueError("its arrays hold what is not a number")
    return Parameters(tuple(names), idf, weights, intercept)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


def _array(values: "NDArray[np.float64]") -> bytes:
    """As 4-byte floats, which is far finer than what was learned, in numpy's own format."""
    import numpy as np

    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(values, dtype="<f4"), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _read_array(content: bytes) -> "NDArray[np.float64]":
    import numpy as np

    read = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    if read.dtype != np.dtype("<f4"):
        raise ValueError(f"an array is of {read.dtype}")
    return read.astype(np.float64)
