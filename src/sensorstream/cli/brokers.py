"""``brokers``: who makes up the cluster."""

from typing import TYPE_CHECKING

import typer

from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.admin import ClusterDescription


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "brokers", "brokers")(brokers)


def brokers(session: Session) -> Outcome:
    """List the brokers: address, controller, partitions led and held."""
    from sensorstream import admin

    result = admin.describe_cluster(session.settings, listener=session.listener)
    return Outcome(result, text=lambda console: _show(console, result))


def _show(console: "Console", result: "ClusterDescription") -> None:
    from sensorstream.cli.render import known, table

    figures = ("ID", "PORT", "LEADERS", "REPLICAS")
    rows = table("ID", "HOST", "PORT", "CONTROLLER", "LEADERS", "REPLICAS", right=figures)
    for broker in result.brokers:
        rows.add_row(
            str(broker.id),
            known(broker.host),
            str(broker.port),
            "yes" if broker.controller else "",
            str(broker.leaders),
            str(broker.replicas),
        )
    console.print(f"Cluster {known(result.cluster_id)}, Kafka {known(result.version)}")
    console.print(rows)
