"""``monitor latency``: how long records take through a cluster, measured by records of its own."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.monitor.probe import Probed


def add_to(monitor: typer.Typer) -> None:
    """Make it a command of the group."""
    command(monitor, "latency", "monitor latency", sends="as asked")(latency)


def latency(
    session: Session,
    *,
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic",
            "-t",
            metavar="TOPIC",
            help="Topic of the probe; created if missing, and kept. Default: one that is deleted at the end.",
        ),
    ] = None,
    rate: Annotated[float, typer.Option("--rate", metavar="N", min=0.1, max=1000, help="Records per second.")] = 10.0,
    lasting: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long to measure, such as 10s or 5m.")
    ] = "10s",
) -> Outcome:
    """Measure latency from end to end, through each broker, with small records of its own."""
    from sensorstream.clients import check_publishing, open_client
    from sensorstream.monitor.probe import ProbeJob, probe
    from sensorstream.pipelines.replay.job import for_single_rows
    from sensorstream.transforms.event_time import parse_duration

    job = ProbeJob(topic, rate, parse_duration(lasting, "--for") / 1000)
    settings = session.settings
    check_publishing(settings, session.listener)
    with session.interruptible() as stop:
        client = open_client(for_single_rows(settings), session.listener)
        result = probe(client, settings, job, stop=stop, listener=session.listener)
    return _outcome(result)


def _outcome(result: "Probed") -> Outcome:
    from sensorstream.cli.render import counted

    errors, code = [], ExitCode.DONE
    if result.lost or result.failed:
        code = ExitCode.FAILED
        errors.append(
            f"of {counted(result.sent, 'record')}, {result.lost} did not come back in time and {result.failed} were "
            "refused"
        )
    if not result.complete:
        code = code or ExitCode.INTERRUPTED
        errors.append(f"interrupted after {result.seconds:.1f} s")
    return Outcome(
        result, lambda console: _show(console, result), "partial" if errors else "ok", exit_code=code, errors=errors
    )


def _show(console: "Console", result: "Probed") -> None:
    from sensorstream.cli.live_latency import figures
    from sensorstream.cli.render import known, table
    from sensorstream.cli.terminal import visible

    names = ("LEADER", "PARTITION", "RECORDS", "MEAN", "P50", "P99", "P99.9", "MAX")
    rows = table(*names, right=names)
    for part in result.partitions:
        one = part.end_to_end
        times = (one.mean_ms, one.p50_ms, one.p99_ms, one.p999_ms, one.max_ms)
        rows.add_row(
            known(part.leader),
            str(part.partition),
            f"{one.samples:,}",
            *("unknown" if time is None else f"{time:,.1f} ms" for time in times),
        )
    console.print(rows)
    console.print(f"publishing to reading, both on this host, one clock: {figures(result.end_to_end)}")
    for other in result.other_hosts:
        console.print(
            f"from {visible(other.host)}, by its clock: p50 {other.median_ms:,.1f} ms "
            f"({counted(other.records, 'record')}); the difference of the two clocks is in it"
        )
