"""Figures as the screen writes them: short, of constant width, and ``?`` for unknown values."""

from collections.abc import Sequence
from typing import Final

UNKNOWN: Final = "?"
_BARS: Final = "▁▂▃▄▅▆▇█"
_SIZES: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def count(value: int | None) -> str:
    """A whole number with its thousands apart: ``1,234,567``."""
    return UNKNOWN if value is None else f"{value:,}"


def rate(value: float | None) -> str:
    """A rate a second, of three digits at least: ``0.25``, ``12.5``, ``1,250``."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def size(value: int | None) -> str:
    """A size in bytes: ``12.5 MB``."""
    if value is None:
        return UNKNOWN
    scaled, step = float(value), 0
    while scaled >= 1000 and step < len(_SIZES) - 1:
        scaled, step = scaled / 1000, step + 1
    return f"{value} B" if step == 0 else f"{scaled:.1f} {_SIZES[step]}"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units: ``4.2 s``, ``3m20s``, ``2h05m``, ``6d11h``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s" if seconds > 0 else "0 s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def milliseconds(value: float | None) -> str:
    """A latency: ``0.85 ms``, ``12.4 ms``, ``1,250 ms``."""
    if value is None:
        return UNKNOWN
    if abs(value) < 10:
        return f"{value:.2f} ms"
    return f"{value:.1f} ms" if abs(value) < 100 else f"{value:,.0f} ms"


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The newest values as bars from 0 to the largest one, filled up with blanks on the left; unknown is a blank."""
    newest = list(values)[-width:]
    most = max((value for value in newest if value is not None), default=0.0)
    bars = [
        " " if value is None else _BARS[min(7, int(8 * value / most)) if most > 0 and value > 0 else 0]
        for value in newest
    ]
    return "".join(bars).rjust(width)
