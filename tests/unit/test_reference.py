"""The pages of the commands are what the commands say, and as complete as ``--help``."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sensorstream.cli.app import app
from sensorstream.errors import ExitCode
from tools import reference

FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")


def test_the_pages_are_what_the_commands_say() -> None:
    stale = reference.stale()
    assert not stale, f"{reference.STALE}: {', '.join(stale)}"


def test_a_page_that_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reference.pages()
    for path, text in made.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    assert reference.stale() == []
    (tmp_path / "docs/reference/lag.md").write_text("old")
    (tmp_path / "docs/reference/gone.md").write_text("of a command that is no more")
    (tmp_path / "man/sensorstream-wait.1").unlink()
    assert reference.stale() == ["docs/reference/gone.md", "docs/reference/lag.md", "man/sensorstream-wait.1"]
    assert reference.main([]) == 0
    assert reference.stale() == []


def shown_options(text: str) -> set[str]:
    """The options that a help's panels list, by their names: each at the beginning of a line, behind its border."""
    names: set[str] = set()
    for line in text.splitlines():
        listed = re.match(r"│ [* ]?\s*((?:--?[a-zA-Z][\w-]*[ ,]*)+)", line)
        if listed is not None:
            names |= set(FLAG.findall(listed[1]))
    return names


def commands() -> Iterator[reference.Command]:
    return reference.read().walk()


@pytest.mark.parametrize("command", list(commands()), ids=lambda command: command.path)
def test_a_page_has_the_options_of_the_help(command: reference.Command) -> None:
    help_text = CliRunner().invoke(app, [*command.path.split()[1:], "--help"], env={"COLUMNS": "200"}).output
    there = {name for panel in command.panels.values() for one in panel for name in FLAG.findall(one.names)}
    shown = shown_options(help_text) - {"--help", "-h"}
    assert shown == there


def test_what_follows_typers_text_is_taken_apart() -> None:
    program = reference.read()
    up = next(command for command in program.walk() if command.path == "sensorstream cluster up")
    brokers = next(one for panel in up.panels.values() for one in panel if one.names.startswith("--brokers"))
    assert brokers.names == "--brokers N"
    assert brokers.text.endswith("(1 to 9)")
    assert brokers.default == "3"


def test_each_exit_code_is_told() -> None:
    assert set(reference.MEANINGS) == set(ExitCode)
