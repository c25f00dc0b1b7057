"""A scorer: texts by their emoticons alone, in any language."""

from collections.abc import Mapping, Sequence

from sensorstream.errors import UsageError
from sensorstream.sentiment.base import Score, Thresholds

GOOD = (":)", ":-)", ":D", "<3")
BAD = (":(", ":-(", ":'(", ":/")


class Emoticons:
    """Compound is the share of good emoticons less that of bad ones."""

    name = "emoticons"
    version = "1"
    languages = None  # any
    thresholds = Thresholds()

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order."""
        return [self._score(text) for text in texts]

    def _score(self, text: str) -> Score:
        good = sum(map(text.count, GOOD))
        bad = sum(map(text.count, BAD))
        found = good + bad
        if not found:
            return Score(0.0, 0.0, 1.0, 0.0, "neutral")
        compound = (good - bad) / found
        return Score(compound, good / found, 0.0, bad / found, self.thresholds.label(compound))


def make(options: Mapping[str, str]) -> Emoticons:
    """The scorer; it has no options."""
    if options:
        raise UsageError(f"emoticons has no option {next(iter(options))!r}", hint="leave --set out")
    return Emoticons()
