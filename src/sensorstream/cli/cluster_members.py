"""``cluster add-broker | remove-broker``: brokers that join a cluster after it was made, and leave it again."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import cluster_containers as containers
from sensorstream.cli.cluster import BrokerId, Name
from sensorstream.cli.cluster_names import cluster
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import UsageError
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["cluster"]


@command(cluster, "add-broker", "cluster add-broker", kafka=False)
def add_broker(
    session: Session,
    *,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            metavar="P",
            show_default=False,
            help="Port of the broker; 0 takes a free one. Default: the next of the default ports, or a free one.",
        ),
    ] = None,
    name: Name = "default",
) -> Outcome:
    """Add a broker to a running cluster, and wait until all brokers know it.

    It holds no partitions yet; 'topics reassign' gives it its share.
    """
    from sensorstream.cluster import membership

    _refuse_containers(session, name)
    with session.interruptible() as stop:
        result = membership.add_broker(name, port=port, stop=stop, listener=session.listener)

    def text(console: "Console") -> None:
        count = f"{counted(len(result.brokers), 'broker')} now"
        console.print(f"broker {result.broker} runs on port {result.port} (pid {result.pid}); {count}")
        console.print(f"bootstrap {','.join(result.bootstrap)}", soft_wrap=True)
        if result.metrics is not None:
            console.print(f"metrics {result.metrics}", soft_wrap=True)
        b = "" if name == "default" else f" -b cluster:{name}"
        console.print(f"it holds nothing yet; give it its share: sensorstream topics reassign{b}", soft_wrap=True)

    return Outcome(result, text)


@command(cluster, "remove-broker", "cluster remove-broker", kafka=False)
def remove_broker(session: Session, broker: BrokerId, *, name: Name = "default") -> Outcome:
    """Move a broker's partitions to the others, stop it, and delete it.

    Ctrl-C while partitions move leaves the broker in place.
    """
    from sensorstream.lab import membership

    _refuse_containers(session, name)
    with session.interruptible() as stop:
        result = membership.remove_broker(name, broker, stop=stop, listener=session.listener)

    def text(console: "Console") -> None:
        from sensorstream.cli.render import counted

        moved = counted(len(result.partitions), "partition")
        left = ", ".join(map(str, result.brokers))
        console.print(f"broker {broker} is removed: {moved} moved off it; there are: {left}")
        console.print(f"bootstrap {','.join(result.bootstrap)}", soft_wrap=True)

    return Outcome(result, text)


def _refuse_containers(session: Session, name: str) -> None:
    if containers.of_containers(session, name) is not None:
        raise UsageError(
            f"cluster {name} runs in containers, and its compose file says which brokers there are",
            hint="give a compose file of your own: sensorstream cluster up --docker --file PATH",
        )
