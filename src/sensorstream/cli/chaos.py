"""``cluster chaos``: break the brokers of a local cluster on purpose, one at a time, and see what becomes of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import cluster_containers as containers
from sensorstream.cli import panels
from sensorstream.cli.cluster import Name
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.lab.chaos.results import ChaosResult, PartitionStory

_TARGET = "TARGET"


def add_to(cluster: typer.Typer) -> None:
    """Make it a command of the group."""
    command(cluster, "chaos", "cluster chaos", kafka=False)(chaos)


def chaos(
    session: Session,
    *,
    kill: Annotated[
        list[str] | None,
        typer.Option(
            "--kill",
            rich_help_panel=panels.WHAT,
            metavar=_TARGET,
            help="Kill a broker, as in a crash (SIGKILL). TARGET is leader:TOPIC-PARTITION, broker:N, controller "
            "or random (repeatable).",
        ),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            "--stop",
            metavar=_TARGET,
            help="Stop it cleanly; it hands over its partitions first (repeatable).",
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            "--freeze",
            metavar=_TARGET,
            help="Freeze it: it does nothing, and its connections stay open (SIGSTOP, repeatable).",
        ),
    ] = None,
    slow: Annotated[
        list[str] | None,
        typer.Option(
            "--slow",
            metavar=_TARGET,
            help="Slow it down to a tenth of its time (repeatable).",
        ),
    ] = None,
    slow_link: Annotated[
        list[str] | None,
        typer.Option(
            "--slow-link",
            metavar=_TARGET,
            help="Slow its connections down; needs 'cluster up --links' (repeatable).",
        ),
    ] = None,
    cut_link: Annotated[
        list[str] | None,
        typer.Option(
            "--cut-link",
            metavar=_TARGET,
            help="Cut its connections while it runs; needs 'cluster up --links' (repeatable).",
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency",
            rich_help_panel=panels.WHAT,
            metavar="TIME",
            help="Delay of a slow link, each way. Default: 200ms.",
        ),
    ] = None,
    bandwidth: Annotated[
        str | None,
        typer.Option(
            "--bandwidth",
            metavar="SIZE",
            help="Bytes per second of a slow link, each way. Default: 1MB.",
        ),
    ] = None,
    rolling: Annotated[
        bool,
        typer.Option("--rolling", help="Restart the brokers one after the other, as for an update."),
    ] = False,
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="Time between two faults.")] = "20s",
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="How long it lasts in all.")] = "2m",
    hold: Annotated[
        str | None,
        typer.Option("--hold", metavar="TIME", help="How long a broker stays broken. Default: half of --every."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", help="Seed of an earlier run, to repeat its faults. Default: a new one each time."
        ),
    ] = None,
    name: Name = "default",
) -> Outcome:
    """Break brokers on purpose, one at a time, and show what leaders and replicas do.

    Each broker is back in sync before the next fault. At the end every broker runs and every replica is in sync, or
    the command says what is not. Ctrl-C heals first.
    """
    import secrets

    from sensorstream.cluster import LocalCluster
    from sensorstream.lab.chaos.chaos import chaos as break_it
    from sensorstream.lab.chaos.plan import Fault, FaultKind, make_plan, parse_bandwidth, parse_target
    from sensorstream.transforms.event_time import parse_duration

    if containers.of_containers(session, name) is not None:
        raise UsageError(
            f"cluster {name} runs in containers, and chaos is for brokers that run here",
            hint="docker kill and docker pause do the same there",
        )
    given: dict[FaultKind, list[str]] = {
        "kill": kill or [],
        "stop": stop or [],
        "freeze": freeze or [],
        "slow": slow or [],
        "slow-link": slow_link or [],
        "cut-link": cut_link or [],
    }
    faults = [Fault(kind, parse_target(text, f"--{kind}")) for kind, texts in given.items() for text in texts]
    plan = make_plan(
        (*faults, *([Fault("roll")] if rolling else [])),
        every_s=parse_duration(every, "--every") / 1000,
        for_s=parse_duration(lasting, "--for") / 1000,
        hold_s=None if hold is None else parse_duration(hold, "--hold") / 1000,
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        latency_s=None if latency is None else parse_duration(latency, "--latency") / 1000,
        bytes_per_s=None if bandwidth is None else parse_bandwidth(bandwidth, "--bandwidth"),
    )
    with session.interruptible() as asked:
        result = break_it(LocalCluster(name, listener=session.listener), plan, stop=asked, listener=session.listener)
    code, errors = ExitCode.DONE, []
    if not result.healthy:
        flag = "" if name == "default" else f" --name {name}"
        code = ExitCode.FAILED
        errors = [f"not well at the end: {'; '.join(result.problems)}; look at: sensorstream cluster status{flag}"]
    elif not result.complete:
        code, errors = ExitCode.INTERRUPTED, ["interrupted; the cluster is whole"]
    return Outcome(
        result,
        lambda console: show_chaos(console, result),
        status="partial" if errors else "ok",
        exit_code=code,
        errors=errors,
    )


def show_chaos(console: "Console", result: "ChaosResult") -> None:
    """What became of each partition, and the verdict."""
    from sensorstream.cli.render import counted, table
    from sensorstream.cli.terminal import visible

    rows = table(
        "partition",
        "leaders",
        "without leader",
        "fewest in sync",
        "in sync now",
        right=("without leader", "fewest in sync"),
    )
    for one in result.partitions:
        rows.add_row(
            visible(f"{one.topic}-{one.partition}"),
            _leaders(one),
            f"{one.without_leader_s:.1f} s",
            f"{one.smallest_isr} of {len(one.replicas)}",
            ",".join(map(str, one.isr)),
        )
    if result.partitions:
        console.print(rows)
    verdict = "every broker runs and every replica is in sync" if result.healthy else "NOT ALL IS WELL"
    console.print(f"chaos: {counted(result.faults, 'fault')} in {result.seconds:.0f} s, seed {result.seed}; {verdict}")


def _leaders(story: "PartitionStory") -> str:
    return " -> ".join("none" if leader is None else str(leader) for leader in story.leaders)
