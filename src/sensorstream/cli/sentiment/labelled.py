"""The options of the commands that read labelled texts, each declared once."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.errors import UsageError

if TYPE_CHECKING:
    from sensorstream.sentiment.base import Label
    from sensorstream.sentiment.labelled import Excluded, LabelledFile, RejectedText


class Format(StrEnum):
    """How a labelled file is laid out."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    GOEMOTIONS = "goemotions"
    VADER = "vader"


File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The labelled or rated texts; - is standard input.", show_default=False)
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        help="Default: by the file's suffix. goemotions: text, emotion ids, comment id; vader: id, mean rating, text.",
        show_default=False,
    ),
]
TextColumn = Annotated[str, typer.Option("--text-column", metavar="NAME", help="The column of the texts.")]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        metavar="NAME",
        help="The column of the labels: positive, neutral, negative (pos, neu, neg). Default: label.",
        show_default=False,
    ),
]
LabelValues = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="VALUE=LABEL",
        help="What another value of the label column means, for example 4=positive; VALUE=exclude leaves such rows "
        "out (repeatable).",
        show_default=False,
    ),
]
RatingColumn = Annotated[
    str | None,
    typer.Option(
        "--rating-column",
        metavar="NAME",
        help="A column of numbers to make the labels of (or, beside --label-column, just to correlate with).",
        show_default=False,
    ),
]
RatingScale = Annotated[
    float | None,
    typer.Option(
        "--rating-scale",
        metavar="X",
        help="The highest rating, as it is above --rating-centre: 4 for -4 to 4. Default: 1; for the format vader 4.",
        show_default=False,
    ),
]
RatingCentre = Annotated[
    float,
    typer.Option("--rating-centre", metavar="X", help="The rating in the middle: 3 for 1 to 5 (and --rating-scale 2)."),
]
GoldCut = Annotated[
    float,
    typer.Option(
        "--gold-cut",
        metavar="X",
        help="Ratings, brought to -1 to 1, are positive from X and negative up to -X.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="Only the first N usable rows.", show_default=False),
]


def label_values(pairs: Sequence[str] | None) -> "dict[str, Label | Excluded]":
    """``--label VALUE=LABEL`` as a mapping. Raises UsageError."""
    from sensorstream.sentiment.labelled import WORDS

    meanings: dict[str, Label | Excluded] = {**WORDS, "exclude": "exclude"}
    values: dict[str, Label | Excluded] = {}
    for pair in pairs or ():
        value, equals, label = pair.rpartition("=")
        meaning = meanings.get(label.strip().casefold())
        if not equals or not value.strip() or meaning is None:
            raise UsageError(
                f"--label {pair}: it is VALUE=LABEL", hint="LABEL is positive, neutral, negative or exclude"
            )
        values[value] = meaning
    return values


def rejected_line(name: str, rejected: int, rows: "Sequence[RejectedText]") -> str:
    """One line that says how many rows of a file could not be used, and why the first could not."""
    from sensorstream.cli.render import counted

    return f"{name}: {counted(rejected, 'row')} could not be used; the first, line {rows[0].line}: {rows[0].reason}"


def gold_line(file: "LabelledFile") -> str:
    """How the gold labels came about."""
    if file.gold_cut is None:
        return "gold labels as they stand in the file"
    centre = f"rating - {file.rating_centre:g}" if file.rating_centre else "rating"
    gold = f"({centre}) / {file.rating_scale:g}" if file.rating_centre else f"{centre} / {file.rating_scale:g}"
    return f"gold = {gold}, cut at {file.gold_cut:g}"
