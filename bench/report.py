"""What was measured, as Markdown tables and a picture, put into docs/performance.md between its marks."""

import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Case, Measurement, median_ratio, median_wall, peak

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


@dataclass(frozen=True, slots=True)
class Finding:
    """A case and the runs of its commands, those of one round at the same index."""

    case: Case
    runs: Mapping[str, Sequence[Measurement]]


@dataclass(frozen=True, slots=True)
class Latencies:
    """One client: p50 and p99 in milliseconds of each run, ours and the bare pair's, round by round."""

    client: str
    ours: Sequence[Mapping[str, float]]
    bare: Sequence[Mapping[str, float]]

    def median(self, runs: Sequence[Mapping[str, float]], which: str) -> float:
        """The median over the rounds."""
        return statistics.median(run[which] for run in runs)

    def ratio(self, which: str) -> float:
        """Ours by the bare pair's: the median over the rounds."""
        return statistics.median(ours[which] / bare[which] for ours, bare in zip(self.ours, self.bare, strict=True))


def table(found: Finding) -> str:
    """One case: each command, and how many times as fast as the peer ours is."""
    case, lines = found.case, [f"**{found.case.name}**", ""]
    head = f"times as fast as {case.peer}".replace("|", "\\|") if case.peer else ""
    lines += [f"| command | seconds | rows/s | CPU s | peak MB | {head} |", "|---|---|---|---|---|---|"]
    for command, runs in found.runs.items():
        wall = median_wall(runs)
        rate = f"{case.rows / wall:,.0f}" if case.rows else ""
        cpu = statistics.median(run.cpu_s for run in runs)
        ratio = f"{median_ratio(runs, found.runs[case.peer]):.2f}" if case.peer else ""
        name = command.replace("|", "\\|")
        lines.append(f"| {name} | {wall:.2f} | {rate} | {cpu:.2f} | {peak(runs) / 1e6:.0f} | {ratio} |")
    return "\n".join(lines)


def sending_table(found: Finding, topics: Mapping[str, str], data: Path, runs: int) -> str:
    """What each option of sending costs, and the bytes that a row takes on a broker's disk, in ``data``."""
    lines = [
        "| options | seconds | CPU s | times as fast as the defaults | bytes a row on disk |",
        "|---|---|---|---|---|",
    ]
    for given, measured in found.runs.items():
        stored = sum(
            log.stat().st_size for log in data.rglob("*.log") if log.parent.name.rpartition("-")[0] == topics[given]
        )
        replicas = 3
        cells = [
            f"{median_wall(measured):.2f}",
            f"{statistics.median(run.cpu_s for run in measured):.2f}",
            f"{median_ratio(measured, found.runs[found.case.peer]):.2f}",
            f"{stored / replicas / runs / found.case.rows:.0f}",
        ]
        lines.append(f"| {given if given == 'defaults' else f'`{given}`'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def latency_table(latencies: Sequence[Latencies]) -> str:
    """The time of single rows, ours beside the bare pair's."""
    lines = ["**Single rows, 100 a second, published to read**", ""]
    lines += ["| client | p50 ms | bare pair | ratio | p99 ms | bare pair | ratio |", "|---|---|---|---|---|---|---|"]
    for one in latencies:
        cells = []
        for which in ("p50", "p99"):
            ours, bare = one.median(one.ours, which), one.median(one.bare, which)
            cells += [f"{ours:.1f}", f"{bare:.1f}", f"{one.ratio(which):.2f}"]
        lines.append(f"| {one.client} | {' | '.join(cells)} |")
    return "\n".join(lines)


def machine(rounds: int) -> str:
    """What it was measured on, in a sentence."""
    load = os.getloadavg()[2]
    return (
        f"Medians of {rounds} alternating rounds after a warm-up round; Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, shared with the three brokers; load average {load:.1f}."
    )


def write(parts: Sequence[str], page: Path = DOCS / "performance.md") -> None:
    """Put the parts into a page. Raises SystemExit when the marks are not there."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"bench: {page} has no place between {BEGIN} and {END}")
    body = "\n\n".join(parts)
    page.write_text(f"{head}{BEGIN}\n{body}\n{END}{tail}", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Panel:
    """What the picture shows of a case: its commands and the rows a second that its table has for them."""

    name: str
    rates: Mapping[str, int]


def publish(
    rounds: int, findings: Sequence[Finding], latencies: Sequence[Latencies] = (), docs: Path = DOCS
) -> tuple[Path, Path]:
    """Write the page and its picture, together and from the same findings. Returns both paths."""
    page, picture = docs / "performance.md", docs / "img" / "performance.svg"
    tables = [table(found) for found in findings]
    if latencies:
        tables.append(latency_table(latencies))
    # The picture is drawn from the tables' own text, so that it can't show other figures.
    plot(panels("\n\n".join(tables)), picture)
    words = f"![rows a second, ours and the peers'](img/{picture.name})"
    write([machine(rounds), words, *tables], page)
    return page, picture


def redraw(docs: Path = DOCS) -> Path:
    """Draw the picture anew from the tables that the page has."""
    text = (docs / "performance.md").read_text(encoding="utf-8")
    picture = docs / "img" / "performance.svg"
    plot(panels(text.partition(BEGIN)[2].partition(END)[0]), picture)
    return picture


def panels(text: str) -> list[Panel]:
    """The cases in Markdown that have rates of more than one command."""
    found = []
    for name, body in re.findall(r"^\*\*(.+)\*\*\n\n((?:\|.*\n?)+)", text, re.MULTILINE):
        head, _, *lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in body.splitlines()]
        if len(head) < 3 or head[2].strip() != "rows/s":
            continue
        cells = [[cell.strip().replace("\\|", "|") for cell in line] for line in lines]
        rates = {cell[0]: int(cell[2].replace(",", "")) for cell in cells if cell[2]}
        if len(rates) > 1:
            found.append(Panel(name, rates))
    return found


def plot(shown: Sequence[Panel], picture: Path) -> None:
    """Draw the rows a second of each command, a panel a case."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "sensorstream"
    mpl.rcParams["svg.fonttype"] = "none"  # words and figures stay text, which can be read, copied and tested
    from matplotlib import pyplot

    heights = [len(one.rates) for one in shown]
    figure, axes = pyplot.subplots(
        len(shown), 1, figsize=(8, 0.45 * sum(heights) + 0.9 * len(shown)), height_ratios=heights, squeeze=False
    )
    for one, panel in zip(shown, axes[:, 0], strict=True):
        names, rates = list(one.rates), list(one.rates.values())
        colours = ["#1f77b4" if name.startswith("sensorstream") else "#b0b0b0" for name in names]
        bars = panel.barh(names, rates, color=colours)
        panel.bar_label(bars, [f"{rate:,}" for rate in rates], padding=4, fontsize=9)
        panel.invert_yaxis()
        panel.set_title(f"{one.name}, rows a second", loc="left", fontsize=10)
        panel.set_xlim(0, max(rates) * 1.18)
        panel.xaxis.set_visible(False)
        panel.spines[["top", "right", "bottom"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})
    pyplot.close(figure)
