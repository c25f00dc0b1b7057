"""Lines of text on the screen, made of cells with a tone; only changed lines are drawn again."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final, TypeAlias

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from sensorstream.monitor.screen.columns import Cell

TONES: Final = ("good", "warn", "bad", "dim", "plot", "bold", "chosen")
TONE_CSS: Final = """
    NAME > .tone--good { color: $text-success; }
    NAME > .tone--warn { color: $text-warning; text-style: bold; }
    NAME > .tone--bad { color: $text-error; text-style: bold; }
    NAME > .tone--dim { color: $text-muted; }
    NAME > .tone--plot { color: $text-primary; }
    NAME > .tone--bold { text-style: bold; }
    NAME > .tone--chosen { text-style: bold reverse; }
"""
TONE_CLASSES: Final = frozenset(f"tone--{tone}" for tone in TONES)
Line: TypeAlias = Sequence[Cell]


def tone_style(widget: Widget, base: Style, cell: Cell) -> Style:
    """The style of a cell on a ground of this style."""
    if cell.tone == "plain":
        return base
    tone = widget.get_component_rich_style(f"tone--{cell.tone}")
    return base + Style(color=tone.color, bold=tone.bold or None, dim=tone.dim or None, reverse=tone.reverse or None)


def width_of(line: Line) -> int:
    """How many cells of the screen a line takes."""
    return sum(cell_len(cell.text) for cell in line)


def beside(left: Sequence[Line], right: Sequence[Line], width: int) -> list[Line]:
    """Two blocks of lines beside one another, the left one filled up to ``width``; its lines fit into that."""
    lines: list[Line] = []
    for number in range(max(len(left), len(right))):
        first = list(left[number]) if number < len(left) else []
        second = list(right[number]) if number < len(right) else []
        lines.append([*first, Cell(" " * max(0, width - width_of(first))), *second])
    return lines


class Canvas(ScrollView, can_focus=True):
    """Shows lines, and scrolls where there are more than fit."""

    DEFAULT_CSS = """
    Canvas { background: $background; color: $foreground; overflow-x: hidden; overflow-y: auto; scrollbar-size: 1 1; }
    """ + TONE_CSS.replace("NAME", "Canvas")
    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", show=False),
        Binding("down", "scroll_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
        Binding("home", "scroll_home", show=False),
        Binding("end", "scroll_end", show=False),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lines: list[Line] = []

    def paint(self, lines: Sequence[Line]) -> None:
        """Show these lines."""
        before, self._lines = self._lines, list(lines)
        if len(before) != len(self._lines):
            self.virtual_size = Size(self.size.width, len(self._lines))
            self.refresh()
            return
        top = int(self.scroll_offset.y)
        for number, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if old != new:
                self.refresh(Region(0, number - top, self.size.width, 1))

    @property
    def text(self) -> str:
        """All lines, without their tones."""
        return "\n".join("".join(cell.text for cell in line) for line in self._lines)

    def render_line(self, y: int) -> Strip:
        """One line; called by Textual for those to be drawn."""
        base = self.rich_style
        number = y + int(self.scroll_offset.y)
        line = self._lines[number] if number < len(self._lines) else ()
        segments = [Segment(cell.text, tone_style(self, base, cell)) for cell in line]
        return Strip(segments).adjust_cell_length(self.size.width, base)
