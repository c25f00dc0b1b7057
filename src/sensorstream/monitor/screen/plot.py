"""A series as a plot of braille dots, two across and four down in a character, from 0 to a round number."""

import math
from collections.abc import Sequence
from typing import Final

from sensorstream.monitor.screen import figures
from sensorstream.monitor.screen.columns import Cell
from sensorstream.monitor.view import Point

_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK: Final = 0x2800


def round_up(value: float) -> float:
    """The next of 1, 2 and 5 times a power of ten: what an axis ends with."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9)), 10 * power)


def plot(series: Sequence[Point], width: int, height: int) -> list[list[Cell]]:
    """``height`` lines of at most ``width`` characters, with an axis on the left; filled from 0 up to the value.

    The newest point is on the right; where there are more points than columns, a column shows the largest
    of its points. What was not known stays empty.
    """
    known = [point for point in series if point.value is not None]
    top = round_up(max((point.value or 0.0 for point in known), default=0.0))
    labels = [figures.rate(top) if row == 0 else "0" if row == height - 1 else "" for row in range(height)]
    margin = max(map(len, labels))
    columns = max(1, width - margin - 1)
    cells = [[0] * columns for _ in range(height)]
    for column, value in enumerate(_resampled(series, 2 * columns)):
        if value is None:
            continue
        filled = max(1, round(4 * height * min(value, top) / top)) if value > 0 else 1
        for dot in range(filled):
            row, line = divmod(4 * height - 1 - dot, 4)
            cells[row][column // 2] |= _DOTS[column % 2][line]
    return [
        [
            Cell(f"{label:>{margin}}┤", "dim"),
            Cell("".join(chr(_BLANK + cell) if cell else " " for cell in line), "plot"),
        ]
        for label, line in zip(labels, cells, strict=True)
    ]


def _resampled(series: Sequence[Point], columns: int) -> list[float | None]:
    """One value a column, the largest where several points fall into one; a short series stands on the right."""
    values: list[float | None] = [None] * columns
    if not series:
        return values
    if len(series) <= columns:
        values[columns - len(series) :] = [point.value for point in series]
        return values
    for number, point in enumerate(series):
        column = number * columns // len(series)
        if point.value is not None:
            values[column] = max(point.value, values[column] or 0.0)
    return values
