"""``verify``: was each source row captured exactly once, in order per partition?"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import options
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.pipelines.verify.verify import TopicVerdict, Verification


class PartitionRule(StrEnum):
    """Which partition a row was sent to."""

    ROW = "row"
    ANY = "any"


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "verify", "verify", kafka=False)(verify)


def verify(
    session: Session,
    captured: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CAPTURED]...",
            help="Captured files (TOPIC_Consumer_PARTITION.csv or .jsonl) or folders of them. Default: this folder.",
            show_default=False,
        ),
    ] = None,
    *,
    source: options.SourceOption = None,
    partition_by: Annotated[
        PartitionRule,
        typer.Option(
            "--partition-by",
            help="row: row index modulo partitions; any: rows may be in any partition (sent by key or column).",
        ),
    ] = PartitionRule.ROW,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions", metavar="N", min=1, help="Partitions of each topic. Default: as many as were captured."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Only the first N rows of each source were published."),
    ] = None,
    encoding: options.Encoding = "utf-8",
    delimiter: options.Delimiter = None,
    source_format: options.SourceFormat = None,
    quote: options.Quote = None,
    columns: options.Columns = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Captured CSV files without a position were written with --raw.")
    ] = False,
) -> Outcome:
    """Compare source files with captured files, value by value and in order per partition.

    Exit code 0: each source row was captured exactly once. 4: it was not; the first difference is named.
    """
    from sensorstream.pipelines.replay.job import source_files
    from sensorstream.pipelines.verify.verify import VerifyOptions
    from sensorstream.pipelines.verify.verify import verify as compare
    from sensorstream.sources.formats import SourceForm, column_names

    pairs = source_files(session.settings, source or ())
    sources = dict(pairs)
    if len(sources) < len(pairs):
        raise UsageError("a topic has several sources", hint="verify takes one file for a topic")
    form = SourceForm(source_format, encoding, delimiter, quote, column_names(columns))
    form.check()
    wanted = VerifyOptions(partition_by.value, partitions, limit, form, raw)
    with session.interruptible() as stop:
        result = compare(
            sources,
            captured or [Path()],
            options=wanted,
            sources_given=bool(source),
            listener=session.listener,
            stop=stop,
        )
    if result.exactly_once:
        return Outcome(result, lambda console: show_verification(console, result))
    firsts = [verdict.first_difference.text for verdict in result.topics if verdict.first_difference]
    return Outcome(
        result,
        lambda console: show_verification(console, result),
        status="error",
        exit_code=ExitCode.WRONG_DATA,
        errors=(f"the captured rows differ from the sources: {firsts[0]}",),
    )


def show_verification(console: "Console", result: "Verification") -> None:
    """A line a topic, and the verdict."""
    from sensorstream.cli.terminal import visible

    for verdict in result.topics:
        console.print(visible(_line(verdict)))
        for bad in verdict.rejected_rows:
            console.print(visible(f"  {verdict.source} line {bad.line} was rejected, not compared: {bad.reason}"))
        if verdict.rejected > len(verdict.rejected_rows):
            console.print(f"  and {verdict.rejected - len(verdict.rejected_rows)} more rejected rows")
    order = "in order per partition" if result.partition_by == "row" else "in order within each file"
    if result.exactly_once:
        console.print(f"verdict: each source row was captured exactly once, {order}")
    else:
        console.print("verdict: WRONG, the captured rows differ from the sources")


def _line(verdict: "TopicVerdict") -> str:
    if verdict.exactly_once:
        count = len(verdict.captured_files)
        files = "1 file" if count == 1 else f"{count} files"
        return f"{verdict.topic}: {verdict.captured} of {verdict.expected} rows in {files}, each exactly once"
    counts = {
        "missing": verdict.missing,
        "doubled": verdict.doubled,
        "out of order": verdict.reordered,
        "different": verdict.different,
        "in another partition": verdict.misplaced,
        "unexpected": verdict.unexpected,
    }
    what = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    first = verdict.first_difference.text if verdict.first_difference else ""
    return f"{verdict.topic}: {verdict.captured} of {verdict.expected} rows: {what}; first: {first}"
