"""``run``: the producer and one consumer process per partition together."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import fail_if, options, time_options
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.description import Description
    from sensorstream.lab.run import LabRun
    from sensorstream.monitor.view import View


def add_to(app: typer.Typer) -> None:
    """Make it a command of the program."""
    command(app, "run", "run", sends="as asked", describes=True)(run)


def run(
    session: Session,
    *,
    thread: options.Thread = None,
    delay: options.Delay = None,
    speed: time_options.Speed = None,
    max_gap: time_options.MaxGap = None,
    clock: time_options.Clock = None,
    time_column: time_options.TimeColumn = None,
    time_format: time_options.TimeFormat = None,
    time_zone: time_options.TimeZone = None,
    source: options.SourceOption = None,
    exactly_once: options.ExactlyOnce = None,
    job: options.JobName = None,
    restart: options.Restart = False,
    group: options.Group = None,
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="Folder for the captured files. Default: the current folder.")
    ] = Path(),
    exit_at_end: Annotated[
        bool, typer.Option("--exit", "-e", help="Stop when everything published is captured.")
    ] = False,
    fail_if_: fail_if.FailIf = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE.html", help="Write a report of the run at the end, as an HTML page."),
    ] = None,
    description: "Description",
) -> Outcome:
    """Publish the sources and capture all partitions, each in a process of its own.

    Ctrl-C stops all of them cleanly.
    """
    from sensorstream.cli.report import check_report
    from sensorstream.clients import check_publishing, open_client
    from sensorstream.lab.report import watch
    from sensorstream.lab.run import LabJob
    from sensorstream.lab.run import run as run_lab
    from sensorstream.pipelines.replay.job import ReplayOptions, client_settings, make_job
    from sensorstream.sources.formats import SourceForm

    watched = fail_if.conditions(fail_if_)
    check_report(report)
    settings = session.settings_with(thread=thread, delay=delay, group=group, exactly_once=exactly_once)
    check_publishing(settings, session.listener, exactly_once=settings.exactly_once)
    replay_options = ReplayOptions(
        sources=tuple(source or ()),
        speed=speed,
        max_gap=max_gap,
        clock=clock,
        delay_given=delay is not None,
        time_column=time_column,
        time_format=time_format,
        time_zone=tuple(time_zone or ()),
        rejects_folder=to,
        job=job,
        restart=restart,
        form=SourceForm().over(description),
    )
    lab = LabJob(
        make_job(settings, replay_options, session.listener),
        to,
        settings.group,
        session.connection_arguments,
        stop_when_captured=exit_at_end,
        quiet=session.quiet,
    )
    with ExitStack() as stack:
        stop = stack.enter_context(session.interruptible())
        guard = stack.enter_context(fail_if.guarded(session, watched, stop))
        observer = stack.enter_context(watch(settings)) if report is not None else None
        result = run_lab(
            open_client(client_settings(settings, replay_options), session.listener),
            settings,
            lab,
            stop=stop,
            listener=session.listener,
        )
    # A run that its condition has stopped is not one that the user has interrupted.
    bounded = exit_at_end and not (guard is not None and guard.fired)
    outcome = _outcome(result, bounded=bounded, interrupted=session.stop.is_set())
    if guard is not None:
        outcome = fail_if.judged(outcome, guard.verdicts)
    if report is not None and observer is not None:
        _report(report, result, outcome, settings.group, observer.view)
    return outcome


def _report(path: Path, result: "LabRun", outcome: Outcome, group: str, view: "View | None") -> None:
    from sensorstream.lab.report import Report, write_report

    good = outcome.exit_code is ExitCode.DONE
    end = "; ".join(outcome.errors) if outcome.errors else "every row was acknowledged"
    captured = ", and all of them are captured" if result.captured else ""
    write_report(path, Report("sensorstream run", f"{end}{captured}", good, result, group, view))


def _outcome(result: "LabRun", *, bounded: bool, interrupted: bool) -> Outcome:
    errors = []
    if result.replay.problem:
        errors.append(result.replay.problem)
    if not result.replay.delivered:
        errors.append(f"of {counted(result.replay.sent, 'row')} sent, {result.replay.acknowledged:,} acknowledged")
    for consumer in result.consumers:
        if consumer.exit_code:
            reason = consumer.error or f"exit code {consumer.exit_code}"
            errors.append(f"the consumer of {consumer.topic}[{consumer.partition}] failed: {reason}")
    code = ExitCode.FAILED if errors else ExitCode.DONE
    if result.replay.not_allowed or any(consumer.exit_code == ExitCode.UNREACHABLE for consumer in result.consumers):
        code = ExitCode.UNREACHABLE
    if bounded and not result.captured and not errors:
        code = ExitCode.INTERRUPTED if interrupted else ExitCode.FAILED
        errors.append(
            "interrupted before the work was complete"
            if interrupted
            else "not everything that was published is captured"
        )
    return Outcome(
        result,
        lambda console: show_run(console, result),
        status="partial" if errors else "ok",
        exit_code=code,
        errors=errors,
    )


def show_run(console: "Console", result: "LabRun") -> None:
    """The published sources and the captured files, as two tables."""
    from sensorstream.cli.produce import show_replay
    from sensorstream.cli.render import known, table
    from sensorstream.cli.terminal import visible

    show_replay(console, result.replay)
    rows = table("topic", "partition", "file", "rows", "rejected", right=("partition", "rows", "rejected"))
    for consumer in result.consumers:
        rows.add_row(
            visible(consumer.topic),
            str(consumer.partition),
            known(None if consumer.file is None else Path(consumer.file).name),
            known(consumer.rows if consumer.rows is None else f"{consumer.rows:,}"),
            known(consumer.rejected if consumer.rejected is None else f"{consumer.rejected:,}"),
        )
    console.print(rows)
