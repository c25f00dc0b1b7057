"""A table on the screen: only visible rows are made, and only changed ones are drawn, however many there are."""

from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from sensorstream.monitor.screen.canvas import TONE_CLASSES, TONE_CSS, tone_style
from sensorstream.monitor.screen.columns import Cell, Column, Table

_NOTHING: Final[Table[Any]] = Table((), (), key=id, text=str)


class Grid(ScrollView, can_focus=True):
    """Shows the items of a :class:`Table` with a cursor; the header stays in place."""

    DEFAULT_CSS = """
    Grid { background: $background; color: $foreground; overflow-x: hidden; overflow-y: auto; scrollbar-size: 1 1; }
    Grid > .grid--header { background: $panel; color: $foreground; text-style: bold; }
    Grid > .grid--cursor { background: $primary 35%; color: $foreground; text-style: bold; }
    Grid.-no-color > .grid--header { text-style: bold; }
    Grid.-no-color > .grid--cursor { text-style: reverse; }
    """ + TONE_CSS.replace("NAME", "Grid")
    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--header", "grid--cursor", *TONE_CLASSES}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
        Binding("left", "shift(-1)", show=False),
        Binding("right", "shift(1)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """Enter was pressed on an item, or it was clicked on when the cursor was there."""

        def __init__(self, item: Any) -> None:
            super().__init__()
            self.item = item

    class SortAsked(Message):
        """A column's header was clicked on."""

        def __init__(self, letter: str) -> None:
            super().__init__()
            self.letter = letter

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._table = _NOTHING
        self._items: Sequence[Any] = ()
        self._letter, self._reverse = "", False
        self._empty = ""
        self._cursor = 0
        self._first_column = 0
        self._gap = 2
        self._widths: list[int] = []
        self._drawn: dict[int, Any] = {}

    def show(
        self,
        table: Table[Any],
        items: Sequence[Any],
        letter: str,
        reverse: bool,
        *,
        empty: str,
        same: bool,
        follow: bool = False,
    ) -> None:
        """Show these items of a table. ``same`` False: it is another table than before, or another order asked for.

        The cursor stays on its item while there is one of the same key; ``follow``: on the first line, if it is there.
        """
        at = self.cursor_key if same and not (follow and self._cursor == 0) else None
        titles = [column.title for column in table.columns]
        if not same or titles != [column.title for column in self._table.columns]:
            self._widths, self._first_column = [], 0 if not same else self._first_column
        self._table, self._items, self._letter, self._reverse, self._empty = table, items, letter, reverse, empty
        if not same:
            self._cursor = 0
            self.scroll_to(0, 0, animate=False)
        elif at is not None and self.cursor_key != at:
            self._cursor = next((place for place, item in enumerate(items) if table.key(item) == at), self._cursor)
        self._cursor = max(0, min(self._cursor, len(items) - 1))
        # No wider than what is in sight: columns are shifted and not scrolled.
        self.virtual_size = Size(1, len(items) + 1)
        if same and len(items):
            self._keep_in_sight()
        self._redraw(whole=not same)

    @property
    def cursor_item(self) -> Any | None:
        """The item under the cursor."""
        return self._items[self._cursor] if self._cursor < len(self._items) else None

    @property
    def cursor_key(self) -> Hashable | None:
        """The key of the item under the cursor."""
        item = self.cursor_item
        return None if item is None else self._table.key(item)

    def put_cursor(self, key: Hashable | None) -> None:
        """Put the cursor on the item of this key, if there is one."""
        if key is not None:
            key_of = self._table.key
            self._cursor = next((at for at, item in enumerate(self._items) if key_of(item) == key), self._cursor)
            self._keep_in_sight()
            self._redraw()

    # What is in sight

    @property
    def _width(self) -> int:
        """The room for a line: beside the scroll bar, where there is one."""
        return self.scrollable_content_region.width

    def _in_sight(self) -> range:
        """The places of the items that the screen shows."""
        first = int(self.scroll_offset.y)
        return range(first, min(len(self._items), first + max(0, self.size.height - 1)))

    def _cells(self, place: int) -> tuple[Cell, ...]:
        item = self._items[place]
        return tuple(column.cell(item) for column in self._table.columns)

    def _measure(self, rows: Sequence[Sequence[Cell]]) -> bool:
        """Widen columns to what they have to show; whether any became wider. They never shrink: that would flicker."""
        columns = self._table.columns
        before = list(self._widths)
        widths = self._widths or [min(one.widest, cell_len(one.title)) for one in columns]
        for number, column in enumerate(columns):
            if column.letter and column.letter == self._letter:
                # Room for the sign that says how it is sorted.
                widths[number] = max(widths[number], cell_len(column.title) + 1)
        wider = [
            max([width, *(min(column.widest, cell_len(row[number].text)) for row in rows)])
            for number, (width, column) in enumerate(zip(widths, columns, strict=True))
        ]
        changed, self._widths = wider != before, wider
        # Rather narrow gaps than columns out of sight.
        self._gap = 2 if 1 + sum(wider) + 2 * len(wider) - 2 <= self._width else 1
        return changed

    def _redraw(self, *, whole: bool = False) -> None:
        """Draw the lines that are no longer what was drawn."""
        if not self._table.columns or not self.size.height:
            return
        rows = {1 + line: self._cells(place) for line, place in enumerate(self._in_sight())}
        offset = self.scroll_offset.y
        state: dict[int, Any] = {line: (cells, line - 1 + offset == self._cursor) for line, cells in rows.items()}
        state[0] = (self._letter, self._reverse, self._first_column, self._empty if not rows else "")
        if self._measure(list(rows.values())) or whole or state[0] != self._drawn.get(0):
            self._drawn = state
            self.refresh()
            return
        for line in range(self.size.height):
            if state.get(line) != self._drawn.get(line):
                self.refresh(Region(0, line, self.size.width, 1))
        self._drawn = state

    def render_line(self, y: int) -> Strip:
        """One line: the header, an item, or a blank; called by Textual for the lines to be drawn."""
        width = self._width
        base = self.rich_style
        if not self._table.columns:
            return Strip.blank(width, base)
        if y == 0:
            return self._header(width)
        place = y - 1 + int(self.scroll_offset.y)
        if place >= len(self._items):
            text = self._empty if y == 2 and not self._items else ""
            return Strip([Segment(set_cell_size(f" {text}", width), base)])
        cells = self._cells(place)
        if len(self._widths) != len(cells):
            self._measure([cells])
        row_style = base
        at_cursor = place == self._cursor
        if at_cursor:
            row_style = self.get_component_rich_style("grid--cursor")
        segments = [Segment(" ", row_style)]
        for column, cell, room in self._placed(width, cells):
            style = tone_style(self, row_style, cell)
            segments += [Segment(fit(cell.text, room, right=column.right), style), Segment(" " * self._gap, row_style)]
        return Strip(segments).adjust_cell_length(width, row_style)

    def _placed(self, width: int, cells: Sequence[Cell]) -> list[tuple[Column[Any], Cell, int]]:
        """The columns in sight with their cells and widths: the first one, then those from where it is shifted to."""
        placed, used = [], 1
        for number, column in enumerate(self._table.columns):
            if 1 <= number <= self._first_column:
                continue
            room = min(self._widths[number], width - used)
            if room < min(4, self._widths[number]):
                break
            placed.append((column, cells[number], room))
            used += room + self._gap
        return placed

    @property
    def _shown(self) -> tuple[bool, bool]:
        """Whether columns are out of sight on the left, and on the right."""
        used = (
            1
            + sum(width + self._gap for at, width in enumerate(self._widths) if not 1 <= at <= self._first_column)
            - self._gap
        )
        return self._first_column > 0, used > self._width

    def _header(self, width: int) -> Strip:
        if not self._widths:
            self._measure([])
        style = self.get_component_rich_style("grid--header")
        segments = [Segment(" ", style)]
        before, after = self._shown
        titles = [Cell(column.title) for column in self._table.columns]
        for column, title, room in self._placed(width, titles):
            sign = ""
            if column.letter and column.letter == self._letter:
                sign = "▼" if column.falling != self._reverse else "▲"
            text = fit(title.text + sign, room, right=column.right)
            at = text.lower().find(column.letter) if column.letter else -1
            if at >= 0:
                segments += [
                    Segment(text[:at], style),
                    Segment(text[at], style + Style(underline=True)),
                    Segment(text[at + 1 :], style),
                ]
            else:
                segments.append(Segment(text, style))
            segments.append(Segment(" " * self._gap, style))
        strip = Strip(segments).adjust_cell_length(width, style)
        if before:
            strip = Strip.join([Strip([Segment("<", style)]), strip.crop(1, width)])
        return Strip.join([strip.crop(0, width - 1), Strip([Segment(">", style)])]) if after else strip

    # Keys and mouse

    def _keep_in_sight(self) -> None:
        first, height = int(self.scroll_offset.y), max(1, self.size.height - 1)
        if self._cursor < first:
            self.scroll_to(y=self._cursor, animate=False, immediate=True)
        elif self._cursor >= first + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False, immediate=True)

    def action_move(self, by: int) -> None:
        """Move the cursor by so many items."""
        self._cursor = max(0, min(self._cursor + by, len(self._items) - 1))
        self._keep_in_sight()
        self._redraw()

    def action_page(self, by: int) -> None:
        """Move the cursor by so many screens."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_shift(self, by: int) -> None:
        """Bring columns into sight that are beyond the edge."""
        if by > 0 and not self._shown[1]:
            return
        self._first_column = max(0, min(self._first_column + by, len(self._widths) - 2))
        self._redraw(whole=True)

    def action_open(self) -> None:
        """Tell that an item is to be opened."""
        item = self.cursor_item
        if item is not None:
            self.post_message(self.Opened(item))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw anew what came into sight."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._redraw(whole=True)

    def on_resize(self, event: Resize) -> None:
        """Fit the columns anew."""
        self._widths = []
        self.virtual_size = Size(1, len(self._items) + 1)
        self._keep_in_sight()
        self._redraw(whole=True)

    def on_click(self, event: Click) -> None:
        """The header sorts; an item gets the cursor, and is opened by a second click."""
        if event.y > 0:
            place = event.y - 1 + int(self.scroll_offset.y)
            if place == self._cursor:
                self.action_open()
            elif place < len(self._items):
                self._cursor = place
                self._redraw()
            return
        at = 1
        for column, _, room in self._placed(self._width, [Cell("")] * len(self._table.columns)):
            if at <= event.x < at + room + self._gap and column.letter:
                self.post_message(self.SortAsked(column.letter))
            at += room + self._gap


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly so many cells of the screen: filled with blanks, or cut with an ellipsis."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    return " " * (width - length) + text if right else text + " " * (width - length)
