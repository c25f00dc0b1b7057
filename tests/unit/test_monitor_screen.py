"""The live screen: its tabs, tables, search, drill-down and pause, driven by key presses on made-up clusters."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from rich.style import Style
from textual.color import Color

from running import until
from screen_driving import Driven
from screen_views import Brought, view
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.monitor.newest_rows import NewestRows
from sensorstream.monitor.screen.app import MonitorApp
from sensorstream.monitor.screen.bars import Tabs
from sensorstream.monitor.screen.boxes import TextBox, TopicBox
from sensorstream.monitor.screen.canvas import Canvas
from sensorstream.monitor.screen.columns import Cell
from sensorstream.monitor.screen.grid import Grid
from sensorstream.monitor.view import View

pytestmark = pytest.mark.long

SIZES = [(80, 24), (160, 48)]


def drive(
    steps: Callable[[Driven, Brought], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    broker: MemoryBroker | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Run the app on a screen of this size, and the steps on it."""
    memory = broker or MemoryBroker()

    async def run() -> None:
        watcher = Brought()
        app = MonitorApp(
            watcher,
            lambda topic, partition: NewestRows(lambda: MemoryClient(memory), topic, partition),
            where="cluster:lab",
            stop=stop,
        )
        async with app.run_test(size=size) as pilot:
            await steps(Driven(app, pilot), watcher)

    asyncio.run(run())


@contextmanager
def publishing(broker: MemoryBroker, topic: str, *values: bytes) -> Iterator[None]:
    with MemoryClient(broker).publisher() as publisher:
        for value in values:
            publisher.publish(topic, value, partition=0)
        publisher.flush(5)
        yield


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_tab_shows_its_own(size: tuple[int, int]) -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        await screen.shows("asking the cluster", "cluster:lab")
        watcher.bring(view())
        await screen.shows(
            "✓ 3 of 3 up", "✓ 18 online", "rows a second", "busiest topics", "furthest behind", "topic-005"
        )
        await screen.press("2")
        await screen.shows("127.0.0.1:29093", "✓ up", "controller")
        await screen.press("3")
        await screen.shows("Topics", "topic-000", "✓ ok", "3,030")
        await screen.press("4")
        await screen.shows("group-000", "✓ OK", "! WARN", "✗ STALL", "✗ STOP", "! REWIND", "? UNKNOWN", "42 s")
        await screen.press("5")
        await screen.shows("Live rows > topic-005", "waiting for the topic")
        await screen.press("6")
        await screen.shows("from publishing to reading here", "p99.9")
        await screen.press("tab")
        await screen.shows("busiest topics")
        assert all(len(line) == size[0] or "│" in line for line in screen.lines if line.strip())

    drive(steps, size=size)


def test_only_what_is_known_is_shown_as_a_figure() -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(View(view(topics=1).snapshot))  # the first view: no rates, no ages
        await screen.press("3")
        await screen.shows("topic-000")
        assert screen.rows[0].split() == ["topic-000", "✓", "ok", "3", "3,030", "?", "?", "24.6", "kB", "3"]

    drive(steps)


def test_letters_sort_and_sort_the_other_way() -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view())
        await screen.press("3")
        await screen.shows("topic▲", "topic-000")
        assert [row.split()[0] for row in screen.rows] == [f"topic-{number:03}" for number in range(6)]
        await screen.press("c")
        await screen.shows("/second▼")
        assert [row.split()[0] for row in screen.rows][:2] == ["topic-005", "topic-004"]
        await screen.press("c")
        await screen.shows("/second▲")
        assert [row.split()[0] for row in screen.rows][:2] == ["topic-000", "topic-001"]
        await screen.press("4", "s")
        await screen.shows("status▼")
        assert screen.rows[0].split()[:3] == ["group-004", "!", "REWIND"]

    drive(steps)


def test_search_narrows_while_it_is_typed_and_escape_ends_it() -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view(topics=40))
        await screen.press("3", "slash", "0", "1", "2")
        await screen.until(lambda: len(screen.rows) == 1, "one topic")
        await screen.shows("/012", "1 of 40")
        await screen.press("enter", "enter")
        await screen.shows("Topics > topic-012")
        await screen.press("escape")
        await screen.shows("/012")
        await screen.press("escape")
        await screen.until(lambda: len(screen.rows) > 1, "all topics")
        await screen.press("slash", "x", "y", "z")
        await screen.shows("nothing here holds 'xyz'")

    drive(steps)


