"""The fonts and the style of the window's widgets."""

import ctypes
import tkinter as tk
from tkinter import font, ttk
from typing import Final

from sensorstream.sentiment.feed import Kind
from sensorstream.sentiment.window.palette import Palette
from sensorstream.sentiment.window.shown import Drawable

XFT_WITH_COLOURS: Final = 20305


class Fonts:
    """The fonts in use, made after the desktop's own."""

    def __init__(self, root: tk.Misc) -> None:
        self.texts = Drawable(emoji=_can_draw_emoji(root))
        self.plain = font.nametofont("TkDefaultFont", root)
        size = abs(int(self.plain.cget("size"))) or 10
        self.bold = self.plain.copy()
        self.bold.configure(weight="bold")
        self.small = self.plain.copy()
        self.small.configure(size=max(8, size - 1))
        self.input = self.plain.copy()
        self.input.configure(size=size + 2)
        self.figure = self.plain.copy()
        self.figure.configure(size=size + 14, weight="bold")


def _can_draw_emoji(root: tk.Misc) -> bool:
    """Whether emoji can be drawn; else the X server ends the whole program on the first one.

    Xft draws the pictures of fonts with colours from 2.3.5 on (its NEWS); before, it sends what is no valid request.
    """
    if root.tk.call("tk", "windowingsystem") != "x11" or not any("Emoji" in name for name in font.families(root)):
        return True
    try:
        version: int = ctypes.CDLL("libXft.so.2").XftGetVersion()
    except (OSError, AttributeError):
        return False
    return version >= XFT_WITH_COLOURS


def apply(root: tk.Tk, palette: Palette, fonts: Fonts) -> None:
    """Style all ttk widgets, those there are and those to come."""
    root.configure(background=palette.background)
    style = ttk.Style(root)
    style.theme_use("clam")
    style.configure(
        ".",
        background=palette.background,
        foreground=palette.text,
        fieldbackground=palette.surface,
        bordercolor=palette.line,
        lightcolor=palette.background,
        darkcolor=palette.background,
        troughcolor=palette.background,
        insertcolor=palette.text,
        selectbackground=palette.selected,
        selectforeground=palette.text,
        focuscolor=palette.positive,
        font=fonts.plain,
    )
    style.configure("Muted.TLabel", foreground=palette.muted, font=fonts.small)
    style.configure("Head.TLabel", font=fonts.bold)
    style.configure("Figure.TLabel", font=fonts.figure)
    buttons = {"background": palette.surface, "bordercolor": palette.line, "lightcolor": palette.surface}
    style.configure("TButton", padding=(10, 3), darkcolor=palette.surface, **buttons)
    style.map("TButton", background=[("pressed", palette.selected), ("active", palette.selected)])
    style.configure("TCombobox", arrowcolor=palette.text, padding=3, **buttons)
    style.map(
        "TCombobox",
        fieldbackground=[("readonly", palette.surface)],
        foreground=[("readonly", palette.text)],
        selectbackground=[("readonly", palette.surface)],
        selectforeground=[("readonly", palette.text)],
        bordercolor=[("focus", palette.positive)],
    )
    style.configure(
        "Treeview",
        background=palette.surface,
        foreground=palette.text,
        rowheight=fonts.plain.metrics("linespace") + 6,
    )
    style.map("Treeview", background=[("selected", palette.selected)], foreground=[("selected", palette.text)])
    style.configure("Treeview.Heading", background=palette.background, foreground=palette.muted, font=fonts.small)
    style.map("Treeview.Heading", background=[("active", palette.background)])
    style.configure("TScrollbar", background=palette.line, arrowcolor=palette.muted)
    style.map("TScrollbar", background=[("active", palette.neutral_fill), ("disabled", palette.background)])
    style.configure("Sash", background=palette.line, sashthickness=8, gripcount=0)
    for name, colour in (("background", palette.surface), ("foreground", palette.text)):
        root.option_add(f"*TCombobox*Listbox.{name}", colour)
    root.option_add("*TCombobox*Listbox.selectBackground", palette.selected)
    root.option_add("*TCombobox*Listbox.selectForeground", palette.text)


def paint_text(widget: tk.Text, palette: Palette) -> None:
    """Colour a text widget, which ttk's style does not reach."""
    widget.configure(
        background=palette.surface,
        foreground=palette.text,
        insertbackground=palette.text,
        selectbackground=palette.selected,
        selectforeground=palette.text,
        highlightbackground=palette.line,
        highlightcolor=palette.positive,
    )


def paint_tags(table: ttk.Treeview, palette: Palette) -> None:
    """Colour the rows of a table by what they are tagged with."""
    kinds: tuple[Kind, ...] = ("positive", "neutral", "negative", "unscored")
    for kind in kinds:
        table.tag_configure(kind, foreground=palette.text if kind == "neutral" else palette.of(kind))
