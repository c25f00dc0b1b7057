"""A plot as PNG or SVG, by matplotlib; names from files are shown as they are, never read as formulas."""

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sensorstream.errors import UsageError
from sensorstream.plotting.curves import Panel, Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Theme = Literal["light", "dark"]
_COLOURS = {
    "light": {"ink": "#24292f", "grid": "#d8dee4", "ground": "#ffffff"},
    "dark": {"ink": "#e6edf3", "grid": "#30363d", "ground": "#0d1117"},
}
# Wong, B. (2011), Nature Methods 8, 441: colours that stay apart for the colour-blind; brightened for the dark.
_LINES = {
    "light": ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f3f98", "#555555"],
    "dark": ["#58a6ff", "#ff9e64", "#3fb950", "#f778ba", "#e3b341", "#79c0ff", "#bc8cff", "#adbac7"],
}


def draw(plot: Plot, form: Literal["png", "svg"], theme: Theme = "light", *, width_in: float = 9.0) -> bytes:
    """The picture's bytes. Raises UsageError where the extra ``plot`` is not installed."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "pictures need matplotlib, which is not installed", hint="pip install 'sensorstream[plot]'"
        ) from error

    colours = _COLOURS[theme]
    style: dict[str, Any] = {
        "text.parse_math": False,
        "svg.hashsalt": "sensorstream",
        "svg.fonttype": "none",
        "font.size": 9,
        "font.family": "sans-serif",
        "axes.edgecolor": colours["grid"],
        "text.color": colours["ink"],
        "axes.labelcolor": colours["ink"],
        "xtick.color": colours["ink"],
        "ytick.color": colours["ink"],
    }
    with mpl.rc_context(style):
        figure = Figure(
            figsize=(width_in, 0.6 + 1.9 * len(plot.panels)), layout="constrained", facecolor=colours["ground"]
        )
        axes = figure.subplots(len(plot.panels), 1, sharex=True, squeeze=False)[:, 0]
        figure.suptitle(plot.title, fontsize=11)
        for panel, place in zip(plot.panels, axes, strict=True):
            _panel(panel, place, theme)
        axes[-1].set_xlabel(plot.x_label)
        written = io.BytesIO()
        # No date: the same rows give the same bytes.
        told = {"Date": None, "Creator": "sensorstream"} if form == "svg" else None
        figure.savefig(written, format=form, dpi=144, metadata=told)
    return written.getvalue()


def _panel(panel: Panel, place: "Axes", theme: Theme) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    colours = _COLOURS[theme]
    place.set_facecolor(colours["ground"])
    place.set_title(panel.title, loc="left", fontsize=9, fontweight="bold")
    place.set_ylabel(panel.unit)
    place.grid(color=colours["grid"], linewidth=0.6)
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
    for number, curve in enumerate(panel.curves):
        x: list[Any] = [datetime.fromtimestamp(one, UTC) for one in curve.x] if panel.x_is_time else list(curve.x)
        colour = _LINES[theme][number % len(_LINES[theme])]
        # A label that begins with an underscore would be left out of the legend.
        label = f" {curve.label}" if curve.label.startswith("_") else curve.label
        mark = "." if len(curve.x) == 1 else None
        place.plot(x, list(curve.y), color=colour, linewidth=1.1, label=label, marker=mark)
    if panel.zero_based:
        place.set_ylim(bottom=0)
    if panel.x_is_time:
        locator = AutoDateLocator(tz=UTC)
        place.xaxis.set_major_locator(locator)
        place.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    if any(curve.label for curve in panel.curves):
        place.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
