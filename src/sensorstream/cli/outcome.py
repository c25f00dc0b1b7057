"""What a command came to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

Status = Literal["ok", "partial", "error"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command came to: a frozen dataclass, how to show it as text, and what the script is told.

    ``errors`` are one-line messages for the ``errors`` list of the JSON envelope and for stderr.
    """

    result: object
    text: "Callable[[Console], None] | None" = None
    status: Status = "ok"
    exit_code: ExitCode = ExitCode.DONE
    errors: Sequence[str] = ()
