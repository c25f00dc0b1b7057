"""``bench``: the throughput and the latency of a cluster, measured from here."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.lab.benchmark import Benchmark


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "bench", "bench", sends="as asked")(bench)


def bench(
    session: Session,
    *,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Number of rows to publish and to read.")
    ] = 100_000,
    rate: Annotated[
        float,
        typer.Option("--rate", metavar="N", min=0.1, max=10_000, help="Rows per second while latency is measured."),
    ] = 100.0,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.1, max=3600, help="Seconds to measure latency.")
    ] = 10.0,
    replication_factor: Annotated[
        int | None,
        typer.Option(
            "--replication-factor",
            metavar="N",
            min=1,
            help="Replicas of its topics. Default: 3, or as many as there are brokers.",
        ),
    ] = None,
) -> Outcome:
    """Measure the cluster: rows per second in and out, and latency from end to end.

    It creates two topics of its own and deletes them again.
    """
    from sensorstream.clients import check_publishing, open_client
    from sensorstream.lab.benchmark import benchmark
    from sensorstream.pipelines.replay.job import for_single_rows

    settings = session.settings
    check_publishing(settings, session.listener)
    with session.interruptible() as stop:
        result = benchmark(
            open_client(settings),
            open_client(for_single_rows(settings)),
            settings,
            rows=rows,
            rate=rate,
            seconds=seconds,
            replication_factor=replication_factor,
            stop=stop,
            listener=session.listener,
        )
    acks = str(settings.properties.get("acks", "all"))
    return Outcome(result, lambda console: _show(console, result, acks))


def _show(console: "Console", result: "Benchmark", acks: str) -> None:
    from sensorstream.cli.render import known, table

    console.print(
        f"client {result.client}, {counted(result.partitions, 'partition')}, "
        f"{counted(result.replication_factor, 'replica')}, acks={acks}"
    )
    rows = table("", "rows", "seconds", "rows/s", "MB/s", right=("rows", "seconds", "rows/s", "MB/s"))
    for name, one in (("produce", result.produce), ("consume", result.consume)):
        rows.add_row(name, f"{one.rows:,}", f"{one.seconds:.2f}", f"{one.rows_per_s:,.0f}", f"{one.mb_per_s:.1f}")
    console.print(rows)
    latency = result.end_to_end
    figures = {"mean": latency.mean_ms, "p50": latency.p50_ms, "p99": latency.p99_ms, "p99.9": latency.p999_ms}
    text = ", ".join(f"{name} {known(value)} ms" for name, value in figures.items())
    console.print(f"end to end, {result.rate:g} single rows a second: {text} ({counted(latency.samples, 'row')})")
