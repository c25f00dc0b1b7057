"""What the labels of an exported model mean: its own, or the user's; nothing is guessed."""

from collections.abc import Sequence

import pytest

from sensorstream.errors import UsageError
from sensorstream.sentiment.exported.meanings import meanings


def test_labels_mean_what_they_say() -> None:
    assert meanings(["NEGATIVE", "POSITIVE"], "x") == (("negative", -1.0), ("positive", 1.0))
    assert meanings(["Very_Negative", "neg", "NEU", "pos", "very-positive"], "x") == (
        *(("negative", -1.0), ("negative", -0.5), ("neutral", 0.0), ("positive", 0.5), ("positive", 1.0)),
    )
    stars = meanings(["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], "x")
    assert [meaning.value for meaning in stars] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert [meaning.label for meaning in stars] == ["negative", "negative", "neutral", "positive", "positive"]
    assert [label for label, _ in meanings(["2 stars", "1 star"], "x")] == ["positive", "negative"]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["LABEL_0", "LABEL_1", "LABEL_2"], "the label 'LABEL_0' is not known"),
        (["negative", "joy", "positive"], "the label 'joy' is not known"),
        (["0", "1"], "the label '0' is not known"),
        (["neutral", "positive"], "have no positive and negative"),
        (["1 star", "3 stars"], "are not the stars from 1 on"),
        (["1 star"], "are not the stars from 1 on"),
        (["", "positive"], "the label '' is not known"),
    ],
)
def test_labels_that_nobody_can_know_are_refused(names: Sequence[str], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        meanings(names, "config.json")
    assert caught.value.hint is not None
    assert "--set labels=" in caught.value.hint
