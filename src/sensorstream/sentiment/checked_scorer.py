"""Station 8: checks before any scorer: empty, long and foreign texts, and texts that make it fail."""

import re
from collections.abc import Sequence
from typing import Final

from sensorstream.errors import SensorstreamError
from sensorstream.sentiment.base import LABELS, Explaining, Score, Scorer, Status, Thresholds, WordScore

MAX_CHARS: Final = 20_000
"""The default length cap, in characters (code points). What is longer is no post."""

_EMPTY: Final = Score(None, None, None, None, None, "empty")
# How far back the cut of a long text looks for a blank, so that it parts no word.
_LONGEST_WORD: Final = 100


class CheckedScorer:
    """A scorer that answers for every text; one text never costs the others of its batch their scores.

    A text without anything but white space is ``empty``. Of a text longer than ``max_chars`` the head is scored and
    the status is ``truncated``. With ``check_language`` a text in a language that the scorer does not know is not
    scored, ``unsupported_language``; where the language can't be told it is scored. A text for which the scorer
    raises, or gives figures out of range, is an ``error``.
    """

    def __init__(self, scorer: Scorer, *, max_chars: int = MAX_CHARS, check_language: bool = True) -> None:
        self.scorer = scorer
        self.max_chars = max_chars
        self.check_language = check_language and scorer.languages is not None

    @property
    def name(self) -> str:
        """The scorer's own name."""
        return self.scorer.name

    @property
    def version(self) -> str:
        """The scorer's own version."""
        return self.scorer.version

    @property
    def languages(self) -> frozenset[str] | None:
        """The languages that the scorer knows."""
        return self.scorer.languages

    @property
    def thresholds(self) -> Thresholds | None:
        """The scorer's own thresholds."""
        return self.scorer.thresholds

    @property
    def can_explain(self) -> bool:
        """Whether the scorer can say which words made a score."""
        return isinstance(self.scorer, Explaining)

    def explain(self, text: str) -> list[WordScore]:
        """Each word of the text, in order, as far as it is scored; nothing where the scorer can't say.

        Raises SensorstreamError when the scorer fails at it.
        """
        if not isinstance(self.scorer, Explaining):
            return []
        head, _ = self._head(text)
        try:
            return self.scorer.explain(head)
        except (Exception, SystemExit) as error:  # a plug-in may raise anything
            raise SensorstreamError(f"the scorer {self.name!r} can't explain this text: {_one_line(error)}") from error

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order. It never raises because of a text."""
        answers = [_EMPTY] * len(texts)
        places = [place for place, text in enumerate(texts) if text and not text.isspace()]
        heads = [self._head(texts[place]) for place in places]
        languages = self._languages([text for text, _ in heads])
        known = self.scorer.languages
        taken: list[tuple[int, Status, str | None]] = []
        scored: list[str] = []
        for place, (text, status), language in zip(places, heads, languages, strict=True):
            if language is not None and known is not None and language not in known:
                answers[place] = Score(None, None, None, None, None, "unsupported_language", language)
                continue
            taken.append((place, status, language))
            scored.append(text)
        for (place, status, language), score in zip(taken, self._scores(scored), strict=True):
            # Nothing to note, nothing to make anew.
            answers[place] = score if language is None and status == "ok" else _noted(score, status, language)
        return answers

    def get_ready(self) -> None:
        """Begin, on another thread, what takes long before the first text: nobody has to wait for it."""
        if self.check_language:
            from sensorstream.sentiment.language import load_ahead

            load_ahead()

    def _languages(self, texts: list[str]) -> list[str | None]:
        if not self.check_language:
            return [None] * len(texts)
        from sensorstream.sentiment.language import languages_of

        return languages_of(texts)

    def _head(self, text: str) -> tuple[str, Status]:
        """What of a text is scored: all of it, or the whole words within ``max_chars``."""
        if len(text) <= self.max_chars:
            return text, "ok"
        text = text.lstrip()
        if len(text) <= self.max_chars:
            return text, "ok"
        head = text[: self.max_chars]
        if not text[self.max_chars].isspace():
            blank = re.search(r"\s\S*\Z", head[-_LONGEST_WORD:])
            if blank is not None:
                head = head[: len(head) - len(blank[0])]
        return head, "truncated"

    def _scores(self, texts: list[str]) -> list[Score]:
        """The scorer's own scores; where the batch fails, text by text."""
        try:
            scores = list(self.scorer.score_batch(texts))
        except (Exception, SystemExit):  # a plug-in may raise anything
            scores = []
        if len(scores) == len(texts):
            return [_checked(score) for score in scores]
        return [self._single(text) for text in texts]

    def _single(self, text: str) -> Score:
        try:
            scores = list(self.scorer.score_batch([text]))
        except (Exception, SystemExit) as error:
            return _failed(_one_line(error))
        if len(scores) != 1:
            return _failed(f"the scorer gave {len(scores)} scores for 1 text")
        return _checked(scores[0])


def _checked(score: Score) -> Score:
    """The score, its figures as plain numbers: a plug-in's may be numpy's, which are written otherwise."""
    if not _is_sound(score):
        return _failed("a figure is missing or out of range")
    compound, pos, neu, neg, label, status, language, reason = score
    if compound is None or pos is None or neu is None or neg is None:
        return score
    if type(compound) is type(pos) is type(neu) is type(neg) is float:
        return score
    return Score(float(compound), float(pos), float(neu), float(neg), label, status, language, reason)


def _is_sound(score: Score) -> bool:
    """Whether the figures of a score are what they say; NaN is not, nor is whatever else a plug-in may give."""
    try:
        compound, pos, neu, neg, label, status, _, _ = score
        if status not in ("ok", "truncated"):
            return label is None and compound is pos is neu is neg is None
        if compound is None or pos is None or neu is None or neg is None or label not in LABELS:
            return False
        return -1 <= compound <= 1 and 0 <= pos <= 1 and 0 <= neu <= 1 and 0 <= neg <= 1
    except (TypeError, ValueError):
        return False


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def _failed(reason: str) -> Score:
    return Score(None, None, None, None, None, "error", None, reason)


def _noted(score: Score, status: Status, language: str | None) -> Score:
    """The score with what was found out before it was made; what the scorer itself says goes first."""
    compound, pos, neu, neg, label, said, spoken, reason = score
    return Score(
        compound, pos, neu, neg, label, status if said == "ok" else said, language if spoken is None else spoken, reason
    )
