"""The lines at the top and bottom: the cluster and its health, the tabs, the keys."""

from datetime import datetime
from typing import Any

from textual.containers import Container
from textual.events import Click
from textual.message import Message

from sensorstream.monitor.screen.canvas import Canvas, Line, width_of
from sensorstream.monitor.screen.columns import Cell
from sensorstream.monitor.screen.grid import fit
from sensorstream.monitor.screen.places import TABS, Tab
from sensorstream.monitor.view import View
from sensorstream.visible import visible


class Bar(Canvas, can_focus=False):
    """One line."""

    DEFAULT_CSS = "Bar { height: 1; overflow: hidden hidden; background: $panel; }"


class Tabs(Canvas, can_focus=False):
    """The tabs, in one line."""

    DEFAULT_CSS = "Tabs { height: 1; overflow: hidden hidden; }"

    class Chosen(Message):
        """A tab was clicked on."""

        def __init__(self, tab: Tab) -> None:
            super().__init__()
            self.tab = tab

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._ends: list[tuple[int, Tab]] = []

    def choose(self, chosen: Tab) -> None:
        """Show which tab is open."""
        line: list[Cell] = []
        self._ends = []
        for number, (tab, title) in enumerate(TABS, 1):
            line.append(Cell(f" {number} {title} ", "chosen" if tab == chosen else "plain"))
            line.append(Cell(" "))
            self._ends.append((width_of(line), tab))
        self.paint([line])

    def on_click(self, event: Click) -> None:
        """Open the tab that was clicked on."""
        for end, tab in self._ends:
            if event.x < end:
                self.post_message(self.Chosen(tab))
                return


def both_ends(left: Line, right: Line, width: int) -> Line:
    """A line with something at both ends; what is on the left gives way."""
    room = max(0, width - width_of(right) - 1)
    text: list[Cell] = []
    for cell in left:
        left_over = room - width_of(text)
        text.append(cell if width_of([cell]) <= left_over else Cell(fit(cell.text, left_over), cell.tone))
    return [*text, Cell(" " * max(1, width - width_of(text) - width_of(right))), *right]


def health(view: View | None, where: str, last_answer: float | None, *, paused: bool, width: int) -> Line:
    """The first line: which cluster, and what is wrong, on every tab."""
    right: list[Cell] = [Cell("PAUSED  ", "warn")] if paused else []
    if view is None:
        return both_ends([Cell(f" {visible(where)}", "bold")], [*right, Cell("asking ... ", "dim")], width)
    snapshot = view.snapshot
    at = _time(snapshot.taken_at)
    if not snapshot.reachable:
        since = f" since {_time(last_answer)}" if last_answer is not None else ""
        right.append(Cell(f"✗ NO BROKER ANSWERS{since} ", "bad"))
    else:
        down = [str(one.id) for one in snapshot.brokers if not one.alive]
        if down:
            right.append(Cell(f"✗ BROKER {', '.join(down)} DOWN  ", "bad"))
        elif snapshot.offline:
            right.append(Cell(f"✗ {snapshot.offline} OFFLINE  ", "bad"))
        elif snapshot.under_replicated:
            right.append(Cell(f"! {snapshot.under_replicated} not in sync  ", "warn"))
        else:
            right.append(Cell("✓ all in sync  ", "good"))
        right.append(Cell(f"{at} ", "dim"))
    return both_ends([Cell(f" {visible(where)}", "bold")], right, width)


def _time(at: float | None) -> str:
    return "?" if at is None else f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}"


def keys(tab: Tab, every_s: float, width: int, *, drilled: bool) -> Line:
    """The last line: the keys that mean something here."""
    named = [("Enter", "open")] if tab not in ("overview", "latency") else []
    named += [("Esc", "back")] if drilled else []
    named += [("/", "search")] if tab not in ("overview", "latency") else []
    named += [("t", "topic")] if tab in ("rows", "latency") and not drilled else []
    named += [("p", "pause"), ("+ -", f"every {every_s:g} s"), ("?", "help"), ("q", "quit")]
    line: list[Cell] = []
    for key, what in named:
        line += [Cell(f" {key}", "bold"), Cell(f" {what} ")]
    return both_ends(line, [], width)


class Pane(Container):
    """What holds a table and the line above it."""
