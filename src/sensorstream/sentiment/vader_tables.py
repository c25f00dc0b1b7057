"""Station 8: the tables of vaderSentiment, and how its rules classify a word.

The tables (lexicon, emoji, boosters, negations, idioms) are read from the installed package vaderSentiment, by C. J.
Hutto, under the MIT licence: see THIRD_PARTY.md. Nothing of them is kept here.
"""

import string
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

VERSION: Final = "3.3.2"
"""The vaderSentiment whose scores these are; the project depends on just this one. Asking for it takes 30 ms."""

# A stream of posts repeats its words (Zipf's law): what each is to the rules is looked up once. Bounded in entries and
# in the length of each, so that a stream of random letters can't fill the memory.
_CACHED_WORDS: Final = 1 << 16
_CACHED_LENGTH: Final = 64


class Word:
    """One word as the rules see it. Words are shared between texts and never changed.

    ``text`` is without the punctuation around it, ``low`` in small letters. ``valence`` is the lexicon's, None where it
    has no such word. ``boost`` is what a booster adds, ``negates`` whether it turns what comes after. ``opens`` says
    that an idiom may begin here; ``acts`` that it can change the valence of a word after it; ``counts`` that it has a
    valence of its own to be worked out: the lexicon has it and it is no booster; ``speaks`` that it counts or is "but".
    """

    __slots__ = ("acts", "boost", "counts", "is_but", "low", "negates", "opens", "speaks", "text", "upper", "valence")

    def __init__(self, token: str, tables: "Tables") -> None:
        stripped = token.strip(string.punctuation)
        # What is left of an emoticon is short: it stays whole.
        self.text = token if len(stripped) <= 2 else stripped
        self.low = low = self.text.lower()
        self.upper = self.text.isupper()
        self.valence = tables.lexicon.get(low)
        self.boost = tables.boosters.get(low, 0.0)
        self.negates = low in tables.negations or "n't" in low
        self.opens = low in tables.opening
        self.counts = self.valence is not None and low not in tables.boosters
        self.is_but = low == "but"
        self.speaks = self.counts or self.is_but
        # The lexicon's own words change nothing after them, but for "no" and the parts of idioms.
        free = self.valence is None
        self.acts = self.opens or low == "no" or (free and (low in tables.acting or self.negates))


class Words(dict[str, Word]):
    """Token to word, remembered."""

    def __init__(self, tables: "Tables") -> None:
        super().__init__()
        self._tables = tables

    def __missing__(self, token: str) -> Word:
        made = Word(token, self._tables)
        if len(token) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_WORDS:
                self.clear()
            self[token] = made
        return made


class Tables:
    """The tables of one installed vaderSentiment. Reading them takes some milliseconds; :func:`tables` does it once."""

    def __init__(self) -> None:
        from vaderSentiment import vaderSentiment

        self._folder = Path(vaderSentiment.__file__).parent
        self.boosters: dict[str, float] = vaderSentiment.BOOSTER_DICT
        self.negations: frozenset[str] = frozenset(vaderSentiment.NEGATE)
        self.idioms: dict[str, float] = vaderSentiment.SPECIAL_CASES
        self.caps: float = vaderSentiment.C_INCR
        self.negation: float = vaderSentiment.N_SCALAR
        pairs = [phrase for phrase in self.boosters if " " in phrase]
        self.opening = frozenset(phrase.split()[0] for phrase in (*self.idioms, *pairs))
        self.acting = frozenset({*self.boosters, "so", "this", "least"})
        self.lexicon = {line[0]: float(line[1]) for line in self._read("vader_lexicon.txt")}

    @property
    def emoji(self) -> dict[str, str]:
        """Each emoji of one code point, and the words that stand for it.

        The table has longer ones too; the reference looks at single code points and so never finds them.
        """
        return {line[0]: line[1] for line in self._read("emoji_utf8_lexicon.txt") if len(line[0]) == 1}

    def _read(self, name: str) -> Iterator[list[str]]:
        """The columns of a table; its lines end with \\n alone, a word may be any other sign."""
        text = (self._folder / name).read_bytes().decode("utf-8")
        return (line.strip().split("\t") for line in text.split("\n") if line)


class Emoji:
    """Writes out emoji in words, as the reference does it."""

    def __init__(self, table: dict[str, str]) -> None:
        # One blank more than the reference where a blank stood before: words are parted by any number of them.
        self._signs = frozenset(table)
        self._words = {ord(sign): f" {said}" for sign, said in table.items()}

    def written_out(self, text: str) -> str:
        """The text with a blank and its words for each emoji."""
        return text if self._signs.isdisjoint(text) else text.translate(self._words)


@cache
def tables() -> Tables:
    """The tables of the installed vaderSentiment, read once in a process."""
    return Tables()


@cache
def emoji() -> Emoji:
    """The emoji, read when the first text that is not ASCII comes."""
    return Emoji(tables().emoji)