def test_enter_drills_down_and_the_way_back_finds_the_cursor() -> None:
    broker = MemoryBroker()
    broker.create_topic("topic-002", 3)

    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view())
        await screen.press("3", "down", "down", "enter")
        await screen.shows("Topics > topic-002", "replicas")
        await screen.press("enter")
        await screen.shows("Topics > topic-002 > partition 0", "offset", "Temperature")
        await screen.press("enter")
        await screen.until(lambda: isinstance(screen.app.screen, TextBox), "the row in full")
        await screen.shows("partition", "21.50")
        await screen.press("escape")
        await screen.press("backspace", "escape")
        await screen.until(lambda: "Topics > " not in screen.text, "the topics")
        assert screen.app.query_one(Grid).cursor_key == "topic-002"
        await screen.press("4", "down", "enter")
        await screen.shows("Groups > group-001", "member-1", "current")
        await screen.press("2", "enter")
        await screen.shows("Brokers > broker 1", "topic-000", "topic-001")

    with publishing(broker, "topic-002", b'{"Temperature":21.50,"Station":"[red]A"}'):
        drive(steps, broker=broker)


def test_newest_rows_come_live_and_their_latency_is_measured() -> None:
    broker = MemoryBroker()
    broker.create_topic("AIR", 2)

    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view(topics=1, names=("AIR",)))
        await screen.press("5")
        await screen.shows("Live rows > AIR", "first", "PM2.5")
        reader = screen.app._live.reader
        assert reader is not None
        # The row that is there is shown before the first one that counts as new is settled.
        await screen.until(lambda: reader.state.kind == "reading", "the reading of what comes")
        with publishing(broker, "AIR", b'{"id":"second","PM2.5":7.0}'):
            await screen.until(lambda: screen.rows and "second" in screen.rows[0], "the new row on top")
        assert " ms" in screen.rows[0]
        await screen.press("6")
        await screen.shows("AIR: from publishing", "rows by latency", "≤ ", "publisher's clock")
        await screen.press("5", "t")
        await screen.until(lambda: isinstance(screen.app.screen, TopicBox), "the choice of a topic")

    with publishing(broker, "AIR", b'{"id":"first","PM2.5":12.5}'):
        drive(steps, broker=broker)


def test_pause_holds_the_watcher_and_plus_and_minus_change_its_interval() -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view())
        await screen.press("p")
        await screen.shows("PAUSED")
        assert watcher.paused
        await screen.press("p")
        await screen.until(lambda: "PAUSED" not in screen.text, "the end of the pause")
        assert not watcher.paused
        await screen.press("plus")
        await screen.shows("every 5 s")
        await screen.press("minus", "minus")
        await screen.shows("every 1 s")
        await screen.press("f5")
        assert watcher.asked == 1

    drive(steps)


def test_a_dead_broker_is_told_on_every_tab_in_words() -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view())
        await screen.press("3")
        await screen.shows("all in sync")
        watcher.bring(view(down=(2,), step=1))
        await screen.shows("✗ BROKER 2 DOWN", "! 3 not in sync")
        await screen.press("2")
        await screen.shows("✗ DOWN")
        watcher.bring(view(down=(1, 2, 3), reachable=False, step=2, problems=("no broker answers",)))
        await screen.shows("✗ NO BROKER ANSWERS since")
        await screen.press("1")
        await screen.shows("✗ none answers", "no broker answers", "OFFLINE")
        watcher.bring(view(step=3))
        await screen.shows("✓ all in sync", "✓ 3 of 3 up")

    drive(steps)


def test_a_cluster_that_never_answered_is_looked_for() -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view(topics=0, groups=0, reachable=False, problems=("no broker answers at 127.0.0.1:1",)))
        await screen.shows("asked again until one does", "127.0.0.1:1")

    drive(steps)


