"""Dialogs over the screen: help, one complete row, the choice of a topic. Escape closes each."""

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from sensorstream.monitor.screen.canvas import Canvas, Line
from sensorstream.monitor.screen.columns import Cell, Table
from sensorstream.monitor.screen.grid import Grid, fit
from sensorstream.monitor.snapshot import TopicState

_CLOSE: Final = [Binding("escape,q,backspace,question_mark", "dismiss", show=False)]
_CSS: Final = """
    NAME { align: center middle; background: $background 60%; }
    NAME > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 92%; border: round $primary; background: $background;
    }
"""
_KEYS: Final = (
    ("1 to 6, Tab", "another tab"),
    ("Enter", "open: topic, partition, row; group; broker"),
    ("Esc, Backspace", "back; end a search"),
    ("arrows, PgUp, PgDn", "move; left and right: columns beyond the edge"),
    ("/", "search: show only what holds these letters"),
    ("a letter", "sort by the column with that letter underlined"),
    ("", "once more: the other way round"),
    ("t", "choose the topic of live rows and latency"),
    ("p", "pause: ask and read nothing until p comes again"),
    ("+ -", "ask less often, more often; F5: at once"),
    ("T", "light or dark"),
    ("q, Ctrl-C", "quit"),
)
_WORDS: Final = (
    ("✓ OK", "the lag was zero just now, or it falls"),
    ("! WARN", "it reads, but the lag never falls"),
    ("✗ STALL", "a member has the partition and does not move"),
    ("✗ STOP", "nobody in the group moves, and there is lag"),
    ("! REWIND", "the position went back"),
    ("? UNKNOWN", "never committed, or watched for too short"),
)


class TextBox(ModalScreen[None]):
    """Lines in a box."""

    DEFAULT_CSS = _CSS.replace("NAME", "TextBox")
    BINDINGS: ClassVar[list[BindingType]] = [*_CLOSE, Binding("enter", "dismiss", show=False)]

    def __init__(self, title: str, lines: Sequence[Line]) -> None:
        super().__init__()
        self._title, self._lines = title, list(lines)

    def compose(self) -> ComposeResult:
        """The box."""
        with Vertical() as box:
            # Titles are markup to Textual; ours are never made of what comes from outside.
            box.border_title = self._title
            canvas = Canvas()
            canvas.styles.height = len(self._lines)
            canvas.styles.max_height = "100%"
            yield canvas

    def on_mount(self) -> None:
        """Fill it."""
        canvas = self.query_one(Canvas)
        canvas.paint(self._lines)
        canvas.focus()


def help_box() -> TextBox:
    """The keys, and the words of the status column."""
    lines: list[Line] = [[Cell(" " + fit(keys, 20), "bold"), Cell(what)] for keys, what in _KEYS]
    lines.append([Cell(" status of a group, by Burrow's rules", "dim")])
    lines += [[Cell(" " + fit(word, 20), "bold"), Cell(what)] for word, what in _WORDS]
    return TextBox("keys", lines)


def row_box(fields: Sequence[tuple[str, str]], width: int) -> TextBox:
    """One row in full, a field a line; long ones go on in the next."""
    names = min(24, max(len(name) for name, _ in fields))
    room = max(20, min(76, width) - names - 6)
    lines: list[Line] = []
    for name, text in fields:
        for at in range(0, max(1, len(text)), room):
            lines.append([Cell(" " + fit(name if at == 0 else "", names) + "  ", "dim"), Cell(text[at : at + room])])
    return TextBox("row", lines)


class TopicBox(ModalScreen[str | None]):
    """A table of topics; the one that is opened is the result."""

    DEFAULT_CSS = _CSS.replace("NAME", "TopicBox")
    BINDINGS: ClassVar[list[BindingType]] = list(_CLOSE)

    def __init__(self, topics: Table[TopicState], chosen: str | None) -> None:
        super().__init__()
        self._topics, self._chosen = topics, chosen

    def compose(self) -> ComposeResult:
        """The box."""
        with Vertical() as box:
            box.border_title = "the topic to look at"
            grid = Grid()
            grid.styles.height = min(16, max(3, len(self._topics.items) + 1))
            yield grid

    def on_mount(self) -> None:
        """Fill it, with the cursor on the one that is looked at."""
        grid = self.query_one(Grid)
        items = self._topics.arranged("t", reverse=False, search="")
        grid.show(self._topics, items, "", False, empty="no topics", same=False)
        grid.put_cursor(self._chosen)
        grid.set_class(self.app.no_color, "-no-color")
        grid.focus()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Take it."""
        event.stop()
        self.dismiss(event.item.name)
