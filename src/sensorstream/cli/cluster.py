"""``cluster up | status | down | stop-broker | start-broker | logs``: station 5, Kafka itself, on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sensorstream.cli import cluster_containers as containers
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode, UsageError
from sensorstream.wording import counted, numbered

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.cluster import BrokerStatus, ClusterStatus
    from sensorstream.cluster.results import LogLine

cluster = typer.Typer(
    name="cluster",
    help="Start, watch and stop a real Apache Kafka on this machine, without Docker or Java.",
    no_args_is_help=True,
)

Name = Annotated[
    str, typer.Option("--name", metavar="NAME", help="Name of the cluster; several can run at the same time.")
]
BrokerId = Annotated[int, typer.Argument(metavar="ID", help="Number of the broker, as in 'cluster status'.")]


@dataclass(frozen=True, slots=True)
class ShownLogs:
    """The lines of the logs, broker by broker."""

    lines: "tuple[LogLine, ...]"


@command(cluster, "up", "cluster up", kafka=False)
def up(
    session: Session,
    *,
    brokers: Annotated[
        int | None,
        typer.Option(
            "--brokers", metavar="N", min=1, max=9, show_default=False, help="Number of brokers, 1 to 9. Default: 3."
        ),
    ] = None,
    kafka_version: Annotated[
        str | None,
        typer.Option(
            "--kafka-version",
            metavar="V",
            help="Kafka version, such as 3.7.0, or 3.9 for its newest patch. Default: a current 4.x.",
        ),
    ] = None,
    mode: Annotated[
        Literal["kraft", "zookeeper"] | None,
        typer.Option(
            "--mode",
            metavar="kraft|zookeeper",
            show_default=False,
            help="Run without ZooKeeper (kraft), or with it (zookeeper, up to Kafka 3.9). Default: as it was, else"
            " kraft.",
        ),
    ] = None,
    ports: Annotated[
        str | None,
        typer.Option(
            "--ports",
            metavar="P,P,P",
            help="A port for each broker, or auto for free ones. Default: 29092,39092,49092.",
        ),
    ] = None,
    name: Name = "default",
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="Folder for the brokers' data. Default: in the state folder."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing; fail if something is missing.")] = False,
    schema_registry: Annotated[
        bool,
        typer.Option("--schema-registry", help="Run a schema registry, too: Apicurio, with Confluent's API."),
    ] = False,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Serve Prometheus metrics for each broker that it starts.")
    ] = False,
    links: Annotated[
        bool,
        typer.Option("--links", help="Send all connections through proxies, which 'cluster chaos' can slow and cut."),
    ] = False,
    docker: containers.Docker = False,
    file: containers.File = None,
    compose_profile: containers.ComposeProfile = None,
    secure: Annotated[
        str | None,
        typer.Option(
            "--secure",
            metavar="tls|scram|tls+scram",
            help="Secure all listeners: with certificates (tls), passwords (scram), or passwords over TLS "
            "(tls+scram). Default: not secured.",
        ),
    ] = None,
    acl: Annotated[
        bool, typer.Option("--acl", help="With --secure: let a user do only what it has the right to.")
    ] = False,
) -> Outcome:
    """Start a cluster, or what is missing of it, and wait until it is ready.

    A cluster that was started before keeps its data, version, mode and number of brokers.
    """
    from sensorstream.cluster import LocalCluster

    local = {"--brokers": brokers, "--kafka-version": kafka_version, "--ports": ports, "--data-dir": data_dir}
    local |= {"--mode": mode, "--offline": offline, "--schema-registry": schema_registry, "--metrics": metrics}
    local |= {"--secure": secure, "--acl": acl, "--links": links}
    only_docker = {"--file": file, "--compose-profile": compose_profile}
    containers.refuse_mixed(session, name, docker=docker, only_docker=only_docker, local=local)
    if docker:
        return containers.up(session, name, file, compose_profile)
    chosen = _ports(ports)
    with session.interruptible() as stop:
        result = LocalCluster(name, listener=session.listener).up(
            brokers=brokers,
            kafka_version=kafka_version,
            mode=mode,
            ports=chosen,
            data_dir=data_dir,
            offline=offline,
            schema_registry=schema_registry,
            metrics=metrics,
            secure=secure,
            acl=acl,
            links=links,
            stop=stop,
        )

    def text(console: "Console") -> None:
        what = "is already running" if result.already_running else f"is ready after {result.seconds:.1f} s"
        count = counted(result.brokers, "broker")
        leader = "quorum leader" if result.mode == "kraft" else "with ZooKeeper, controller"
        console.print(f"cluster {name} {what}: Kafka {result.kafka_version}, {count}, {leader} {result.quorum_leader}")
        console.print(f"bootstrap {','.join(result.bootstrap)}", soft_wrap=True)
        if result.schema_registry is not None:
            open_ = ", which asks nobody for a password" if result.secure is not None else ""
            console.print(f"schema registry {result.schema_registry}{open_}", soft_wrap=True)
        if result.zookeeper is not None:
            console.print(f"zookeeper {result.zookeeper}", soft_wrap=True)
        if result.metrics:
            console.print(f"metrics {' '.join(result.metrics)}", soft_wrap=True)
        if result.links:
            console.print("its links can be slowed and cut: sensorstream cluster chaos")
        if result.secure is not None:
            rights = ", and only with the rights of --acl" if result.acl else ""
            console.print(f"secured by {result.secure}: --profile {result.profiles[0]} comes as its super user")
            console.print(f"--profile {result.profiles[1]} comes as a lesser user{rights}", soft_wrap=True)

    return Outcome(result, text)


@command(cluster, "status", "cluster status", kafka=False)
def status(session: Session, *, name: Name = "default") -> Outcome:
    """Show the brokers, their memory, the quorum's leader, and the partitions.

    Exit code 1 unless the whole cluster runs.
    """
    from sensorstream.cluster import LocalCluster

    if (composed := containers.of_containers(session, name)) is not None:
        return containers.status(composed)
    result = LocalCluster(name, listener=session.listener).status()
    if result.state == "running":
        return Outcome(result, lambda console: _status(console, result))
    flag = "" if name == "default" else f" --name {name}"
    if result.state == "degraded":
        down = [f"broker {one.broker} is {one.state}" for one in result.brokers if one.state != "running"]
        if result.schema_registry is not None and result.schema_registry.state != "running":
            down.append(f"the schema registry is {result.schema_registry.state}")
        if result.zookeeper is not None and result.zookeeper.state != "running":
            down.append(f"ZooKeeper is {result.zookeeper.state}")
        if result.links is not None and result.links.state != "running":
            down.append(f"the process of its links is {result.links.state}")
        message = f"cluster {name} runs in part: {', '.join(down) or 'it does not answer yet'}"
        return Outcome(
            result,
            lambda console: _status(console, result),
            status="partial",
            exit_code=ExitCode.FAILED,
            errors=[f"{message}; start what is missing: sensorstream cluster up{flag}"],
        )
    message = f"cluster {name} is not running; start it: sensorstream cluster up{flag}"
    return Outcome(result, status="error", exit_code=ExitCode.FAILED, errors=[message])


@command(cluster, "down", "cluster down", kafka=False)
def down(
    session: Session,
    *,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="Delete topics and records, too, and forget the cluster.")
    ] = False,
    name: Name = "default",
) -> Outcome:
    """Stop a cluster; its data is kept for the next 'cluster up'."""
    from sensorstream.cluster import LocalCluster

    if (composed := containers.of_containers(session, name)) is not None:
        return containers.down(composed, delete_data=delete_data)
    from sensorstream.cluster.named import names, nearest_name

    unknown = "" if name in names() else f"there is no cluster {name}; {nearest_name(name)}"
    result = LocalCluster(name, listener=session.listener).down(delete_data=delete_data)

    def text(console: "Console") -> None:
        if result.stopped:
            console.print(f"cluster {name} is down: stopped {numbered('broker', result.stopped)}")
        else:
            console.print(unknown or f"cluster {name} was not running")
        if result.schema_registry_stopped:
            console.print("its schema registry is stopped")
        if result.zookeeper_stopped:
            console.print("its ZooKeeper is stopped")
        if result.links_stopped:
            console.print("the process of its links is stopped")
        if result.killed:
            console.print(f"killed, as they did not end in time: {', '.join(map(str, result.killed))}")
        if result.data_deleted:
            console.print("its data is deleted")

    return Outcome(result, text)


@command(cluster, "stop-broker", "cluster stop-broker", kafka=False)
def stop_broker(
    session: Session,
    broker: BrokerId,
    *,
    kill: Annotated[
        bool, typer.Option("--kill", help="Kill it, as in a crash (SIGKILL), without handing over its partitions.")
    ] = False,
    name: Name = "default",
) -> Outcome:
    """Stop a broker; it hands over its partitions first, and the others go on."""
    from sensorstream.cluster import LocalCluster

    if (composed := containers.of_containers(session, name)) is not None:
        return containers.stop_broker(composed, broker, kill=kill)
    result = LocalCluster(name, listener=session.listener).stop_broker(broker, kill=kill)
    how = ("was killed" if result.killed else "has stopped") if result.was_running else "was not running"
    return Outcome(result, lambda console: console.print(f"broker {broker} {how}"))


@command(cluster, "start-broker", "cluster start-broker", kafka=False)
def start_broker(session: Session, broker: BrokerId, *, name: Name = "default") -> Outcome:
    """Start a stopped broker, and wait until it is registered."""
    from sensorstream.cluster import LocalCluster

    if (composed := containers.of_containers(session, name)) is not None:
        return containers.start_broker(session, composed, broker)
    with session.interruptible() as stop:
        result = LocalCluster(name, listener=session.listener).start_broker(broker, stop=stop)
    return Outcome(
        result, lambda console: console.print(f"broker {broker} runs on port {result.port} (pid {result.pid})")
    )


@command(cluster, "logs", "cluster logs", kafka=False)
def logs(
    session: Session,
    broker: Annotated[
        int | None, typer.Argument(metavar="[ID]", help="Broker whose log to show. Default: all.")
    ] = None,
    *,
    zookeeper: Annotated[bool, typer.Option("--zookeeper", help="Show ZooKeeper's log instead.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as the logs grow, until Ctrl-C.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", min=0, metavar="N", help="Show the last N lines of each log. Default: all.")
    ] = None,
    name: Name = "default",
) -> Outcome:
    """Show the logs of the brokers."""
    from sensorstream.cluster import LocalCluster

    if follow and session.json:
        raise UsageError("--follow has no end and --output json is one object", hint="use one of them")
    if (composed := containers.of_containers(session, name)) is not None:
        raise UsageError(f"the logs of {name} are the container engine's", hint=composed.logs_command())
    if zookeeper and broker is not None:
        raise UsageError(f"broker {broker} and --zookeeper are two logs", hint="ask for one of them")
    local = LocalCluster(name, listener=session.listener)
    if session.json:
        told = local.logs(broker, zookeeper=zookeeper, last=lines, follow=False, stop=session.stop)
        return Outcome(ShownLogs(tuple(told)))
    files = local.log_files(broker, zookeeper=zookeeper)

    def text(console: "Console") -> None:
        from sensorstream.cli.terminal import visible

        with session.interruptible() as stop:
            for line in local.logs(broker, zookeeper=zookeeper, last=lines, follow=follow, stop=stop):
                mark = f"{line.broker} | " if len(files) > 1 else ""
                console.out(f"{mark}{visible(line.text)}", highlight=False)

    return Outcome(None, text)


def _ports(text: str | None) -> tuple[int, ...] | Literal["auto"] | None:
    if text is None or text == "auto":
        return text  # type: ignore[return-value]
    try:
        return tuple(int(port) for port in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--ports {text}: expected numbers with commas between them, or auto",
            hint="as in --ports 29092,39092,49092",
        ) from error


def _status(console: "Console", result: "ClusterStatus") -> None:
    from sensorstream.cli.render import known, size, table

    rows = table("broker", "state", "pid", "port", "memory", "role", right=("broker", "pid", "port", "memory"))
    for one in result.brokers:
        rows.add_row(
            str(one.broker),
            one.state,
            "-" if one.pid is None else str(one.pid),
            str(one.port),
            "-" if one.pid is None else size(one.memory_bytes),
            _role(one, result),
        )
    console.print(f"cluster {result.name}: {result.state}, Kafka {known(result.kafka_version)}")
    console.print(rows)
    console.print(
        f"partitions: {known(result.online_partitions)} online, {known(result.offline_partitions)} offline, "
        f"{known(result.under_replicated_partitions)} under-replicated, in {known(result.topics)} topics"
    )
    console.print(f"bootstrap {','.join(result.bootstrap)}", soft_wrap=True)
    if result.secure is not None:
        console.print(f"secured by {result.secure}")
    if (registry := result.schema_registry) is not None:
        process = "" if registry.pid is None else f", pid {registry.pid}, memory {size(registry.memory_bytes)}"
        console.print(f"schema registry {registry.url}: {registry.state}{process}", soft_wrap=True)
    if (zookeeper := result.zookeeper) is not None:
        process = "" if zookeeper.pid is None else f", pid {zookeeper.pid}, memory {size(zookeeper.memory_bytes)}"
        console.print(f"zookeeper {zookeeper.address}: {zookeeper.state}{process}", soft_wrap=True)
    if (links := result.links) is not None:
        process = "" if links.pid is None else f", pid {links.pid}, memory {size(links.memory_bytes)}"
        console.print(f"links: {links.state}{process}", soft_wrap=True)
    if pages := [one.metrics for one in result.brokers if one.metrics is not None]:
        console.print(f"metrics {' '.join(pages)}", soft_wrap=True)
    console.print(f"data {result.data_dir}", soft_wrap=True)


def _role(one: "BrokerStatus", result: "ClusterStatus") -> str:
    if one.pid is None:
        return "-"
    if result.quorum_leader is None:
        return "unknown"
    idle = "broker, controller" if one.voter else "broker"
    return "broker, active controller" if one.quorum_leader else idle
