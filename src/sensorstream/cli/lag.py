"""``lag``: how far a consumer group is behind."""

from typing import TYPE_CHECKING

import typer

from sensorstream.cli import options
from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.monitor.lag import GroupLag


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "lag", "lag")(lag)


def lag(session: Session, *, group: options.Group = None) -> Outcome:
    """Show a consumer group's lag, of pinned and stopped consumers too."""
    from sensorstream.monitor.lag import group_lag

    result = group_lag(session.settings, group, listener=session.listener)
    return Outcome(result, text=lambda console: show_lag(console, result))


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
