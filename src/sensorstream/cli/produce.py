"""``produce``: replay source files into topics."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import options
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.pipelines.replay.replay import ReplayResult


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "produce", "produce")(produce)


def produce(
    session: Session,
    *,
    source: options.SourceOption = None,
    thread: options.Thread = None,
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            metavar="N",
            min=1,
            help="Processes that share the sources, or the partitions of a large one.",
        ),
    ] = 1,
    delay: options.Delay = None,
    rate: Annotated[float | None, typer.Option("--rate", metavar="N", help="Rows a second of each source.")] = None,
    speed: Annotated[
        float | None,
        typer.Option("--speed", metavar="X", help="Replay by the time column, X times as fast as it was recorded."),
    ] = None,
    max_gap: Annotated[
        float | None,
        typer.Option(
            "--max-gap",
            metavar="S",
            help="With --speed: a pause of the recording counts for S seconds at most.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="At most N rows of each source.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin every source anew when it ends, until stopped.")] = False,
    partition_by: Annotated[
        str | None,
        typer.Option(
            "--partition-by",
            metavar="RULE",
            help="row (row index modulo partitions), key, or column:NAME. Default: row; key where --key is given.",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="COLUMN", help="The column whose cell is the record's key.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", metavar="json", help="The format of the values.")] = "json",
    timestamps: Annotated[
        str,
        typer.Option("--timestamps", metavar="now|original", help="The records' time: now, or the row's own."),
    ] = "now",
    time_column: Annotated[
        str | None, typer.Option("--time-column", metavar="NAME", help="The column that holds a row's time.")
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option("--time-format", metavar="FORMAT", help="Its format, as for strptime. Default: ISO 8601."),
    ] = None,
    from_row: Annotated[
        list[str] | None,
        typer.Option("--from-row", metavar="TOPIC=N", help="Begin a source at row N, counted from 0 (repeatable)."),
    ] = None,
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    source_format: options.SourceFormat = None,
    quote: options.Quote = None,
    columns: options.Columns = None,
    max_rejects: Annotated[
        int | None,
        typer.Option("--max-rejects", metavar="N", min=0, help="Stop when more than N rows can't be used."),
    ] = None,
) -> Outcome:
    """Publish the rows of CSV, TSV or JSONL files, each source in order, checking the delivery of every row.

    Ctrl-C stops cleanly and prints where each source goes on.
    """
    from sensorstream.clients import open_client
    from sensorstream.pipelines.replay.job import ReplayOptions, client_settings, make_job
    from sensorstream.pipelines.replay.processes import replay_in_processes
    from sensorstream.pipelines.replay.replay import replay
    from sensorstream.sources.formats import SourceForm, column_names

    settings = session.settings_with(thread=thread, delay=delay)
    wanted = ReplayOptions(
        sources=tuple(source or ()),
        rate=rate,
        speed=speed,
        max_gap=max_gap,
        delay_given=delay is not None,
        limit=limit,
        loop=loop,
        partition_by=partition_by,
        key=key,
        format=format_,
        timestamps=timestamps,
        time_column=time_column,
        time_format=time_format,
        from_row=tuple(from_row or ()),
        form=SourceForm(source_format, encoding, delimiter, quote, column_names(columns)),
        max_rejects=max_rejects,
        rejects_folder=Path.cwd(),
    )
    client = open_client(client_settings(settings, wanted), session.listener)
    with session.interruptible() as stop:
        if processes > 1:
            result = replay_in_processes(
                client,
                settings,
                wanted,
                processes,
                [sys.executable, "-m", "sensorstream.cli.worker"],
                stop=stop,
                listener=session.listener,
            )
        else:
            job = make_job(settings, wanted, session.listener)
            result = replay(client, job, stop=stop, listener=session.listener)
    return _outcome(result, interrupted=session.stop.is_set() and not (loop and limit is None and result.delivered))


def _outcome(result: "ReplayResult", *, interrupted: bool) -> Outcome:
    errors: list[str] = []
    code, status = ExitCode.DONE, "ok"
    unfinished = [source for source in result.sources if not source.complete]
    if not result.delivered:
        code, status = ExitCode.FAILED, "partial"
        if result.problem:
            errors.append(result.problem)
        open_rows = result.sent - result.acknowledged - result.failed
        counts = [
            (result.failed, "failed"),
            (open_rows, "without an answer"),
            (result.rejected, "could not be used"),
        ]
        told = ", ".join(f"{number} {what}" for number, what in counts if number)
        if told:
            errors.append(f"not every row was delivered: {told}")
    elif interrupted and unfinished:
        code, status = ExitCode.INTERRUPTED, "partial"
        errors.append("interrupted before the work was complete")
    if code is not ExitCode.DONE and unfinished:
        flags = " ".join(f"--from-row {source.topic}={source.next_row}" for source in unfinished)
        errors.append(f"to go on, add: {flags}")
    return Outcome(
        result,
        lambda console: show_replay(console, result),
        status="ok" if status == "ok" else "partial",
        exit_code=code,
        errors=errors,
    )


def show_replay(console: "Console", result: "ReplayResult") -> None:
    """The sources with their counts, and the line of the whole."""
    from sensorstream.cli.render import shown_path, table
    from sensorstream.cli.terminal import visible

    rows = table(
        "topic",
        "source",
        "sent",
        "acknowledged",
        "failed",
        "rejected",
        "next row",
        right=("sent", "acknowledged", "failed", "rejected", "next row"),
    )
    for source in result.sources:
        rows.add_row(
            visible(source.topic),
            shown_path(source.source),
            f"{source.sent:,}",
            f"{source.acknowledged:,}",
            f"{source.failed:,}",
            f"{source.rejected:,}",
            f"{source.next_row:,}",
        )
    console.print(rows)
    rate = result.acknowledged / result.seconds if result.seconds > 0 else 0
    console.print(
        f"sent {result.sent:,} / acknowledged {result.acknowledged:,} / failed {result.failed:,}"
        f" in {result.seconds:.1f} s ({rate:,.0f} rows/s)"
    )
