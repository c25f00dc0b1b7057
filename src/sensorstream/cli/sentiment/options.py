"""The options that several commands of ``sentiment`` share, each declared once."""

from typing import Annotated

import typer

Scorer = Annotated[
    str,
    typer.Option(
        "--scorer",
        metavar="NAME|FILE|onnx:FOLDER",
        help="Scorer: vader, vader+clean, a plug-in, the file of a model of your own, or onnx: and the folder "
        "of an exported one.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Option of the scorer, such as positive=0.1; all scorers have language=off and max_chars=5000 "
        "(repeatable).",
    ),
]
NoLanguageCheck = Annotated[
    bool,
    typer.Option("--no-language-check", help="Score texts in languages that the scorer does not know, too."),
]
