"""Write the reference of the command line from the commands themselves: ``python -m tools.reference [--check]``.

Each command of the program gets a page in ``docs/reference/`` and a manual page in ``man/``. With ``--check`` nothing
is written; the exit code is 1 where a file is not what the commands say now.
"""

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from sensorstream.cli import panels as groups
from sensorstream.cli.app import app
from sensorstream.errors import ExitCode
from tools import manual

ROOT: Final = Path(__file__).parents[1]
PROGRAM: Final = "sensorstream"
MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed, or not all of it",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.UNREACHABLE: "no cluster, or no right to use it",
    ExitCode.WRONG_DATA: "wrong data",
    ExitCode.THRESHOLD: "a threshold was crossed",
    ExitCode.INTERRUPTED: "interrupted",
}
ARGUMENTS: Final = "Arguments"
STALE: Final = "run make reference"


@dataclass(frozen=True)
class Option:
    """An option or argument: its names with its placeholder, what it does, and its default; "" where it has none."""

    names: str
    text: str
    default: str


@dataclass(frozen=True)
class Command:
    """A command as its ``--help`` shows it, with the commands under it."""

    path: str
    usage: str
    help: str
    panels: Mapping[str, Sequence[Option]]
    examples: str
    """Lines of shell, or "" where there are none."""
    panel: str
    """The group of commands that it stands in."""
    commands: Sequence["Command"] = field(default=())

    @property
    def title(self) -> str:
        """The first sentence of its help."""
        return self.help.partition("\n\n")[0]

    def walk(self) -> Iterator["Command"]:
        """This command, then all under it, in the order of the help."""
        yield self
        for command in self.commands:
            yield from command.walk()


def read(command: Any = None, path: str = PROGRAM) -> Command:
    """Read a command, by default the whole program, and all commands under it. Hidden ones are left out."""
    command = get_command(app) if command is None else command
    context = command.make_context(path, [], resilient_parsing=True)
    panels: dict[str, list[Option]] = {}
    for parameter in command.get_params(context):
        option = _option(parameter, context)
        if option is not None and parameter.name != "help":
            kind = ARGUMENTS if parameter.param_type_name == "argument" else "Options"
            panels.setdefault(getattr(parameter, "rich_help_panel", None) or kind, []).append(option)
    below = [one for one in getattr(command, "commands", {}).items() if not one[1].hidden]
    return Command(
        path,
        " ".join([path, *command.collect_usage_pieces(context)]),
        _paragraphs(command.help or ""),
        {panel: panels[panel] for panel in sorted(panels, key=_place)},
        _examples(command.epilog or ""),
        str(getattr(command, "rich_help_panel", None) or "Commands"),
        [read(one, f"{path} {name}") for name, one in below],
    )


def _place(panel: str) -> int:
    """Where a group of options stands: arguments first, then as in the help."""
    order = (ARGUMENTS, *groups.ORDER)
    return order.index(panel) if panel in order else len(order)


def _examples(epilog: str) -> str:
    """The lines below ``Examples:``, where a help ends with them."""
    heading, _, lines = epilog.strip().partition("\n")
    return textwrap.dedent(lines).strip() if heading.startswith("Example") else ""


def _option(parameter: Any, context: Any) -> Option | None:
    record = parameter.get_help_record(context)
    if record is None:
        return None
    names, text = record
    if parameter.param_type_name == "argument":
        names = parameter.metavar or parameter.name.upper()
    else:
        names = ", ".join([*sorted(parameter.opts, key=len), *parameter.secondary_opts])
        if not parameter.is_flag:
            names += f" {_placeholder(parameter, record[0])}"
    # "What it does.  [default: 2s; required]"
    text, _, facts = text.partition("  [")
    facts = facts.removesuffix("]").split("; ") if facts else []
    default = next((fact.removeprefix("default: ") for fact in facts if fact.startswith("default: ")), "")
    required = "required" in facts
    # Where the default is made at run time the help tells it in words, at its end.
    told = re.search(r"\s*Default: ([^.]*(?:\.\S[^.]*)*)\.$", text)
    if told is not None and not default:
        default, text = told[1], text[: told.start()]
    text = " ".join(text.split())
    return Option(names, f"{text} (required)" if required else text, default)


def _placeholder(parameter: Any, shown: str) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    # Typer's own words for a type, such as <int range> and <text|json>.
    kind = re.search(r"[<\[]([^>\]]+)[>\]]$", shown)
    if kind is None:
        return shown.rpartition(" ")[2]
    return kind[1] if "|" in kind[1] else {"int": "N", "float": "X"}.get(kind[1].split()[0], kind[1].upper())


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n|\f", text.strip()))


