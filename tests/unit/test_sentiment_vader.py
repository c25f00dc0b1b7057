"""What ``vader`` is made of, ``vader+clean``, and the words that explain a score."""

import math
from importlib.metadata import version
from typing import Any

import pytest

from sensorstream.errors import UsageError
from sensorstream.sentiment.base import Explaining, Thresholds, WordScore
from sensorstream.sentiment.clean import cleaned
from sensorstream.sentiment.clean import make as make_clean
from sensorstream.sentiment.vader import VaderScorer, make


def word(text: str, of: str) -> WordScore:
    return next(one for one in VaderScorer().explain(text) if one.word == of)


def test_its_version_is_that_of_the_tables() -> None:
    assert VaderScorer().version == version("vaderSentiment")


def test_an_explanation_has_every_word_in_order() -> None:
    words = VaderScorer().explain("The film, \N{COPYRIGHT SIGN}2014, was GREAT!")
    assert [one.word for one in words] == ["The", "film", "copyright2014", "was", "GREAT"]
    assert isinstance(VaderScorer(), Explaining)


def test_it_names_negation_and_boost() -> None:
    assert word("it was good", "good") == WordScore("good", 1.9, 1.9)
    negated = word("it was not good", "good")
    assert (negated.negated, negated.boosted) == (True, False)
    assert negated.contribution == pytest.approx(1.9 * -0.74)
    boosted = word("it was very good", "good")
    assert (boosted.negated, boosted.boosted, boosted.boost) == (False, True, 0.293)
    assert boosted.contribution == pytest.approx(1.9 + 0.293)
    dampened = word("it was slightly bad", "bad")
    assert dampened.boost == pytest.approx(0.293)
    assert word("it was never so good", "good").boosted
    assert word("no good", "good").negated
    assert word("the least good", "good").negated
    assert not word("not was not good", "good").negated, "turned twice"


def test_it_tells_the_weight_of_but() -> None:
    assert word("good but bad", "good").contribution == pytest.approx(1.9 / 2)
    assert word("good but bad", "bad").contribution == pytest.approx(-2.5 * 1.5)
    assert word("it is kind of you", "kind").contribution == 0


@pytest.mark.parametrize(
    "text", ["I love it but hate him", "NOT a very GOOD day", "that is the bomb", "so bad so good", "nothing here", ""]
)
def test_the_contributions_add_up_to_the_score(text: str) -> None:
    scorer = VaderScorer()
    total = sum(one.contribution for one in scorer.explain(text))
    assert scorer.score(text).compound == round(total / math.sqrt(total * total + 15), 4)


def test_thresholds_cut_the_labels() -> None:
    assert [Thresholds().label(compound) for compound in (0.05, 0.049, -0.049, -0.05)] == [
        "positive",
        "neutral",
        "neutral",
        "negative",
    ]
    strict = make({"positive": "0.5", "negative": "-0.5"})
    assert strict.thresholds == (0.5, -0.5)
    assert strict.score("It is good.").label == "neutral"
    assert VaderScorer().score("It is good.").label == "positive"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"positive": "much"}, "not a number"),
        ({"positive": "nan"}, "do not separate the labels"),
        ({"positive": "2"}, "do not separate the labels"),
        ({"positive": "-0.5", "negative": "0.5"}, "do not separate the labels"),
        ({"colour": "red"}, "no option 'colour'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, str], says: str) -> None:
    for factory in (make, make_clean):
        maker: Any = factory
        with pytest.raises(UsageError, match=says):
            maker(options)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("isn\u2019t good", "isn't good"),
        ("\u201cgood\u201d", '"good"'),
        ("\u2764\ufe0f", "\u2764"),
        ("a &amp; b &lt;3", "a & b <3"),
        ("AT&T", "AT&T"),
        ("&#" + "9" * 5000 + ";", "&#" + "9" * 5000 + ";"),
        ("\ud800 good", "\ud800 good"),
        ("", ""),
    ],
    ids=lambda text: ascii(text)[:20],
)
def test_what_hides_words_is_cleaned(text: str, clean: str) -> None:
    assert cleaned(text) == clean
    assert make_clean({}).score_batch([text]) == VaderScorer().score_batch([clean])


def test_clean_changes_the_known_absurdities() -> None:
    plain, clean = make({}), make_clean({})
    curly, heart = "It isn\u2019t good.", "\u2764\ufe0f"
    assert plain.score_batch([curly])[0].label == "positive"
    assert clean.score_batch([curly])[0].label == "negative"
    assert plain.score_batch([heart])[0].compound == 0
    assert clean.score_batch([heart])[0].compound == 0.6369
    assert (clean.name, clean.version) == ("vader+clean", f"{plain.version}+clean.1")
    assert [one.word for one in clean.explain(curly)] == ["It", "isn't", "good"]
