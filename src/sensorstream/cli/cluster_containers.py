"""``cluster up --docker``; and for such a cluster ``status``, ``down``, ``stop-broker`` and ``start-broker``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorstream.cli.command import Outcome, Session
from sensorstream.errors import ExitCode, LocalClusterError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.cluster.containers import ContainerCluster, ContainersStatus, ServiceStatus

Docker = Annotated[
    bool, typer.Option("--docker", help="Run in containers, from a compose file, with this machine's container engine.")
]
File = Annotated[
    str | None,
    typer.Option(
        "--file",
        metavar="NAME|PATH",
        show_default=False,
        help="With --docker: kraft, zookeeper, secure, or a compose file of your own. Default: kraft.",
    ),
]
ComposeProfile = Annotated[
    list[str] | None,
    typer.Option(
        "--compose-profile", metavar="NAME", help="With --docker: profile of the compose file, such as metrics."
    ),
]


def of_containers(session: Session, name: str) -> "ContainerCluster | None":
    """The cluster of this name, if it is one in containers."""
    from sensorstream.cluster.containers import ContainerCluster

    one = ContainerCluster(name, listener=session.listener)
    return one if one.known else None


def refuse_mixed(
    session: Session, name: str, *, docker: bool, only_docker: dict[str, Any], local: dict[str, Any]
) -> None:
    """Refuse options of one kind of cluster for the other: ``only_docker`` and ``local`` are these options' values."""
    if not docker:
        for option, value in only_docker.items():
            if value:
                raise UsageError(f"{option} is for clusters in containers", hint="add --docker")
        if of_containers(session, name) is not None:
            raise LocalClusterError(
                f"cluster {name!r} is one of containers", hint="add --docker, or give another --name"
            )
        return
    for option, value in local.items():
        if value:
            hint = "the compose file says it"
            if option in ("--secure", "--acl"):
                hint = "take the compose file that has TLS, passwords and ACLs: --docker --file secure"
            elif option == "--links":
                hint = "its links are the container engine's: docker network disconnect cuts one"
            raise UsageError(f"{option} does not go with --docker", hint=hint)


def up(session: Session, name: str, file: str | None, profiles: list[str] | None) -> Outcome:
    """Start the containers and wait for them."""
    from sensorstream.cluster.containers import ContainerCluster

    cluster = ContainerCluster(name, listener=session.listener)
    with session.interruptible() as stop:
        result = cluster.up(file, profiles=profiles or (), stop=stop)

    def text(console: "Console") -> None:
        what = "is already running" if result.already_running else f"is ready after {result.seconds:.1f} s"
        console.print(f"cluster {name} {what}: {len(result.services)} containers of {result.file}", soft_wrap=True)
        if result.bootstrap:
            console.print(f"bootstrap {','.join(result.bootstrap)}", soft_wrap=True)

    return Outcome(result, text)


def status(cluster: "ContainerCluster") -> Outcome:
    """Show the containers; exits with 1 unless all of them are well."""
    result = cluster.status()
    if result.state == "running":
        return Outcome(result, lambda console: _status(console, result))
    flag = "" if result.name == "default" else f" --name {result.name}"
    unwell = [f"{one.service} is {_state(one)}" for one in result.services if _state(one) not in ("running", "healthy")]
    if result.state == "degraded":
        message = f"cluster {result.name} runs in part: {', '.join(unwell)}"
    else:
        message = f"cluster {result.name} is not running"
    return Outcome(
        result,
        lambda console: _status(console, result),
        status="partial" if result.state == "degraded" else "error",
        exit_code=ExitCode.FAILED,
        errors=[f"{message}; start what is missing: sensorstream cluster up --docker{flag}"],
    )


def down(cluster: "ContainerCluster", *, delete_data: bool) -> Outcome:
    """Remove the containers; the volumes stay unless ``delete_data``."""
    result = cluster.down(delete_data=delete_data)

    def text(console: "Console") -> None:
        what = f"is down: stopped {', '.join(result.stopped)}" if result.stopped else "was not running"
        console.print(f"cluster {result.name} {what}")
        if result.data_deleted:
            console.print("its data is deleted")

    return Outcome(result, text)


def stop_broker(cluster: "ContainerCluster", broker: int, *, kill: bool) -> Outcome:
    """Stop or kill one broker's container."""
    from sensorstream.cluster import BrokerStopped

    was_running = cluster.stop_broker(broker, kill=kill)
    how = ("was killed" if kill else "has stopped") if was_running else "was not running"
    result = BrokerStopped(cluster.name, broker, was_running=was_running, killed=kill and was_running)
    return Outcome(result, lambda console: console.print(f"broker {broker} {how}"))


def start_broker(session: Session, cluster: "ContainerCluster", broker: int) -> Outcome:
    """Start one broker's container and wait until it is healthy."""
    with session.interruptible() as stop:
        result = cluster.start_broker(broker, stop=stop)
    return Outcome(result, lambda console: console.print(f"broker {broker} is {_state(result)}"))


def _state(one: "ServiceStatus") -> str:
    return one.health if one.health is not None and one.state == "running" else one.state


def _status(console: "Console", result: "ContainersStatus") -> None:
    from sensorstream.cli.render import table

    rows = table("service", "state", "image")
    for one in result.services:
        rows.add_row(one.service, _state(one), one.image)
    console.print(f"cluster {result.name}: {result.state}, in containers")
    console.print(rows)
    if result.bootstrap:
        console.print(f"bootstrap {','.join(result.bootstrap)}", soft_wrap=True)
    console.print(f"compose file {result.file}", soft_wrap=True)
