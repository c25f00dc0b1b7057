"""``inspect``: look at files before they are replayed."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.inspection.inspect import FileFound, Inspection
    from sensorstream.inspection.times import TimeFound


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "inspect", "inspect", kafka=False)(inspect)


def inspect(
    session: Session,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files to look at.")],
    *,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Largest number of rows to look at in each file.")
    ] = 1_000_000,
) -> Outcome:
    """Show how files are written: format, columns, times, and the table that replays them."""
    from sensorstream.inspection.inspect import Inspection
    from sensorstream.inspection.inspect import inspect as look_at

    found = Inspection(tuple(look_at(path, rows=rows, listener=session.listener) for path in files))
    return Outcome(found, lambda console: _show(console, found))


def _show(console: "Console", found: "Inspection") -> None:
    for number, file in enumerate(found.files):
        if number:
            console.print()
        _show_file(console, file)


def _show_file(console: "Console", file: "FileFound") -> None:
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible

    rows = counted(file.rows, "row") if file.whole else f"the first {counted(file.rows, 'row')}"
    rejected = f", {file.rejected:,} of them can't be read" if file.rejected else ""
    console.print(f"{visible(file.path)}: {file.format}, {rows}{rejected}")
    columns = table("column", "type", "unit", "missing", "empty", "smallest", "largest", "different")
    for one in file.columns:
        columns.add_row(
            visible(one.name),
            one.type,
            visible(one.unit or ""),
            visible(", ".join(one.missing)),
            f"{one.empty:,}" if one.empty else "",
            "" if one.smallest is None else f"{one.smallest:g}",
            "" if one.largest is None else f"{one.largest:g}",
            "many" if one.different is None else f"{one.different:,}",
        )
    console.print(columns)
    console.print("no column is known to hold the time" if file.time is None else _times(file.time))
    if file.stations is not None:
        console.print(f"{file.stations} different values of {visible(file.station_column or '')}")
    console.print("\nin sensorstream.toml:\n")
    for line in file.table.splitlines():
        console.print(visible(line), soft_wrap=True)


def _times(time: "TimeFound") -> str:
    from sensorstream.cli.terminal import visible

    parts = [f"time: {visible(time.column)} ({visible(time.format or 'ISO 8601')}), {time.first} to {time.last}"]
    if time.step_s is not None:
        parts.append(f"a row each {time.step_s:g} s, {time.order}")
    counts = [(time.gaps, "longer gaps"), (time.repeated, "repeated times"), (time.backwards, "steps back")]
    counts.append((time.unreadable, "times that can't be read"))
    parts += [f"{number:,} {what}" for number, what in counts if number]
    text = "; ".join(parts)
    return f"{text}\nday and month may be the other way round: say --time-format mdy then" if time.ambiguous else text
