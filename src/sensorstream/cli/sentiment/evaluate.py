"""``sentiment evaluate``: what is a scorer worth on texts that people have labelled?"""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.sentiment import labelled, options
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.description import Description
    from sensorstream.sentiment.evaluate import Evaluation

SHOWN_TEXT = 110


def add_to(group: typer.Typer) -> None:
    """Make it a command of the group."""
    command(group, "evaluate", "sentiment evaluate", kafka=False, describes="one file")(evaluate)


def evaluate(
    session: Session,
    file: labelled.File,
    *,
    scorer: options.Scorer = "vader",
    set_: options.Set = None,
    format_: labelled.FormatOption = None,
    text_column: labelled.TextColumn = "text",
    label_column: labelled.LabelColumn = None,
    label: labelled.LabelValues = None,
    rating_column: labelled.RatingColumn = None,
    rating_scale: labelled.RatingScale = None,
    rating_centre: labelled.RatingCentre = 0.0,
    gold_cut: labelled.GoldCut = 0.05,
    description: "Description",
    limit: labelled.Limit = None,
    worst: Annotated[
        int, typer.Option("--worst", metavar="N", min=0, max=1000, help="Number of the worst errors to show.")
    ] = 5,
    min_macro_f1: Annotated[
        float | None,
        typer.Option(
            "--min-macro-f1",
            metavar="X",
            min=0,
            max=1,
            help="End with exit code 5 when macro-F1 is lower.",
            show_default=False,
        ),
    ] = None,
) -> Outcome:
    """Measure a scorer on labelled or rated texts: accuracy, macro-F1, the worst errors.

    Each text is scored, whatever its language; with --set language=on only those in a language that the scorer
    knows. A text that gets no label counts as missed, never as neutral.

    Exit code 1: some rows could not be used. Exit code 4: none could, or the file can't be read. Exit code 5:
    macro-F1 is below --min-macro-f1.
    """
    from sensorstream.config import parse_pairs
    from sensorstream.sentiment.evaluate import evaluate as measure
    from sensorstream.sentiment.labelled import LabelledFile, LabelledOptions
    from sensorstream.sentiment.scorers import open_scorer
    from sensorstream.sources.formats import SourceForm

    wanted = LabelledOptions(
        format=format_.value if format_ else None,
        text_column=text_column,
        label_column=label_column,
        rating_column=rating_column,
        labels=labelled.label_values(label),
        gold_cut=gold_cut,
        rating_scale=rating_scale,
        rating_centre=rating_centre,
        form=SourceForm().over(description),
        limit=limit,
    )
    source = LabelledFile(file, wanted, listener=session.listener)
    opened = open_scorer(scorer, parse_pairs(set_ or (), "--set"), check_language=False)
    with session.interruptible() as stop:
        result = measure(source, opened, worst=worst, stop=stop, listener=session.listener)
    gold = labelled.gold_line(source)
    errors = []
    if result.rejected:
        errors.append(labelled.rejected_line(result.file, result.rejected, result.rejected_rows))
    if min_macro_f1 is not None and result.macro_f1 < min_macro_f1:
        errors.append(f"macro-F1 {result.macro_f1:.4f} of {result.scorer.name} is under {min_macro_f1:g}")
        return Outcome(result, lambda console: _show(console, result, gold), "error", ExitCode.THRESHOLD, tuple(errors))
    return Outcome(
        result,
        lambda console: _show(console, result, gold),
        "partial" if errors else "ok",
        ExitCode.FAILED if errors else ExitCode.DONE,
        tuple(errors),
    )


def _show(console: "Console", result: "Evaluation", gold: str) -> None:
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible

    cut = result.scorer.thresholds
    console.print(visible(f"{result.file}: {counted(result.texts, 'text')}, {gold}"))
    console.print(
        visible(f"scorer {result.scorer.name} {result.scorer.version}: ")
        + (
            "the most probable label"
            if cut is None
            else f"positive from {cut['positive']:g}, negative up to {cut['negative']:g}"
        )
    )
    for reason, count in result.excluded.items():
        console.print(visible(f"left out as {reason}: {counted(count, 'row')}"))
    unscored = {name: count for name, count in result.statuses.items() if count and name not in ("ok", "truncated")}
    if unscored:
        told = ", ".join(f"{count:,} {name}" for name, count in unscored.items())
        console.print(f"without a label, counted as missed: {told}")
    if result.statuses["truncated"]:
        console.print(f"scored by their head alone: {result.statuses['truncated']:,} truncated")
    figures = [f"accuracy {result.accuracy:.3f}", f"macro-F1 {result.macro_f1:.3f}"]
    if result.pearson is not None:
        figures.append(f"Pearson {result.pearson:.3f} over {counted(result.pearson_texts, 'text')}")
    if result.texts_per_s is not None:
        figures.append(f"{result.texts_per_s:,.0f} texts/s")
    console.print(", ".join(figures))
    columns = ("precision", "recall", "F1", "gold", "predicted")
    classes = table("label", *columns, right=columns)
    for name, one in result.classes.items():
        classes.add_row(
            name,
            *(_ratio(value) for value in (one.precision, one.recall, one.f1)),
            f"{one.support:,}",
            f"{result.predicted[name]:,}",
        )
    console.print(classes)
    given = [*result.confusion, "unscored"]
    heads = tuple(name if name == "unscored" else f"as {name}" for name in given)
    matrix = table("gold", *heads, right=heads)
    for name, row in result.confusion.items():
        matrix.add_row(name, *(f"{row[other]:,}" for other in given))
    console.print(matrix)
    for error in result.worst:
        text = error.text if len(error.text) <= SHOWN_TEXT else error.text[:SHOWN_TEXT] + "..."
        said = f"{error.gold_label} ({error.gold:.2f}) called {error.label} ({error.compound:.2f})"
        console.print(visible(f"line {error.line}, {said}: {text}"))


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
