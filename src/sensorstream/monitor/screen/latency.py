"""The last tab: how long rows take from publishing to being read here."""

import math
from collections.abc import Sequence
from typing import Final

from sensorstream.monitor.latency import Latency, summarise
from sensorstream.monitor.newest_rows import ReadState
from sensorstream.monitor.screen import figures
from sensorstream.monitor.screen.canvas import Line
from sensorstream.monitor.screen.columns import Cell
from sensorstream.monitor.screen.grid import fit
from sensorstream.monitor.screen.plot import plot
from sensorstream.monitor.view import Point
from sensorstream.visible import visible
from sensorstream.wording import counted

_BANDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_TALLEST: Final = 12
_BAR: Final = "▏▎▍▌▋▊▉█"


def lines(topic: str, state: ReadState, samples: Sequence[tuple[float, float]], width: int, height: int) -> list[Line]:
    """The latencies (when read, seconds) of a topic's rows in lines."""
    seconds = [latency for _, latency in samples]
    found = summarise(seconds)
    top: list[Line] = [
        [Cell(" "), Cell(fit(f"{visible(topic)}: from publishing to reading here", width - 2).rstrip(), "bold")],
        [Cell(f" {visible(state.text)}; {counted(state.read, 'row')} read{_left_out(state)}", "dim")],
        *_summary(found),
    ]
    notes = [_note(text, width) for text in _notes(found, state)]
    if not seconds:
        waiting = "waiting for the first row that is published from now on"
        return [*top, [], [Cell(f" {waiting}", "dim")], [], *notes]
    bands = _bands(seconds, width)
    tall = max(3, min(_TALLEST, height - len(top) - len(notes) - len(bands) - 3))
    return [
        *top,
        [],
        [Cell(" milliseconds, the slowest row of each second", "bold")],
        *([Cell(" "), *line] for line in plot(by_second(samples), width - 2, tall)),
        [Cell(" rows by latency", "bold")],
        *bands,
        *notes,
    ]


def by_second(samples: Sequence[tuple[float, float]]) -> list[Point]:
    """The largest latency of each second in ms; None for a second without rows, so that it is a gap."""
    if not samples:
        return []
    largest: dict[int, float] = {}
    for at, seconds in samples:
        largest[int(at)] = max(1000 * seconds, largest.get(int(at), 0.0))
    return [Point(second, largest.get(second)) for second in range(min(largest), max(largest) + 1)]


def _summary(found: Latency) -> list[Line]:
    named = (
        ("rows", figures.count(found.samples)),
        ("mean", figures.milliseconds(found.mean_ms)),
        ("p50", figures.milliseconds(found.p50_ms)),
        ("p99", figures.milliseconds(found.p99_ms)),
        ("p99.9", figures.milliseconds(found.p999_ms)),
        ("slowest", figures.milliseconds(found.max_ms)),
    )
    return [
        [Cell(" " + "".join(fit(title, 12, right=True) for title, _ in named), "dim")],
        [Cell(" " + "".join(fit(value, 12, right=True) for _, value in named), "bold")],
    ]


def _left_out(state: ReadState) -> str:
    return f", {state.skipped:,} skipped as too many" if state.skipped else ""


def _notes(found: Latency, state: ReadState) -> list[str]:
    notes = []
    if state.own_times:
        notes.append(f"left out: {counted(state.own_times, 'row')} with the time of the data, not of publishing")
    if found.p50_ms is not None and found.p50_ms < 0:
        notes.append("below zero: the publisher's clock is ahead of this host's")
    notes.append("from a record's timestamp, by its publisher's clock, to this host's clock")
    return notes


def _note(text: str, width: int) -> Line:
    return [Cell(" " + fit(text, width - 2).rstrip(), "dim")]


def _bands(seconds: Sequence[float], width: int) -> list[Line]:
    """A bar for each band between the first and the last that has rows."""
    counts = [0] * (len(_BANDS) + 1)
    for one in seconds:
        counts[next((at for at, limit in enumerate(_BANDS) if 1000 * one <= limit), len(_BANDS))] += 1
    used = [at for at, number in enumerate(counts) if number]
    most = max(counts)
    room = max(8, width - 26)
    bars: list[Line] = []
    for at in range(used[0], used[-1] + 1):
        label = f"≤ {_BANDS[at]:,} ms" if at < len(_BANDS) else f"> {_BANDS[-1]:,} ms"
        eighths = math.ceil(8 * room * counts[at] / most)
        bar = "█" * (eighths // 8) + (_BAR[eighths % 8 - 1] if eighths % 8 else "")
        bars.append([Cell(f" {label:>11} "), Cell(bar, "plot"), Cell(f" {counts[at]:,}" if counts[at] else "", "dim")])
    return bars
