"""The lower part of the window: posts as they arrive, by page or label, with mix, trend, rate and lag."""

import time
import tkinter as tk
from collections.abc import Callable, Sequence
from pathlib import Path
from tkinter import filedialog, ttk
from typing import Final, Literal

from sensorstream.errors import SensorstreamError
from sensorstream.sentiment.export import export
from sensorstream.sentiment.feed import KINDS, Feed, Kind, PostSource, ScoredPost, SourceState
from sensorstream.sentiment.window.charts import MOST_PAGES, Mix, Trends
from sensorstream.sentiment.window.palette import Palette
from sensorstream.sentiment.window.shown import signed
from sensorstream.sentiment.window.theme import Fonts, paint_tags
from sensorstream.transforms.event_time import iso
from sensorstream.wording import counted

ROWS: Final = 200
ALL_PAGES: Final = "all pages"
ALL_LABELS: Final = "all labels"
MOST_CHOICES: Final = 200
SAID_S: Final = 10.0
"""How long the outcome of an export stands in the status line."""
_AT_ONCE: Final = 2000
_DRAW_EVERY: Final = 3


class LiveFeed(ttk.Frame):
    """Shows a feed that fills itself from a source. ``chosen`` is called with the text of a post that is opened."""

    def __init__(
        self,
        parent: tk.Misc,
        feed: Feed,
        source: PostSource,
        palette: Palette,
        fonts: Fonts,
        chosen: Callable[[str], None],
    ) -> None:
        super().__init__(parent, padding=(12, 6, 12, 10))
        self.feed = feed
        self._source = source
        self._palette = palette
        self._fonts = fonts
        self._texts = fonts.texts
        self._chosen = chosen
        self._rows: dict[str, ScoredPost] = {}
        self._pages: list[str] = []
        self._ticks = 0
        self._drawn: object = None
        self._said: tuple[str, bool, float] | None = None
        self._make()
        self.paint(palette)

    def _make(self) -> None:
        self.columnconfigure(0, weight=3)
        self.columnconfigure(2, weight=2, minsize=350)
        self.rowconfigure(2, weight=1)
        self._make_bar()
        widest = {"time": "08-31 22:45:18", "page": "m" * 9, "label": "unscored", "score": "+0.000", "text": "m" * 20}
        columns = {name: self._fonts.plain.measure(text) + 14 for name, text in widest.items()}
        self.table = ttk.Treeview(self, columns=list(columns), show="headings", height=8, selectmode="browse")
        for name, width in columns.items():
            side: Literal["e", "w"] = "e" if name == "score" else "w"
            self.table.heading(name, text=name, anchor=side)
            self.table.column(name, width=width, minwidth=width // 2, anchor=side, stretch=name == "text")
        self.table.grid(row=1, column=0, rowspan=4, sticky="nsew")
        bar = ttk.Scrollbar(self, command=self.table.yview)
        bar.grid(row=1, column=1, rowspan=4, sticky="ns")
        self.table.configure(yscrollcommand=bar.set)
        self.table.bind("<Double-1>", self._opened)
        self.table.bind("<Return>", self._opened)
        head = ttk.Label(self, text="Mean score by page", style="Head.TLabel")
        head.grid(row=1, column=2, sticky="w", padx=(14, 0))
        self.trends = Trends(self, self._palette, self._fonts)
        self.trends.grid(row=2, column=2, sticky="nsew", padx=(14, 0), pady=(4, 6))
        ttk.Label(self, text="Labels", style="Head.TLabel").grid(row=3, column=2, sticky="w", padx=(14, 0))
        self.mix = Mix(self, self._palette, self._fonts)
        self.mix.grid(row=4, column=2, sticky="ew", padx=(14, 0), pady=(4, 0))
        self.status = ttk.Label(self, name="status")
        self.status.grid(row=5, column=0, columnspan=3, sticky="ew", pady=(8, 0))

    def _make_bar(self) -> None:
        bar = ttk.Frame(self)
        bar.grid(row=0, column=0, columnspan=3, sticky="ew", pady=(0, 8))
        bar.columnconfigure(5, weight=1)
        ttk.Label(bar, text="Live feed", style="Head.TLabel").grid(row=0, column=0, padx=(0, 12))
        self.page = ttk.Combobox(bar, state="readonly", values=[ALL_PAGES], width=18, name="page")
        self.page.set(ALL_PAGES)
        self.page.grid(row=0, column=1, padx=(0, 8))
        self.label = ttk.Combobox(bar, state="readonly", values=[ALL_LABELS, *KINDS], width=11, name="label")
        self.label.set(ALL_LABELS)
        self.label.grid(row=0, column=2, padx=(0, 8))
        for box in (self.page, self.label):
            box.bind("<<ComboboxSelected>>", lambda event: self.refill())
        self.pause = ttk.Button(bar, text="Pause", command=self.toggle_pause, name="pause", width=7)
        self.pause.grid(row=0, column=3, padx=(0, 8))
        self.export = ttk.Button(bar, text="Export...", command=self.export_as, name="export")
        self.export.grid(row=0, column=4, padx=(0, 8))
        self.figures = ttk.Label(bar, anchor="e", name="figures")
        self.figures.grid(row=0, column=5, sticky="e")

    @property
    def chosen_page(self) -> str | None:
        """The page that is shown alone; None: all."""
        at = self.page.current()
        return None if at <= 0 else self._pages[at - 1]

    @property
    def chosen_kind(self) -> Kind | None:
        """The label that is shown alone; None: all."""
        at = self.label.current()
        return None if at <= 0 else KINDS[at - 1]

    # What users do

    def toggle_pause(self) -> None:
        """Take no more posts, or go on: those that came in between are shown then."""
        self.feed.paused = not self.feed.paused
        self.pause.configure(text="Go on" if self.feed.paused else "Pause")
        self._tell(self._source.state)

    def show_all(self) -> None:
        """Show all pages and labels."""
        self.page.set(ALL_PAGES)
        self.label.set(ALL_LABELS)
        self.refill()

    def export_as(self) -> None:
        """Ask for a file's name, and store the posts that are shown."""
        kinds = [("CSV", "*.csv"), ("JSON Lines", "*.jsonl")]
        name = filedialog.asksaveasfilename(
            parent=self, title="Export posts", defaultextension=".csv", filetypes=kinds, initialfile="posts.csv"
        )
        if name:
            self.export_to(Path(name))

    def export_to(self, path: Path) -> None:
        """Store the kept posts of the chosen page and label, oldest first."""
        posts = list(self.feed.posts(self.chosen_page, self.chosen_kind))
        try:
            count = export(path, reversed(posts))
        except SensorstreamError as error:
            self._say(str(error), wrong=True)
        else:
            self._say(f"exported {counted(count, 'post')} to {path}")

    def _opened(self, event: "tk.Event[ttk.Treeview]") -> str:
        row = self.table.identify_row(event.y) if str(event.type) != "2" else self.table.focus()
        post = self._rows.get(row or self.table.focus())
        if post is not None:
            self._chosen(post.text)
        return "break"

    # What comes by itself

    def tick(self) -> None:
        """Take what has come, and show it."""
        posts: Sequence[ScoredPost] = self.feed.take_from(self._source, _AT_ONCE)
        page, kind = self.chosen_page, self.chosen_kind
        new = [post for post in posts if self.feed.shows(post, page, kind)]
        if len(new) >= ROWS:
            self.refill()
        else:
            for post in new:
                self._insert(post, 0)
            for old in self.table.get_children()[ROWS:]:
                self._rows.pop(old, None)
                self.table.delete(old)
        self._tell(self._source.state)
        self._ticks += 1
        if self._ticks % _DRAW_EVERY == 0:
            self._list_pages()
            self._draw()

    def refill(self) -> None:
        """Show the newest posts of the chosen page and label."""
        self.table.delete(*self.table.get_children())
        self._rows.clear()
        for post in self.feed.latest(ROWS, self.chosen_page, self.chosen_kind):
            self._insert(post, "end")
        self._draw()

    def paint(self, palette: Palette) -> None:
        """Take other colours."""
        self._palette = self.mix.palette = self.trends.palette = palette
        paint_tags(self.table, palette)
        self._drawn = None
        self._draw()
        self._tell(self._source.state)

    def _insert(self, post: ScoredPost, at: int | str) -> None:
        values = (
            iso(post.time_ms)[5:19].replace("T", " "),
            self._texts.shown(post.page, 40),
            self._texts.shown(post.said, 30),
            signed(post.compound, 3),
            self._texts.shown(post.text),
        )
        row = self.table.insert("", at, values=values, tags=(post.kind,))  # type: ignore[arg-type]  # an index or "end"
        self._rows[row] = post

    def _list_pages(self) -> None:
        pages = self.feed.pages()[:MOST_CHOICES]
        if sorted(pages) == self._pages:
            return
        chosen = self.chosen_page
        self._pages = sorted(pages)
        self.page.configure(values=[ALL_PAGES, *(self._texts.shown(page, 40) for page in self._pages)])
        self.page.current(self._pages.index(chosen) + 1 if chosen in self._pages else 0)

    def _draw(self) -> None:
        page = self.chosen_page
        now = (self.feed.total, page)
        if now != self._drawn:
            self._drawn = now
            self.mix.draw(self.feed.counts(page))
            self.trends.draw(self.feed.trends(MOST_PAGES, page))

    def _tell(self, state: SourceState) -> None:
        rate = self.feed.rate()
        figures = [
            counted(self.feed.total, "post"),
            "rate unknown" if rate is None else f"{rate:,.1f} posts/s",
            "lag unknown" if state.lag is None else f"lag {state.lag:,}",
        ]
        if state.unusable:
            figures.append(f"{state.unusable:,} unusable")
        if state.missed:
            figures.append(f"{state.missed:,} missed")
        self.figures.configure(text="   ".join(figures))
        told = self._texts.shown(state.text, 200)
        if self.feed.paused:
            told = f"paused: what comes waits; {told}"
        elif state.kind == "reading":
            scorers = ", ".join(self._texts.shown(name, 40) for name in list(self.feed.scorers)[:3] if name)
            told = f"{told}, scored by {scorers}" if scorers else told
            if state.reason:
                told += f"; not shown: {self._texts.shown(state.reason, 120)}"
        if self._said is not None and time.monotonic() < self._said[2]:
            text, wrong, _ = self._said
            self.status.configure(text=text, foreground=self._palette.negative if wrong else self._palette.text)
            return
        colours = {"reading": self._palette.positive, "ended": self._palette.muted, "failed": self._palette.negative}
        colour = self._palette.warning if self.feed.paused else colours.get(state.kind, self._palette.warning)
        self.status.configure(text=told, foreground=colour)

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self._said = (self._texts.shown(text), wrong, time.monotonic() + SAID_S)
        self._tell(self._source.state)
