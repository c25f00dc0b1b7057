"""The pages of the commands are what the commands say, and as complete as ``--help``."""

import re
from pathlib import Path

import pytest

from sensorstream.cli.app import run
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
    """The options that a help lists, by their names: each at the beginning of its line."""
    listed = re.findall(r"^(?: {2}| {6})(--?[a-zA-Z][\w-]*(?:, --?[a-zA-Z][\w-]*)*)", text, re.MULTILINE)
    return {name for names in listed for name in FLAG.findall(names)}


def test_the_pages_have_the_options_of_each_help(capsys: pytest.CaptureFixture[str]) -> None:
    differing = {}
    for command in reference.read().walk():
        assert run([*command.path.split()[1:], "--help"]) == 0
        shown = shown_options(capsys.readouterr().out) - {"--help", "-h"}
        there = {name for panel in command.panels.values() for one in panel for name in FLAG.findall(one.names)}
        if shown != there:
            differing[command.path] = shown ^ there
    assert not differing


def test_what_follows_typers_text_is_taken_apart() -> None:
    program = reference.read()
    up = next(command for command in program.walk() if command.path == "sensorstream cluster up")
    brokers = next(one for panel in up.panels.values() for one in panel if one.names.startswith("--brokers"))
    assert brokers.names == "--brokers N"
    assert "Default" not in brokers.text
    assert brokers.default == "3"
    consume = next(command for command in program.walk() if command.path == "sensorstream consume")
    topic = next(one for panel in consume.panels.values() for one in panel if one.names == "-t, --topic TOPIC")
    assert topic.text.endswith("(required)")


def test_examples_are_on_the_page_and_in_the_manual() -> None:
    made = reference.pages()
    program = reference.read()
    for command in program.walk():
        page = command.path.split()[1] if command is not program else "index"
        assert command.examples
        assert command.examples in made[Path(f"docs/reference/{page}.md")]
    lag = made[Path("man/sensorstream-lag.1")]
    assert "\nsensorstream lag \\-\\-group archive" in lag


def test_each_exit_code_is_told() -> None:
    assert set(reference.MEANINGS) == set(ExitCode)
