"""The upper part of the window: type a text, see its score and each word's contribution."""

import tkinter as tk
from tkinter import ttk
from typing import Final, Literal

from sensorstream.sentiment.base import Score, WordScore
from sensorstream.sentiment.checked_scorer import CheckedScorer
from sensorstream.sentiment.window.palette import Palette
from sensorstream.sentiment.window.shown import signed
from sensorstream.sentiment.window.theme import Fonts, paint_tags, paint_text

AFTER_MS: Final = 60
"""How long typing must rest before the text is scored."""
MOST_WORDS: Final = 1500
MOST_ROWS: Final = 300
_BAR: Final = (220, 18)


class TypedText(ttk.Frame):
    """Scores what is typed. ``scored`` is how many texts it has scored."""

    def __init__(self, parent: tk.Misc, scorer: CheckedScorer, palette: Palette, fonts: Fonts) -> None:
        super().__init__(parent, padding=(12, 10, 12, 6))
        self._scorer = scorer
        self._palette = palette
        self._fonts = fonts
        self._texts = fonts.texts
        self._due: str | None = None
        self._score: Score | None = None
        self._words: list[WordScore] = []
        self._stands_for = ("", "")
        self.scored = 0
        self._make()
        self.paint(palette)
        self._show()

    def _make(self) -> None:
        self.columnconfigure(0, weight=1, uniform="halves")
        self.columnconfigure(2, weight=1, uniform="halves")
        self.rowconfigure(1, weight=1)
        ttk.Label(self, text="Text to score", style="Head.TLabel").grid(row=0, column=0, sticky="w")
        ttk.Label(self, text="Score", style="Head.TLabel").grid(row=0, column=1, sticky="w", padx=(16, 0))
        ttk.Label(self, text="The words that made it", style="Head.TLabel").grid(row=0, column=2, sticky="w")
        left = ttk.Frame(self)
        left.grid(row=1, column=0, sticky="nsew", pady=(4, 0))
        left.columnconfigure(0, weight=1)
        left.rowconfigure(0, weight=1)
        left.rowconfigure(1, weight=1)
        text = {"wrap": "word", "relief": "flat", "highlightthickness": 1, "padx": 8, "pady": 6, "borderwidth": 0}
        self.input = tk.Text(left, height=3, width=20, undo=True, font=self._fonts.input, name="input", **text)  # type: ignore[arg-type]
        self.input.grid(row=0, column=0, sticky="nsew")
        self.words = tk.Text(left, height=2, width=20, takefocus=False, cursor="arrow", name="words", **text)  # type: ignore[arg-type]
        self.words.configure(state="disabled", font=self._fonts.plain)
        self.words.grid(row=1, column=0, sticky="nsew", pady=(6, 0))
        self._make_readout()
        columns = ("word", "valence", "negated", "boost", "adds")
        self.table = ttk.Treeview(self, columns=columns, show="headings", height=5, name="table", selectmode="none")
        for name in columns:
            side: Literal["w", "center", "e"] = "w" if name == "word" else "center" if name == "negated" else "e"
            width = max(self._fonts.small.measure(name), self._fonts.plain.measure("+0.000")) + 12
            self.table.heading(name, text=name, anchor=side)
            self.table.column(name, width=width, minwidth=width, anchor=side, stretch=name == "word")
        self.table.configure(takefocus=False)
        self.table.grid(row=1, column=2, sticky="nsew", pady=(4, 0))
        bar = ttk.Scrollbar(self, command=self.table.yview)
        self.table.configure(yscrollcommand=bar.set)
        bar.grid(row=1, column=3, sticky="ns", pady=(4, 0))
        self.input.bind("<<Modified>>", self._modified)
        self.input.bind("<Return>", self._entered)
        self.input.bind("<KP_Enter>", self._entered)
        self.input.bind("<Shift-Return>", lambda event: None)
        self.input.bind("<Tab>", lambda event: self._pass_on(event.widget.tk_focusNext()))
        shift_tab = "<ISO_Left_Tab>" if self.tk.call("tk", "windowingsystem") == "x11" else "<Shift-Tab>"
        self.input.bind(shift_tab, lambda event: self._pass_on(event.widget.tk_focusPrev()))

    def _make_readout(self) -> None:
        box = ttk.Frame(self, padding=(16, 0))
        box.grid(row=1, column=1, sticky="n", pady=(4, 0))
        self.compound = ttk.Label(box, style="Figure.TLabel", width=7, name="compound")
        self.compound.grid(row=0, column=0, sticky="w")
        self.label = ttk.Label(box, style="Head.TLabel", wraplength=_BAR[0], name="label")
        self.label.grid(row=1, column=0, sticky="w")
        width, height = _BAR
        self.shares = tk.Canvas(box, width=width, height=height, highlightthickness=0, name="shares")
        self.shares.grid(row=2, column=0, sticky="w", pady=(6, 2))
        self.share_line = ttk.Label(box, style="Muted.TLabel", name="share_line")
        self.share_line.grid(row=3, column=0, sticky="w")
        cut = self._scorer.thresholds
        about = f"{self._texts.shown(self._scorer.name, 40)} {self._texts.shown(self._scorer.version, 20)}\n"
        if cut is None:
            about += "the most probable label"
        else:
            about += f"positive from {cut.positive:g} on\nnegative up to {cut.negative:g}"
        ttk.Label(box, text=about, style="Muted.TLabel", wraplength=width).grid(row=4, column=0, sticky="w", pady=6)

    def put(self, text: str) -> None:
        """Put a text in, and score it: as it is, even where it can't be shown so."""
        self._stands_for = self._texts.typeable(text), text
        self.input.delete("1.0", "end")
        self.input.insert("1.0", self._stands_for[0])
        self.score_now()

    def clear(self) -> bool:
        """Take the text out; false where there was none."""
        if not self._text():
            return False
        self.put("")
        return True

    def stop(self) -> None:
        """Score nothing more."""
        if self._due is not None:
            self.after_cancel(self._due)
            self._due = None

    def _text(self) -> str:
        text = self.input.get("1.0", "end-1c")
        shown, meant = self._stands_for
        return meant if text == shown else text

    def _modified(self, event: "tk.Event[tk.Text]") -> None:
        if not self.input.edit_modified():
            return
        self.input.edit_modified(False)
        self.stop()
        self._due = self.after(AFTER_MS, self.score_now)

    def _entered(self, event: "tk.Event[tk.Text]") -> str:
        self.score_now()
        self.input.tag_add("sel", "1.0", "end-1c")  # what is typed next is another text
        return "break"

    @staticmethod
    def _pass_on(to: tk.Misc | None) -> str:
        if to is not None:
            to.focus_set()
        return "break"

    def score_now(self) -> None:
        """Score what stands there now."""
        self.stop()
        text = self._text()
        if text.strip():
            (self._score,) = self._scorer.score_batch([text])
            self._words = self._explained(text) if self._score.compound is not None else []
            self.scored += 1
        else:
            self._score, self._words = None, []
        self._show()

    def _explained(self, text: str) -> list[WordScore]:
        try:
            return self._scorer.explain(text)
        except Exception:  # a plug-in may raise anything; the score stands without its words
            return []

    # What is shown

    def paint(self, palette: Palette) -> None:
        """Take other colours."""
        self._palette = palette
        paint_text(self.input, palette)
        paint_text(self.words, palette)
        paint_tags(self.table, palette)
        self.shares.configure(background=palette.background)
        self.words.tag_configure("plain", foreground=palette.muted)
        for kind in ("positive", "negative"):
            self.words.tag_configure(kind, foreground=palette.of(kind), font=self._fonts.bold)
        self.words.tag_configure("negated", underline=True)
        self._show()

    def _show(self) -> None:
        score, palette = self._score, self._palette
        compound = None if score is None else score.compound
        self.compound.configure(
            text=signed(compound), foreground=palette.of(score.label if score and score.label else None)
        )
        self.label.configure(text=self._told(), foreground=palette.text)
        self._show_shares()
        self._show_words()

    def _told(self) -> str:
        score = self._score
        if score is None:
            return "nothing typed yet"
        if score.status == "unsupported_language":
            return f"not scored: a language it does not know ({score.language})"
        if score.label is None:
            return f"not scored: {self._texts.shown(score.reason or score.status, 80)}"
        return (
            f"{score.label}, of its first {self._scorer.max_chars:,} characters"
            if (score.status == "truncated")
            else score.label
        )

    def _show_shares(self) -> None:
        score, palette = self._score, self._palette
        self.shares.delete("all")
        width, height = _BAR
        self.shares.create_rectangle(0, 0, width - 1, height - 1, outline=palette.line, fill=palette.surface)
        if score is None or score.pos is None or score.neu is None or score.neg is None:
            self.share_line.configure(text="")
            return
        at = 0.0
        for kind, share in (("negative", score.neg), ("neutral", score.neu), ("positive", score.pos)):
            if share:
                fill = palette.fill(kind)  # type: ignore[arg-type]  # the three of them are kinds
                self.shares.create_rectangle(at, 0, at + width * share, height, fill=fill, width=0)
            at += width * share
        self.share_line.configure(text=f"neg {score.neg:.3f}   neu {score.neu:.3f}   pos {score.pos:.3f}")

    def _show_words(self) -> None:
        self.words.configure(state="normal")
        self.words.delete("1.0", "end")
        self.table.delete(*self.table.get_children())
        rows = 0
        for word in self._words[:MOST_WORDS]:
            kind = "positive" if word.contribution > 0 else "negative" if word.contribution < 0 else None
            tags = ([kind, *(["negated"] if word.negated else [])]) if kind else ["plain"]
            self.words.insert("end", self._texts.shown(word.word, 60), tags)
            self.words.insert("end", " ")
            if (kind or word.valence is not None) and rows < MOST_ROWS:
                rows += 1
                self.table.insert(
                    "",
                    "end",
                    values=(
                        self._texts.shown(word.word, 60),
                        "-" if word.valence is None else f"{word.valence:+g}",
                        "yes" if word.negated else "",
                        f"{word.boost:+.3f}" if word.boosted else "",
                        signed(word.contribution, 3) if word.contribution else "",
                    ),
                    tags=(kind or "unscored",),
                )
        if not self._words:
            self.words.insert("end", self._hint(), ["plain"])
        self.words.configure(state="disabled")

    def _hint(self) -> str:
        if not self._scorer.can_explain:
            return f"The scorer {self._texts.shown(self._scorer.name, 40)} can't say which words made a score."
        if self._score is None:
            return "Each word is shown here in the colour of what it adds; a negated one is underlined."
        return "No words to show."
