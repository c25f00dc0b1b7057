"""``cluster list | env``: which clusters this machine has, and a shell that goes to one of them."""

import shlex
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensorstream.cli.cluster import cluster
from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["cluster"]


class Shell(StrEnum):
    """Whose words the exports are written in; ``bash`` is understood by zsh and sh, too.

    ``dotenv`` is a line ``NAME=value`` each, as ``.env`` files and the environment file of GitHub Actions have it.
    """

    BASH = "bash"
    FISH = "fish"
    POWERSHELL = "powershell"
    DOTENV = "dotenv"


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_EXPORTS: Final[dict[Shell, Callable[[str, str], str]]] = {
    Shell.BASH: lambda name, value: f"export {name}={shlex.quote(value)}",
    Shell.FISH: lambda name, value: f"set -gx {name} {_fish(value)}",
    Shell.POWERSHELL: lambda name, value: f"$Env:{name} = {_powershell(value)}",
    Shell.DOTENV: lambda name, value: f"{name}={value}",
}


@command(cluster, "list", "cluster list", kafka=False)
def list_(session: Session) -> Outcome:
    """List the clusters of this machine, and which of them run."""
    from sensorstream.cluster.named import list_clusters

    result = list_clusters()

    def text(console: "Console") -> None:
        from sensorstream.cli.render import known, table
        from sensorstream.cli.terminal import visible

        rows = table("name", "state", "Kafka", "mode", "brokers", "bootstrap", "data")
        for one in result.clusters:
            brokers = None if one.brokers is None or one.running is None else f"{len(one.running)}/{len(one.brokers)}"
            bootstrap = None if one.bootstrap is None else ",".join(one.bootstrap)
            told = (one.name, one.state, one.kafka_version, one.mode, brokers, bootstrap, one.data_dir)
            rows.add_row(*(visible(str(known(value))) for value in told))
        console.print(rows if result.clusters else "There are no clusters; start one: sensorstream cluster up")

    return Outcome(result, text)


@command(cluster, "env", "cluster env", kafka=False)
def env(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(metavar="[NAME]", help="Name of the cluster; NAME/user for the lesser user of a secured one."),
    ] = "default",
    *,
    shell: Annotated[
        Shell, typer.Option("--shell", metavar="|".join(Shell), help="Shell to write the exports for.")
    ] = Shell.BASH,
) -> Outcome:
    """Print shell exports that point commands to a cluster.

    Use it as: eval "$(sensorstream cluster env NAME)"
    """
    from sensorstream.cluster.named import environment

    result = environment(name)

    def text(console: "Console") -> None:
        for variable, value in result.variables.items():
            console.out(_EXPORTS[shell](variable, value), highlight=False)

    return Outcome(result, text)
