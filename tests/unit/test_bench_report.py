"""The page on performance and its picture: both have the figures of one run."""

import re
from html import unescape
from pathlib import Path

import pytest

from bench import report
from bench.measure import Case, Measurement
from bench.report import Finding

pytest.importorskip("matplotlib")
DOCS = Path(__file__).parents[2] / "docs"


def finding(name: str, rows: int, **seconds: float) -> Finding:
    commands = {command.replace("_", " "): [command] for command in seconds}
    runs = {
        command: [Measurement(wall, wall / 2, 10_000_000)]
        for command, wall in zip(commands, seconds.values(), strict=True)
    }
    return Finding(Case(name, rows, commands, peer=next(iter(commands))), runs)


def figures(picture: Path) -> list[str]:
    texts = [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", picture.read_text(encoding="utf-8"))]
    return [text for text in texts if re.fullmatch(r"[\d,]+", text)]


def rates(page: Path) -> list[str]:
    """What stands in the column rows/s, of tables with more than one command."""
    body = page.read_text(encoding="utf-8").partition(report.BEGIN)[2].partition(report.END)[0]
    found: list[str] = []
    for part in body.split("\n\n"):
        cells = [re.split(r"(?<!\\)\|", line) for line in part.splitlines()]
        if cells[0][0] == "" and len(cells) > 3 and cells[0][3:4] == [" rows/s "]:
            column = [line[3].strip() for line in cells[2:] if line[3].strip()]
            found += column if len(column) > 1 else []
    return found


def test_the_page_and_its_picture_have_the_same_figures(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "performance.md").write_text(f"head\n{report.BEGIN}\nold\n{report.END}\ntail\n")
    measured = [
        finding("CSV to topic", 500_000, sensorstream=2.25, **{"mlr_|_kcat": 4.17}),
        finding("posts scored", 50_000, sensorstream=3.58, plain_loop=7.83),
        finding("start-up", 0, sensorstream=0.2, bare=0.1),
        finding("10,000,000 rows", 10_000_000, sensorstream=60.0),
    ]
    page, picture = report.publish(1, measured, docs=tmp_path)
    assert rates(page) == figures(picture) == ["222,222", "119,904", "13,966", "6,386"]
    words = picture.read_text(encoding="utf-8")
    assert "mlr | kcat" in words
    assert "posts scored, rows a second" in words
    assert "start-up" not in words
    text = page.read_text(encoding="utf-8")
    assert text.startswith("head\n")
    assert text.endswith("tail\n")
    assert "old" not in text
    picture.unlink()
    assert figures(report.redraw(tmp_path)) == rates(page)


def test_the_published_picture_shows_what_the_published_tables_say() -> None:
    found = rates(DOCS / "performance.md")
    assert len(found) > 10
    assert figures(DOCS / "img" / "performance.svg") == found
