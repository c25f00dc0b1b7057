"""Station 8: the scorer ``vader``: the same scores as vaderSentiment 3.3.2, in linear time and faster.

VADER (Hutto and Gilbert, 2014: "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM) adds up the valences of a text's words after rules for negation, boosters, capitals, idioms and the word "but".
The rules here were written anew after what the reference does, oddities included, since people compare figures with it;
a property test holds them equal. What makes it faster: a word's part in the rules is looked up once and remembered, and
only words of the lexicon, and of them those that stand near a word that acts, go through the rules at all.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final

from sensorstream.errors import UsageError
from sensorstream.sentiment.base import Score, Thresholds, WordScore
from sensorstream.sentiment.vader_tables import VERSION, Word, Words, emoji, tables

_ENGLISH: Final = frozenset({"en"})
_ALPHA: Final = 15  # approximates the largest sum that is expected
_FADING: Final = (1.0, 0.95, 0.9)  # a booster one, two, three words before


class Steps:
    """What the rules did to one word, for people who ask: see :class:`~sensorstream.sentiment.base.WordScore`."""

    __slots__ = ("boost", "negated")

    def __init__(self) -> None:
        self.boost = 0.0
        self.negated = False


class VaderScorer:
    """The scorer ``vader``. English only; any text has a score, an empty one 0.

    It says nothing of languages, length and empty texts: :mod:`sensorstream.sentiment.checked_scorer` does.
    """

    name = "vader"
    version = VERSION
    languages: frozenset[str] | None = _ENGLISH

    def __init__(self, thresholds: Thresholds = Thresholds()) -> None:  # noqa: B008  # it is immutable
        self.thresholds = thresholds
        self._tables = tables()
        self._words = Words(self._tables)
        self._neutral = Score(0.0, 0.0, 1.0, 0.0, thresholds.label(0.0))

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order; all of them ``ok``."""
        return [self.score(text) for text in texts]

    def score(self, text: str) -> Score:
        """The score of one text."""
        if not text.isascii():
            text = emoji().written_out(text)
        words = list(map(self._words.__getitem__, text.split()))
        if not words:
            return Score(0.0, 0.0, 0.0, 0.0, self.thresholds.label(0.0))
        valences = self._valences(words)
        return self._sum_up(text, len(words), valences.values()) if valences else self._neutral

    def explain(self, text: str) -> list[WordScore]:
        """Each word of the text in order, emoji written out. The contributions add up to what becomes ``compound``."""
        if not text.isascii():
            text = emoji().written_out(text)
        words = list(map(self._words.__getitem__, text.split()))
        steps = {at: Steps() for at, word in enumerate(words) if word.counts}
        found = self._valences(words, steps)
        nothing = Steps()
        return [
            WordScore(
                word.text,
                word.valence,
                found.get(at, 0.0),
                negated=(step := steps.get(at, nothing)).negated,
                boosted=step.boost != 0,
                boost=step.boost,
            )
            for at, word in enumerate(words)
        ]

    def _valences(self, words: list[Word], steps: Mapping[int, Steps] | None = None) -> dict[int, float]:
        """The places of the words that count, in order, each with what it adds to the sum; never 0."""
        found: dict[int, float] = {}
        but = -1
        mixed: bool | None = None
        for at in [at for at, word in enumerate(words) if word.speaks]:
            word = words[at]
            if not word.counts:
                if but < 0:
                    but = at
                continue
            valence = word.valence or 0.0
            near = words[at - 3 if at > 3 else 0 : at]
            acting = word.opens
            for other in near:
                if other.acts:
                    acting = True
                    break
            low = word.low
            if low in ("kind", "no") and at + 1 < len(words):
                after = words[at + 1]
                if low == "kind" and after.low == "of":
                    continue
                if low == "no" and after.valence is not None:
                    valence = 0.0
            if acting or word.upper:
                if mixed is None:
                    mixed = _is_mixed(words)
                valence = self._ruled(words, at, valence, mixed, steps[at] if steps else Steps())
            if valence:
                found[at] = valence
        if but >= 0 and found:
            _weigh_by_but(found, but)
        return found

    def _ruled(self, words: list[Word], at: int, valence: float, mixed: bool, steps: Steps) -> float:
        """A word's valence after the rules for what stands near it. ``mixed``: capitals stand out in this text."""
        word = words[at]
        one = words[at - 1] if at > 0 else None
        two = words[at - 2] if at > 1 else None
        three = words[at - 3] if at > 2 else None
        turned = self._tables.negation
        if (
            (one and one.low == "no")
            or (two and two.low == "no")
            or (three and three.low == "no" and one and one.low in ("or", "nor"))
        ):
            valence = (word.valence or 0.0) * turned
            steps.negated = True
        if mixed and word.upper:
            valence += self._tables.caps if valence > 0 else -self._tables.caps
        if one and one.valence is None:
            valence += self._boost(one, valence, mixed, 0, steps)
            if one.negates:
                valence *= turned
                steps.negated = not steps.negated
        if one and two and two.valence is None:
            valence += self._boost(two, valence, mixed, 1, steps)
            if two.low == "never" and one.low in ("so", "this"):
                valence = _stressed(valence, steps)
            elif two.negates and not (two.low == "without" and one.low == "doubt"):
                valence *= turned
                steps.negated = not steps.negated
        if one and two and three and three.valence is None:
            valence += self._boost(three, valence, mixed, 2, steps)
            # As in the reference, "so" or "this" just before is enough, without a "never" further ahead.
            if (three.low == "never" and two.low in ("so", "this")) or one.low in ("so", "this"):
                valence = _stressed(valence, steps)
            elif three.negates and not (three.low == "without" and "doubt" in (two.low, one.low)):
                valence *= turned
                steps.negated = not steps.negated
            if word.opens or one.opens or two.opens or three.opens:
                valence = self._idioms(words, at, valence, steps)
        if one and one.low == "least" and one.valence is None and not (two and two.low in ("at", "very")):
            valence *= turned
            steps.negated = not steps.negated
        return valence

    def _boost(self, booster: Word, valence: float, mixed: bool, distance: int, steps: Steps) -> float:
        """What a booster adds to the valence of a word; ``distance`` is the number of words between them."""
        boost = booster.boost
        if not boost:
            return 0.0
        if valence < 0:
            boost *= -1
        if mixed and booster.upper:
            boost += self._tables.caps if valence > 0 else -self._tables.caps
        if distance and boost:
            boost *= _FADING[distance]
        steps.boost += boost
        return boost

    def _idioms(self, words: list[Word], at: int, valence: float, steps: Steps) -> float:
        """The valence of the idiom that the word is a part of, if it is of one. There are three words before it."""
        idioms, boosters = self._tables.idioms, self._tables.boosters
        three, two, one, zero = (word.low for word in words[at - 3 : at + 1])
        for phrase in (
            f"{one} {zero}",
            f"{two} {one} {zero}",
            f"{two} {one}",
            f"{three} {two} {one}",
            f"{three} {two}",
        ):
            if phrase in idioms:
                valence = idioms[phrase]
                break
        after = [word.low for word in words[at + 1 : at + 3]]
        for count in range(1, len(after) + 1):
            valence = idioms.get(" ".join((zero, *after[:count])), valence)
        for phrase in (f"{three} {two} {one}", f"{three} {two}", f"{two} {one}"):
            boost = boosters.get(phrase, 0.0)
            steps.boost += boost
            valence += boost
        return valence

    def _sum_up(self, text: str, count: int, valences: Collection[float]) -> Score:
        """The figures of a text of ``count`` words of which those that speak have these valences."""
        # The built-in sum, as in the reference: from Python 3.12 on it rounds less than adding one by one.
        total = float(sum(valences))
        emphasis = min(text.count("!"), 4) * 0.292
        questions = text.count("?")
        if questions > 1:
            emphasis += questions * 0.18 if questions <= 3 else 0.96
        if total > 0:
            total += emphasis
        elif total < 0:
            total -= emphasis
        compound = total / math.sqrt(total * total + _ALPHA)
        positive = negative = 0.0
        for valence in valences:
            if valence > 0:
                positive += valence + 1
            else:
                negative += valence - 1
        neutral = count - len(valences)
        if positive > -negative:
            positive += emphasis
        elif positive < -negative:
            negative -= emphasis
        whole = positive - negative + neutral
        compound = round(compound, 4)
        return Score(
            compound,
            round(positive / whole, 3),
            round(neutral / whole, 3),
            round(abs(negative) / whole, 3),
            self.thresholds.label(compound),
        )


