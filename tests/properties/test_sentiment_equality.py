"""``vader`` gives the scores of vaderSentiment 3.3.2, figure for figure, for real texts and for any other."""

import os
import random
import statistics
import string
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment import vaderSentiment

from sensorstream.sentiment.vader import VaderScorer

SEED = 2014
BUILT_FROM_RULES = [
    "The plot was good, but the characters are uncompelling and the dialog is not great.",
    "VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!",
    "NO GOOD and no really good, no one or bad nor good",
    "never so happy, never this bad ever so good; without a doubt great; without doubt great",
    "the least good, at least good, very least bad, least GOOD",
    "kind of good KIND of bad, sort of a great just enough love Kind",
    "that is the bomb yeah right the shit bad ass kiss of death to die for beating heart bus stop",
    "it is so very kind of the shit but BUT good good good bad bad but good",
    "but good but good but good good bad but",
    "1.9 good but nice good but bad bad GOOD bad great great but great",
    "\N{GRINNING FACE}good\N{GRINNING FACE} \N{FACE WITH TEARS OF JOY}\N{FACE WITH TEARS OF JOY}! \N{COPYRIGHT SIGN}",
    "\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16} \N{HEAVY BLACK HEART}",
    "isn\N{RIGHT SINGLE QUOTATION MARK}t good isn't good ISN'T GOOD uh-uh good",
    "????", "good??", "good???", "good ????????!!!!!!", "bad!", "!", "", " ", "\n\t", "no", "No no NO", "KIND",
    "\x00", "good\x00bad", "good\x1fbad", "good\x85bad\u2028good\u200bbad", "\ud800 good", "GOOD\ud83d", "\u0130 good",
    ":) :-D ;) (: :'( </3 <3 x-d XD :P",
]  # fmt: skip
FIGURES = ("compound", "pos", "neu", "neg")


@cache
def reference() -> Any:
    return vaderSentiment.SentimentIntensityAnalyzer()


@cache
def ours() -> VaderScorer:
    return VaderScorer()


def assert_equal(text: str) -> None:
    wanted = reference().polarity_scores(text)
    score = ours().score(text)
    # As text: so is -0.0 told from 0.0, and every digit counts.
    assert [repr(figure) for figure in score[:4]] == [repr(wanted[name]) for name in FIGURES], ascii(text)


class Fuzz:
    """Texts made of what the rules look at, much more of it than texts have. Seeded: each text has a number."""

    def __init__(self) -> None:
        lexicon = sorted(reference().lexicon)
        boosters = sorted(vaderSentiment.BOOSTER_DICT)
        idioms = [*vaderSentiment.SPECIAL_CASES, *vaderSentiment.SENTIMENT_LADEN_IDIOMS]
        emoji = sorted(reference().emojis)
        rules = "no never so this without doubt least at very kind of or nor but not isn't ain't the sort just enough"
        plain = "a film today I went home with it and he said walrus 42 http://a.b/c @you #tag e.g. U.S.A. x"
        odd = ["\u00a0", "\u2028", "\x00", "\x1c", "\ufe0f", "\u200d", "\ud800", "\udc00", "\u0130", "\u1e9e", "\u03a3"]
        marks = ["!", "?", "!!", "??", "...", ":)", ":(", ";", "<3", "'", '"', "(", "\u2019", "\uff01", "-"]
        self._kinds = [lexicon, boosters, rules.split(), idioms, emoji, plain.split(), marks, odd]
        self._weights = [30, 14, 30, 8, 6, 18, 8, 3]
        self._few = ["good", "bad", "great", "GOOD", "Bad", "but", "BUT", "nice", "not", "very"]

    def text(self, number: int) -> str:
        chance = random.Random(SEED * 1_000_003 + number)
        # One in ten says the same few words again and again: what "but" does depends on equal valences.
        kinds, weights = ([self._few], [1]) if number % 10 == 0 else (self._kinds, self._weights)
        length = chance.choice([*range(1, 16), 25, 40])
        parts: list[str] = []
        for kind in chance.choices(kinds, weights, k=length):
            word = chance.choice(kind)
            case = chance.random()
            word = word.upper() if case < 0.15 else word.title() if case < 0.25 else word
            if chance.random() < 0.12:
                word = chance.choice(string.punctuation) + word
            if chance.random() < 0.2:
                word += chance.choice(["!", "?", ",", ".", "!!!", "...", "'", ":", "\u2026", "n't"])
            parts.append(word)
            parts.append(chance.choice(["", "\t", "\n", "  ", "\u3000"]) if chance.random() < 0.08 else " ")
        return "".join(parts)


