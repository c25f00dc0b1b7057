"""``consume``: capture partitions into files that hold each record once."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import live_latency, options, value_options
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.pipelines.capture.job import CaptureOptions
    from sensorstream.pipelines.capture.spec import CaptureResult


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "consume", "consume")(consume)


def consume(
    session: Session,
    *,
    topic: options.Topic,
    partition: Annotated[
        list[int] | None,
        typer.Option(
            "--partition",
            "-p",
            metavar="N",
            help="Partition to read (repeatable). Default: those that the group assigns.",
        ),
    ] = None,
    group: options.Group = None,
    offset: Annotated[
        str | None,
        typer.Option(
            "--offset",
            "-o",
            metavar="OFFSET",
            help="Where a new capture begins: beginning, end, N, -N (N before the end), @TIME or @-1h; A:B ends "
            "before B. Default: beginning.",
        ),
    ] = None,
    exit_at_end: Annotated[
        bool, typer.Option("--exit", "-e", help="Stop when all that was there at the start has been read.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("--count", "-c", metavar="N", min=1, help="Stop after N records.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", help="Stop after S seconds without a record."),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE|FOLDER|-",
            help="Target: a file (.csv, .jsonl, .sqlite), a folder (for TOPIC_Consumer_N.csv; a name ending in "
            ".parquet for Parquet files), or - for stdout. Default: the current folder.",
        ),
    ] = ".",
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="csv|jsonl|sqlite|parquet",
            help="Format of the files. Default: by the target's name, else csv; jsonl on stdout.",
        ),
    ] = None,
    folders: Annotated[
        str | None,
        typer.Option(
            "--folders",
            metavar="LEVEL,...",
            help="Put finished files into subfolders of the topic's folder: partition, date, or partition,date.",
        ),
    ] = None,
    date_column: Annotated[
        str | None,
        typer.Option(
            "--date-column",
            metavar="COLUMN",
            help="Column with the date for the folders. Default: the record's timestamp, in UTC.",
        ),
    ] = None,
    rotate_rows: Annotated[
        int | None, typer.Option("--rotate-rows", metavar="N", help="Finish a file after N rows and begin the next.")
    ] = None,
    rotate_size: Annotated[
        str | None, typer.Option("--rotate-size", metavar="SIZE", help="Finish a file at this size: 500kB, 64MB, 1GB.")
    ] = None,
    rotate_time: Annotated[
        str | None,
        typer.Option("--rotate-time", metavar="TIME", help="Finish a file after this time: 30s, 10m, 1h, 1d."),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="In CSV, do not protect text that a spreadsheet would take for a formula."),
    ] = False,
    value_format: Annotated[
        str | None,
        typer.Option(
            "--value-format",
            metavar="json|avro|text|bytes",
            help="Format of the values: JSON objects, Avro, or text (UTF-8) or bytes (as base64) in one column "
            "named value. Default: the topic's configured one, else json.",
            show_default=False,
        ),
    ] = None,
    schema_registry: value_options.SchemaRegistry = None,
    with_: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="FIELD[=COLUMN],...",
            help="Columns about the record itself, which come first: key, timestamp, offset, partition, headers; "
            "or none.",
        ),
    ] = None,
    key_format: Annotated[
        str | None,
        typer.Option(
            "--key-format",
            metavar="text|bytes",
            help="How --with key stores keys: as text, or bytes as base64. Default: text.",
        ),
    ] = None,
    flatten: Annotated[
        bool | None,
        typer.Option("--flatten/--no-flatten", help="Split nested JSON objects into columns such as a.b."),
    ] = None,
    tombstones: Annotated[
        bool | None,
        typer.Option(
            "--tombstones/--no-tombstones",
            help="Store records without a value as rows, too; a column named tombstone marks them.",
        ),
    ] = None,
    max_rejects: Annotated[
        int | None,
        typer.Option("--max-rejects", metavar="N", min=0, help="Stop when more than N records can't be used."),
    ] = None,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            "--transform",
            metavar="NAME",
            help="Transform to apply before storing: select, rename, filter, round, or a plug-in (repeatable, "
            "applied in order).",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Option of the transform (repeatable); with several transforms NAME.KEY=VALUE.",
        ),
    ] = None,
    latency: live_latency.LatencyOption = False,
) -> Outcome:
    """Capture a topic into files that hold each record exactly once.

    A capture goes on where its file ends. With -p it reads just these partitions, and commits their offsets so that
    lag can be shown. Without -p the members of the group share the partitions. It runs until Ctrl-C unless -e, -c,
    -o A:B or --timeout ends it.
    """
    from sensorstream.pipelines.capture.job import CaptureOptions
    from sensorstream.storage_rules import rules_of

    storage = {
        "folders": folders,
        "date_column": date_column,
        "rotate_rows": rotate_rows,
        "rotate_size": rotate_size,
        "rotate_time": rotate_time,
    }
    chosen = CaptureOptions(
        topic=topic,
        partitions=tuple(partition or ()),
        group_given=group is not None,
        offset=offset,
        exit_at_end=exit_at_end,
        count=count,
        timeout=timeout,
        to=to,
        format=format_,
        storage=rules_of(storage, ""),
        raw=raw,
        max_rejects=max_rejects,
        transforms=tuple(transform or ()),
        transform_settings=tuple(set_ or ()),
        value_format=value_format,
        schema_registry=schema_registry,
        key_format=key_format,
        with_=with_,
        flatten=flatten,
        tombstones=tombstones,
    )
    return capture_with(session, chosen, group, latency=latency)


def capture_with(session: Session, chosen: "CaptureOptions", group: str | None, *, latency: bool = False) -> Outcome:
    """Run a capture and tell what it came to."""
    from dataclasses import replace

    from sensorstream.clients import open_client
    from sensorstream.pipelines.capture.capture import capture
    from sensorstream.pipelines.capture.job import make_job

    settings = session.settings_with(group=group)
    target = make_job(settings, chosen, session.listener)
    if target.to_stdout and session.json:
        from sensorstream.errors import UsageError

        raise UsageError("--to - and --output json both want stdout", hint="leave one of them out")
    measured = live_latency.arrivals(latency)
    job = target.job if measured is None else replace(target.job, arrived=measured.arrived)
    with session.interruptible() as stop:
        result = capture(
            open_client(settings, session.listener), job, target.make_sink, stop=stop, listener=session.listener
        )
    bounded = chosen.exit_at_end or chosen.count is not None or target.job.range is not None
    outcome = _outcome(result, bounded=bounded, to_stdout=target.to_stdout)
    return live_latency.with_latency(session, outcome, measured, chosen.topic)


def _outcome(result: "CaptureResult", *, bounded: bool, to_stdout: bool) -> Outcome:
    from sensorstream.cli.render import counted

    errors: list[str] = []
    code = ExitCode.DONE
    if result.rejected:
        code = ExitCode.FAILED
        errors.append(f"{counted(result.rejected, 'record')} could not be used, kept in the .rejected.jsonl file")
    if bounded and result.ended == "timeout":
        code = ExitCode.FAILED
        errors.append(f"no record came within the --timeout; {result.rows} were stored")
    if bounded and result.ended == "stopped":
        code = ExitCode.INTERRUPTED
        errors.append("interrupted before the work was complete; start the same command again to go on")
    text = None if to_stdout else (lambda console: _show(console, result))
    return Outcome(result, text, status="partial" if errors else "ok", exit_code=code, errors=errors)


def _show(console: "Console", result: "CaptureResult") -> None:
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible

    rows = table("topic", "partition", "file", "rows", "rejected", "offsets", right=("partition", "rows", "rejected"))
    for part in result.partitions:
        offsets = f"{part.first_offset}..{part.next_offset - 1}" if part.next_offset > part.first_offset else "none"
        rows.add_row(
            visible(part.topic),
            str(part.partition),
            visible(part.target),
            f"{part.rows:,}",
            f"{part.rejected:,}",
            offsets,
        )
    console.print(rows)
