"""Station 8: the scorer ``vader+clean``: VADER, after removing what keeps words from being found in its lexicon.

The lexicon has ``isn't`` with a straight apostrophe and a heart without a variation selector, and takes ``&lt;3`` for
no heart at all. Its scores differ from VADER's, so it has a name of its own.
"""

import html
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from sensorstream.sentiment.base import Score, WordScore
from sensorstream.sentiment.vader import VaderScorer, thresholds_of

_VERSION: Final = "clean.1"

# Quotation marks and apostrophes to the plain ones; variation selectors (Unicode 16, section 23.4) to nothing.
_PLAIN: Final[dict[int, str | None]] = {
    **dict.fromkeys((0x2018, 0x2019, 0x201A, 0x201B, 0x2032, 0x02BC, 0x00B4), "'"),
    **dict.fromkeys((0x201C, 0x201D, 0x201E, 0x201F, 0x2033, 0x00AB, 0x00BB), '"'),
    **dict.fromkeys((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))),
}


def cleaned(text: str) -> str:
    """The text with HTML character references read, quotation marks plain, and without variation selectors."""
    if "&" in text:
        with suppress(ValueError):  # a reference of thousands of digits: no reference at all
            text = html.unescape(text)
    return text if text.isascii() else text.translate(_PLAIN)


class CleanVaderScorer:
    """The scorer ``vader+clean``: :class:`~sensorstream.sentiment.vader.VaderScorer` on cleaned texts."""

    name = "vader+clean"

    def __init__(self, vader: VaderScorer) -> None:
        self._vader = vader
        self.version = f"{vader.version}+{_VERSION}"
        self.languages = vader.languages
        self.thresholds = vader.thresholds

    def score_batch(self, texts: Sequence[str]) -> list[Score]:
        """One score for each text, in order; all of them ``ok``."""
        return self._vader.score_batch([cleaned(text) for text in texts])

    def explain(self, text: str) -> list[WordScore]:
        """Each word of the cleaned text, in order."""
        return self._vader.explain(cleaned(text))


def make(options: Mapping[str, str]) -> CleanVaderScorer:
    """A scorer ``vader+clean``; the options are those of ``vader``. Raises UsageError."""
    return CleanVaderScorer(VaderScorer(thresholds_of(options)))
