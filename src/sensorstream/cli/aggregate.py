"""``aggregate``: counts, means and shares of a topic's rows by windows of event time."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import options, panels
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from sensorstream.pipelines.aggregate.spec import AggregateResult
    from sensorstream.records import Row, Value


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "aggregate", "aggregate")(aggregate)


def _measure(flag: str, what: str) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(
        flag, metavar="COLUMN", help=f"{what} (repeatable, or A,B).", rich_help_panel=panels.MEASURES
    )
    return made


def aggregate(
    session: Session,
    *,
    topic: options.Topic,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="TIME", help="Length of a window: 500ms, 10s, 1m, 2h, 1d."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar="COLUMN", help="Separate windows for each value of this column (repeatable, or A,B)."
        ),
    ] = None,
    count: Annotated[
        bool,
        typer.Option(
            "--count",
            help="Only count the rows; each window has its count in any case.",
            rich_help_panel=panels.MEASURES,
        ),
    ] = False,
    mean: Annotated[list[str] | None, _measure("--mean", "Mean of a column")] = None,
    sum_: Annotated[list[str] | None, _measure("--sum", "Sum of a column, exact in decimal")] = None,
    min_: Annotated[list[str] | None, _measure("--min", "Least value of a column")] = None,
    max_: Annotated[list[str] | None, _measure("--max", "Greatest value of a column")] = None,
    first: Annotated[list[str] | None, _measure("--first", "First value of a column in event time")] = None,
    last: Annotated[list[str] | None, _measure("--last", "Last value of a column in event time")] = None,
    shares: Annotated[
        list[str] | None, _measure("--shares", "Share of each value of a column, such as a label")
    ] = None,
    sentiment: Annotated[
        bool,
        typer.Option(
            "--sentiment",
            help="For scored posts: --by page --mean compound --shares label, and --window 1m unless given.",
            rich_help_panel=panels.MEASURES,
        ),
    ] = False,
    time_column: Annotated[
        str | None,
        typer.Option(
            "--time-column",
            metavar="NAME,...",
            help="Column or columns with the row's time. Default: the configured one, else the record's timestamp.",
        ),
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(
            "--time-format",
            metavar="FORMAT",
            help="Format of the times: iso, epoch (s or ms), dmy, mdy, or a strptime format. Default: the "
            "configured one, else iso or epoch.",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            "--time-zone",
            metavar="ZONE",
            help="Time zone of times that name none. Default: the configured one, else UTC.",
        ),
    ] = None,
    late: Annotated[
        str | None,
        typer.Option(
            "--late",
            metavar="TIME",
            help="How long a window waits for late rows. Default: 10s; with -e, until the end.",
        ),
    ] = None,
    idle: Annotated[
        str,
        typer.Option(
            "--idle", metavar="TIME", help="Stop waiting for a partition that has had no new rows for this long."
        ),
    ] = "10s",
    max_open: Annotated[
        int, typer.Option("--max-open", metavar="N", min=1, help="Largest number of windows that are open at a time.")
    ] = 100_000,
    offset: Annotated[
        str | None,
        typer.Option(
            "--offset",
            "-o",
            metavar="OFFSET",
            help="Where to begin: beginning, end, N, -N (N before the end), @TIME or @-1h. Default: beginning.",
        ),
    ] = None,
    exit_at_end: Annotated[
        bool, typer.Option("--exit", "-e", help="Stop when all that was there at the start has been read.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", help="Stop after S seconds without a record.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FILE|topic:NAME|-",
            help="Target: a file (.csv, .jsonl), a topic, or - for JSON lines on stdout. Default: a table with -e,"
            " else -.",
        ),
    ] = None,
) -> Outcome:
    """Count and measure the rows of a topic in windows of event time.

    All partitions are read. With -e all windows are handed out at the end, and a file is replaced once it is whole.
    Without it each window is handed out when it closes, and a file or topic goes on where it was, each window once.
    """
    from sensorstream.clients import open_client
    from sensorstream.errors import UsageError
    from sensorstream.pipelines.aggregate.aggregate import aggregate as run
    from sensorstream.pipelines.aggregate.job import AggregateOptions, make_job, make_target, rejected_path
    from sensorstream.pipelines.aggregate.targets import Kept, Streamed, table_rows

    chosen = AggregateOptions(
        topic=topic,
        window=window,
        by=tuple(by or ()),
        measures={
            "mean": mean or (),
            "sum": sum_ or (),
            "min": min_ or (),
            "max": max_ or (),
            "first": first or (),
            "last": last or (),
            "shares": shares or (),
        },
        sentiment=sentiment,
        time_column=time_column,
        time_format=time_format,
        time_zone=time_zone,
        late=late,
        max_open=max_open,
        idle=idle,
        offset=offset,
        exit_at_end=exit_at_end,
        timeout=timeout,
        to=to,
    )
    settings = session.settings
    job = replace(make_job(settings, chosen), rejected=rejected_path(chosen))
    client = open_client(settings, session.listener)
    target = make_target(client, chosen)
    if isinstance(target, Streamed) and session.json:
        raise UsageError("windows and --output json both want stdout", hint="give --to FILE, or -e without --to")
    with session.interruptible() as stop:
        result = run(client, job, target, stop=stop, listener=session.listener)
    kept: Sequence[Row] = ()
    columns: tuple[str, ...] = ()
    if isinstance(target, Kept):
        kept, columns = target.rows, target.columns
        result = replace(result, rows=table_rows(kept))
    text = None if isinstance(target, Streamed) else (lambda console: _show(console, result, columns, kept))
    return _outcome(result, text, str(job.rejected), bounded=exit_at_end)


def _outcome(
    result: "AggregateResult", text: "Callable[[Console], None] | None", kept_in: str, *, bounded: bool
) -> Outcome:
    errors: list[str] = []
    code = ExitCode.DONE
    if result.rejected:
        code = ExitCode.FAILED
        what = f"{result.rejected:,} of {counted(result.records, 'record')} could not be used, kept in {kept_in}"
        errors.append(f"{what}, such as {result.reasons[0]}")
    if bounded and result.ended == "timeout":
        code = ExitCode.FAILED
        errors.append("no record came within the --timeout, before the end; no windows were stored")
    if bounded and result.ended == "stopped":
        code = ExitCode.INTERRUPTED
        errors.append("interrupted before the end; no windows were stored")
    return Outcome(result, text, status="partial" if errors else "ok", exit_code=code, errors=errors)


def _show(console: "Console", result: "AggregateResult", columns: "Sequence[str]", kept: "Sequence[Row]") -> None:
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible
    from sensorstream.records import Number
    from sensorstream.transforms.event_time import duration_text

    if kept:
        figures = tuple(name for name in columns if any(isinstance(row[name], Number) for row in kept))
        shown = [name for name in columns if name != "window_end" and not _all_nought(name, kept)]
        rows = table(*(visible(name) for name in shown), right=tuple(visible(name) for name in figures))
        for row in kept:
            rows.add_row(*(_cell(name, row[name]) for name in shown))
        console.print(rows)
    where = "" if kept or result.target == "the screen" else f" in {visible(result.target)}"
    left = f", {result.open_windows:,} still open" if result.open_windows else ""
    console.print(
        f"{counted(result.windows, 'window')} of {duration_text(result.window_ms)}{where} from "
        f"{counted(result.records, 'record')} of {visible(result.topic)}, {result.late:,} late, "
        f"{result.rejected:,} rejected{left}"
    )


def _all_nought(name: str, kept: "Sequence[Row]") -> bool:
    """Columns that say that nothing was missing or late: in a table they are left out where it is so throughout."""
    return (name == "late" or name.endswith("_missing")) and all(row[name] == "0" for row in kept)


def _cell(name: str, value: "Value") -> str:
    """A value for a table: shares in percent, and of a mean the digits that a person reads."""
    from decimal import Decimal

    from sensorstream.cli.terminal import visible
    from sensorstream.records import Json, Number
    from sensorstream.serde.csv_cells import to_cell

    if isinstance(value, Json) and name.endswith("_shares"):
        import json

        found = json.loads(value)
        if isinstance(found, dict) and all(isinstance(share, float) for share in found.values()):
            return visible("  ".join(f"{label} {share:.0%}" for label, share in found.items()))
    if isinstance(value, Number) and name.endswith("_mean"):
        return f"{Decimal(value):.6g}"
    return visible(to_cell(value, raw=True))
