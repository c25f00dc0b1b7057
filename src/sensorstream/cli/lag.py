"""``lag``: how far a consumer group is behind."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import options
from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    from rich.console import Console

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
            "--for", metavar="TIME", help="Watch so long first, such as 10s: adds rates, time to catch up, age, status."
        ),
    ] = None,
) -> Outcome:
    """Show a consumer group's lag, of pinned and stopped consumers too."""
    from sensorstream.monitor.lag import group_lag

    if lasting is not None:
        return _watched(session, group, lasting)
    result = group_lag(session.settings, group, listener=session.listener)
    return Outcome(result, text=lambda console: show_lag(console, result))


def _watched(session: Session, group: str | None, lasting: str) -> Outcome:
    from sensorstream.errors import BrokerError
    from sensorstream.monitor.lag import group_lag
    from sensorstream.monitor.once import view_after
    from sensorstream.monitor.report import group_report
    from sensorstream.transforms.event_time import parse_duration

    seconds = parse_duration(lasting, "--for") / 1000
    settings = session.settings
    name = group_lag(settings, group, listener=session.listener).group  # a misspelt one is told at once
    with session.interruptible() as stop:
        view = view_after(settings, seconds, stop=stop, listener=session.listener)
    state = view.snapshot.group(name)
    if state is None:
        problems = "; ".join(view.snapshot.problems) or "it was deleted meanwhile"
        raise BrokerError(f"group {name} can't be described: {problems}")
    result = group_report(view, state)
    return Outcome(result, text=lambda console: show_progress(console, result))


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
