"""Station 8: score texts one by one for people, optionally with each word's contribution."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sensorstream.errors import UsageError
from sensorstream.sentiment.base import Label, Score, Status, WordScore
from sensorstream.sentiment.checked_scorer import CheckedScorer

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class ScoredWord:
    """One word of an explanation: see :class:`~sensorstream.sentiment.base.WordScore`."""

    word: str
    valence: float | None
    contribution: float
    negated: bool
    boosted: bool
    boost: float


@dataclass(frozen=True, slots=True)
class ScoredText:
    """One text and its score: see :class:`~sensorstream.sentiment.base.Score`. ``words`` is None unless asked for."""

    text: str
    compound: float | None
    pos: float | None
    neu: float | None
    neg: float | None
    label: Label | None
    status: Status
    language: str | None
    reason: str | None
    words: tuple[ScoredWord, ...] | None


@dataclass(frozen=True, slots=True)
class CutAt:
    """From which compound score on a text is positive, and up to which it is negative."""

    positive: float
    negative: float


@dataclass(frozen=True, slots=True)
class UsedScorer:
    """Which scorer it was: the same name, version and thresholds give the same scores and labels.

    ``thresholds`` is None where it does not make its labels of the compound score.
    """

    name: str
    version: str
    thresholds: CutAt | None


@dataclass(frozen=True, slots=True)
class TextsScored:
    """The scores of some texts, in order, and what they were made with."""

    scorer: UsedScorer
    scores: tuple[ScoredText, ...]

    @property
    def errors(self) -> int:
        """How many of the texts could not be scored because something failed."""
        return sum(score.status == "error" for score in self.scores)


def score_texts(lines: Iterable[bytes], scorer: CheckedScorer, *, explain: bool = False) -> TextsScored:
    """Score texts as they came from outside: each is the UTF-8 of one text.

    One that is not UTF-8 has the status ``error``. With ``explain`` each score has the words that made it. Raises
    UsageError where the scorer can't explain.
    """
    if explain and not scorer.can_explain:
        raise UsageError(f"the scorer {scorer.name!r} can't explain its scores", hint="leave out --explain")
    scores: list[ScoredText] = []
    remaining = iter(lines)
    while batch := list(islice(remaining, _BATCH)):
        scores += _scored(batch, scorer, explain)
    cut = None if scorer.thresholds is None else CutAt(*scorer.thresholds)
    return TextsScored(UsedScorer(scorer.name, scorer.version, cut), tuple(scores))


def _scored(lines: list[bytes], scorer: CheckedScorer, explain: bool) -> Iterator[ScoredText]:
    decoded = [_decoded(line) for line in lines]
    scores = iter(scorer.score_batch([text for text, wrong in decoded if wrong is None]))
    for text, wrong in decoded:
        score = wrong or next(scores)
        words = None
        if explain:
            words = tuple(map(_word, scorer.explain(text))) if score.compound is not None else ()
        yield ScoredText(text, *score[:5], score.status, score.language, score.reason, words)


def _word(word: WordScore) -> ScoredWord:
    return ScoredWord(*word)


def _decoded(line: bytes) -> tuple[str, Score | None]:
    """The text, and, where it is not UTF-8, what is said of it instead of a score."""
    try:
        return line.decode(), None
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8"
        return line.decode(errors="replace"), Score(None, None, None, None, None, "error", None, reason)
