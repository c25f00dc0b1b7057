"""A plot as text, for the terminal, by plotext."""

import math
from datetime import UTC, datetime

from sensorstream.errors import UsageError
from sensorstream.plotting.curves import Panel, Plot


def text_plot(plot: Plot, width: int, *, colour: bool) -> str:
    """The plot in so many columns. Labels must have been made harmless for the terminal already.

    Raises UsageError where the extra ``plot`` is not installed.
    """
    try:
        import plotext
    except ImportError as error:
        raise UsageError(
            "a plot in the terminal needs plotext, which is not installed",
            hint="pip install 'sensorstream[plot]', or write a file with --out",
        ) from error

    height = 14 if len(plot.panels) == 1 else 9
    shown = []
    for panel in plot.panels:
        plotext.clear_figure()
        plotext.theme("clear" if not colour else "default")
        plotext.limit_size(False, False)
        plotext.plotsize(width, height)
        plotext.canvas_color("default")
        plotext.axes_color("default")
        plotext.ticks_color("default")
        plotext.title(f"{panel.title} ({panel.unit})" if panel.unit else panel.title)
        for curve in panel.curves:
            points = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if not math.isnan(y)]
            if points:
                plotext.plot([x for x, _ in points], [y for _, y in points], label=curve.label or None)
        _ticks(panel, plotext)
        text: str = plotext.build()
        shown.append(text if colour else plotext.uncolorize(text))
    return "\n".join(shown)


def _ticks(panel: Panel, plotext: object) -> None:
    """Times below the axis, as few as have room."""
    if not panel.x_is_time:
        return
    xs = [x for curve in panel.curves for x in (curve.x[:1] or []) + (curve.x[-1:] or [])]  # type: ignore[operator]
    if not xs:
        return
    first, last = min(xs), max(xs)
    if first < last:
        # Over all rows, also where only some have a value: else a time stands below a point that is not its own.
        plotext.xlim(first, last)  # type: ignore[attr-defined]
    places = [first + (last - first) * part / 3 for part in range(4)]
    form = "%H:%M:%S" if last - first < 600 else "%d %b %H:%M" if last - first < 8 * 86400 else "%Y-%m-%d"
    plotext.xticks(places, [datetime.fromtimestamp(one, UTC).strftime(form) for one in places])  # type: ignore[attr-defined]