@pytest.mark.parametrize("text", BUILT_FROM_RULES, ids=ascii)
def test_each_rule(text: str) -> None:
    assert_equal(text)


def rated_tweets() -> Iterator[str]:
    folder = os.environ.get("SENSORSTREAM_TEST_DATA")
    if folder is None:
        pytest.skip("SENSORSTREAM_TEST_DATA is not set: the rated tweets are not part of the project")
    with (Path(folder) / "vader_tweets" / "tweets_GroundTruth.txt").open(encoding="utf-8", newline="") as file:
        yield from (line.rstrip("\r\n").split("\t", 2)[2] for line in file)


def test_all_rated_tweets() -> None:
    texts = list(rated_tweets())
    assert len(texts) == 4200
    for text in texts:
        assert_equal(text)


def test_fuzzed_texts() -> None:
    fuzz = Fuzz()
    for number in range(4_000):
        assert_equal(fuzz.text(number))


@pytest.mark.campaign
def test_sixty_thousand_fuzzed_texts() -> None:
    fuzz = Fuzz()
    for number in range(4_000, 64_000):
        assert_equal(fuzz.text(number))


@settings(max_examples=300)
@given(
    st.lists(st.one_of(st.text(max_size=8), st.sampled_from(["good", "BAD", "but", "not", "so", "kind", "of", "!"])))
)
def test_any_text(words: list[str]) -> None:
    assert_equal(" ".join(words))


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["good", "bad", "great", "no", "but", "nice", "x"]), max_size=60))
def test_any_number_of_buts(words: list[str]) -> None:
    assert_equal(" ".join(words))


def test_what_was_remembered_changes_nothing() -> None:
    """The scorer looks words up once; a stream of ever new ones must not fill the memory, nor mix them up."""
    scorer = VaderScorer()
    for number in range(70_000):
        scorer.score(f"word{number}")
    assert len(scorer._words) <= 1 << 16
    scorer.score("x" * 1000)
    assert all(len(word) <= 64 for word in scorer._words)
    for text in BUILT_FROM_RULES:
        assert scorer.score(text) == ours().score(text)


LONG: dict[str, Callable[[int], str]] = {
    "words": lambda n: "this is not a very good film, the worst of all " * (n // 47),
    "emoji": lambda n: "\N{FACE WITH TEARS OF JOY}" * (n // 4),
    "buts": lambda n: "good but bad great " * (n // 19),
    "one word": lambda n: "a" * n,
    "one valence": lambda n: "good " * (n // 5) + "but",
    "ever new": lambda n: " ".join(f"good{number} GOOD" for number in range(n // 11)),
}


@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_time_is_linear_in_the_length(make: Callable[[int], str]) -> None:
    """Four times the text takes about four times as long; where it grew with the square it would be sixteen times."""
    short, long = make(16_000), make(64_000)
    scorer = VaderScorer()

    def seconds(text: str) -> float:
        began = time.thread_time()
        for _ in range(4):
            scorer.score(text)
        return time.thread_time() - began

    seconds(long)
    ratios = [seconds(long) / seconds(short) for _ in range(7)]
    assert statistics.median(ratios) < 8, ratios
