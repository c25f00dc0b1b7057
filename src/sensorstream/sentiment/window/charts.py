"""What the window draws: the mix of labels, and how each page's mean score changes."""

import tkinter as tk
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from tkinter.font import Font
from typing import Final

from sensorstream.sentiment.feed import Kind
from sensorstream.sentiment.trend import COLUMNS, PageTrend
from sensorstream.sentiment.window.palette import Palette
from sensorstream.sentiment.window.shown import signed
from sensorstream.sentiment.window.theme import Fonts
from sensorstream.transforms.event_time import duration_text

MOST_PAGES: Final = 8
_GAP: Final = 8


class Mix(tk.Canvas):
    """One bar of all labels, with their counts and shares below it."""

    def __init__(self, parent: tk.Misc, palette: Palette, fonts: Fonts) -> None:
        self._line = fonts.small.metrics("linespace")
        super().__init__(parent, width=320, height=24 + 2 * (self._line + 4) + 6, highlightthickness=0)
        self.palette = palette
        self._fonts = fonts
        self._texts = fonts.texts
        self._counts: Mapping[Kind, int] = {}
        self.bind("<Configure>", lambda event: self.draw(self._counts))

    def draw(self, counts: Mapping[Kind, int]) -> None:
        """Show these counts."""
        self._counts = counts
        palette = self.palette
        self.configure(background=palette.background)
        self.delete("all")
        width = max(self.winfo_width(), 100)
        total = sum(counts.values())
        self.create_rectangle(0, 0, width - 1, 22, outline=palette.line, fill=palette.surface)
        if not total:
            self.create_text(0, 30, anchor="nw", text="no posts yet", fill=palette.muted, font=self._fonts.small)
            return
        at = 0.0
        left, top = 0, 30
        for kind, count in counts.items():
            if not count:
                continue
            end = at + width * count / total
            self.create_rectangle(at, 0, end, 23, fill=palette.fill(kind), width=0)
            at = end
            told = f"{kind} {count:,} ({count / total:.0%})"
            room = self._fonts.small.measure(told) + 15
            if left and left + room > width:
                left, top = 0, top + self._line + 4
            self.create_rectangle(left, top + 3, left + 9, top + 12, fill=palette.fill(kind), width=0)
            self.create_text(
                left + 15, top, anchor="nw", text=told, fill=palette.text, font=self._fonts.small, tags=("told",)
            )
            left += room + 18


class Trends(tk.Canvas):
    """A row of bars for each page: up from the line in the middle is positive, down is negative; one scale for all."""

    def __init__(self, parent: tk.Misc, palette: Palette, fonts: Fonts) -> None:
        super().__init__(parent, width=320, height=160, highlightthickness=0)
        self.palette = palette
        self._fonts = fonts
        self._texts = fonts.texts
        self._trends: Sequence[PageTrend] = ()
        self.bind("<Configure>", lambda event: self.draw(self._trends))

    def rows(self) -> int:
        """How many pages there is room for."""
        line = self._fonts.small.metrics("linespace")
        return max(1, min(MOST_PAGES, (self.winfo_height() - line - _GAP) // (2 * line + 14)))

    def draw(self, trends: Sequence[PageTrend]) -> None:
        """Show these pages, as many as there is room for."""
        self._trends = trends
        self.configure(background=self.palette.background)
        self.delete("all")
        drawn = [trend for trend in trends if trend.points][: self.rows()]
        if not drawn:
            told = "no scores yet"
            self.create_text(0, 4, anchor="nw", text=told, fill=self.palette.muted, font=self._fonts.small)
            return
        width, height = max(self.winfo_width(), 150), self.winfo_height()
        line = self._fonts.small.metrics("linespace")
        left = min(130, width // 3)
        foot = height - line - 2
        each = min((foot - 2) / len(drawn), 84.0)
        for number, trend in enumerate(drawn):
            self._row(trend, left, width, number * each, each - _GAP)
        self._axis(drawn[0], left, width, len(drawn) * each - _GAP + 4)

    def _row(self, trend: PageTrend, left: int, width: int, top: float, high: float) -> None:
        palette, small = self.palette, self._fonts.small
        name = _fit(self._texts.shown(trend.page, 40), small, left - 10)
        line = small.metrics("linespace")
        first = top + max(0.0, (high - 2 * line) / 2)
        self.create_text(0, first, anchor="nw", text=name, fill=palette.text, font=self._fonts.small, tags=("page",))
        mean = f"{signed(trend.mean, 3)}  {trend.posts:,} post{'s' * (trend.posts != 1)}"
        self.create_text(
            0,
            first + line,
            anchor="nw",
            text=_fit(mean, small, left - 6),
            fill=palette.muted,
            font=small,
            tags=("mean",),
        )
        self.create_rectangle(left, top, width - 1, top + high, outline=palette.line, fill=palette.surface)
        middle = top + high / 2
        self.create_line(left, middle, width - 1, middle, fill=palette.line)
        step = (width - 2 - left) / _columns(trend)
        for at, point in enumerate(trend.points):
            if point is None:
                continue
            start = left + 1 + at * step
            end = start + max(1.0, step - 1)
            tip = middle - point * (high / 2 - 2)
            if abs(tip - middle) < 1.5:  # a mean of 0 is a mean, too
                self.create_rectangle(start, middle - 1, end, middle + 1, fill=palette.neutral_fill, width=0)
                continue
            fill = palette.positive if point > 0 else palette.negative
            self.create_rectangle(start, min(tip, middle), end, max(tip, middle), fill=fill, width=0, tags=("bar",))

    def _axis(self, trend: PageTrend, left: int, width: int, top: float) -> None:
        if trend.first_ms is None:
            return
        last_ms = trend.first_ms + len(trend.points) * trend.width_ms
        days = trend.width_ms * COLUMNS > 86_400_000
        step = (width - 2 - left) / _columns(trend)
        small, muted = self._fonts.small, self.palette.muted
        self.create_text(left, top, anchor="nw", text=_clock(trend.first_ms, days), fill=muted, font=small)
        told = f"{_clock(last_ms, days)} UTC"
        end = max(left + len(trend.points) * step, left + small.measure(_clock(0, days) + "   " + told))
        self.create_text(min(end, width - 1), top, anchor="ne", text=told, fill=muted, font=small)
        self.create_text(0, top, anchor="nw", text=f"a bar: {duration_text(trend.width_ms)}", fill=muted, font=small)


def _columns(trend: PageTrend) -> int:
    """How many bars share the width: those there are; a few do not make a wall each."""
    return max(len(trend.points), COLUMNS // 3)


def _clock(time_ms: int, days: bool) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.strftime("%d %b %H:%M" if days else "%H:%M:%S")


def _fit(text: str, font: Font, width: int) -> str:
    """As much of a text as fits into a width."""
    if font.measure(text) <= width:
        return text
    while text and font.measure(text + "\N{HORIZONTAL ELLIPSIS}") > width:
        text = text[:-1]
    return text + "\N{HORIZONTAL ELLIPSIS}"
