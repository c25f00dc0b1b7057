"""``coverage``: which offsets do the folders of a group's members hold together, and which twice?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.pipelines.verify.coverage import Coverage


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "coverage", "coverage", kafka=False)(coverage)


def coverage(
    session: Session,
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of the members of a group.")],
) -> Outcome:
    """Show which offsets captured folders hold together, which twice and which not at all."""
    from sensorstream.pipelines.verify.coverage import cover

    found = cover(folders)
    if found.each_once:
        return Outcome(found, lambda console: _show(console, found))
    return Outcome(
        found,
        lambda console: _show(console, found),
        status="error",
        exit_code=ExitCode.WRONG_DATA,
        errors=(_error(found),),
    )


def _error(found: "Coverage") -> str:
    for part in found.partitions:
        where = f"{part.topic}[{part.partition}]"
        for twice in part.doubled:
            return (
                f"{where}: offsets {twice.first_offset} to {twice.next_offset - 1} are both in {twice.files[0]} and in "
                f"{twice.files[1]}"
            )
        for gap in part.missing:
            return f"{where}: offsets {gap.first_offset} to {gap.next_offset - 1} are in none of the folders"
    unknown = next(name for part in found.partitions for name in part.unknown)
    return f"{unknown} was begun by an earlier version and does not say which offsets it holds"


def _show(console: "Console", found: "Coverage") -> None:
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible

    rows = table("topic", "partition", "from", "to", "held in")
    for part in found.partitions:
        for span in part.held:
            rows.add_row(
                visible(part.topic), str(part.partition), f"{span.first_offset}", f"{span.next_offset - 1}",
                visible(span.file),
            )  # fmt: skip
        for twice in part.doubled:
            rows.add_row(
                visible(part.topic), str(part.partition), f"{twice.first_offset}", f"{twice.next_offset - 1}", "TWICE"
            )
        for gap in part.missing:
            rows.add_row(
                visible(part.topic), str(part.partition), f"{gap.first_offset}", f"{gap.next_offset - 1}", "MISSING"
            )
    console.print(rows)
    if found.each_once:
        console.print("verdict: each offset is held once")
    else:
        console.print(f"verdict: {counted(found.doubled, 'offset')} held twice, {found.missing:,} missing")
