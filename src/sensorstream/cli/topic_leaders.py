"""``topics elect | reassign``: preferred leaders brought back, replicas moved to other brokers."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.topics import topics
from sensorstream.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["topics"]


@command(topics, "elect", "topics elect")
def elect(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Topics to take. Default: all, Kafka's own too.")
    ] = None,
) -> Outcome:
    """Give partitions back to their preferred leaders, after a broker has returned."""
    from sensorstream import admin

    result = admin.elect_leaders(session.settings, names or (), listener=session.listener)

    def show(console: "Console") -> None:
        from sensorstream.cli.render import counted, known

        for one in result.elected:
            if one.reason is None:
                before = "none" if one.leader_before is None else one.leader_before
                console.print(f"{known(one.topic)}[{one.partition}]: leader {before} -> {one.leader}")
        there = counted(result.partitions - len(result.elected), "partition")
        console.print(f"{there} had the preferred leader already")

    left = [one for one in result.elected if one.reason is not None]
    if not left:
        return Outcome(result, show)
    first = left[0]
    others = f", and {len(left) - 1} more are not" if len(left) > 1 else ""
    message = (
        f"{first.topic}[{first.partition}] is not led by broker {first.preferred}: {first.reason}{others}; "
        "start the broker, wait until it is in sync, and try again"
    )
    return Outcome(result, show, status="partial", exit_code=ExitCode.FAILED, errors=[message])


@command(topics, "reassign", "topics reassign")
def reassign(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Topics to take. Default: all, Kafka's own too.")
    ] = None,
    *,
    brokers: Annotated[
        str | None,
        typer.Option("--brokers", metavar="ID,ID,...", help="Brokers to spread the replicas over. Default: all."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would move, and move nothing.")] = False,
) -> Outcome:
    """Spread replicas evenly over brokers, and wait until they have moved.

    Ctrl-C cancels what has not moved yet.
    """
    from sensorstream import admin

    onto = _numbers(brokers)
    settings = session.settings
    with session.interruptible() as stop:
        result = admin.reassign(settings, names or (), onto, dry_run=dry_run, stop=stop, listener=session.listener)

    def show(console: "Console") -> None:
        from sensorstream.cli.render import counted, known

        for one in result.partitions:
            before, after = (",".join(map(str, replicas)) for replicas in (one.before, one.after))
            console.print(f"{known(one.topic)}[{one.partition}]: brokers {before} -> {after}")
        count = counted(len(result.partitions), "partition")
        console.print(
            f"{count} would move" if dry_run else f"{count} moved" if result.partitions else "nothing to move"
        )

    return Outcome(result, show)


def _numbers(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(dict.fromkeys(int(one) for one in text.split(",")))
    except ValueError as error:
        raise UsageError(
            f"--brokers {text}: expected brokers' numbers with commas between them", hint="as in --brokers 1,2,3"
        ) from error
