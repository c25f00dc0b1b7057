"""``lag``: how far a consumer group is behind."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import fail_if, options
from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from sensorstream.monitor.conditions import Condition
    from sensorstream.monitor.lag import GroupLag
    from sensorstream.monitor.report import GroupReport


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "lag", "lag")(lag)


def lag(
    session: Session,
    *,
    group: options.Group = None,
    lasting: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TIME",
            help="Watch for this long first, such as 10s; adds rates, time to catch up, age and status.",
        ),
    ] = None,
    fail_if_: fail_if.FailIf = None,
) -> Outcome:
    """Show how far a consumer group is behind, pinned and stopped consumers included."""
    from sensorstream.monitor.lag import group_lag

    watched = fail_if.conditions(fail_if_)
    if lasting is not None or watched:
        return _watched(session, group, lasting, watched)
    result = group_lag(session.settings, group, listener=session.listener)
    return Outcome(result, text=lambda console: show_lag(console, result))


def _watched(session: Session, group: str | None, lasting: str | None, watched: "Sequence[Condition]") -> Outcome:
    from sensorstream.errors import BrokerError
    from sensorstream.monitor.lag import group_lag
    from sensorstream.monitor.report import group_report

    seconds = fail_if.seconds_of(lasting)
    settings = session.settings_with(group=group)
    name = group_lag(settings, listener=session.listener).group  # a misspelt one is told at once
    checked = fail_if.look(session, seconds, watched)
    state = checked.view.snapshot.group(name)
    if state is None:
        problems = "; ".join(checked.view.snapshot.problems) or "it was deleted meanwhile"
        raise BrokerError(f"group {name} can't be described: {problems}")
    if lasting is None:
        seen = state.lag
        return fail_if.judged(Outcome(seen, text=lambda console: show_lag(console, seen)), checked.verdicts)
    result = group_report(checked.view, state)
    return fail_if.judged(Outcome(result, text=lambda console: show_progress(console, result)), checked.verdicts)


def show_lag(console: "Console", result: "GroupLag") -> None:
    """The lag table, as the seed lab has it."""
    from sensorstream.cli.render import known, table

    figures = ("PARTITION", "LAG", "CURRENT OFFSET", "END OFFSET")
    rows = table("TOPIC", "PARTITION", "CONSUMER ID", "HOST", "LAG", "CURRENT OFFSET", "END OFFSET", right=figures)
    for row in result.partitions:
        rows.add_row(
            known(row.topic),
            str(row.partition),
            known(row.consumer_id),
            known(row.host),
            known(row.lag),
            known(row.current_offset),
            known(row.end_offset),
        )
    console.print(f"Group {known(result.group)}: {known(result.state)}, total lag {known(result.total_lag)}")
    console.print(rows)


def show_progress(console: "Console", result: "GroupReport") -> None:
    """The lag table with what watching for a while has told."""
    from sensorstream.cli.monitor import rates
    from sensorstream.cli.render import known, table

    figures = ("PARTITION", "LAG", "CURRENT OFFSET", "END OFFSET", "IN/S", "OUT/S", "CATCH-UP", "AGE")
    rows = table("TOPIC", "PARTITION", "CONSUMER ID", "HOST", *figures[1:], "STATUS", right=figures)
    for row in result.partitions:
        rows.add_row(
            *(known(row.topic), str(row.partition), known(row.consumer_id), known(row.host)),
            *(known(row.lag), known(row.current_offset), known(row.end_offset)),
            *rates(row.rate_in, row.rate_out, row.catch_up_s, row.age_s),
            row.status,
        )
    console.print(
        f"Group {known(result.group)}: {known(result.state)}, total lag {known(result.total_lag)}, {result.status}"
    )
    console.print(rows)
