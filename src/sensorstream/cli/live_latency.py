"""``--latency``: what a consumer of ours measures of the records that it reads anyway."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.added import added
from sensorstream.cli.command import Outcome, Session

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.monitor.arrivals import Arrivals, LiveLatency
    from sensorstream.monitor.latency import Latency

LatencyOption = Annotated[
    bool,
    typer.Option("--latency", help="Measure how long live records take from publishing to reading; this costs speed."),
]


def arrivals(wanted: bool) -> "Arrivals | None":
    """What counts the records that arrive, where that was asked for. Raises UsageError where it can't be measured."""
    if not wanted:
        return None
    from sensorstream.monitor.arrivals import Arrivals

    return Arrivals()


def with_latency(session: Session, outcome: Outcome, measured: "Arrivals | None", topic: str) -> Outcome:
    """The outcome with what was measured: ``latency`` in its JSON, lines below its text."""
    if measured is None:
        return outcome
    found = measured.measured(session.settings, topic)
    if outcome.text is not None:
        return added(outcome, "latency", found, lambda console: show(console, found))
    from sensorstream.events import Notice

    for line in lines(found):
        session.listener(Notice(line))
    return outcome


def show(console: "Console", found: "LiveLatency") -> None:
    """The figures and whose clocks they compare."""
    for line in lines(found):
        console.print(line)


def lines(found: "LiveLatency") -> list[str]:
    """The figures and whose clocks they compare, a line each."""
    from sensorstream.cli.render import counted
    from sensorstream.monitor.arrivals import clock_words

    told = [f"latency, publishing to reading: {figures(found.end_to_end)}"]
    told.append(f"measured {clock_words(found.timestamps, found.same_clock)}")
    if found.older:
        told.append(f"not measured: {counted(found.older, 'record')} that had been published before the reading began")
    if found.earlier:
        told.append(
            f"not measured: {counted(found.earlier, 'record')} that came before they were published: the clocks differ "
            f"by {found.earlier_ms:,.0f} ms or more"
        )
    return told


def figures(latency: "Latency") -> str:
    """The figures of latencies in one line."""
    from sensorstream.cli.render import counted

    if not latency.samples:
        return "unknown, no record was measured"
    named = {
        "mean": latency.mean_ms,
        "p50": latency.p50_ms,
        "p99": latency.p99_ms,
        "p99.9": latency.p999_ms,
        "max": latency.max_ms,
    }
    return ", ".join(f"{name} {value:,.1f} ms" for name, value in named.items()) + (
        f" ({counted(latency.samples, 'record')})"
    )
