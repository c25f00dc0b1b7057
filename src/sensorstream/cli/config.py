"""``config show | init | path``: what is in force, where it came from, and a file to start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

config = typer.Typer(
    name="config", help="Show the settings in force, or write a configuration file.", no_args_is_help=True
)


@dataclass(frozen=True, slots=True)
class ShownSettings:
    """The settings in force (secrets masked), the file they came from, and each value's origin.

    ``client`` is what was asked for, ``client_used`` the client that runs.
    """

    file: str | None
    bootstrap: list[str]
    client: str
    client_used: str
    group: str
    thread: int
    delay: float
    exactly_once: bool
    schema_registry: dict[str, str | None]
    topics: list[dict[str, Any]]
    properties: dict[str, str]
    origins: dict[str, str]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """The configuration file that was written."""

    path: str


@dataclass(frozen=True, slots=True)
class FoundFile:
    """The configuration file in force (None: none was found) and the user's configuration folder."""

    path: str | None
    user_folder: str


@command(config, "show", "config show")
def show(session: Session) -> Outcome:
    """Show each setting and where it comes from; secrets are masked."""
    from sensorstream.clients import client_name
    from sensorstream.config import find_file

    settings = session.settings
    path = find_file()
    shown = ShownSettings(
        file=str(path) if path else None,
        bootstrap=list(settings.bootstrap),
        client=settings.client,
        client_used=client_name(settings),
        group=settings.group,
        thread=settings.thread,
        delay=settings.delay,
        exactly_once=settings.exactly_once,
        schema_registry={
            "url": settings.schema_registry,
            "user": settings.schema_registry_user,
            "password": None if settings.schema_registry_password is None else str(settings.schema_registry_password),
            "ca": settings.schema_registry_ca,
        },
        topics=[
            {
                "name": topic.name,
                "partitions": topic.partitions,
                "replication_factor": topic.replication_factor,
                "source": str(topic.source) if topic.source else None,
                "time_column": topic.time_column,
                "time_format": topic.time_format,
                "time_zone": topic.time_zone,
                "clock": topic.clock,
                "key": topic.key,
                "configs": dict(topic.configs),
                "value_format": topic.value_format,
                "schema": str(topic.schema) if topic.schema else None,
                "schema_registry": topic.schema_registry,
            }
            for topic in settings.topics
        ],
        properties={key: str(value) for key, value in settings.properties.items()},
        origins=dict(settings.origins),
    )
    return Outcome(shown, lambda console: _show(console, shown))


def _show(console: "Console", shown: ShownSettings) -> None:
    from sensorstream.cli.render import shown_path, table
    from sensorstream.cli.terminal import visible

    rows = table("setting", "value", "from")
    plain = {
        "bootstrap": ",".join(shown.bootstrap),
        "client": shown.client if shown.client == shown.client_used else f"{shown.client} ({shown.client_used})",
        "group": shown.group,
        "thread": str(shown.thread),
        "delay": f"{shown.delay:g} s",
        "exactly_once": str(shown.exactly_once).lower(),
    }
    for name, value in plain.items():
        rows.add_row(name, visible(value), visible(shown.origins.get(name, "built-in")))
    for key, told in shown.schema_registry.items():
        if told is not None:
            name = "schema_registry" if key == "url" else f"schema_registry_{key}"
            rows.add_row(name, visible(told), visible(shown.origins.get(name, "built-in")))
    for key, value in shown.properties.items():
        rows.add_row(key, visible(value), visible(shown.origins.get(f"properties.{key}", "")))
    for topic in shown.topics:
        text = f"{counted(topic['partitions'], 'partition')}, {counted(topic['replication_factor'], 'replica')}, "
        text += shown_path(topic["source"]) if topic["source"] else "no source"
        rows.add_row(f"topic {visible(topic['name'])}", text, visible(shown.origins.get("topics", "")))
    console.print(rows)


@command(config, "init", "config init", kafka=False)
def init(
    session: Session,
    path: Annotated[Path, typer.Argument(metavar="[PATH]", help="Path of the new file.")] = Path("sensorstream.toml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    from_: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="FILE", help="Add the topic that this file feeds, as inspect finds it."),
    ] = None,
) -> Outcome:
    """Write a commented sensorstream.toml with the defaults, and with topics for given files."""
    from sensorstream.config import write_template
    from sensorstream.inspection.inspect import config_tables

    write_template(path, force=force, topics=config_tables(from_ or (), path, listener=session.listener))
    return Outcome(WrittenFile(str(path)), lambda console: console.print(f"wrote {path}"))


@command(config, "path", "config path", kafka=False)
def path_(session: Session) -> Outcome:
    """Print the path of the configuration file in force."""
    from sensorstream.config import find_file, user_config_folder

    path = find_file()
    found = FoundFile(str(path) if path else None, str(user_config_folder()))
    text = found.path or f"no sensorstream.toml from here upwards or in {found.user_folder}; the defaults are in force"
    return Outcome(found, lambda console: console.print(text))
