"""``produce``: replay source files into topics."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import options, time_options, value_options
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.description import Description
    from sensorstream.pipelines.replay.spec import ReplayedSource, ReplayResult


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "produce", "produce", sends="as asked", describes=True)(produce)


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
            help="Number of processes that publish; they share the sources, or the partitions of a large one.",
        ),
    ] = 1,
    delay: options.Delay = None,
    rate: Annotated[float | None, typer.Option("--rate", metavar="N", help="Rows per second, for each source.")] = None,
    speed: time_options.Speed = None,
    max_gap: time_options.MaxGap = None,
    clock: time_options.Clock = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Publish at most N rows of each source.")
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start each source again when it ends, until Ctrl-C.")] = False,
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow",
            help="Go on with what is appended to the files, also after rotation, until Ctrl-C.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", help="With --follow: end a source after S seconds without a new row."),
    ] = None,
    partition_by: Annotated[
        str | None,
        typer.Option(
            "--partition-by",
            metavar="RULE",
            help="How a row gets its partition: row (row index modulo partitions), key, or column:NAME. Default: "
            "row, or key with --key.",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="COLUMN", help="Column to use as the record's key.")
    ] = None,
    value_format: value_options.ValueFormat = None,
    schema: value_options.Schema = None,
    schema_registry: value_options.SchemaRegistry = None,
    timestamps: Annotated[
        str,
        typer.Option(
            "--timestamps",
            metavar="now|original",
            help="Timestamp of the records: now, or original, the row's own time.",
        ),
    ] = "now",
    time_column: time_options.TimeColumn = None,
    time_format: time_options.TimeFormat = None,
    time_zone: time_options.TimeZone = None,
    from_row: Annotated[
        list[str] | None,
        typer.Option("--from-row", metavar="TOPIC=N", help="Start a source at row N, counted from 0 (repeatable)."),
    ] = None,
    exactly_once: options.ExactlyOnce = None,
    job: options.JobName = None,
    restart: options.Restart = False,
    description: "Description",
    max_rejects: Annotated[
        int | None,
        typer.Option("--max-rejects", metavar="N", min=0, help="Stop when more than N rows can't be used."),
    ] = None,
) -> Outcome:
    """Publish files to topics, and check that each row was delivered.

    The files are CSV, TSV or JSON lines; the rows of each stay in order. Ctrl-C stops cleanly and prints how to go
    on; with --exactly-once the same command goes on by itself.
    """
    from sensorstream.clients import check_publishing, open_client
    from sensorstream.pipelines.replay.job import ReplayOptions, client_settings, make_job
    from sensorstream.pipelines.replay.processes import replay_in_processes
    from sensorstream.pipelines.replay.replay import replay
    from sensorstream.pipelines.replay.values import with_values
    from sensorstream.sources.formats import SourceForm

    settings = session.settings_with(thread=thread, delay=delay, exactly_once=exactly_once)
    wanted = ReplayOptions(
        sources=tuple(source or ()),
        rate=rate,
        speed=speed,
        max_gap=max_gap,
        clock=clock,
        delay_given=delay is not None,
        limit=limit,
        loop=loop,
        follow=follow,
        timeout=timeout,
        partition_by=partition_by,
        key=key,
        format=value_format,
        schema=schema,
        schema_registry=schema_registry,
        timestamps=timestamps,
        time_column=time_column,
        time_format=time_format,
        time_zone=tuple(time_zone or ()),
        from_row=tuple(from_row or ()),
        form=SourceForm().over(description),
        max_rejects=max_rejects,
        rejects_folder=Path.cwd(),
        job=job,
        restart=restart,
    )
    check_publishing(settings, session.listener, exactly_once=settings.exactly_once)
    client = open_client(client_settings(settings, wanted), session.listener)
    wanted = with_values(client, settings, wanted, session.listener)
    replayed = make_job(settings, wanted, session.listener)
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
            result = replay(client, replayed, stop=stop, listener=session.listener)
    endless = limit is None and all(
        loop or source.rules.follow or ended.complete
        for source, ended in zip(replayed.sources, result.sources, strict=True)
    )
    return _outcome(result, interrupted=session.stop.is_set() and not (endless and result.delivered))


def _outcome(result: "ReplayResult", *, interrupted: bool) -> Outcome:
    errors: list[str] = []
    code, status = ExitCode.DONE, "ok"
    unfinished = [source for source in result.sources if not source.complete]
    if not result.delivered:
        code, status = ExitCode.UNREACHABLE if result.not_allowed else ExitCode.FAILED, "partial"
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
        errors += how_to_go_on(unfinished)
    return Outcome(
        result,
        lambda console: show_replay(console, result),
        status="ok" if status == "ok" else "partial",
        exit_code=code,
        errors=errors,
    )


def how_to_go_on(unfinished: "Sequence[ReplayedSource]") -> list[str]:
    """What to do after a replay that was interrupted, in lines."""
    if all(source.job is not None for source in unfinished):
        rows = ", ".join(f"{source.topic} at row {source.next_row}" for source in unfinished)
        return [f"to go on, run the same command again without --restart: {rows}"]
    flags = " ".join(f"--from-row {source.topic}={source.next_row}" for source in unfinished)
    return [
        "rows that were sent and not acknowledged may come twice when it goes on; with --exactly-once none does",
        f"to go on, add: {flags}",
    ]


def show_replay(console: "Console", result: "ReplayResult") -> None:
    """The sources with their counts, and the line of the whole."""
    from sensorstream.cli.render import known, shown_path, table
    from sensorstream.cli.terminal import visible

    figures = ("sent", "acknowledged", "failed", "rejected", "next row")
    once = any(source.job is not None for source in result.sources)
    rows = table("topic", "source", *figures, *(("earlier", "job") if once else ()), right=(*figures, "earlier"))
    for source in result.sources:
        rows.add_row(
            visible(source.topic),
            shown_path(source.source),
            f"{source.sent:,}",
            f"{source.acknowledged:,}",
            f"{source.failed:,}",
            f"{source.rejected:,}",
            f"{source.next_row:,}",
            *((known(source.earlier and f"{source.earlier:,}"), known(source.job)) if once else ()),
        )
    console.print(rows)
    rate = result.acknowledged / result.seconds if result.seconds > 0 else 0
    console.print(
        f"sent {result.sent:,} / acknowledged {result.acknowledged:,} / failed {result.failed:,}"
        f" in {result.seconds:.1f} s ({rate:,.0f} rows/s)"
    )
