"""Command lines as a shell has them, and whether the program takes them."""

import functools
import shlex
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from sensorstream.cli.app import app

OPERATORS = ("|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "(", ")")


@functools.cache
def program() -> Any:
    """The command that holds all others: typer takes 50 ms to make it."""
    return get_command(app)


def commands(line: str) -> Iterator[list[str]]:
    """The arguments of each call of the program in a shell line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in OPERATORS:
            words.append(word)
            continue
        if "sensorstream" in words:
            yield words[words.index("sensorstream") + 1 :]
        words = []


def parse(arguments: list[str]) -> None:
    """Parse a command line as the program would, without running it. Raises TyperException."""
    command: Any = program()
    context = command.make_context("sensorstream", list(arguments))
    # A group such as monitor does something by itself, too.
    while hasattr(command, "commands") and (context._protected_args or context.args):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        context = command.make_context(name, rest, parent=context)
