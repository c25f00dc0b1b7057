"""``groups list | describe | reset | delete``: consumer groups, and where they are to read on."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.confirming import confirm

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.admin.group_changes import GroupReset
    from sensorstream.monitor.groups import GroupDescribed, GroupList

groups = typer.Typer(name="groups", help="List, describe, reset and delete consumer groups.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="GROUP", help="Name of the group.")]


@command(groups, "list", "groups list")
def list_(session: Session) -> Outcome:
    """List the consumer groups: state, members, topics, lag."""
    from sensorstream.monitor.groups import list_groups

    result = list_groups(session.settings, listener=session.listener)
    return Outcome(result, lambda console: _show_list(console, result))


@command(groups, "describe", "groups describe")
def describe(session: Session, name: Name) -> Outcome:
    """Show the members of a group, their partitions, and its lag."""
    from sensorstream.monitor.groups import describe as describe_group

    result = describe_group(session.settings, name, listener=session.listener)
    return Outcome(result, lambda console: _show_group(console, result))


@command(groups, "reset", "groups reset")
def reset(
    session: Session,
    name: Name,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            "-o",
            metavar="PLACE",
            help="New position: beginning, end, an offset, -N (N before the end) or @TIME, as for consume -o.",
        ),
    ] = None,
    shift_by: Annotated[
        int | None, typer.Option("--shift-by", metavar="N", help="Move by N offsets: forward, or with -N back.")
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(
            "--topic", "-t", metavar="TOPIC", help="Only this topic (repeatable). Default: all of the group's."
        ),
    ] = None,
    partition: Annotated[
        list[int] | None,
        typer.Option("--partition", "-p", metavar="N", min=0, help="Only this partition (repeatable). Default: all."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Move the group; without this, only the plan is shown.")
    ] = False,
) -> Outcome:
    """Show where a group would go on reading, and with --yes move it there.

    Refused while the group has live members or a pinned consumer commits. Captures go on from their own files and
    are not moved.
    """
    from sensorstream.admin.group_changes import Shift, plan_reset
    from sensorstream.admin.group_changes import reset as carry_out
    from sensorstream.errors import UsageError
    from sensorstream.pipelines.start_at import StartAt, parse

    if (to is None) == (shift_by is None):
        raise UsageError("where to read on is not said", hint="give one of --to and --shift-by")
    target: StartAt | Shift = Shift(shift_by) if to is None and shift_by is not None else parse(to or "")
    settings = session.settings
    result = plan_reset(
        settings, name, target, topics=topic or (), partitions=partition or (), listener=session.listener
    )
    if yes:
        result = carry_out(settings, result, listener=session.listener)
    return Outcome(result, lambda console: _show_reset(console, result))


@command(groups, "delete", "groups delete")
def delete(
    session: Session,
    names: Annotated[list[str], typer.Argument(metavar="GROUP...", help="Groups to delete.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> Outcome:
    """Delete groups with their committed offsets; refused while one has live members."""
    from sensorstream.admin.group_changes import delete_groups

    settings = session.settings
    if not yes:
        told = ", ".join(names)
        confirm(session, f"deleting {told}", f"Delete {told} with the committed offsets?")
    result = delete_groups(settings, names, listener=session.listener)

    def show(console: "Console") -> None:
        from sensorstream.cli.render import known

        for name in result.deleted:
            console.print(f"{known(name)}: deleted")

    return Outcome(result, show)


def _show_list(console: "Console", result: "GroupList") -> None:
    from sensorstream.cli.render import known, table

    if not result.groups and not result.problems:
        console.print("no group has committed yet")
        return
    figures = ("MEMBERS", "COORDINATOR", "LAG")
    rows = table("GROUP", "STATE", *figures, "TOPICS", right=figures)
    for group in result.groups:
        rows.add_row(
            known(group.group),
            known(group.state),
            known(group.members),
            known(group.coordinator),
            known(group.total_lag),
            known(", ".join(group.topics)),
        )
    console.print(rows)
    for problem in result.problems:
        console.print(f"not known: {known(problem)}")


def _show_group(console: "Console", result: "GroupDescribed") -> None:
    from sensorstream.cli.lag import show_lag
    from sensorstream.cli.render import known, table
    from sensorstream.monitor.lag import GroupLag

    rows = table("MEMBER ID", "CLIENT ID", "HOST", "PARTITIONS")
    for member in result.members or ():
        assigned = ", ".join(map(str, member.partitions)) or "none"
        rows.add_row(known(member.member_id), known(member.client_id), known(member.host), known(assigned))
    show_lag(console, GroupLag(result.group, result.state, result.total_lag, result.partitions))
    console.print(f"Coordinator: broker {known(result.coordinator)}")
    if result.members is None:
        console.print("Members: unknown")
    elif result.members:
        console.print(rows)


def _show_reset(console: "Console", result: "GroupReset") -> None:
    from sensorstream.cli.render import known, table

    figures = ("PARTITION", "CURRENT OFFSET", "NEW OFFSET", "FIRST OFFSET", "END OFFSET", "LAG")
    rows = table("TOPIC", *figures, right=figures)
    for one in result.partitions:
        rows.add_row(
            known(one.topic),
            str(one.partition),
            "none" if one.before is None else str(one.before),
            *(str(place) for place in (one.after, one.first_offset, one.end_offset, one.end_offset - one.after)),
        )
    console.print(f"Group {known(result.group)}: {known(result.state)}")
    console.print(rows)
    if result.executed:
        console.print("changed")
    elif result.blocked:
        console.print(f"nothing was changed, and now it can't be: {known(result.blocked)}")
    else:
        console.print("nothing was changed; add --yes to do it")