NASTY = ("[red]AIR[/red]", "<script>alert(1)</script>", "$x\x1b[31m")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_markup_and_controls_in_names_and_values_are_shown_and_not_obeyed(size: tuple[int, int]) -> None:
    broker = MemoryBroker()
    broker.create_topic(NASTY[0], 1)

    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view(names=NASTY))
        for tab in ("3", "4"):
            await screen.press(tab)
            await screen.shows(NASTY[0], NASTY[1], "$x\\x1b[31m")
        await screen.press("home", "enter")
        await screen.shows("Groups > ")
        await screen.press("3", "slash", "r", "e", "d", "enter", "enter")
        await screen.shows(f"Topics > {NASTY[0]}")
        await screen.press("enter")
        await screen.shows("<script>", "[bold]", "\\x1b")
        await screen.press("enter")
        await screen.shows("<script>x</script>", "[bold]B[/bold]")
        assert "\x1b" not in screen.text

    row = b'{"[bold]A":"[bold]B[/bold]","html":"<script>x</script>","esc":"\\u001b[31m"}'
    with publishing(broker, NASTY[0], row):
        drive(steps, size=size, broker=broker)


def test_help_names_the_keys_and_fits_a_small_screen() -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view())
        await screen.press("question_mark")
        await screen.until(lambda: isinstance(screen.app.screen, TextBox), "help")
        box = screen.app.screen.query_one(Canvas)
        assert box.max_scroll_y == 0
        await screen.shows("sort by the column", "✗ STOP", "F5")
        watcher.bring(view(down=(2,)))
        await screen.press("escape")
        await screen.until(lambda: not isinstance(screen.app.screen, TextBox), "the end of help")
        await screen.shows("BROKER 2 DOWN")

    drive(steps)


def test_columns_beyond_the_edge_come_with_the_arrows() -> None:
    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view())
        await screen.press("4")
        await screen.shows("group-000", ">")
        assert "coordinator" not in screen.text
        await screen.press(*["right"] * 8)
        await screen.shows("group-000", "coordinator")

    drive(steps)


def test_a_thousand_rows_are_walked_through_and_only_those_in_sight_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    cells = Grid._cells

    def counted(grid: Grid, place: int) -> tuple[Cell, ...]:
        made.append(place)
        return cells(grid, place)

    monkeypatch.setattr(Grid, "_cells", counted)

    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view(topics=1, partitions=1000))
        await screen.press("3", "enter")
        await screen.shows("Topics > topic-000", "1,000")
        await screen.press("end")
        await screen.until(lambda: screen.rows[-1].split()[0] == "999", "the last partition")
        watcher.bring(view(topics=1, partitions=1000, step=5))
        await screen.shows("10,995")
        assert screen.app.query_one(Grid).cursor_key == ("topic-000", 999)
        assert len(set(made)) <= 4 * 24, "the first screen and the last, of a thousand"

    drive(steps)


def test_quit_and_the_wish_to_stop_end_it() -> None:
    stop = threading.Event()

    async def steps(screen: Driven, watcher: Brought) -> None:
        stop.set()
        await screen.until(lambda: screen.app._exit, "the end")

    drive(steps, stop=stop)
    until(lambda: not any(one.name == "screen" for one in threading.enumerate()), "the end of the screen's thread")


def test_without_colour_nothing_is_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view(down=(3,)))
        await screen.press("2")
        await screen.shows("✗ DOWN", "BROKER 3 DOWN")
        grid = screen.app.screen.query_one(Grid)
        shown = [grid.render_line(y) for y in range(4)] + [screen.app.screen.query_one(Tabs).render_line(0)]
        styles = [segment.style or Style() for strip in shown for segment in strip]
        plain = [
            segment.style or Style()
            for strip in shown
            for segment in strip.apply_filter(screen.app._filters[-1], Color.parse("black"))
        ]
        assert all(color is None or color.is_default for style in plain for color in (style.color, style.bgcolor))
        # The cursor and the open tab are seen all the same.
        assert sum(bool(style.reverse) for style in styles) >= 2

    drive(steps)


@pytest.mark.parametrize("size", [(12, 4), (30, 8), (400, 100)], ids=str)
def test_no_size_of_a_terminal_ends_it(size: tuple[int, int]) -> None:
    broker = MemoryBroker()
    broker.create_topic("topic-005", 1)

    async def steps(screen: Driven, watcher: Brought) -> None:
        watcher.bring(view())
        for tab in "123456":
            await screen.press(tab, "down", "right", "end")
        await screen.press("3", "enter", "enter", "question_mark", "escape", "slash", "x", "escape", "1")
        await screen.until(lambda: screen.app._view is not None and screen.app.is_running, "the overview")
        assert screen.app.return_code in (None, 0)

    with publishing(broker, "topic-005", b'{"id":1}'):
        drive(steps, size=size, broker=broker)