def _stressed(valence: float, steps: Steps) -> float:
    steps.boost += valence * 0.25
    return valence * 1.25


def _is_mixed(words: list[Word]) -> bool:
    """Whether some words, not all, are in capitals."""
    first = words[0].upper
    return any(word.upper is not first for word in words)


def _weigh_by_but(found: dict[int, float], but: int) -> None:
    """Halve what stands before the first "but" and raise by half what stands after it, as the reference does it.

    The reference looks for each valence by its value, from the front, in the list that it is changing: of equal
    valences always the first is changed, several times if need be, and a place that is not before or after the "but"
    that was meant. Equal figures need the same; a heap of places for each value keeps it near linear.
    """
    places: dict[float, list[int]] = {}
    for at, valence in list(found.items()):
        heap = places.setdefault(valence, [])
        heappush(heap, at)
        while found[heap[0]] != valence:
            heappop(heap)  # it has changed since
        first = heap[0]
        if first == but:
            continue
        changed = valence * (0.5 if first < but else 1.5)
        found[first] = changed
        heappush(places.setdefault(changed, []), first)


def make(options: Mapping[str, str]) -> VaderScorer:
    """A scorer ``vader``; the options ``positive`` and ``negative`` are its thresholds. Raises UsageError."""
    return VaderScorer(thresholds_of(options))


def thresholds_of(options: Mapping[str, str]) -> Thresholds:
    """The thresholds that the options ``positive`` and ``negative`` give. Raises UsageError for any other option."""
    values = Thresholds()._asdict()
    for name, text in options.items():
        if name not in values:
            raise UsageError(
                f"the scorer has no option {name!r}", hint=f"it has {', '.join(values)}, language, max_chars"
            )
        try:
            values[name] = float(text)
        except ValueError as error:
            raise UsageError(f"{name}={text} is not a number", hint="a compound score lies in -1 to 1") from error
    made = Thresholds(**values)
    if not -1 <= made.negative <= made.positive <= 1:
        raise UsageError(
            f"thresholds {made.negative:g} and {made.positive:g} do not separate the labels",
            hint="negative is at most positive, and both lie in -1 to 1",
        )
    return made
