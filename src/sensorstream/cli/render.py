"""From results and events to text: results go to stdout, all else to stderr.

No ANSI codes reach anything that is not a terminal, and none at all under NO_COLOR. What comes from outside
(values, topic names, messages of brokers) is shown with its control characters visible, never obeyed.
"""

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from sensorstream.cli.outcome import Outcome
from sensorstream.cli.session import Session
from sensorstream.cli.terminal import visible, write
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "SCHEMA",
    "console",
    "counted",
    "envelope",
    "error_line",
    "finish",
    "known",
    "shown_path",
    "size",
    "table",
]

SCHEMA: Final = 1


def envelope(command: str, status: str, result: object, errors: list[dict[str, Any]]) -> str:
    """The one JSON object of ``--output json``; its keys are a contract."""
    plain = dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result
    document = {"schema": SCHEMA, "command": command, "status": status, "result": plain, "errors": errors}
    text = json.dumps(document, default=str, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "strict")
    except UnicodeEncodeError:
        # A file name that is not UTF-8, or a terminal that is not: JSON has escapes for both.
        return json.dumps(document, default=str)
    return text


def finish(session: Session, outcome: Outcome) -> None:
    """Write a command's outcome: the envelope or the text to stdout, the errors to stderr."""
    session.narrator.close()
    if session.json:
        errors = [{"message": message, "hint": "", "exit_code": int(outcome.exit_code)} for message in outcome.errors]
        sys.stdout.write(envelope(session.command, outcome.status, outcome.result, errors) + "\n")
    elif outcome.text is not None:
        outcome.text(console())
    sys.stdout.flush()
    for message in outcome.errors:
        error_line(message)


def console(stream: TextIO | None = None) -> "Console":
    """A rich console on stdout (or on ``stream``); plain and unwrapped where that is not a terminal."""
    from rich.console import Console

    class Stoppable(Console):
        def on_broken_pipe(self) -> None:
            # Rich would end the program with exit code 1 on the spot; app.run knows better.
            raise BrokenPipeError

    stream = stream or sys.stdout
    terminal = stream.isatty()
    width = None if terminal else 200
    return Stoppable(
        file=stream,
        force_terminal=terminal,
        width=width,
        highlight=False,
        markup=False,
        soft_wrap=not terminal,
    )


def table(*columns: str, right: tuple[str, ...] = ()) -> "Table":
    """A table as all commands show it; ``right`` names the columns of figures."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return made


def known(value: object) -> str:
    """A value for a table; None is unknown and is never shown as 0."""
    return "unknown" if value is None else visible(str(value))


def shown_path(path: str) -> str:
    """A path for a table: from the current folder where it lies below it; a built-in sample has a name instead."""
    from pathlib import Path

    from sensorstream.config import sample_name

    if (sample := sample_name(path)) is not None:
        return sample
    here, place = Path.cwd(), Path(path)
    return visible(str(place.relative_to(here)) if place.is_absolute() and place.is_relative_to(here) else path)


def size(count: int | None) -> str:
    """A number of bytes for people: ``1.5 MB``."""
    if count is None:
        return "unknown"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def error_line(message: str) -> None:
    """One line on stderr that begins with ``error:``."""
    write(sys.stderr, f"error: {visible(message)}\n")
