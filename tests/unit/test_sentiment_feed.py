"""What the window and the terminal view show: counts, trends, rate, filters, export."""

import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from scored_posts import BAD, GOOD, PLAIN, TOPIC, scored
from sensorstream.cli.sentiment.watch_screen import view
from sensorstream.errors import SinkError, UsageError
from sensorstream.records import ConsumedRecord
from sensorstream.sentiment.export import export
from sensorstream.sentiment.feed import KINDS, MOST_PAGES, OTHERS, Feed, PostFields, ScoredPost, SourceState
from sensorstream.sentiment.trend import COLUMNS, LADDER_MS, Trend
from sensorstream.sentiment.window.palette import DARK, LIGHT, Palette
from sensorstream.sentiment.window.shown import Drawable, signed
from sensorstream.serde import json as json_serde


def post(text: str = PLAIN, page: str = "one", at_ms: int = 0) -> ScoredPost:
    value = scored(text, page)
    return PostFields().reader()(ConsumedRecord(TOPIC, 0, 0, at_ms, None, value), json_serde.decode(value))


def test_posts_are_counted_by_page_and_label_and_the_newest_are_kept() -> None:
    feed = Feed(keep=3)
    feed.add([post(GOOD, "a"), post(BAD, "a"), post(PLAIN, "b"), post("", "b"), post(GOOD, "a")])
    assert feed.total == 5
    assert feed.counts() == {"positive": 2, "neutral": 1, "negative": 1, "unscored": 1}
    assert feed.counts("a") == {"positive": 2, "neutral": 0, "negative": 1, "unscored": 0}
    assert feed.counts("nobody") == dict.fromkeys(feed.counts(), 0)
    assert feed.pages() == ["a", "b"]
    assert [one.text for one in feed.posts()] == [GOOD, "", PLAIN]
    assert [one.text for one in feed.latest(1, "b")] == [""]
    assert [one.text for one in feed.posts(kind="positive")] == [GOOD]
    assert [one.status for one in feed.posts(kind="unscored")] == ["empty"]
    assert feed.scorers == {"vader 3.3.2": 5}
    assert post("", "b").said == "empty"
    assert post(GOOD)._replace(label=None, status="unsupported_language").said == "foreign"


def test_pages_without_end_are_counted_together() -> None:
    feed = Feed()
    template = post(GOOD)
    feed.add([template._replace(page=f"page {number}") for number in range(MOST_PAGES + 50)])
    assert len(feed.pages()) == MOST_PAGES + 1
    assert feed.counts(OTHERS)["positive"] == len(list(feed.posts(OTHERS))) == 50


def test_the_rate_is_of_the_last_seconds() -> None:
    now = 100.0
    feed = Feed(clock=lambda: now)
    assert feed.rate() is None
    feed.add([post()] * 20)
    assert feed.rate() == 20
    now += 4
    feed.add([post()] * 20)
    assert feed.rate() == 10
    now += 9
    assert feed.rate() == 2
    now += 9
    assert feed.rate() == 0


def test_a_trend_grows_its_buckets_until_everything_fits_in() -> None:
    trend = Trend()
    for second in range(200):
        trend.add("a", second * 1000, 0.5 if second < 100 else -0.5)
    shown = trend.of("a", 200)
    assert shown.width_ms == 5000
    assert shown.points == (0.5,) * 20 + (-0.5,) * 20
    assert shown.mean == 0
    trend.add("b", 100_000, 1.0)
    assert [point for point in trend.of("b", 1).points if point is not None] == [1.0]
    assert len(trend.of("b", 1).points) == 40, "pages share their axis of time"
    assert trend.of("c", 0).points == ()


def test_a_trend_of_fixed_buckets_keeps_the_newest() -> None:
    trend = Trend(1000)
    for second in range(100):
        trend.add("a", second * 1000, second / 100)
    shown = trend.of("a", 100)
    assert shown.points == tuple(second / 100 for second in range(100 - COLUMNS, 100))
    trend.add("a", 0, -1.0)
    assert trend.of("a", 101).points == shown.points


def test_years_fit_into_a_trend_and_the_mean_is_of_all_posts() -> None:
    """As when posts of a recording stand beside those of today."""
    trend = Trend()
    for day, compound in ((0, -0.9), (0, -0.8), (90, 0.5), (3000, 0.2)):
        trend.add("a", day * 86_400_000, compound)
    trend.add("old", 0, 0.25)
    assert trend.of("a", 4).mean == pytest.approx(-0.25)
    assert trend.of("a", 4).points[0] is not None
    assert trend.of("old", 1).mean == 0.25


