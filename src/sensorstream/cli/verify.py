"""``verify``: was each source row captured exactly once, in order per partition?"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import options
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode, UsageError
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.description import Description
    from sensorstream.pipelines.verify.verdict import TopicVerdict, Verification


class PartitionRule(StrEnum):
    """Which partition a row was sent to."""

    ROW = "row"
    ANY = "any"


LISTED = 3
"""So many rejected rows, and records, are listed of a topic; the others are counted."""


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "verify", "verify", kafka=False, describes=True)(verify)


def verify(
    session: Session,
    captured: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CAPTURED]...",
            help="Captured files (TOPIC_Consumer_PARTITION.csv or .jsonl, databases) or folders of them. Default: "
            "the current folder.",
            show_default=False,
        ),
    ] = None,
    *,
    source: options.SourceOption = None,
    partition_by: Annotated[
        PartitionRule,
        typer.Option(
            "--partition-by",
            metavar="row|any",
            help="How rows were put into partitions: row (row index modulo partitions), or any (by key or column).",
        ),
    ] = PartitionRule.ROW,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions",
            metavar="N",
            min=1,
            help="Number of partitions of each topic. Default: as many as were captured.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Expect only the first N rows of each source."),
    ] = None,
    description: "Description",
    raw: Annotated[
        bool, typer.Option("--raw", help="Captured CSV files that have no position file were written with --raw.")
    ] = False,
) -> Outcome:
    """Compare captured files with their sources, value by value and in order.

    Exit code 0: each source row that can be compared was captured exactly once; what is not covered is told.

    Exit code 4: one was not, and the first difference is named; or there was no row to compare.
    """
    from sensorstream.pipelines.replay.job import source_files
    from sensorstream.pipelines.verify.verdict import VerifyOptions
    from sensorstream.pipelines.verify.verify import verify as compare
    from sensorstream.sources.formats import SourceForm

    pairs = source_files(session.settings, source or ())
    sources = dict(pairs)
    if len(sources) < len(pairs):
        raise UsageError("a topic has several sources", hint="verify takes one file for a topic")
    form = SourceForm().over(description)
    forms = {topic: form.over(session.settings.topic(topic).description) for topic in sources}
    wanted = VerifyOptions(partition_by.value, partitions, limit, form, raw, forms)
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
    nothing = [verdict for verdict in result.topics if not verdict.first_difference and not verdict.expected]
    if firsts:
        error = f"the captured rows differ from the sources: {firsts[0]}"
    elif nothing:
        error = f"nothing was compared: {nothing[0].source} has no row that can be used"
    else:
        error = "nothing was compared"
    return Outcome(
        result,
        lambda console: show_verification(console, result),
        status="error",
        exit_code=ExitCode.WRONG_DATA,
        errors=(error,),
    )


def show_verification(console: "Console", result: "Verification") -> None:
    """A line a topic, and the verdict."""
    show_compared(console, result)
    console.print(verdict_of(result))
    _show_gaps(console, result)


def show_compared(console: "Console", result: "Verification") -> None:
    """A line a topic, with what could not be used."""
    from sensorstream.cli.terminal import visible

    def told(count: int, first: Sequence[str], things: str) -> None:
        for text in first[:LISTED]:
            console.print(visible(f"  {text}"))
        if count > LISTED:
            console.print(f"  and {count - LISTED:,} more {things}")

    for verdict in result.topics:
        console.print(visible(_line(verdict)))
        rows = [f"{verdict.source} line {bad.line} can't be used: {bad.reason}" for bad in verdict.rejected_rows]
        told(verdict.rejected, rows, "rows that can't be used")
        records = [
            f"{one.file} line {one.line}: {one.reason}"
            if one.offset is None
            else f"{verdict.topic}[{one.partition}] offset {one.offset} was rejected by the capture: {one.reason}"
            for one in verdict.capture_rejected_records
        ]
        told(verdict.capture_rejected, records, "rejected records")


def verdict_of(result: "Verification") -> str:
    """The verdict over all topics, in a line."""
    order = "in order per partition" if result.partition_by == "row" else "in order within each file"
    if result.exactly_once:
        gaps = any(verdict.not_covered for verdict in result.topics)
        return (
            f"verdict: {'each row that was compared' if gaps else 'each source row'} was captured exactly once, {order}"
        )
    if any(verdict.first_difference for verdict in result.topics):
        return "verdict: WRONG, the captured rows differ from the sources"
    return "verdict: NONE, there is a topic of which no row was compared"


def _show_gaps(console: "Console", result: "Verification") -> None:
    from sensorstream.cli.terminal import visible

    if gaps := [text for verdict in result.topics for text in verdict.not_covered]:
        console.print(visible(f"not covered: {'; '.join(gaps)}"))


def _line(verdict: "TopicVerdict") -> str:
    if not verdict.expected and not verdict.first_difference:
        return f"{verdict.topic}: no row to compare"
    if verdict.exactly_once:
        count = len(verdict.captured_files)
        files = counted(count, "file")
        return (
            f"{verdict.topic}: {verdict.captured:,} of {counted(verdict.expected, 'row')} in {files}, each exactly once"
        )
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
    return f"{verdict.topic}: {verdict.captured:,} of {counted(verdict.expected, 'row')}: {what}; first: {first}"
