"""What the window and the terminal view show: counts, trends, rate, filters, export; and the thread that reads."""

import csv
import io
import json
import re
import threading
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from running import until
from sensorstream.cli.sentiment.watch_screen import view
from sensorstream.clients.memory import MemoryBroker, MemoryClient, MemoryReader
from sensorstream.errors import ClusterUnreachable, SinkError, UnknownTopic, UsageError
from sensorstream.events import Event, Listener, Notice, ignore
from sensorstream.pipelines.scored_feed import scored_feed
from sensorstream.pipelines.scored_feed.job import FeedJob
from sensorstream.pipelines.scored_feed.scored_feed import ScoredFeed
from sensorstream.pipelines.scored_feed.watch import watch
from sensorstream.pipelines.start_at import StartAt
from sensorstream.records import ConsumedRecord, Number, TopicPartition, Value
from sensorstream.sentiment.export import export
from sensorstream.sentiment.feed import KINDS, MOST_PAGES, OTHERS, Feed, PostFields, ScoredPost, SourceState
from sensorstream.sentiment.scorers import open_scorer
from sensorstream.sentiment.transform import ScoreTransform
from sensorstream.sentiment.trend import COLUMNS, LADDER_MS, Trend
from sensorstream.sentiment.window.palette import DARK, LIGHT, Palette
from sensorstream.sentiment.window.shown import Drawable, signed
from sensorstream.serde import json as json_serde
from sensorstream.transforms.base import InputRow, OutputRow

TOPIC = "SCORED"
BEGINNING = StartAt("beginning")
TRANSFORM = ScoreTransform(open_scorer(check_language=False))
GOOD, BAD, PLAIN = "I love this, it is great!", "This is horrible, I hate it.", "The bus leaves at nine."


def scored(text: str, page: str = "one", at_ms: int = 0, **fields: str) -> bytes:
    """The value of a scored record, as ``sentiment stream`` writes it."""
    record = ConsumedRecord("POSTS", 0, 0, at_ms, None, b"")
    row: dict[str, Value] = {"id": Number("1"), "page": page, "text": text, **fields}
    (made,) = TRANSFORM.apply([InputRow(row, record)])
    assert isinstance(made, tuple)
    (output,) = made
    assert isinstance(output, OutputRow)
    return json_serde.encode(output.row)


def post(text: str = PLAIN, page: str = "one", at_ms: int = 0) -> ScoredPost:
    value = scored(text, page)
    return PostFields().reader()(ConsumedRecord(TOPIC, 0, 0, at_ms, None, value), json_serde.decode(value))


def broker_with(*values: bytes, partitions: int = 2) -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(TOPIC, partitions)
    put(broker, *values)
    return broker


def put(broker: MemoryBroker, *values: bytes | None) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for number, value in enumerate(values):
            count = publisher.partitions_for(TOPIC)
            publisher.publish(TOPIC, value, partition=number % count, timestamp_ms=1000 * number)


class Taken(list[ScoredPost]):
    """What was taken of a source."""

    def more(self, source: ScoredFeed, most: int = 10) -> int:
        self += source.take(most)
        return len(self)


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name == "scored-feed"]


pytestmark = pytest.mark.usefixtures("no_threads_left")


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


def test_a_topic_is_read_to_its_end_and_what_is_no_post_is_counted() -> None:
    values = [scored(GOOD, "a"), scored(BAD, "b"), b"not json", b'{"text": "unscored"}', None, scored(PLAIN, "a")]
    broker = broker_with()
    put(broker, *values)
    told: list[str] = []

    def show(feed: Feed, state: Any, posts: Any) -> None:
        told.extend(one.text for one in posts)

    seen = watch(MemoryClient(broker), FeedJob(TOPIC, BEGINNING, stop_at_end=True), show)
    assert (seen.ended, seen.posts, seen.unusable) == ("end", 3, 3)
    assert told == [GOOD, BAD, PLAIN], "in the order of their time"
    assert [(page.page, page.posts) for page in seen.pages] == [("a", 2), ("b", 1)]
    assert seen.scorers == ("vader 3.3.2",)


@pytest.mark.parametrize(
    "wrong",
    [{"compound": "x"}, {"compound": 7}, {"label": "great"}, {"compound": True}, {"compound": 1e400}],
    ids=str,
)
def test_what_only_looks_like_a_score_is_no_post(wrong: dict[str, Any]) -> None:
    value = json.dumps({**json.loads(scored(GOOD)), **wrong}).encode()
    broker = broker_with(value)
    seen = watch(MemoryClient(broker), FeedJob(TOPIC, BEGINNING, stop_at_end=True), lambda *_: None)
    assert (seen.posts, seen.unusable) == (0, 1)


def test_count_and_timeout_end_it_too() -> None:
    broker = broker_with(*[scored(GOOD)] * 10)
    seen = watch(MemoryClient(broker), FeedJob(TOPIC, BEGINNING, count=7), lambda *_: None)
    assert (seen.ended, seen.posts) == ("count", 7)
    seen = watch(MemoryClient(broker), FeedJob(TOPIC, idle_timeout_s=0.2), lambda *_: None)
    assert (seen.ended, seen.posts) == ("timeout", 0)
    seen = watch(MemoryClient(broker), FeedJob(TOPIC, StartAt("tail", 2), stop_at_end=True), lambda *_: None)
    assert (seen.ended, seen.posts) == ("end", 4)


def test_times_pages_and_texts_may_have_names_of_their_own() -> None:
    value = scored(GOOD, body="the text", site="here", at="2024-05-01T10:00:00Z")
    row = json_serde.decode(value)
    read = PostFields("body", "site", "at").reader()(ConsumedRecord(TOPIC, 0, 0, 5, None, value), row)
    assert (read.text, read.page, read.time_ms) == ("the text", "here", 1_714_557_600_000)


