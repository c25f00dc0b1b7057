"""The results of a lab run as one HTML page: rows sent and captured over time, the faults, the verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from sensorstream.config import Settings
from sensorstream.errors import SourceError, UsageError
from sensorstream.lab.chaos.results import ChaosResult
from sensorstream.lab.run import LabRun
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.view import Point, View
from sensorstream.pipelines.verify.verdict import Verification
from sensorstream.plotting.curves import Curve, Panel, Plot
from sensorstream.plotting.page import figure, page
from sensorstream.plotting.table import read_plot
from sensorstream.plotting.written import write_whole
from sensorstream.wording import counted

WATCH_EVERY_S: Final = 0.5
"""How often a run that is reported is looked at."""
WATCH_SHARE: Final = 0.25
"""The part of a core that this may take."""


@dataclass(frozen=True, slots=True)
class Report:
    """What stands on the page. ``view`` is the last one of the run, with its series; None: it was not watched."""

    title: str
    verdict: str
    good: bool
    run: LabRun
    group: str
    view: View | None
    verification: Verification | None = None
    chaos: ChaosResult | None = None


def watch(settings: Settings) -> Observer:
    """What sees a run over time: enter it before the run, and take its last view afterwards."""
    return Observer(settings, every_s=WATCH_EVERY_S, share=WATCH_SHARE)


def write_report(path: Path, report: Report) -> None:
    """Write the page. Raises SinkError, UsageError where the extra ``plot`` is not installed."""
    kind = "good" if report.good else "bad"
    body = [
        f'<p class="verdict {kind}">{escape(report.verdict)}</p>',
        f"<h2>Sent</h2>{_sent(report.run)}",
        f"<h2>Captured</h2>{_captured(report.run)}",
    ]
    if report.verification is not None:
        body.append(f"<h2>Compared with the sources</h2>{_compared(report.verification)}")
    over_time = _over_time(report)
    if over_time is not None:
        body.append(f"<h2>Over time</h2>{figure(over_time)}")
    if report.chaos is not None:
        body.append(f"<h2>What was broken</h2>{_broken(report.chaos)}")
    curves = [figure(plot) for plot in _sensors(report.run)]
    if curves:
        body += ["<h2>What the sensors measured</h2>", *curves]
    write_whole(path, page(report.title, "\n".join(body)).encode())


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers stand to the right."""
    lines = []
    numbers: set[int] = set()
    for row in rows:
        numbers.update(at for at, cell in enumerate(row) if isinstance(cell, int))
        cells = [
            f'<td class="number">{cell:,}</td>' if isinstance(cell, int) else f"<td>{escape(_shown(cell))}</td>"
            for cell in row
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(
        f'<th scope="col"{" class=number" if at in numbers else ""}>{escape(name)}</th>'
        for at, name in enumerate(heads)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _shown(cell: object) -> str:
    return "-" if cell is None else str(cell)


def _sent(run: LabRun) -> str:
    replay = run.replay
    rows = [(one.topic, Path(one.source).name, one.sent, one.acknowledged, one.rejected) for one in replay.sources]
    rate = replay.acknowledged / replay.seconds if replay.seconds > 0 else 0
    total = f"<p>{counted(replay.acknowledged, 'row')} acknowledged in {replay.seconds:.1f} s ({rate:,.0f} rows/s)."
    problem = f" {escape(replay.problem)}" if replay.problem else ""
    return _table(("topic", "source", "sent", "acknowledged", "rejected"), rows) + f"{total}{problem}</p>"


def _captured(run: LabRun) -> str:
    rows = [
        (one.topic, str(one.partition), None if one.file is None else Path(one.file).name, one.rows, one.rejected)
        for one in run.consumers
    ]
    return _table(("topic", "partition", "file", "rows", "rejected"), rows)


def _compared(verification: Verification) -> str:
    rows = [
        (
            one.topic,
            one.expected,
            one.captured,
            one.missing,
            one.doubled,
            one.reordered,
            "each row once" if one.exactly_once else _difference(one.first_difference),
        )
        for one in verification.topics
    ]
    return _table(("topic", "rows", "captured", "missing", "doubled", "reordered", "verdict"), rows)


def _difference(found: object) -> str:
    return str(getattr(found, "text", "not compared"))


def _over_time(report: Report) -> Plot | None:
    """Rows a second into each topic, and the group's lag; seconds count from the first look."""
    view = report.view
    if view is None:
        return None
    topics = [one.topic for one in report.run.replay.sources]
    series = {topic: view.topic_series.get(topic, ()) for topic in dict.fromkeys(topics)}
    lag = view.lag_series.get(report.group, ())
    times = [point.at for points in (*series.values(), lag) for point in points]
    if not times:
        return None
    begin = min(times)
    rates = tuple(_curve(topic, points, begin) for topic, points in series.items())
    panels = (
        Panel("rows published", rates, x_is_time=False, unit="rows/s", zero_based=True),
        Panel(
            f"lag of group {report.group}",
            (_curve("", lag, begin),),
            x_is_time=False,
            unit="rows",
            zero_based=True,
        ),
    )
    return Plot("", panels, x_label="seconds since the start")


def _curve(label: str, points: Sequence[Point], begin: float) -> Curve:
    return Curve(
        label,
        [point.at - begin for point in points],
        [float("nan") if point.value is None else float(point.value) for point in points],
    )


def _broken(chaos: ChaosResult) -> str:
    events = [(f"{one.at_s:.1f} s", one.text) for one in chaos.events]
    end = "all well at the end" if chaos.healthy else "; ".join(chaos.problems)
    return f"<p>{counted(chaos.faults, 'fault')}; {escape(end)}.</p>{_table(('at', 'what happened'), events)}"


def _sensors(run: LabRun) -> list[Plot]:
    """The first columns of numbers of the first captured file of each topic."""
    firsts: dict[str, tuple[int, str]] = {}
    for one in run.consumers:
        if one.file is not None and one.rows:
            firsts.setdefault(one.topic, (one.partition, one.file))
    plots = []
    for topic, (partition, path) in firsts.items():
        try:
            plot, _ = read_plot([path])
        except (SourceError, UsageError):
            continue  # a topic without numbers has no curves
        plots.append(Plot(f"{topic}, partition {partition}", plot.panels[:3]))
    return plots
