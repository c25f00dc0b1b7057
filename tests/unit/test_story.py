"""A demonstration as a story: steps stand out, tables come at once and nowhere under JSON, the verdict has a frame."""

import html
import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sensorstream.admin import TopicsCreated
from sensorstream.admin.results import TopicCreation
from sensorstream.cli.command import Session
from sensorstream.cli.narrator import Narrator
from sensorstream.cli.story import Story, show_topics, show_verdict
from sensorstream.events import Notice, Step

PICTURES = Path(__file__).parents[2] / "docs" / "img"
TOPICS = TopicsCreated((TopicCreation("AIR", 2, 3, True),))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO) -> str:
    narrator = Narrator(quiet=False, verbose=False, stream=stream)
    for event in (Step(1, "start"), Notice("it runs"), Notice("no", "warning"), Step(2, "publish")):
        narrator.tell(event)
    return stream.getvalue()


def test_steps_stand_out_on_a_terminal_and_are_plain_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert told(io.StringIO()) == "1. start\nit runs\nwarning: no\n2. publish\n"
    heading = "\x1b[1;36m{}\x1b[0m\n"
    assert told(Terminal()) == heading.format("1. start") + "\x1b[2mit runs\x1b[0m\nwarning: no\n\n" + heading.format(
        "2. publish"
    )
    monkeypatch.setenv("NO_COLOR", "1")
    assert told(Terminal()) == "1. start\nit runs\nwarning: no\n\n2. publish\n"


@pytest.mark.parametrize("json", [False, True])
def test_a_part_is_shown_at_once_but_not_under_json(json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(
        "demo", flags={}, properties=(), command_config=None, profile=None, json=json, quiet=True, verbose=False
    )
    Story(session, {TopicsCreated: show_topics})(TOPICS)
    out = capsys.readouterr().out
    assert ("AIR" in out) is not json
    assert not (json and out)


def verdict(passed: bool, **how: Any) -> str:
    out = io.StringIO()
    show_verdict(Console(file=out, width=80, **how), ["verdict: all", "demo: over"], passed=passed)
    return out.getvalue()


def test_the_verdict_has_a_frame_on_a_terminal_and_lines_elsewhere() -> None:
    assert verdict(True) == "verdict: all\ndemo: over\n"
    assert "━ passed ━" in verdict(True, force_terminal=True, color_system=None)
    green, red = (verdict(passed, force_terminal=True, color_system="standard") for passed in (True, False))
    assert "\x1b[1;32m" in green
    assert "\x1b[1;31m" in red
    assert "FAILED" in red


def words(picture: Path) -> str:
    text = re.sub(r"<style>.*?</style>", "", picture.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.parametrize(
    ("picture", "story"),
    [
        (
            "demo.svg",
            (
                *("1. start", "is ready at", "2. create", "replicas", "3. publish", "AIR_Consumer_1.csv", "sample AIR"),
                *("4. see", "CURRENT OFFSET", "5. compare", "each exactly once", "6. stop", "verdict: each source row"),
            ),
        ),
        (
            "demo-sentiment.svg",
            (
                *("1. start", "2. create", "3. start", "4. publish", "sample posts", "5. put", "river-club"),
                *("6. compare", "highest", "7. stop", "verdict: each post"),
            ),
        ),
    ],
)
def test_the_pictures_show_each_table_under_its_step(picture: str, story: tuple[str, ...]) -> None:
    text = words(PICTURES / picture)
    places = [text.find(part) for part in story]
    assert -1 not in places, dict(zip(story, places, strict=True))
    assert places == sorted(places), dict(zip(story, places, strict=True))
