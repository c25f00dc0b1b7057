"""The first tab: health, throughput, the busiest topics, the groups that are furthest behind."""

from collections.abc import Sequence
from typing import Final

from sensorstream.monitor.screen import figures
from sensorstream.monitor.screen.canvas import Line, beside
from sensorstream.monitor.screen.columns import Cell, Tone
from sensorstream.monitor.screen.grid import fit
from sensorstream.monitor.screen.plot import plot
from sensorstream.monitor.screen.tables import TREND, groups, status
from sensorstream.monitor.view import Point, View
from sensorstream.visible import visible

_WIDE: Final = 120
_TALLEST: Final = 12
_PROBLEMS: Final = 3


def lines(view: View, width: int, height: int) -> list[Line]:
    """The overview in lines of at most ``width``, about ``height`` of them."""
    top = _figures(view, width)
    problems: list[Line] = [
        [Cell(" ! ", "warn"), Cell(fit(visible(text), width - 4))] for text in view.snapshot.problems[:_PROBLEMS]
    ]
    left = height - len(top) - len(problems) - 3
    wanted = 1 + max(1, len(view.snapshot.topics), len(view.snapshot.groups))
    tall = max(3, min(_TALLEST, left - min(wanted, left // 2)))
    lists = max(3, left - tall)
    half = (width - 3) // 2
    rates = _plotted("rows a second, all topics", view.rate_series, half if width >= _WIDE else width - 2, tall)
    if width >= _WIDE:
        rates = beside(rates, _plotted("lag in rows, all groups", total_lag(view), half, tall), half + 2)
    both = beside(_busiest(view, half, lists), _furthest(view, half, lists), half + 2)
    return [*top, *problems, [], *rates, [], *both]


def total_lag(view: View) -> tuple[Point, ...]:
    """The lag of all groups together, at the times when that of every group is known."""
    sums: dict[float, float | None] = {}
    for series in view.lag_series.values():
        for point in series:
            so_far = sums.get(point.at, 0.0)
            sums[point.at] = None if point.value is None or so_far is None else so_far + point.value
    return tuple(Point(at, sums[at]) for at in sorted(sums))


def _figures(view: View, width: int) -> list[Line]:
    snapshot = view.snapshot
    alive = sum(one.alive for one in snapshot.brokers)
    partitions = sum(len(one.partitions) for one in snapshot.topics)
    rows = [one.rows for one in snapshot.topics]
    held = None if None in rows else sum(one or 0 for one in rows)
    down = [str(one.id) for one in snapshot.brokers if not one.alive]
    brokers: Cell
    if not snapshot.reachable:
        brokers = Cell("✗ none answers", "bad")
    elif down:
        brokers = Cell(f"✗ {alive} of {len(snapshot.brokers)} up, {', '.join(down)} DOWN", "bad")
    else:
        brokers = Cell(f"✓ {alive} of {len(snapshot.brokers)} up", "good")
    online = (
        Cell(f"✗ {snapshot.offline} of {partitions} OFFLINE", "bad")
        if snapshot.offline
        else Cell(f"✓ {partitions:,} online", "good")
    )
    behind = (
        Cell(f"! {snapshot.under_replicated} of {partitions} under-replicated", "warn")
        if snapshot.under_replicated
        else Cell("✓ all", "good")
    )
    half = (width - 3) // 2
    left: list[Line] = [
        [Cell(" brokers     ", "dim"), brokers],
        [Cell(" partitions  ", "dim"), online],
        [Cell(" in sync     ", "dim"), behind],
        [Cell(" controller  ", "dim"), Cell("?" if snapshot.controller is None else str(snapshot.controller))],
    ]
    right: list[Line] = [
        [Cell("rows a second  ", "dim"), Cell(figures.rate(view.rate))],
        [Cell("rows held      ", "dim"), Cell(figures.count(held))],
        [Cell("Kafka          ", "dim"), Cell(visible(snapshot.version or "?"))],
        [Cell("cluster        ", "dim"), Cell(visible(snapshot.cluster_id or "?"))],
    ]
    return [*beside(left, right, half + 2), [Cell(" groups      ", "dim"), *_statuses(view)]]


def _statuses(view: View) -> list[Cell]:
    counts: dict[str, int] = {}
    for progress in view.group_progress.values():
        counts[progress.status] = counts.get(progress.status, 0) + 1
    cells = [Cell(str(len(view.snapshot.groups)) + (":" if counts else ""))]
    for word in ("OK", "WARN", "STALL", "STOP", "REWIND", "UNKNOWN"):
        if word in counts:
            tone: Tone = (
                "good"
                if word == "OK"
                else "dim"
                if word == "UNKNOWN"
                else "warn"
                if word in ("WARN", "REWIND")
                else "bad"
            )
            cells.append(Cell(f" {counts[word]} {word}", tone))
    return cells


def _plotted(title: str, series: Sequence[Point], width: int, height: int) -> list[Line]:
    newest = series[-1].value if series else None
    since = f", last {figures.duration(series[-1].at - series[0].at)}" if len(series) > 1 else ""
    heading: Line = [Cell(f" {title}", "bold"), Cell(f"  now {figures.rate(newest)}{since}", "dim")]
    return [heading, *([Cell(" "), *line] for line in plot(series, width - 1, height))]


def _busiest(view: View, width: int, height: int) -> list[Line]:
    found = [one for one in view.snapshot.topics if not one.internal]
    found.sort(key=lambda one: (-(view.topic_rate.get(one.name) or 0.0), one.name.casefold()))
    name_width = max(8, width - TREND - 12)
    heading: Line = [Cell(fit(" busiest topics", name_width + 1), "bold"), Cell(fit("/second", 9, right=True), "dim")]
    rows: list[Line] = [heading]
    for one in found[: height - 1]:
        values = [point.value for point in view.topic_series.get(one.name, ())[-TREND:]]
        rows.append(
            [
                Cell(" " + fit(visible(one.name), name_width)),
                Cell(fit(figures.rate(view.topic_rate.get(one.name)), 9, right=True)),
                Cell("  " + figures.sparkline(values, TREND), "plot"),
            ]
        )
    return rows if found else [heading, [Cell(" no topics", "dim")]]


def _furthest(view: View, width: int, height: int) -> list[Line]:
    found = groups(view).arranged("l", reverse=False, search="")
    name_width = max(8, width - 22)
    heading: Line = [
        Cell(fit("furthest behind", name_width), "bold"),
        Cell(fit("lag", 11, right=True) + "  status", "dim"),
    ]
    rows: list[Line] = [heading]
    for one in found[: height - 1]:
        rows.append(
            [
                Cell(fit(visible(one.group.name), name_width)),
                Cell(fit(figures.count(one.group.lag.total_lag), 11, right=True) + "  "),
                status(one.progress.status),
            ]
        )
    return rows if found else [heading, [Cell("no groups", "dim")]]
