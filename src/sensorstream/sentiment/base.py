"""Station 8: the interface of every scorer: texts in, one score for each, no exceptions.

A plug-in is an entry point of the group ``sensorstream.scorers``: a factory that takes the user's options as texts and
gives a :class:`Scorer`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

Label: TypeAlias = Literal["positive", "neutral", "negative"]
Status: TypeAlias = Literal["ok", "empty", "unsupported_language", "truncated", "error"]

LABELS: tuple[Label, ...] = ("negative", "neutral", "positive")


class Thresholds(NamedTuple):
    """From which compound score on a text is positive, and up to which it is negative; between them it is neutral.

    The default is the cut that VADER's authors give (Hutto and Gilbert 2014; README of vaderSentiment).
    """

    positive: float = 0.05
    negative: float = -0.05

    def label(self, compound: float) -> Label:
        """The label of a compound score."""
        if compound >= self.positive:
            return "positive"
        return "negative" if compound <= self.negative else "neutral"


class Score(NamedTuple):
    """What a scorer says of one text.

    ``compound`` lies in -1 to 1; ``pos``, ``neu`` and ``neg`` are the proportions of the text that speak for each, not
    probabilities. All four and ``label`` are None unless ``status`` is ``ok`` or ``truncated`` (only the head of the
    text was scored). ``language`` is an ISO 639-1 code, or None where it was not looked at or is not known; ``reason``
    says in one line what an ``error`` was.
    """

    compound: float | None
    pos: float | None
    neu: float | None
    neg: float | None
    label: Label | None
    status: Status = "ok"
    language: str | None = None
    reason: str | None = None


class WordScore(NamedTuple):
    """What one word added to a score.

    ``valence`` is the word's own, from the lexicon (None: not in it); ``contribution`` is what it came to in this
    text, after negations, boosters and the word ``but``; ``negated`` and ``boosted`` say which of them changed it;
    ``boost`` is what the words before it added.
    """

    word: str
    valence: float | None
    contribution: float
    negated: bool = False
    boosted: bool = False
    boost: float = 0.0


class Scorer(Protocol):
    """Scores texts. Used from one thread."""

    @property
    def name(self) -> str:
        """What it is called: ``vader``."""

    @property
    def version(self) -> str:
        """Its version; the same name and version give the same scores."""

    @property
    def languages(self) -> frozenset[str] | None:
        """The ISO 639-1 codes of the languages that it knows; None: any."""

    @property
    def thresholds(self) -> Thresholds | None:
        """How it cuts a compound score into labels; None: it makes them in another way."""

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order. One bad text never fails its batch: its status is ``error``."""


@runtime_checkable
class Explaining(Protocol):
    """A scorer that can say which words made a score."""

    def explain(self, text: str) -> list[WordScore]:
        """Each word of the text, in order."""


ScorerFactory: TypeAlias = Callable[[Mapping[str, str]], Scorer]
"""Makes a scorer of the user's options. Raises UsageError for one that it does not know."""
