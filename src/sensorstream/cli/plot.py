"""``plot``: curves of a file's columns, in the terminal or as a picture."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.plotting.curves import Plot
    from sensorstream.plotting.table import Drawn


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "plot", "plot", kafka=False)(plot)


def plot(
    session: Session,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Source files or captured files; each is a curve.")
    ],
    *,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="A,B", help="Columns to draw. Default: the first four with numbers."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="COLUMN", help="A curve for each value of this column, such as Station."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write a picture (.png, .svg) or a page (.html) instead of drawing in the terminal.",
        ),
    ] = None,
) -> Outcome:
    """Draw columns of files over time, in the terminal or as a picture.

    The format of a file and its times are found as 'inspect' finds them. Times are shown in UTC, or as written
    where the file names no zone.
    """
    from sensorstream.description import column_names
    from sensorstream.errors import UsageError
    from sensorstream.plotting.table import read_plot

    if out is not None and out.suffix.lower() not in (".png", ".svg", ".html"):
        raise UsageError(f"--out {out}: the ending says what is drawn", hint="name it .png, .svg or .html")
    made, drawn = read_plot(files, column_names(columns) if columns else (), by, listener=session.listener)
    if out is not None:
        _write(out, made)
        drawn = replace(drawn, out=str(out))
    return Outcome(drawn, lambda console: _show(console, made, drawn))


def _write(out: Path, plot: "Plot") -> None:
    from sensorstream.plotting.image import draw
    from sensorstream.plotting.page import figure, page
    from sensorstream.plotting.written import write_whole

    kind = out.suffix.lower()
    if kind == ".html":
        write_whole(out, page(plot.title, figure(plot)).encode())
    else:
        write_whole(out, draw(plot, "svg" if kind == ".svg" else "png"))


def _show(console: "Console", plot: "Plot", drawn: "Drawn") -> None:
    from sensorstream.cli.render import counted
    from sensorstream.cli.terminal import visible

    if drawn.out is not None:
        console.print(f"{visible(drawn.out)}: {counted(drawn.rows, 'row')}, {visible(', '.join(drawn.columns))}")
        return
    from sensorstream.plotting.terminal import text_plot

    harmless = replace(
        plot,
        panels=tuple(
            replace(
                panel,
                title=visible(panel.title),
                unit=visible(panel.unit),
                curves=tuple(replace(curve, label=visible(curve.label)) for curve in panel.curves),
            )
            for panel in plot.panels
        ),
    )
    sys.stdout.write(text_plot(harmless, min(console.width, 160), colour=not console.no_color and console.is_terminal))
    sys.stdout.write("\n")
