"""Manual pages, in the markup of man(7), of commands that were read by ``tools/reference.py``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import sensorstream
from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    from tools.reference import Command


def page(shown: "Sequence[Command]", listed: "Sequence[Command]", exit_codes: Mapping[ExitCode, str]) -> str:
    """A manual page of the commands ``shown``, named for the first of them; it refers to those that are ``listed``."""
    first = shown[0]
    name = first.path.replace(" ", "-")
    lines = [
        '.\\" Written by "make reference" from the commands themselves.',
        f'.TH {_text(name.upper())} 1 "" "sensorstream {sensorstream.__version__}" "sensorstream"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(first.title.rstrip('.'))}",
        ".SH SYNOPSIS",
    ]
    for number, command in enumerate(shown):
        lines += [*([".br"] if number else []), f".B {_text(command.usage)}"]
    for command in shown:
        lines.append(f".SH {_text(command.path.upper() if len(shown) > 1 else 'DESCRIPTION')}")
        lines += _paragraphs(command.help)
        for panel, options in command.panels.items():
            lines.append(f".SS {_text(panel)}")
            for option in options:
                default = f" Default: {option.default}." if option.default else ""
                lines += [".TP", f".B {_text(option.names)}", _text(option.text + default)]
        if command.examples:
            lines += [".SS Examples", ".nf", *map(_text, command.examples.splitlines()), ".fi"]
    if listed:
        lines.append(".SH COMMANDS")
        for command in listed:
            lines += [".TP", f".BR {_text(command.path.replace(' ', '-'))} (1)", _text(command.title)]
    lines.append(".SH EXIT STATUS")
    for code, meaning in exit_codes.items():
        lines += [".TP", f".B {int(code)}", _text(meaning)]
    lines += [".SH SEE ALSO", _see_also(first, listed)]
    return "\n".join([*lines, ""])


def _see_also(first: "Command", listed: "Sequence[Command]") -> str:
    return f".B {_text(first.path)} \\-\\-help" if listed else ".BR sensorstream (1)"


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for number, paragraph in enumerate(text.split("\n\n")):
        lines += [*([".PP"] if number else []), _text(paragraph)]
    return lines


def _text(text: str) -> str:
    """Text as a line of roff: no dash becomes typographic, no dot or quote at its beginning a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
