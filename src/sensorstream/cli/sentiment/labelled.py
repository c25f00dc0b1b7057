"""The options of the commands that read labelled texts, each declared once."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import panels
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


File = Annotated[Path, typer.Argument(metavar="FILE", help="Labelled or rated texts; - is stdin.", show_default=False)]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format",
        metavar="csv|tsv|jsonl|goemotions|vader",
        rich_help_panel=panels.FILES,
        help="Format of the file: goemotions has text, emotion ids and comment id, vader has id, mean rating "
        "and text. Default: by the file's name.",
        show_default=False,
    ),
]
TextColumn = Annotated[str, typer.Option("--text-column", metavar="NAME", help="Column with the texts.")]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        metavar="NAME",
        help="Column with the labels: positive, neutral, negative (pos, neu, neg). Default: label.",
        show_default=False,
    ),
]
LabelValues = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        rich_help_panel=panels.FILES,
        metavar="VALUE=LABEL",
        help="Meaning of another value in the label column, such as 4=positive; VALUE=exclude leaves such rows"
        " out (repeatable).",
        show_default=False,
    ),
]
RatingColumn = Annotated[
    str | None,
    typer.Option(
        "--rating-column",
        metavar="NAME",
        help="Column with numbers to derive the labels from; beside --label-column, only to correlate with.",
        show_default=False,
    ),
]
RatingScale = Annotated[
    float | None,
    typer.Option(
        "--rating-scale",
        metavar="X",
        help="Highest rating, counted from --rating-centre: 4 for -4 to 4. Default: 1; 4 for the format vader.",
        show_default=False,
    ),
]
RatingCentre = Annotated[
    float,
    typer.Option("--rating-centre", metavar="X", help="Rating in the middle: 3 for 1 to 5 (with --rating-scale 2)."),
]
GoldCut = Annotated[
    float,
    typer.Option(
        "--gold-cut",
        metavar="X",
        help="Ratings, scaled to -1 to 1, count as positive from X upwards and as negative from -X downwards.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="Use only the first N usable rows.", show_default=False),
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
