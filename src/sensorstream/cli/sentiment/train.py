"""``sentiment train``: a model of one's own from labelled texts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.sentiment import labelled
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.description import Description
    from sensorstream.sentiment.train import Training


def add_to(group: typer.Typer) -> None:
    """Make it a command of the group."""
    command(group, "train", "sentiment train", kafka=False, describes="one file")(train)


def train(
    session: Session,
    file: labelled.File,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="File for the model, such as my.sensormodel.")],
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed for drawing the texts that are held out.")] = 0,
    held_out: Annotated[
        float, typer.Option("--held-out", metavar="X", help="Share of the texts held out to measure on, 0.05 to 0.5.")
    ] = 0.2,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Name of the scorer in its scores. Default: the name of the model's file.",
            show_default=False,
        ),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(
            "--language",
            metavar="CODE",
            help="Language of the texts (ISO 639-1, repeatable), or any. Default: en.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
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
) -> Outcome:
    """Train a model on labelled or rated texts, and compare it with VADER on held-out texts.

    Needs scikit-learn (pip install 'sensorstream[ml]'); scoring with the model does not.

    Exit code 1: some rows could not be used, and the model was made of the others. Exit code 4: too few usable
    texts, or the file can't be read.
    """
    from sensorstream.sentiment.labelled import LabelledFile, LabelledOptions
    from sensorstream.sentiment.train import TrainOptions
    from sensorstream.sentiment.train import train as learn
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
    languages = None if language == ["any"] else tuple(language or ("en",))
    options = TrainOptions(seed=seed, held_out=held_out, name=name, languages=languages, force=force)
    source = LabelledFile(file, wanted, listener=session.listener)
    with session.interruptible() as stop:
        result = learn(source, to, options, stop=stop, listener=session.listener)
    if not result.rejected:
        return Outcome(result, lambda console: _show(console, result))
    error = labelled.rejected_line(result.file, result.rejected, result.rejected_rows)
    return Outcome(result, lambda console: _show(console, result), "partial", ExitCode.FAILED, (error,))


def _show(console: "Console", result: "Training") -> None:
    from sensorstream.cli.render import size, table
    from sensorstream.cli.terminal import visible

    labels = ", ".join(f"{count:,} {label}" for label, count in result.labels.items())
    console.print(visible(f"{result.file}: {counted(result.trained_on + result.held_out, 'text')} ({labels})"))
    left = {**result.excluded, "a duplicate": result.duplicates, "empty": result.empty}
    told = ", ".join(f"{count:,} as {reason}" for reason, count in left.items() if count)
    if told:
        console.print(visible(f"left out: {told}"))
    rows = table(
        f"on {counted(result.held_out, 'text')} held out",
        *("accuracy", "macro-F1", "texts/s"),
        right=("accuracy", "macro-F1", "texts/s"),
    )
    for one in (result.figures, result.vader):
        rate = "unknown" if one.texts_per_s is None else f"{one.texts_per_s:,.0f}"
        said = visible(f"{one.scorer.name} {one.scorer.version}")
        rows.add_row(said, f"{one.accuracy:.3f}", f"{one.macro_f1:.3f}", rate)
    console.print(rows)
    cut = result.thresholds
    console.print(
        visible(f"{result.model}: {result.terms:,} terms, {size(result.bytes)}, ")
        + f"positive from {cut['positive']:g}, negative up to {cut['negative']:g}"
    )
    if result.figures.macro_f1 <= result.vader.macro_f1:
        console.print("vader is no worse on these texts: there is no reason to use the model")
