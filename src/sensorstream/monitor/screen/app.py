"""The live screen: tabs over one View, which an Observer updates; and the newest rows of a topic."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key, Resize
from textual.widgets import ContentSwitcher, Input

from sensorstream.monitor.newest_rows import NewestRows
from sensorstream.monitor.screen import bars, boxes, latency, overview, rows, tables
from sensorstream.monitor.screen.canvas import Canvas
from sensorstream.monitor.screen.columns import Cell, Table
from sensorstream.monitor.screen.drilling import empty_words, inside, likely_topic, table_of
from sensorstream.monitor.screen.grid import Grid
from sensorstream.monitor.screen.live import Live
from sensorstream.monitor.screen.places import TABS, Place, Tab, path
from sensorstream.monitor.screen.watcher import Watcher
from sensorstream.monitor.view import View

EVERY: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Between these intervals ``+`` and ``-`` choose, in seconds."""
_ROWS_EVERY_S: Final = 0.5
_STOP_EVERY_S: Final = 0.5


class MonitorApp(App[None]):
    """The screen. ``where`` names the cluster; ``open_rows`` makes a reader of a topic, or of one of its partitions."""

    CSS = """
    Screen { layout: vertical; }
    #body { height: 1fr; }
    #table { layout: vertical; height: 1fr; }
    #search { height: 1; border: none; padding: 0 1; display: none; }
    """
    TITLE = "sensorstream monitor"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"tab('{tab}')", show=False) for number, (tab, _) in enumerate(TABS, 1)),
        Binding("tab", "next_tab(1)", show=False, priority=True),
        Binding("shift+tab", "next_tab(-1)", show=False, priority=True),
        Binding("escape,backspace", "up", show=False),
        Binding("slash", "search", show=False),
        Binding("p", "pause", show=False),
        Binding("plus,equals_sign", "slower(1)", show=False),
        Binding("minus", "slower(-1)", show=False),
        Binding("f5", "ask", show=False),
        Binding("T", "light_or_dark", show=False),
        Binding("question_mark", "keys", show=False),
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(
        self,
        watcher: Watcher,
        open_rows: Callable[[str, int | None], NewestRows],
        *,
        where: str,
        topic: str | None = None,
        light: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        # Textual takes colours out of NO_COLOR's way only where they are the terminal's own; else it leaves greys.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._watcher = watcher
        self._live = Live(open_rows)
        self._where = where
        self._topic = topic
        self._stop_asked = stop or threading.Event()
        self._ended = threading.Event()
        self._view: View | None = None
        self._answered_at: float | None = None
        self._paused = False
        self._tab: Tab = "overview"
        self._places: dict[Tab, list[Place]] = {tab: [Place()] for tab, _ in TABS}
        self._shown: tuple[Any, ...] | None = None
        self._drawn_rows: tuple[Any, ...] | None = None
        self._set_theme(light=light)

    def _set_theme(self, *, light: bool) -> None:
        if self.no_color:
            # The terminal's own two colours: the filter of no_color takes out all others.
            self.theme = "ansi-light" if light else "ansi-dark"
        else:
            self.theme = "textual-light" if light else "textual-dark"

    def compose(self) -> ComposeResult:
        """The lines of the screen."""
        yield bars.Bar(id="health")
        yield bars.Tabs(id="tabs")
        with ContentSwitcher(initial="page", id="body"):
            yield Canvas(id="page")
            with bars.Pane(id="table"):
                yield bars.Bar(id="path")
                yield Grid(id="grid")
        yield Input(id="search", placeholder="shown is what holds ...", compact=True)
        yield bars.Bar(id="keys")

    def on_mount(self) -> None:
        """Begin to look."""
        self.query_one(Grid).set_class(self.no_color, "-no-color")
        self.set_interval(_ROWS_EVERY_S, self._look_at_rows)
        threading.Thread(target=self._follow, name="screen", daemon=True).start()
        self._show()

    def on_unmount(self) -> None:
        """Let go of the reader; the watcher is its owner's."""
        self._ended.set()
        self._live.close()

    def _follow(self) -> None:
        """On a thread of its own: wait for views, and for the wish to stop."""
        seen: View | None = None
        while not self._ended.is_set():
            if self._stop_asked.is_set():
                self._hand_over(self.exit)
                return
            view = self._watcher.wait(_STOP_EVERY_S, after=seen)
            if view is not None and view is not seen:
                seen = view
                self._hand_over(self._take, view)

    def _hand_over(self, call: Callable[..., Any], *arguments: Any) -> None:
        if self._ended.is_set():
            return
        try:
            self.call_from_thread(call, *arguments)
        except RuntimeError:
            # The screen has just been closed.
            self._ended.set()

    def _take(self, view: View) -> None:
        self._view = view
        if view.snapshot.reachable:
            self._answered_at = view.snapshot.taken_at
        self._show()

    # What is shown

    @property
    def _place(self) -> Place:
        return self._places[self._tab][-1]

    def _show(self) -> None:
        """Draw what is in sight: the first and the last line, and the open tab."""
        width = self.size.width
        self.query_one("#health", bars.Bar).paint(
            [bars.health(self._view, self._where, self._answered_at, paused=self._paused, width=width)]
        )
        self.query_one("#tabs", bars.Tabs).choose(self._tab)
        drilled = len(self._places[self._tab]) > 1
        self.query_one("#keys", bars.Bar).paint([bars.keys(self._tab, self._watcher.every_s, width, drilled=drilled)])
        is_page = self._tab in ("overview", "latency")
        self.query_one("#body", ContentSwitcher).current = "page" if is_page else "table"
        if not self.query_one("#search", Input).display:
            # At once: the next key may be here already.
            target = self.query_one("#page", Canvas) if is_page else self.query_one(Grid)
            target.screen.set_focus(target)
        self._choose_reader()
        if self._tab == "overview":
            page = self.query_one("#page", Canvas)
            page.paint(self._first_page(*self._room(page)))
        elif self._looks_at_rows:
            self._drawn_rows = None
            self._look_at_rows()
        elif self._view is not None:
            self._show_table(table_of(self._view, self._tab, self._place), empty_words(self._tab, self._place))

    def _room(self, page: Canvas) -> tuple[int, int]:
        """The width and height of a page, also before it has been laid out."""
        return page.size.width or self.size.width, page.size.height or max(1, self.size.height - 3)

    def _first_page(self, width: int, height: int) -> Sequence[Sequence[Cell]]:
        if self._view is None:
            return [[], [Cell(" asking the cluster ...", "dim")]]
        if self._answered_at is None:
            problems = [[Cell(" ! ", "warn"), Cell(text)] for text in self._view.snapshot.problems]
            return [[], [Cell(" no broker answers; they are asked again until one does", "bad")], [], *problems]
        return overview.lines(self._view, width, height)

    def _show_table(self, table: Table[Any], empty: str) -> None:
        place, grid = self._place, self.query_one(Grid)
        letter = table.first if place.letter is None else place.letter
        items = table.arranged(letter, place.reverse, place.search)
        here = (self._tab, len(self._places[self._tab]), place.name(), letter, place.reverse, place.search)
        same = here == self._shown
        moved = self._shown is None or here[:3] != self._shown[:3]
        self._shown = here
        grid.show(table, items, letter, place.reverse, empty=empty, same=same, follow=self._looks_at_rows)
        if not same and moved:
            grid.put_cursor(place.cursor)
        found = f"{len(items):,} of {len(table.items):,}" if place.search else f"{len(items):,}"
        right = [Cell(f"/{place.search}  ", "warn")] if place.search else []
        self._show_path([*right, Cell(f"{found} ", "dim")])

    def _show_path(self, right: Sequence[Cell]) -> None:
        left = [Cell(f" {path(self._tab, self._places[self._tab])}", "bold")]
        if self._tab == "rows" and self._topic is not None:
            left.append(Cell(f" > {tables.name(self._topic).text}", "bold"))
        self.query_one("#path", bars.Bar).paint([bars.both_ends(left, right, self.size.width)])

    # Rows

    @property
    def _looks_at_rows(self) -> bool:
        return self._tab in ("rows", "latency") or self._place.is_rows

    def _choose_reader(self) -> None:
        """Read the topic that is looked at; rest while none is."""
        if self._topic is None and self._looks_at_rows and self._view is not None:
            self._topic = likely_topic(self._view)
        place = self._place
        topic = place.topic if place.is_rows else self._topic
        if self._paused or topic is None or not self._looks_at_rows:
            self._live.rest()
        else:
            self._live.look_at(topic, place.partition)

    def _look_at_rows(self) -> None:
        """Called often while rows or latencies are in sight: draw them when there are new ones."""
        if len(self.screen_stack) > 1 or not self._looks_at_rows:
            return
        reader = self._live.reader
        if reader is None:
            text = "asking the cluster ..." if self._view is None else "the cluster has no topic yet"
            if self._tab == "latency":
                self.query_one("#page", Canvas).paint([[], [Cell(f" {text}", "dim")]])
            else:
                self._show_table(rows.table([], one_partition=False), text)
            return
        page = self.query_one("#page", Canvas)
        drawn = (id(reader), reader.changes, self.size, page.size, self._place.search)
        if drawn == self._drawn_rows:
            return
        self._drawn_rows = drawn
        state = reader.state
        if self._tab == "latency":
            page.paint(latency.lines(reader.topic, state, reader.latencies(), *self._room(page)))
            return
        found = self._live.rows()
        table = rows.table(found, one_partition=reader.partition is not None)
        self._show_table(table, state.text if not found and state.kind != "reading" else "no rows yet")
        skipped = f", {state.skipped:,} skipped" if state.skipped else ""
        words = f"{state.read:,} read{skipped} " if state.kind == "reading" else f"{state.text} "
        search = [Cell(f"/{self._place.search}  ", "warn")] if self._place.search else []
        self._show_path([*search, Cell(words, "warn" if state.kind in ("away", "failed") else "dim")])

    # Keys

    def _leave(self) -> None:
        self._place.cursor = self.query_one(Grid).cursor_key
        self._end_search()

    def action_tab(self, tab: Tab) -> None:
        """Open a tab."""
        self._leave()
        self._tab = tab
        self._show()

    def action_next_tab(self, by: int) -> None:
        """Open the tab beside this one."""
        if len(self.screen_stack) > 1:
            return
        names = [tab for tab, _ in TABS]
        self.action_tab(names[(names.index(self._tab) + by) % len(names)])

    def on_tabs_chosen(self, event: bars.Tabs.Chosen) -> None:
        """A tab was clicked on."""
        self.action_tab(event.tab)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Drill down."""
        if isinstance(event.item, rows.ShownRow):
            self.push_screen(boxes.row_box(rows.in_full(event.item), self.size.width))
            return
        place = inside(event.item)
        if place is not None:
            self._leave()
            self._places[self._tab].append(place)
            self._show()

    def action_up(self) -> None:
        """End a search; else go up where the user drilled down."""
        if self.query_one("#search", Input).display or self._place.search:
            self._place.search = ""
            self._end_search()
        elif len(self._places[self._tab]) > 1:
            self._places[self._tab].pop()
        self._show()

    def action_search(self) -> None:
        """Ask for letters."""
        if self._tab in ("overview", "latency"):
            return
        search = self.query_one("#search", Input)
        search.value = self._place.search
        search.display = True
        self.query_one("#keys", bars.Bar).display = False
        search.focus()

    def _end_search(self) -> None:
        self.query_one("#search", Input).display = False
        self.query_one("#keys", bars.Bar).display = True

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search while it is typed."""
        if event.input.display and event.value != self._place.search:
            self._place.search = event.value
            self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep what was searched for."""
        self._end_search()
        self._show()

    def on_key(self, event: Key) -> None:
        """A letter sorts; t chooses a topic where rows are looked at."""
        letter = event.character or ""
        if len(self.screen_stack) > 1 or self.query_one("#search", Input).display:
            return
        if letter == "t" and self._tab in ("rows", "latency") and not self._place.is_rows:
            self._ask_topic()
        elif letter.isalpha():
            self._sort(letter)

    def on_grid_sort_asked(self, event: Grid.SortAsked) -> None:
        """A header was clicked on."""
        self._sort(event.letter)

    def _sort(self, letter: str) -> None:
        if self._view is None or self._tab == "overview" or self._looks_at_rows:
            return
        table = table_of(self._view, self._tab, self._place)
        if table.column(letter) is None:
            return
        place = self._place
        before = table.first if place.letter is None else place.letter
        place.letter, place.reverse = letter, letter == before and not place.reverse
        self._show()

    def _ask_topic(self) -> None:
        if self._view is None:
            return

        def chosen(topic: str | None) -> None:
            if topic is not None:
                self._topic = topic
                self._place.search = ""
            self._show()

        self.push_screen(boxes.TopicBox(tables.topics(self._view), self._topic), chosen)

    def action_pause(self) -> None:
        """Ask and read nothing; or go on."""
        self._paused = not self._paused
        if self._paused:
            self._watcher.pause()
        else:
            self._watcher.resume()
        self._show()

    def action_slower(self, by: int) -> None:
        """Ask less often, or more often."""
        now = self._watcher.every_s
        if by > 0:
            self._watcher.every_s = next((one for one in EVERY if one > now), EVERY[-1])
        else:
            self._watcher.every_s = next((one for one in reversed(EVERY) if one < now), EVERY[0])
        self._show()

    def action_ask(self) -> None:
        """Ask the cluster at once."""
        self._watcher.refresh_now()

    def action_light_or_dark(self) -> None:
        """Change between light and dark."""
        self._set_theme(light=self.current_theme.dark)

    def action_keys(self) -> None:
        """Show the keys."""
        self.push_screen(boxes.help_box())

    def on_resize(self, event: Resize) -> None:
        """Fit everything into the new size."""
        self.call_after_refresh(self._show)
