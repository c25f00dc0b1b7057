"""``sentiment score``: the score of a text, or of each line of stdin, and the words that made it."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.sentiment import options
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.sentiment.scoring import ScoredText, TextsScored

_SHOWN = 70


def add_to(group: typer.Typer) -> None:
    """Make it a command of the group."""
    command(group, "score", "sentiment score", kafka=False)(score)


def score(
    session: Session,
    *,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="[TEXT|-]", help="Text to score. With - or none, each line of stdin is a text, in UTF-8."
        ),
    ] = None,
    scorer: options.Scorer = "vader",
    set_: options.Set = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each word adds, with its negation and its boost.")
    ] = False,
    no_language_check: options.NoLanguageCheck = False,
) -> Outcome:
    """Score texts: compound from -1 to 1, shares of positive, neutral and negative, label.

    An empty text has no score, nor has one in a language that the scorer does not know; the status says so.
    """
    from sensorstream.config import parse_pairs
    from sensorstream.sentiment.scorers import open_scorer
    from sensorstream.sentiment.scoring import score_texts

    opened = open_scorer(scorer, parse_pairs(set_ or (), "--set"), check_language=not no_language_check)
    result = score_texts(_lines(text), opened, explain=explain)
    errors = (
        [f"{result.errors:,} of {counted(len(result.scores), 'text')} could not be scored"] if result.errors else []
    )
    return Outcome(
        result,
        lambda console: _show(console, result, explain=explain),
        status="partial" if errors else "ok",
        exit_code=ExitCode.FAILED if errors else ExitCode.DONE,
        errors=errors,
    )


def _lines(text: str | None) -> Iterator[bytes]:
    if text is not None and text != "-":
        # Bytes of an argument that are no UTF-8 come as half surrogates: as bytes they are told from characters.
        yield os.fsencode(text)
        return
    if sys.stdin is None or (text is None and sys.stdin.isatty()):
        from sensorstream.errors import UsageError

        raise UsageError("there is no text to score", hint="give one, or send lines to stdin")
    for line in sys.stdin.buffer:
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _show(console: "Console", result: "TextsScored", *, explain: bool) -> None:
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible

    if explain:
        for one in result.scores:
            _show_words(console, one)
    figures = ("compound", "pos", "neu", "neg")
    rows = table(*figures, "label", "status", "text", right=figures)
    for one in result.scores:
        shown = [_figure(one.compound, 4), *(_figure(share, 3) for share in (one.pos, one.neu, one.neg))]
        rows.add_row(*shown, one.label or "-", _status(one), _short(one.text))
    console.print(rows)
    cut = result.scorer.thresholds
    how = "the most probable label" if cut is None else f"positive from {cut.positive:g}, negative to {cut.negative:g}"
    console.print(visible(f"{result.scorer.name} {result.scorer.version}: ") + how)


def _show_words(console: "Console", one: "ScoredText") -> None:
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible

    rows = table("word", "valence", "negated", "boost", "adds", right=("valence", "boost", "adds"))
    for word in one.words or ():
        rows.add_row(
            visible(word.word[:_SHOWN]),
            "-" if word.valence is None else f"{word.valence:+g}",
            "yes" if word.negated else "",
            f"{word.boost:+.3f}" if word.boosted else "",
            f"{word.contribution:+.3f}" if word.contribution else "",
        )
    console.print(rows)


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _status(one: "ScoredText") -> str:
    from sensorstream.cli.terminal import visible

    if one.status == "unsupported_language":
        return f"{one.status} ({one.language})"
    return f"{one.status}: {visible(one.reason)}" if one.reason else one.status


def _short(text: str) -> str:
    from sensorstream.cli.terminal import visible

    shown = visible(text[: _SHOWN + 1])
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
