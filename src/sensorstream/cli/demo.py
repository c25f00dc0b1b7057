"""``demo``: the whole lab on the sample data, ending by itself with a verdict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.cli.story import Story
    from sensorstream.lab.demo import Demonstration


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "demo", "demo", kafka=False)(demo)


def demo(
    session: Session,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the cluster running, and keep the captured files.")
    ] = False,
    kafka_version: Annotated[
        str | None, typer.Option("--kafka-version", metavar="V", help="Kafka version to run.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing; fail if something is missing.")] = False,
    sentiment: Annotated[
        bool,
        typer.Option("--sentiment", help="Posts instead of sensor data: score them, and show the mix of each page."),
    ] = False,
    chaos: Annotated[
        bool, typer.Option("--chaos", help="Kill a leader while rows are published and captured, and bring it back.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="Write a report, as an HTML page; takes longer."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FOLDER", help="With --sentiment: folder for the scored posts, the windows and the picture."
        ),
    ] = None,
) -> Outcome:
    """Show the whole lab: start Kafka, publish, capture, and prove that nothing was lost.

    Three brokers, three topics, three threads and six consumers. With --sentiment posts are published, scored
    exactly once by two processes, and put into windows. It uses free ports and a folder of its own, and leaves
    nothing behind.
    """
    from sensorstream.cli.report import check_report
    from sensorstream.errors import UsageError
    from sensorstream.lab.demo import demonstrate

    if sentiment and chaos:
        raise UsageError("--chaos is for the lab with sensors", hint="leave out --sentiment or --chaos")
    if sentiment and report is not None:
        raise UsageError("--report is for the lab with sensors", hint="demo --sentiment --to FOLDER keeps its picture")
    check_report(report)
    if sentiment:
        from sensorstream.cli.sentiment.demo import demo as show_sentiment

        return show_sentiment(session, keep=keep, to=to, kafka_version=kafka_version, offline=offline)
    if to is not None:
        raise UsageError("--to is for the results of demo --sentiment", hint="--keep keeps the captured files")
    with session.interruptible() as stop:
        result = demonstrate(
            keep=keep,
            kafka_version=kafka_version,
            offline=offline,
            with_chaos=chaos,
            report=report,
            stop=stop,
            listener=session.listener,
            show=_story(session),
        )
    errors = [] if result.passed else ["the demonstration failed: not every row was captured exactly once"]
    code = ExitCode.DONE if result.passed else ExitCode.WRONG_DATA
    return Outcome(
        result,
        lambda console: _show(console, result),
        status="ok" if result.passed else "partial",
        exit_code=code,
        errors=errors,
    )


def _story(session: Session) -> "Story":
    from sensorstream.admin import TopicsCreated
    from sensorstream.cli.chaos import show_chaos
    from sensorstream.cli.lag import show_lag
    from sensorstream.cli.run import show_run
    from sensorstream.cli.story import Story, show_topics
    from sensorstream.cli.verify import show_compared
    from sensorstream.lab.chaos.results import ChaosResult
    from sensorstream.lab.run import LabRun
    from sensorstream.monitor.lag import GroupLag
    from sensorstream.pipelines.verify.verdict import Verification

    return Story(
        session,
        {
            TopicsCreated: show_topics,
            ChaosResult: show_chaos,
            LabRun: show_run,
            GroupLag: show_lag,
            Verification: show_compared,
        },
    )


def _show(console: "Console", result: "Demonstration") -> None:
    """What is left to tell at the end: the steps have been shown when they were done."""
    from sensorstream.cli.story import show_verdict
    from sensorstream.cli.verify import verdict_of

    ended = f"demo: {'passed' if result.passed else 'FAILED'} after {result.seconds:.1f} s"
    show_verdict(console, [verdict_of(result.verification), ended], passed=result.passed)
    if result.cluster_name is not None:
        console.print(
            f"The files are in {result.folder}; the cluster runs on, at {','.join(result.cluster.bootstrap)}."
        )
        console.print(f"Take it down with: sensorstream cluster down --name {result.cluster_name} --delete-data")