def test_a_wild_time_makes_no_endless_trend() -> None:
    trend = Trend()
    trend.add("a", 0, 1.0)
    trend.add("a", 1_700_000_000_000, -1.0)
    trend.add("a", -1_000, 1.0)
    shown = trend.of("a", 3)
    assert sum(point is not None for point in shown.points) >= 2
    assert len(shown.points) <= COLUMNS
    assert shown.mean == pytest.approx(1 / 3)
    trend.add("a", 10**17, -1.0)
    shown = trend.of("a", 4)
    assert (shown.width_ms, len(shown.points), shown.mean) == (LADDER_MS[-1], COLUMNS, 0)
    for narrow, wide in pairwise(LADDER_MS):
        assert wide % narrow == 0


def test_export_stores_all_fields_in_their_letters(tmp_path: Path) -> None:
    posts = [post(GOOD), post("=1+1 is good", "b"), post("schön")]
    assert export(tmp_path / "some.jsonl", posts) == 3
    lines = (tmp_path / "some.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["text"] for line in lines] == [one.text for one in posts]
    assert lines[0] == json_serde.encode(posts[0].row)
    assert export(tmp_path / "some.csv", posts) == 3
    with (tmp_path / "some.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [GOOD, "'=1+1 is good", "schön"]
    assert rows[0]["label"] == "positive"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.csv", "some.jsonl"]


def test_export_says_what_is_wrong_and_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="xlsx"):
        export(tmp_path / "some.xlsx", [])
    with pytest.raises(SinkError, match="can't be written"):
        export(tmp_path / "missing" / "some.csv", [post()])
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SinkError):
        export(tmp_path / "folder.csv", [post()])
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


def test_times_pages_and_texts_may_have_names_of_their_own() -> None:
    value = scored(GOOD, body="the text", site="here", at="2024-05-01T10:00:00Z")
    row = json_serde.decode(value)
    read = PostFields("body", "site", "at").reader()(ConsumedRecord(TOPIC, 0, 0, 5, None, value), row)
    assert (read.text, read.page, read.time_ms) == ("the text", "here", 1_714_557_600_000)


def test_what_a_display_cannot_draw_is_marked() -> None:
    assert Drawable().shown("a\tb\n\x1b[31m \u202e\ud83d \x00") == "a b \ufffd[31m \ufffd\ufffd \ufffd"
    assert Drawable().shown("x" * 400, 10) == "x" * 9 + "…"
    assert Drawable().shown("good 👍 ❤️") == "good 👍 ❤️"
    assert Drawable(emoji=False).shown("good 👍 ❤️ schön 中") == "good \ufffd \ufffd\ufffd schön 中"
    assert Drawable(emoji=False).typeable("a\n👍\x00") == "a\n\ufffd\ufffd"
    assert [signed(figure) for figure in (None, 0.0, -0.0, 0.5, -0.5)] == [
        "-",
        "0.0000",
        "0.0000",
        "+0.5000",
        "-0.5000",
    ]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_stand_out_from_what_they_stand_on(palette: Palette) -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for text in (palette.text, palette.muted, palette.positive, palette.negative, palette.warning):
        for ground in (palette.background, palette.surface):
            dim, bright = sorted((luminance(text), luminance(ground)))
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground)


@pytest.mark.parametrize("width", [60, 80, 110])
def test_the_terminal_view_shows_every_label_on_a_small_screen(width: int) -> None:
    feed = Feed()
    strange = post("")._replace(label=None, compound=None, status="unsupported_language")
    feed.add([post(GOOD)] * 264 + [post(PLAIN)] * 206 + [post(BAD)] * 71 + [strange] * 99)
    screen = Console(width=width, height=15, file=io.StringIO(), force_terminal=False)
    shown = view(feed, SourceState("reading", "reading SCORED", lag=0), "SCORED", 15, width=width)
    lines = [
        "".join(segment.text for segment in line).rstrip()
        for line in screen.render_lines(shown, screen.options.update(width=width))
    ]
    assert len(lines) <= 15
    (mix,) = (line for line in lines if "neutral 3" in line or "neutral 206" in line)
    assert [word for word in ("positive", "neutral", "negative", "unscored") if word in mix] == list(KINDS)
    assert "…" not in mix
    assert any(re.match(r" *\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in lines), "times have their date"
    assert ["one", "640"] in [line.split()[:2] for line in lines], "the pages' table has a row"
