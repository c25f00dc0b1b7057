"""``score``: the sentiment of texts."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensorstream.sentiment.scoring import ScoredText


def score(
    texts: Iterable[str],
    *,
    scorer: str = "vader",
    options: Mapping[str, str] | None = None,
    check_language: bool = True,
    explain: bool = False,
) -> "list[ScoredText]":
    """Score each text: ``compound`` from -1 to 1, the shares of the text that are positive, neutral, negative, a label.

    With ``explain`` each score has the words that made it. A text that can't be scored has a ``status`` that says why;
    none raises. Raises UsageError for an unknown scorer or option.
    """
    from sensorstream.sentiment.scorers import open_scorer
    from sensorstream.sentiment.scoring import score_texts

    opened = open_scorer(scorer, dict(options or {}), check_language=check_language)
    lines = (text.encode("utf-8", "surrogatepass") for text in texts)
    return list(score_texts(lines, opened, explain=explain).scores)
