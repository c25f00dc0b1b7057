"""``doctor``: why it does not work, step by step, each with what to do."""

from itertools import groupby
from typing import TYPE_CHECKING, Final

import typer

from sensorstream.cli.colours import FINDINGS
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.doctor.results import Check, Diagnosis

_HEADINGS: Final = {
    "machine": "This machine",
    "settings": "Settings",
    "clusters": "Clusters of this machine",
    "connection": "Connection",
    "cluster": "The cluster from inside",
}


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "doctor", "doctor")(doctor)


def doctor(session: Session) -> Outcome:
    """Find out why it does not work: this machine, the settings, the way to the cluster, and what to do."""
    import sensorstream
    from sensorstream.doctor.examine import examine

    result = examine(lambda: session.settings, sensorstream.__version__, session.listener)
    if not result.problems:
        return Outcome(result, lambda console: _show(console, result))
    return Outcome(
        result,
        lambda console: _show(console, result),
        status="partial",
        exit_code=ExitCode.UNREACHABLE if result.unreachable else ExitCode.FAILED,
        errors=[_summary(result)],
    )


def _summary(result: "Diagnosis") -> str:
    """All problems in one line; what to do stands beside each of them."""
    from sensorstream.wording import counted

    named = [
        f"{one.name}{f' of {one.subject}' if one.subject else ''} ({one.found})"
        for one in result.checks
        if one.state == "problem"
    ]
    return f"{counted(result.problems, 'problem')}: {', '.join(named)}"


def _show(console: "Console", result: "Diagnosis") -> None:
    from rich.text import Text

    from sensorstream.cli.render import counted

    def place(check: "Check") -> tuple[str, str | None]:
        return check.area, check.subject if check.area == "connection" else None

    for (area, subject), checks in groupby(result.checks, place):
        console.print(Text(_HEADINGS[area] + (f" to {subject}" if subject else ""), style="bold"))
        _rows(console, list(checks))
        console.print()
    problems, warnings = counted(result.problems, "problem"), counted(result.warnings, "warning")
    said = f"{problems}, {warnings}" if result.problems or result.warnings else "nothing is wrong"
    console.print(said + ("" if result.reachable or result.problems else "; no cluster has been asked"))


def _rows(console: "Console", checks: "list[Check]") -> None:
    from rich.table import Table
    from rich.text import Text

    from sensorstream.cli.terminal import visible

    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, min_width=9)
    rows.add_column(min_width=12, max_width=20, overflow="fold")
    rows.add_column(overflow="fold")
    for (skipped, found), alike in groupby(checks, lambda one: (one.state == "skipped", one.found)):
        group = list(alike)
        if skipped and len(group) > 1:  # steps that are not taken for one reason share a row
            names = ", ".join(one.name for one in group)
            rows.add_row(Text("  skipped", style=FINDINGS["skipped"]), Text(), Text(f"{names}: {visible(found)}"))
            continue
        for one in group:
            name = one.name if one.area == "connection" or one.subject is None else f"{one.name} {one.subject}"
            told = Text(visible(found))
            if one.advice:
                told.append(f"\n-> {visible(one.advice)}", style="bold" if one.state in ("problem", "warning") else "")
            rows.add_row(Text(f"  {one.state}", style=FINDINGS[one.state]), Text(visible(name)), told)
    console.print(rows, soft_wrap=False)
