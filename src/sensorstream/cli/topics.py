"""``topics``: create, list, describe, delete and alter topics."""

from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli import panels
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.confirming import confirm
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream import admin
    from sensorstream.config import TopicSettings

topics = typer.Typer(name="topics", help="Create, list, describe, delete and alter topics.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", show_default=False)]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        rich_help_panel=panels.WHAT,
        metavar="KEY=VALUE",
        help="Configuration of the topic, such as retention.ms=86400000 (repeatable).",
    ),
]


@command(topics, "create", "topics create")
def create(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Topics to create. Default: the configured ones, else AIR, EARTH and WATER."
        ),
    ] = None,
    *,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions", min=1, metavar="N", help="Partitions of each topic. Default: as configured, else 2."
        ),
    ] = None,
    replication_factor: Annotated[
        int | None,
        typer.Option(
            "--replication-factor",
            min=1,
            max=32767,
            metavar="N",
            help="Replicas of each partition. Default: as configured, else 3.",
        ),
    ] = None,
    configs: SetOption = None,
) -> Outcome:
    """Create topics; existing ones are left as they are."""
    from dataclasses import replace

    from sensorstream import admin
    from sensorstream.config import parse_pairs

    settings = session.settings
    wanted: list[TopicSettings] = []
    for topic in [settings.topic(name) for name in dict.fromkeys(names)] if names else settings.topics:
        wanted.append(
            replace(
                topic,
                partitions=topic.partitions if partitions is None else partitions,
                replication_factor=topic.replication_factor if replication_factor is None else replication_factor,
                configs={**topic.configs, **parse_pairs(configs or (), "--set")},
            )
        )
    result = admin.create_topics(settings, wanted, listener=session.listener)
    return Outcome(result, text=lambda console: _show_created(console, result))


def _show_created(console: "Console", result: "admin.TopicsCreated") -> None:
    from sensorstream.cli.render import known

    for topic in result.topics:
        what = "created" if topic.created else "exists already, left as it is"
        console.print(
            f"{known(topic.name)}: {what} (partitions: {topic.partitions}, replicas: {topic.replication_factor})"
        )


@command(topics, "list", "topics list")
def list_(session: Session) -> Outcome:
    """List all topics except Kafka's own."""
    from sensorstream import admin

    result = admin.list_topics(session.settings, listener=session.listener)

    def show(console: "Console") -> None:
        from sensorstream.cli.render import known, table

        figures = ("PARTITIONS", "REPLICAS", "UNDER-REPLICATED")
        rows = table("TOPIC", *figures, right=figures)
        for topic in result.topics:
            rows.add_row(
                known(topic.name),
                str(topic.partitions),
                str(topic.replication_factor),
                str(topic.under_replicated),
            )
        console.print(rows if result.topics else "There are no topics.")

    return Outcome(result, text=show)


@command(topics, "describe", "topics describe")
def describe(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Topics to describe. Default: all.")
    ] = None,
) -> Outcome:
    """Show partitions: leader, replicas, in-sync replicas, first and next offset."""
    from sensorstream import admin

    result = admin.describe_topics(session.settings, names or (), listener=session.listener)
    return Outcome(result, text=lambda console: _show_described(console, result))


def _show_described(console: "Console", result: "admin.TopicDescriptions") -> None:
    from sensorstream.cli.render import known, table

    for topic in result.topics:
        console.print(f"{known(topic.name)}  (topic id {known(topic.topic_id)})")
        for key, value in sorted(topic.configs.items()):
            console.print(f"  {known(key)} = {known(value)}")
        rows = table(
            "PARTITION", "LEADER", "REPLICAS", "IN SYNC", "FIRST", "NEXT", right=("PARTITION", "FIRST", "NEXT")
        )
        for one in topic.partitions:
            rows.add_row(
                str(one.partition),
                "none" if one.leader is None else str(one.leader),
                ",".join(map(str, one.replicas)),
                ",".join(map(str, one.isr)),
                known(one.first_offset),
                known(one.next_offset),
            )
        console.print(rows)


@command(topics, "delete", "topics delete")
def delete(
    session: Session,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Topics to delete.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> Outcome:
    """Delete topics with all their records."""
    from sensorstream import admin

    settings = session.settings
    if not yes:
        told = ", ".join(names)
        confirm(session, f"deleting {told}", f"Delete {told} with all records?")
    result = admin.delete_topics(settings, names, listener=session.listener)

    def show(console: "Console") -> None:
        from sensorstream.cli.render import known

        for name in result.deleted:
            console.print(f"{known(name)}: deleted")

    return Outcome(result, text=show)


@command(topics, "alter", "topics alter")
def alter(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Topic to change.")],
    *,
    partitions: Annotated[
        int | None,
        typer.Option("--partitions", min=1, metavar="N", help="New number of partitions; it can only grow."),
    ] = None,
    configs: SetOption = None,
) -> Outcome:
    """Add partitions to a topic, or change its configuration."""
    from sensorstream import admin
    from sensorstream.config import parse_pairs

    result = admin.alter_topic(
        session.settings,
        name,
        partitions=partitions,
        configs=parse_pairs(configs or (), "--set"),
        listener=session.listener,
    )

    def show(console: "Console") -> None:
        from sensorstream.cli.render import known

        if partitions is not None:
            console.print(
                f"{known(result.name)}: {result.partitions_before} -> {counted(result.partitions, 'partition')}"
            )
        for key, value in result.configs.items():
            console.print(f"{known(result.name)}: {known(key)} = {known(value)}")

    return Outcome(result, text=show)
