"""The help of every command: options in groups, no noise, lines that fit, and examples that work."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.exceptions import TyperException
from typer.main import get_command

from command_lines import commands, parse
from sensorstream.cli import help_layout, panels
from sensorstream.cli.app import app, run
from sensorstream.cli.examples import EXAMPLES


def tree(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from tree(inner, f"{path} {name}".strip())


PROGRAM: Any = get_command(app)
COMMANDS = dict(tree(PROGRAM))


@pytest.fixture(params=COMMANDS, ids=lambda path: path or "sensorstream")
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def shown(path: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert PROGRAM.main([*path.split(), "--help"], prog_name="sensorstream", standalone_mode=False) == 0
    return capsys.readouterr().out


def test_the_program_shows_it_although_it_builds_only_the_command_that_is_asked_for(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = shown(path, 100, capsys, monkeypatch)
    assert run([*path.split(), "--help"]) == 0
    assert capsys.readouterr().out == expected


def options(path: str) -> list[Any]:
    return [one for one in COMMANDS[path].params if one.param_type_name == "option"]


def test_each_option_stands_in_a_group_by_purpose(path: str) -> None:
    found = {option.opts[0]: option.rich_help_panel for option in options(path)}
    assert not path or set(found.values()) <= set(panels.ORDER), found


def test_an_option_says_what_it_takes_and_a_flag_takes_nothing(path: str) -> None:
    assert [one.opts for one in options(path) if bool(one.metavar) == bool(one.is_flag)] == []


@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_and_keeps_names_whole(
    path: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(path, columns, capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= min(columns, help_layout.WIDEST)
    for option in options(path):
        for name in (*option.opts, *option.secondary_opts):
            assert re.search(rf"^ +(\S+, )*{re.escape(name)}(?![\w-])", text, re.MULTILINE), name
    assert not re.search(r"<(bool|int|text|list)|…|\[default|[^.]\.\.\n", text)


def test_help_ends_with_examples(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert COMMANDS[path].epilog is not None
    assert shown(path, 80, capsys, monkeypatch).rstrip().endswith(COMMANDS[path].epilog.rstrip())


def test_examples_are_of_commands_that_are_there() -> None:
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_parse_and_are_of_their_command(path: str) -> None:
    for example in EXAMPLES[path]:
        found = list(commands("sensorstream " + example.line.replace("\\\n", " ")))
        assert len(found) == 1
        assert found[0][: len(path.split())] == path.split()
        try:
            parse(found[0])
        except TyperException as error:
            pytest.fail(f"{path}: {example.line}\n{error.format_message()}")


@pytest.mark.parametrize("wrong", ["topics create --partition 3", "cluster stop-broker", "consume -p 0"])
def test_an_example_with_a_wrong_option_or_without_its_argument_would_be_seen(wrong: str) -> None:
    with pytest.raises(TyperException):
        parse(wrong.split())


def test_commands_of_the_program_are_in_groups() -> None:
    named = [name for names in panels.COMMANDS.values() for name in names]
    assert sorted(named) == sorted(COMMANDS[""].commands)


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    context = COMMANDS[""].make_context("sensorstream", ["demo"])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[1mUsage:" in COMMANDS[""].get_help(context)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in COMMANDS[""].get_help(context)
