"""What is drawn: panels of curves. Pure data, for every way of drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

POINTS: Final = 2000
"""A curve of more points is thinned: each stretch keeps its smallest and its largest value, so peaks stay."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line. ``x`` are seconds since 1970-01-01 UTC where the panel's ``x_is_time``, else the rows' numbers.

    A value that is NaN makes a gap.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves that share their axes."""

    title: str
    curves: tuple[Curve, ...]
    x_is_time: bool
    unit: str = ""
    zero_based: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture: panels, one below the other; ``x_label`` stands below the last one."""

    title: str
    panels: tuple[Panel, ...]
    x_label: str = ""
