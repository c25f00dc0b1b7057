"""The options that several commands of ``sentiment`` share, each declared once."""

from typing import Annotated

import typer

Scorer = Annotated[
    str,
    typer.Option(
        "--scorer",
        metavar="NAME|FILE|onnx:FOLDER",
        help="vader, vader+clean, a plug-in, the file of an own model, or onnx: and the folder of an exported one.",
    ),
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