def pages() -> dict[Path, str]:
    """All files of the reference, by their paths from the root of the project."""
    program = read()
    docs = Path("docs/reference")
    made = {docs / "index.md": _index(program)}
    made[Path("man") / f"{PROGRAM}.1"] = manual.page([program], program.commands, MEANINGS)
    for command in program.commands:
        name = command.path.replace(" ", "-")
        made[docs / f"{name.removeprefix(PROGRAM + '-')}.md"] = _page(command)
        made[Path("man") / f"{name}.1"] = manual.page(list(command.walk()), (), MEANINGS)
    return made


def _index(program: Command) -> str:
    lines = [_made(), "# The commands", "", program.help, ""]
    lines += [
        "The pages say what `--help` says. The installed program has them as manual pages, too: `man sensorstream`.",
        "",
    ]
    for panel in dict.fromkeys([*groups.COMMANDS, *(command.panel for command in program.commands)]):
        commands = [command for command in program.commands if command.panel == panel]
        if commands:
            lines += [f"## {panel}", "", "| command | what it does |", "|---|---|"]
        for command in commands:
            page = f"{command.path.removeprefix(PROGRAM + ' ')}.md"
            lines.append(f"| [`{command.path}`]({page}) | {_cell(command.title)} |")
            lines += [
                f"| [`{one.path}`]({page}#{_anchor(one.path)}) | {_cell(one.title)} |" for one in command.commands
            ]
        lines += [""] if commands else []
    return "\n".join([*lines, *_shell(program, "## Examples"), *_panels(program, "## {}"), *_exit_codes()])


def _page(command: Command) -> str:
    lines = [_made()]
    for one in command.walk():
        lines += [f"{'#' if one is command else '##'} {one.path}", "", _prose(one.help), ""]
        lines += ["```text", one.usage, "```", ""]
        if one.commands:
            lines += [f"- [`{below.path}`](#{_anchor(below.path)}): {_prose(below.title)}" for below in one.commands]
            lines.append("")
        # Among several commands these are no headings: there would be the same ones for each of them.
        if command.commands:
            lines += [*_shell(one, "**Examples**"), *_panels(one, "**{}**")]
        else:
            lines += [*_shell(one, "## Examples"), "## Options", "", *_panels(one, "### {}")]
    return "\n".join([*lines, *_exit_codes()])


def _shell(command: Command, heading: str) -> list[str]:
    return [heading, "", "```sh", *command.examples.splitlines(), "```", ""] if command.examples else []


def _made() -> str:
    return "<!-- written by `make reference` from the commands themselves -->\n"


def _panels(command: Command, heading: str) -> list[str]:
    lines = []
    for panel, options in command.panels.items():
        kind = "argument" if panel == ARGUMENTS else "option"
        lines += [heading.format(panel), "", f"| {kind} | what it does | default |", "|---|---|---|"]
        lines += [f"| {_code(one.names)} | {_cell(one.text)} | {_cell(one.default)} |" for one in options]
        lines.append("")
    return lines


def _exit_codes() -> list[str]:
    lines = ["## Exit codes", "", "| code | means |", "|---|---|"]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()]
    return [*lines, "", "What they mean for each command: [exit codes and JSON](../exit-codes-and-json.md).", ""]


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _cell(text: str) -> str:
    return _prose(text).replace("|", "\\|")


def _prose(text: str) -> str:
    """Text of a help as Markdown: what would be read as markup there is shown as it is."""
    return re.sub(r"[\\`*<\[\]]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def stale() -> list[str]:
    """What is not as the commands say now: files that differ, are missing or are left over."""
    made = pages()
    there = {path.relative_to(ROOT) for folder in ("docs/reference", "man") for path in (ROOT / folder).glob("*")}
    different = [
        path for path, text in made.items() if path in there and (ROOT / path).read_text(encoding="utf-8") != text
    ]
    return sorted(str(path) for path in {*different, *(set(made) ^ there)})


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or check them, and return the exit code."""
    if "--check" in arguments:
        for path in (found := stale()):
            print(f"{path}: not what the commands say; {STALE}")
        return 1 if found else 0
    made = pages()
    for path in stale():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        if Path(path) in made:
            (ROOT / path).write_text(made[Path(path)], encoding="utf-8")
        else:
            (ROOT / path).unlink()
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
