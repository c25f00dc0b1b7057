"""The options that several commands of ``sentiment`` share, each declared once."""

from typing import Annotated

import typer

Scorer = Annotated[
    str,
    typer.Option("--scorer", metavar="NAME|FILE", help="vader, vader+clean, a plug-in, or the file of an own model."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="An option of the scorer, e.g. positive=0.1, or of all: language=off, max_chars=5000 (repeatable).",
    ),
]
NoLanguageCheck = Annotated[
    bool,
    typer.Option("--no-language-check", help="Score texts in languages that the scorer does not know, too."),
]