def test_nothing_is_dropped_while_nobody_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "BATCH", 10)
    monkeypatch.setattr(scored_feed, "LAG_EVERY_S", 0.05)
    broker = broker_with(*[scored(GOOD)] * 1000)
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, BEGINNING)) as source:
        until(lambda: source.state.lag == 1000, "the lag of posts that nobody takes")
        put(broker, *[scored(BAD)] * 10)
        until(lambda: source.state.lag == 1010, "a lag that grows")
        feed = Feed()
        feed.paused = True
        assert not feed.take_from(source)
        feed.paused = False
        until(lambda: not feed.take_from(source, 100) and feed.total == 1010, "all posts")
        until(lambda: source.state.lag == 0, "no lag")
    assert feed.counts()["positive"] == 1000


def test_it_waits_for_a_cluster_and_a_topic_that_are_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "LOOK_AGAIN_S", 0.05)
    broker = MemoryBroker()
    broker.stop()
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, patient=True)) as source:
        until(lambda: "looking for a broker" in source.state.text, "no broker")
        assert source.state.lag is None
        broker.start()
        until(lambda: "waiting for the topic" in source.state.text, "no topic")
        broker.create_topic(TOPIC, 1)
        put(broker, scored(GOOD))
        taken = Taken()
        until(lambda: taken.more(source), "what the new topic holds from its beginning")
        until(lambda: source.state.kind == "reading", "reading")
        broker.delete_topic(TOPIC)
        until(lambda: source.state.kind == "looking", "the topic is gone")
        broker.create_topic(TOPIC, 1)
        put(broker, scored(BAD))
        until(lambda: taken.more(source) == 2, "another topic of that name")
    assert (source.ended, source.error) == ("stopped", None)


def test_what_is_not_there_is_an_error_for_those_who_do_not_wait() -> None:
    broker = MemoryBroker()
    with pytest.raises(UnknownTopic):
        watch(MemoryClient(broker), FeedJob(TOPIC), lambda *_: None)
    broker.stop()
    with pytest.raises(ClusterUnreachable):
        watch(MemoryClient(broker), FeedJob(TOPIC), lambda *_: None)
    with pytest.raises(UsageError, match="has no offset 7"):
        watch(MemoryClient(broker_with()), FeedJob(TOPIC, StartAt("offset", 7)), lambda *_: None)


def test_what_retention_has_eaten_is_counted_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(scored_feed, "BATCH", 1)
    monkeypatch.setattr(scored_feed, "BATCHES", 1)
    broker = broker_with(*[scored(GOOD)] * 20, partitions=1)
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, BEGINNING)) as source:
        until(source._queue.full, "it waits")
        broker.delete_records(TOPIC, 0, 15)
        taken = Taken()
        until(lambda: taken.more(source, 1) and source.state.missed, "posts that are gone")
        until(lambda: taken.more(source, 1) + source.state.missed == 20, "all others")


def test_a_reader_that_takes_its_time_is_no_quiet_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "BATCH", 1)
    monkeypatch.setattr(scored_feed, "BATCHES", 1)
    broker = broker_with(*[scored(GOOD)] * 6, partitions=1)
    tries: list[float] = []
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, BEGINNING, idle_timeout_s=0.3)) as source:
        until(source._queue.full, "it waits")
        put_once = source._queue.put

        def put(posts: list[ScoredPost], timeout: float) -> None:
            tries.append(timeout)
            put_once(posts, timeout=timeout)

        monkeypatch.setattr(source._queue, "put", put)
        until(lambda: sum(tries) > 0.6, "it has waited for longer than the timeout")
        taken = Taken()
        until(lambda: taken.more(source, 1) == 6, "all posts")
    assert source.ended in ("timeout", "stopped")


def test_partitions_that_are_added_are_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "COUNT_EVERY_S", 0.05)
    broker = broker_with(scored(GOOD), partitions=1)
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC)) as source:
        until(lambda: source.state.kind == "reading", "reading")
        broker.add_partitions(TOPIC, 3)
        put(broker, *[scored(BAD)] * 3)
        taken = Taken()
        until(lambda: taken.more(source) == 3, "posts of all three partitions")


def test_an_outage_is_told_and_waited_out() -> None:
    class Away(MemoryReader):
        """Brokers that are away are asked for their ends in vain, as a real client says it."""

        def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
            if broker.stopped:
                raise ClusterUnreachable("no broker has answered for 10 s")
            return super().end_offsets(partitions)

    class Client(MemoryClient):
        def reader(self, *, group: str | None = None, listener: Listener = ignore, **options: Any) -> MemoryReader:
            tellers.append(listener)
            return Away(broker, group)

    tellers: list[Listener] = []
    heard: list[Event] = []
    broker = broker_with(scored(GOOD), partitions=1)
    with ScoredFeed(Client(broker), FeedJob(TOPIC, BEGINNING), heard.append) as source:
        taken = Taken()
        until(lambda: taken.more(source) and source.state.lag == 0, "a post")
        gone = Notice("broker 1 can't be reached", "warning")
        tellers[0](gone)
        assert (source.state.text, heard) == ("broker 1 can't be reached", [gone])
        broker.stop()
        until(lambda: source.state.kind == "away", "the outage")
        assert source.state.lag is None
        broker.start()
        put(broker, scored(BAD))
        until(lambda: taken.more(source) == 2 and source.state.kind == "reading", "the broker is back")
    assert (source.ended, source.error) == ("stopped", None)


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
