"""``jobs``: the exactly-once replays that a cluster knows."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.confirming import confirm
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.pipelines.replay.jobs import Job, JobList

jobs = typer.Typer(name="jobs", help="List, show and forget exactly-once replays.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the job, or the beginning of it.")]


@command(jobs, "list", "jobs list")
def list_(session: Session) -> Outcome:
    """List the exactly-once replays and how far each is, the last committed one first."""
    from sensorstream.clients import open_client
    from sensorstream.pipelines.replay.jobs import list_jobs

    result = list_jobs(open_client(session.settings, session.listener), session.listener)
    return Outcome(result, lambda console: _show_list(console, result))


@command(jobs, "show", "jobs show")
def show(session: Session, name: Name) -> Outcome:
    """Show all that is known of a job."""
    from sensorstream.clients import open_client
    from sensorstream.pipelines.replay.jobs import find_job

    result = find_job(open_client(session.settings, session.listener), name, session.listener)
    return Outcome(result, lambda console: _show_job(console, result))


@command(jobs, "forget", "jobs forget")
def forget(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the job, or what was given with --job.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> Outcome:
    """Forget a job; the same replay would then publish its rows again.

    The rows stay. A run that works on the job is stopped.
    """
    from sensorstream.cli.render import known
    from sensorstream.clients import open_client
    from sensorstream.pipelines.replay.jobs import forget_jobs

    if not yes:
        question = f"Forget job {name}? The same replay would publish its rows again."
        confirm(session, f"forgetting job {name}", question)
    result = forget_jobs(open_client(session.settings, session.listener), name, session.listener)

    def show_names(console: "Console") -> None:
        for forgotten in result.forgotten:
            console.print(f"{known(forgotten)}: forgotten")

    return Outcome(result, show_names)


def _show_list(console: "Console", result: "JobList") -> None:
    from pathlib import Path

    from sensorstream.cli.render import known, table

    if not result.jobs:
        console.print("nothing was published with --exactly-once yet")
        return
    rows = table("job", "topic", "file", "rows", "state", "last commit", "host", right=("rows",))
    for job in result.jobs:
        rows.add_row(
            known(job.name),
            known(job.topic),
            known(Path(job.path).name),
            f"{job.rows:,}",
            _state(job),
            known(job.committed),
            known(job.host),
        )
    console.print(rows)


def _state(job: "Job") -> str:
    if job.finished:
        return "finished"
    turn = f", round {job.round}" if "loop" in job.rule else ""
    return f"next row {job.next_row:,}{turn}"


def _show_job(console: "Console", job: "Job") -> None:
    from sensorstream.cli.render import known, table

    rows = table("", job.name)
    rule = ", ".join(f"{option.replace('_', '-')} {value}" for option, value in sorted(job.rule.items()))
    facts = {
        "topic": f"{job.topic}, {counted(job.partitions, 'partition')}",
        "file": f"{job.path} on {job.path_host}, {counted(job.size, 'byte')}",
        "SHA-256": job.sha256,
        "rule": rule,
        "processes": job.shares,
        "rows committed": f"{job.rows:,}",
        "rows rejected": f"{job.rejected:,}",
        "state": _state(job),
        "began": job.began,
        "last commit": job.committed,
        "last run": None if job.host is None else f"process {job.pid} on {job.host}",
    }
    for what, fact in facts.items():
        rows.add_row(what, known(fact))
    console.print(rows)
