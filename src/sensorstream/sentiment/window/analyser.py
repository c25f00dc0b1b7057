"""The analyser window: a text field, and, if there is a source, the live feed below it."""

import threading
import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from tkinter import ttk
from types import TracebackType
from typing import Final

from sensorstream.sentiment.checked_scorer import CheckedScorer
from sensorstream.sentiment.feed import Feed, PostSource
from sensorstream.sentiment.window import no_window
from sensorstream.sentiment.window.live import LiveFeed
from sensorstream.sentiment.window.palette import DARK, LIGHT
from sensorstream.sentiment.window.theme import Fonts, apply
from sensorstream.sentiment.window.typed import TypedText

TICK_MS: Final = 150
KEYS: Final = "Enter: score    Esc: clear    Ctrl-D: dark or light    Ctrl-Q: close"
FEED_KEYS: Final = "    Ctrl-P: pause    Ctrl-E: export    double click or Enter on a post: its words"


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """``title`` says what is read; ``dark`` chooses the colours; ``text`` is there to begin with."""

    title: str = ""
    dark: bool = False
    text: str = ""


class Analyser:
    """The window while it is open. It is closed by its user or by ``stop``."""

    def __init__(
        self,
        scorer: CheckedScorer,
        source: PostSource | None,
        feed: Feed,
        stop: threading.Event,
        options: WindowOptions = WindowOptions(),
    ) -> None:
        try:
            self.root = tk.Tk(className="Sensorstream")
        except tk.TclError as error:
            raise no_window(f"there is no display for a window: {error}") from error
        self._stop = stop
        self._dark = options.dark
        self._due: str | None = None
        self.failure: tuple[BaseException, TracebackType | None] | None = None
        root = self.root
        root.report_callback_exception = self._failed
        self._fonts = Fonts(root)
        shown = self._fonts.texts.shown
        name = f"{shown(scorer.name, 60)} {shown(scorer.version, 30)}"
        root.title(f"Sentiment analyser - {name}" + (f" - {shown(options.title, 80)}" if options.title else ""))
        palette = DARK if self._dark else LIGHT
        apply(root, palette, self._fonts)
        self._make(scorer, source, feed)
        self._bind()
        if options.text:
            self.typed.put(options.text)
        self.typed.input.focus_set()
        root.protocol("WM_DELETE_WINDOW", self.close)
        self._due = root.after(TICK_MS, self._tick)

    def _make(self, scorer: CheckedScorer, source: PostSource | None, feed: Feed) -> None:
        root = self.root
        palette = DARK if self._dark else LIGHT
        root.columnconfigure(0, weight=1)
        root.rowconfigure(0, weight=1)
        panes = ttk.PanedWindow(root, orient="vertical")
        panes.grid(row=0, column=0, sticky="nsew")
        self.typed = TypedText(panes, scorer, palette, self._fonts)
        panes.add(self.typed, weight=0 if source is not None else 1)
        self.live: LiveFeed | None = None
        if source is not None:
            self.live = LiveFeed(panes, feed, source, palette, self._fonts, self.typed.put)
            panes.add(self.live, weight=3)
        keys = ttk.Label(
            root, text=KEYS + FEED_KEYS if self.live else KEYS, style="Muted.TLabel", padding=(12, 0, 12, 6)
        )
        keys.grid(row=1, column=0, sticky="ew")
        root.update_idletasks()
        width, height = (1180, 760) if self.live else (1020, root.winfo_reqheight() + 30)
        width, height = min(width, root.winfo_screenwidth()), min(height, root.winfo_screenheight())
        root.geometry(f"{width}x{height}")
        root.minsize(min(1000, width), min(600 if self.live else 240, height))

    def _bind(self) -> None:
        live = self.live
        keys: dict[str, Callable[[], object]] = {
            "<Escape>": self._escape,
            "<Control-d>": self.toggle_dark,
            "<Control-q>": self.close,
            "<Control-w>": self.close,
        }
        if live is not None:
            keys |= {"<Control-p>": live.toggle_pause, "<Control-e>": live.export_as}
        for key, what in keys.items():
            # The input has meanings of its own for some of them, which must not come on top.
            for widget in (self.root, self.typed.input):
                widget.bind(key, _calls(what))

    def run(self) -> None:
        """Show it until it is closed. What failed in it is raised."""
        self.root.mainloop()
        if self.failure is not None:
            error, trace = self.failure
            raise error.with_traceback(trace)

    def close(self) -> None:
        """Close the window; nothing is called after this."""
        if self._due is not None:
            self.root.after_cancel(self._due)
            self._due = None
        self.typed.stop()
        self.root.destroy()

    def toggle_dark(self) -> None:
        """Change between dark and light."""
        self._dark = not self._dark
        palette = DARK if self._dark else LIGHT
        apply(self.root, palette, self._fonts)
        self.typed.paint(palette)
        if self.live is not None:
            self.live.paint(palette)

    def _escape(self) -> None:
        """Clear the text; where there is none, show all pages and labels again."""
        self.typed.input.focus_set()
        if not self.typed.clear() and self.live is not None:
            self.live.show_all()

    def _tick(self) -> None:
        if self._stop.is_set():
            self.close()
            return
        if self.live is not None:
            self.live.tick()
        self._due = self.root.after(TICK_MS, self._tick)

    def _failed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Tk would print it and go on as if nothing had happened."""
        self.failure = self.failure or (error, trace)
        self.close()


def _calls(what: Callable[[], object]) -> "Callable[[tk.Event[tk.Misc]], str]":
    def called(event: "tk.Event[tk.Misc]") -> str:
        what()
        return "break"

    return called
