"""``samples``: sensor files of any length, from the seeded generator; and the sample of posts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.samples import SampleFile, SamplesWritten

samples = typer.Typer(
    name="samples", help="Write sample files: sensor data like the lab's, and posts.", no_args_is_help=True
)


@command(samples, "write", "samples write", kafka=False)
def write(
    session: Session,
    *,
    days: Annotated[
        int, typer.Option("--days", metavar="N", help="Number of days; a day is 1,440 rows in each file.")
    ] = 31,
    folder: Annotated[
        Path, typer.Option("--dir", metavar="D", help="Folder for the files; created if missing.")
    ] = Path("samples"),
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Seed; another one gives other weather.")] = 2308,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> Outcome:
    """Write AIR2308.csv, EARTH2308.csv and WATER2308.csv: a row per minute, newest first."""
    from sensorstream.samples import write_samples

    result = write_samples(folder, days, seed=seed, force=force, listener=session.listener)
    return Outcome(result, lambda console: _show(console, result))


@command(samples, "posts", "samples posts", kafka=False)
def posts(
    session: Session,
    *,
    folder: Annotated[Path, typer.Option("--dir", metavar="D", help="Folder for the file; created if missing.")] = Path(
        "samples"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> Outcome:
    """Write posts.jsonl: a day of posts on six pages of a town, oldest first."""
    from sensorstream.samples import write_posts

    result = write_posts(folder, force=force)
    return Outcome(result, lambda console: _show_posts(console, result))


def _show_posts(console: "Console", file: "SampleFile") -> None:
    from sensorstream.cli.render import size
    from sensorstream.cli.terminal import visible

    console.print(f"{visible(file.path)}: {counted(file.rows, 'post')}, {size(file.bytes)}")


def _show(console: "Console", result: "SamplesWritten") -> None:
    from sensorstream.cli.render import size
    from sensorstream.cli.terminal import visible

    for file in result.files:
        console.print(f"{visible(file.path)}: {counted(file.rows, 'row')}, {size(file.bytes)}")
    days = counted(result.days, "day")
    console.print(f"{days}, {result.first} to {result.last}, seed {result.seed}")
