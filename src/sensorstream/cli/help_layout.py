"""How ``--help`` looks: options in two columns, in groups by purpose, and examples at the end.

All that is shown stands in the commands and their options (``help``, ``rich_help_panel``, ``epilog``); this only
lays it out. Typer's own layout gives an option five columns, which leave no room for words on a terminal of 80.
"""

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from sensorstream.cli import panels

WIDEST: Final = 112
"""Lines that are longer are hard to follow, however wide the terminal is."""
_OTHERS: Final = "Options"
_TITLE, _NAME, _VALUE, _COMMENT, _PLAIN = "\x1b[1m", "\x1b[36m", "\x1b[2m", "\x1b[2m", "\x1b[0m"

Row = tuple[str, str, str]
"""The names of an option, argument or command; what it takes; what it does."""


class _Layout:
    """What a command and a group have in common. ``ctx`` and ``formatter`` are those of the command line's parser."""

    epilog: str | None

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line: arguments as they are declared, which says whether they may be left out or repeated."""
        pieces = ["[OPTIONS]", *(one.metavar or one.name.upper() for one in _arguments(self, ctx))]
        return [*pieces, self.subcommand_metavar] if isinstance(self, TyperGroup) else pieces

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """``Usage: sensorstream produce [OPTIONS]``."""
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=f"{_styled('Usage:', _TITLE)} ")

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """What the command does, in paragraphs."""
        for paragraph in str(getattr(self, "help", "") or "").split("\n\n"):
            formatter.write("\n" + "".join(f"{line}\n" for line in _wrapped(paragraph, formatter.width)))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Commands or arguments, then the options of each group; all of them in the same two columns."""
        sections = _command_sections(self, ctx) if isinstance(self, TyperGroup) else []
        sections += [("Arguments", _argument_rows(self, ctx)), *_option_sections(self, ctx)]
        sections = [(title, rows) for title, rows in sections if rows]
        most = 24 if formatter.width < 100 else 28
        lengths = [len(names) + len(value) for _, rows in sections for names, value, _ in rows]
        column = max((length for length in lengths if length <= most), default=0)
        for title, rows in sections:
            formatter.write(f"\n{_styled(f'{title}:', _TITLE)}\n")
            for row in rows:
                formatter.write("".join(f"{line}\n" for line in _entry(row, column, formatter.width)))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples, line by line as they stand."""
        for line in (self.epilog or "").splitlines():
            if not line.strip():
                formatter.write("\n")
            elif not line.startswith(" "):
                formatter.write(f"\n{_styled(line, _TITLE)}\n")
            else:
                formatter.write((_styled(line, _COMMENT) if line.lstrip().startswith("#") else line) + "\n")


class Command(_Layout, TyperCommand):
    """A command with this help."""


class Group(_Layout, TyperGroup):
    """A group of commands with this help."""


def _styled(text: str, style: str) -> str:
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return f"{style}{text}{_PLAIN}" if colours and text else text


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def _entry(row: Row, column: int, width: int) -> Iterator[str]:
    """The lines of one option: a name that is too long for its column has a line of its own."""
    names, value, text = row
    shown = f"  {_styled(names, _NAME)}{_styled(value, _VALUE)}"
    lines = _wrapped(text, max(width - column - 4, 20))
    length = len(names) + len(value)
    if length <= column and lines:
        shown += f"{' ' * (column - length)}  {lines.pop(0)}"
    yield shown
    for line in lines:
        yield f"{' ' * (column + 4)}{line}"


def _arguments(command: Any, ctx: Any) -> Iterator[TyperArgument]:
    return (one for one in command.get_params(ctx) if isinstance(one, TyperArgument) and not one.hidden)


def _argument_rows(command: Any, ctx: Any) -> list[Row]:
    return [
        ((one.metavar or one.name.upper()).replace("[", "").replace("]", ""), "", _text(one))
        for one in _arguments(command, ctx)
    ]


def _option_sections(command: Any, ctx: Any) -> list[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for one in command.get_params(ctx):
        if isinstance(one, TyperOption) and not one.hidden:
            panel = one.rich_help_panel
            if panel is None and "--help" in one.opts and panels.OUTPUT in found:
                panel = panels.OUTPUT
            found.setdefault(panel or _OTHERS, []).append((*_names(one), _text(one)))
    order = [*panels.ORDER, *(title for title in found if title not in panels.ORDER)]
    return [(title, found[title]) for title in order if title in found]


def _command_sections(group: TyperGroup, ctx: Any) -> list[tuple[str, list[Row]]]:
    shown = [(name, group.get_command(ctx, name)) for name in group.list_commands(ctx)]
    found: dict[str, list[Row]] = {}
    for name, command in shown:
        if command is not None and not command.hidden:
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            found.setdefault(panel, []).append((name, "", str(command.help or "").split("\n\n")[0]))
    order = [*panels.COMMANDS, *(title for title in found if title not in panels.COMMANDS)]
    return [(title, _in_order(title, found[title])) for title in order if title in found]


def _in_order(title: str, rows: list[Row]) -> list[Row]:
    names: Sequence[str] = panels.COMMANDS.get(title, ())
    return sorted(rows, key=lambda row: names.index(row[0]) if row[0] in names else len(names))


def _names(option: TyperOption) -> tuple[str, str]:
    """The names and the value: ``-t, --topic`` and `` TOPIC``; ``    --follow, --no-follow`` and nothing."""
    short = [name for name in option.opts if not name.startswith("--")]
    long = [name for name in option.opts if name.startswith("--")]
    names = [*short, *long, *option.secondary_opts]
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    return f"{'' if short else '    '}{', '.join(names)}", value


def _text(parameter: TyperOption | TyperArgument) -> str:
    """The help, and what else there is to know: the default, where its words do not name it, and that it must be."""
    text = parameter.help or ""
    default = _plain(parameter.default)
    is_flag = isinstance(parameter, TyperOption) and parameter.is_flag
    if parameter.show_default and not is_flag and default not in (None, "") and "Default:" not in text:
        text = f"{text} Default: {default}."
    if parameter.required and isinstance(parameter, TyperOption):
        text = f"{text} [required]"
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, Path) else value
