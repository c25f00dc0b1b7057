"""What can't be undone is asked for first, where there is somebody to ask."""

import sys

import typer

from sensorstream.cli.session import Session
from sensorstream.errors import UsageError


def confirm(session: Session, doing: str, question: str, *, hint: str = "add --yes") -> None:
    """Ask ``question``; a no ends the command. Raises UsageError, naming ``doing``, where nobody can be asked."""
    if session.json or not sys.stdin.isatty():
        raise UsageError(f"{doing} is not confirmed", hint=hint)
    typer.confirm(question, abort=True, err=True)
