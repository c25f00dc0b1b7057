"""``monitor --web``: the cluster as a page in a browser."""

from dataclasses import dataclass
from typing import Annotated

import typer

from sensorstream.cli import panels
from sensorstream.cli.command import Outcome, Session

Web = Annotated[
    bool,
    typer.Option("--web", help="Serve a page for the browser, until Ctrl-C.", rich_help_panel=panels.PAGE),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        help="Address of the page; port 0 takes a free one. Default: 127.0.0.1:8765.",
        show_default=False,
        rich_help_panel=panels.PAGE,
    ),
]
AllowChanges = Annotated[
    bool,
    typer.Option(
        "--allow-changes",
        help="Let the page create and delete topics and reset groups; it asks for a token then. Default: read only.",
        rich_help_panel=panels.PAGE,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TEXT",
        help="Token that opens the page, or where to read it: '${env:NAME}', '${file:PATH}'. Default: a new "
        "one, where one is needed.",
        show_default=False,
        rich_help_panel=panels.PAGE,
    ),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="Another host name under which browsers may open the page (repeatable).",
        show_default=False,
        rich_help_panel=panels.PAGE,
    ),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the page, as they were given."""

    listen: str | None
    allow_changes: bool
    token: str | None
    allow_hosts: tuple[str, ...]

    def need_web(self) -> None:
        """Raises UsageError where one of them is given: without --web it would do nothing."""
        from sensorstream.errors import UsageError

        given = {
            "--listen": self.listen,
            "--allow-changes": self.allow_changes,
            "--token": self.token,
            "--allow-host": self.allow_hosts,
        }
        for option, value in given.items():
            if value:
                raise UsageError(f"{option} is an option of the page", hint="add --web")


def alone(*, once: bool, lasting: str | None, conditions: list[str] | None) -> None:
    """Raises UsageError where something else than the page is asked for, too."""
    from sensorstream.errors import UsageError

    if once or lasting is not None:
        raise UsageError("--web serves until Ctrl-C, --once ends at once", hint="give one of them")
    if conditions:
        raise UsageError("--web has no --fail-if", hint="run the check beside it: monitor --once --fail-if, or wait")


def show_page(session: Session, asked: Asked) -> Outcome:
    """Serve the page until somebody stops it."""
    from sensorstream.errors import UsageError
    from sensorstream.monitor.listening import is_loopback, parse_listen
    from sensorstream.monitor.web.server import DEFAULT_LISTEN, PageOptions, check_token, serve
    from sensorstream.secret_sources import looked_up

    host, port = parse_listen(asked.listen or DEFAULT_LISTEN, DEFAULT_LISTEN)
    token = None if asked.token is None else check_token(looked_up(asked.token, "--token", "the command line"))
    if token is None and session.quiet and (asked.allow_changes or not is_loopback(host)):
        raise UsageError("with -q nobody would be told the token that is made", hint="give one with --token")
    options = PageOptions(host, port, asked.allow_changes, token, asked.allow_hosts)
    settings = session.settings
    with session.interruptible() as stop:
        return Outcome(serve(settings, options, stop, listener=session.listener))
