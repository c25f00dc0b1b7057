"""``monitor``: the cluster at a glance."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import fail_if, monitor_latency, monitor_web
from sensorstream.cli.command import Outcome, Session, add_group, command
from sensorstream.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from sensorstream.monitor.conditions import Condition
    from sensorstream.monitor.report import ClusterReport, GroupReport


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    group = typer.Typer(name="monitor")
    command(group, "monitor", "monitor", alone=True)(monitor)
    monitor_latency.add_to(group)
    add_group(app, group)


def monitor(
    session: Session,
    *,
    once: Annotated[bool, typer.Option("--once", help="Show the cluster as it is now, and end.")] = False,
    lasting: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="TIME", help="With --once: watch for this long first, such as 10s, to know the rates."
        ),
    ] = None,
    fail_if_: fail_if.FailIf = None,
    every: Annotated[
        str, typer.Option("--every", metavar="TIME", help="On the screen: time between two looks at the cluster.")
    ] = "2s",
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic", "-t", metavar="TOPIC", help="On the screen: topic whose rows are shown. Default: the busiest."
        ),
    ] = None,
    light: Annotated[
        bool | None,
        typer.Option(
            "--light/--dark", help="On the screen: light or dark colours. Default: as the terminal says, else dark."
        ),
    ] = None,
    web: monitor_web.Web = False,
    listen: monitor_web.Listen = None,
    allow_changes: monitor_web.AllowChanges = False,
    token: monitor_web.Token = None,
    allow_host: monitor_web.AllowHost = None,
) -> Outcome:
    """Show brokers, topics and consumer groups: what is alive, what comes in, who is behind.

    Without --once it is a live screen: press ? for its keys, q to quit. With --web it is a page for a browser. With
    --fail-if it ends when a condition holds; without a terminal it only watches for that.
    """
    page = monitor_web.Asked(listen, allow_changes, token, tuple(allow_host or ()))
    if web:
        monitor_web.alone(once=once, lasting=lasting, conditions=fail_if_)
        return monitor_web.show_page(session, page)
    page.need_web()
    watched = fail_if.conditions(fail_if_)
    if once:
        return show_once(session, lasting, watched)
    from sensorstream.cli.monitor_screen import has_terminal, show_screen

    if lasting is not None:
        raise UsageError("--for goes with --once, and this is the live screen", hint="add --once")
    if watched and (session.json or not has_terminal()):
        return fail_if.watch(session, watched)
    return show_screen(session, topic=topic, every=every, light=light, watched=watched)


def show_once(session: Session, lasting: str | None, watched: "Sequence[Condition]" = ()) -> Outcome:
    """The cluster as it is now, or after watching for ``lasting``; judged by conditions where there are any."""
    from sensorstream.monitor.report import report

    checked = fail_if.look(session, fail_if.seconds_of(lasting), watched)
    result = report(checked.view)
    outcome = Outcome(result, lambda console: show_cluster(console, result))
    return fail_if.judged(outcome, checked.verdicts)


def show_cluster(console: "Console", result: "ClusterReport") -> None:
    """Three tables: brokers, topics, groups; then what could not be learnt."""
    from sensorstream.cli.render import counted, known, size, table

    alive = sum(one.alive for one in result.brokers)
    console.print(
        f"Cluster {known(result.cluster_id)}, Kafka {known(result.version)}: {alive} of "
        f"{counted(len(result.brokers), 'broker')} alive, controller {known(result.controller)}, "
        f"{counted(result.under_replicated, 'partition')} under-replicated, {result.offline} offline"
    )
    rows = table(
        *("BROKER", "HOST", "PORT", "ALIVE", "LEADERS", "REPLICAS", "IN SYNC", "SIZE"),
        right=("BROKER", "PORT", "LEADERS", "REPLICAS", "IN SYNC", "SIZE"),
    )
    for broker in result.brokers:
        rows.add_row(
            str(broker.id),
            known(broker.host),
            known(broker.port),
            "yes" if broker.alive else "NO",
            *(str(one) for one in (broker.leaders, broker.replicas, broker.in_sync)),
            size(broker.size_bytes),
        )
    console.print(rows)
    shown = [one for one in result.topics if not one.internal]
    figures = ("PARTITIONS", "REPLICAS", "UNDER-REPLICATED", "OFFLINE", "ROWS", "SIZE", "ROWS/S", "AGE")
    rows = table("TOPIC", *figures, right=figures)
    for topic in shown:
        rows.add_row(
            known(topic.name),
            *(str(one) for one in (len(topic.partitions), topic.replication_factor)),
            *(str(one) for one in (topic.under_replicated, topic.offline)),
            known(topic.rows),
            size(topic.size_bytes),
            per_second(topic.rate),
            span(topic.age_s),
        )
    console.print(rows)
    if len(shown) < len(result.topics):
        console.print(f"and {counted(len(result.topics) - len(shown), 'internal topic')}")
    show_groups(console, result.groups)
    for problem in result.problems:
        console.print(f"not known: {known(problem)}")


def show_groups(console: "Console", groups: "tuple[GroupReport, ...]") -> None:
    """A line for each group."""
    from sensorstream.cli.render import known, table

    figures = ("MEMBERS", "LAG", "IN/S", "OUT/S", "CATCH-UP", "AGE")
    rows = table("GROUP", "STATE", "STATUS", *figures, right=figures)
    for group in groups:
        rows.add_row(
            known(group.group),
            known(group.state),
            group.status,
            known(group.members),
            known(group.total_lag),
            *rates(group.rate_in, group.rate_out, group.catch_up_s, group.age_s),
        )
    console.print(rows)


def rates(rate_in: float | None, rate_out: float | None, catch_up_s: float | None, age_s: float | None) -> list[str]:
    """The cells of what a series of snapshots tells."""
    return [per_second(rate_in), per_second(rate_out), span(catch_up_s), span(age_s)]


def per_second(rate: float | None) -> str:
    """A rate for a table."""
    if rate is None:
        return "unknown"
    return f"{rate:,.1f}" if 0 < rate < 100 else f"{rate:,.0f}"


def span(seconds: float | None) -> str:
    """A time span for a table: two units at the most."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24:,} d"
