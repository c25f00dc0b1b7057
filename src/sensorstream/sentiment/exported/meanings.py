"""The meaning of a classifier's outputs: its own labels or the user's, mapped to ours; never guessed."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from sensorstream.errors import UsageError
from sensorstream.sentiment.base import Label

SAY: Final = "--set labels=negative,neutral,positive says what its outputs mean, in their order; the model's page tells"

_MILD: Final = 0.5
_WORDS: Final[dict[str, Label]] = {
    "negative": "negative",
    "neg": "negative",
    "neutral": "neutral",
    "neu": "neutral",
    "positive": "positive",
    "pos": "positive",
}
_STRONG: Final = re.compile(r"(?:very|extremely|strongly|highly) (negative|neg|positive|pos)")
_STARS: Final = re.compile(r"([1-9]) stars?|stars? ([1-9])")
_GAPS: Final = re.compile(r"[\s_-]+")


class Meaning(NamedTuple):
    """What one output means: our label, and where it stands between -1 and 1."""

    label: Label
    value: float


def meanings(names: Sequence[str], whose: str) -> tuple[Meaning, ...]:
    """The meanings of labels, one for each output.

    Known are negative, neutral and positive (neg, neu, pos), very negative and very positive beside them, and star
    ratings. Upper case, blanks, ``_`` and ``-`` make no difference. ``whose`` is what errors call their owner. Raises
    UsageError for any other, with what to do about it.
    """
    plain = [_GAPS.sub(" ", name.strip().casefold()) for name in names]
    stars = [_stars(name) for name in plain]
    if any(stars):
        return _of_stars(names, stars, whose)
    has_strong = any(_STRONG.fullmatch(name) for name in plain)
    found = []
    for name, said in zip(names, plain, strict=True):
        strong = _STRONG.fullmatch(said)
        label = _WORDS.get(strong[1] if strong else said)
        if label is None:
            raise UsageError(f"{whose}: the label {name[:40]!r} is not known", hint=SAY)
        size = 0.0 if label == "neutral" else _MILD if has_strong and not strong else 1.0
        found.append(Meaning(label, -size if label == "negative" else size))
    labels = {meaning.label for meaning in found}
    if not {"negative", "positive"} <= labels:
        raise UsageError(f"{whose}: its labels {', '.join(names)[:80]} have no positive and negative", hint=SAY)
    return tuple(found)


def _stars(name: str) -> int:
    """The number of stars that a label is; 0 for one of another kind."""
    found = _STARS.fullmatch(name)
    return int(found[1] or found[2]) if found else 0


def _of_stars(names: Sequence[str], stars: Sequence[int], whose: str) -> tuple[Meaning, ...]:
    """Star ratings: the middle one is neutral, those below are negative, those above positive."""
    most = len(stars)
    if sorted(stars) != list(range(1, most + 1)) or most < 2:
        raise UsageError(f"{whose}: its labels {', '.join(names)[:80]} are not the stars from 1 on", hint=SAY)
    found = []
    for count in stars:
        value = (2 * count - most - 1) / (most - 1)
        label: Label = "neutral" if value == 0 else "positive" if value > 0 else "negative"
        found.append(Meaning(label, value))
    return tuple(found)
