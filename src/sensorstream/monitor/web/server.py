"""Serve the page until it is stopped."""

import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sensorstream.config import Settings
from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.monitor.listening import is_loopback
from sensorstream.monitor.web.access import AccessRules

if TYPE_CHECKING:
    from types import TracebackType

    from sensorstream.monitor.web.app import ViewSource

DEFAULT_LISTEN: Final = "127.0.0.1:8765"
LEAST_TOKEN: Final = 16
_START_S: Final = 20.0
_END_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Where the page is served and what it may do.

    ``port`` 0 takes one that is free. ``token`` None: one is made where one is needed: beyond the loopback, and where
    changes are allowed. ``names`` are further host names that the server answers to.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    allow_changes: bool = False
    token: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """What was served: the ``url`` without its token, and for how long."""

    url: str
    changes: bool
    seconds: float


def require_web() -> None:
    """Raises UsageError where the extra is missing."""
    try:
        import starlette
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "the page needs libraries that are not installed", hint="install them: pip install 'sensorstream[monitor]'"
        ) from error
    _ = starlette


def check_token(token: str) -> str:
    """``token`` itself. Raises UsageError for one that could be guessed or does not fit into an address."""
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or set(token) & set(' ";,\\'):
        raise UsageError(
            f"--token is too short, or has signs that a cookie can't have: it takes {LEAST_TOKEN} letters and digits",
            hint="leave it out to have one made",
        )
    return token


class PageServer:
    """Serves on a thread while it is open (``with``). ``url`` is where, with the token where there is one."""

    def __init__(
        self, source: "ViewSource", settings: Settings, options: PageOptions, listener: Listener = ignore
    ) -> None:
        require_web()
        self._options = options
        self._stop = threading.Event()
        self._socket = _bound(options.host, options.port)
        try:
            self._start(source, settings, listener)
        except BaseException:
            self._socket.close()
            raise

    def _start(self, source: "ViewSource", settings: Settings, listener: Listener) -> None:
        import uvicorn

        from sensorstream.clients import open_client
        from sensorstream.monitor.web.actions import Changes
        from sensorstream.monitor.web.app import Reading, make_app

        options = self._options
        port = int(self._socket.getsockname()[1])
        beyond = not is_loopback(options.host)
        token = options.token
        if token is None and (beyond or options.allow_changes):
            token = secrets.token_urlsafe(24)
        names = [*options.names, *((options.host, *_own_names()) if beyond else ())]
        rules = AccessRules.of(options.host, port, names, token)
        self.address = f"http://{_shown_host(options.host)}:{port}/"
        self.url = self.address if token is None else f"{self.address}?token={quote(token)}"
        self._reading = Reading(lambda: open_client(settings), settings, listener)
        app = make_app(
            source,
            self._reading,
            rules,
            settings,
            changes=Changes(settings, listener) if options.allow_changes else None,
            stop=self._stop,
        )
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            limit_concurrency=200,
            timeout_graceful_shutdown=2,
            proxy_headers=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="page-server", daemon=True
        )

    def __enter__(self) -> "PageServer":
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.close()
                raise SensorstreamError("the page's server did not start", hint="start it with -v to see why")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop serving and let go of everything."""
        self._stop.set()
        self._server.should_exit = True
        self._reading.stop()
        if self._thread.ident is not None:
            self._thread.join(_END_S)
        self._reading.close()
        self._socket.close()


def serve(settings: Settings, options: PageOptions, stop: threading.Event, *, listener: Listener = ignore) -> Served:
    """Serve the page until ``stop`` is set.

    Raises UsageError for an address that can't be had and where the extra is missing, CredentialsRefused.
    """
    from sensorstream.monitor.observer import Observer

    require_web()
    began = time.monotonic()
    with Observer(settings) as observer, PageServer(observer, settings, options) as server:
        for line in told(server, options):
            listener(line)
        try:
            while server.running and not stop.wait(0.5):
                if observer.refused is not None:
                    raise observer.refused
        finally:
            observer.stop()  # it ends while the server does
        if not stop.is_set():
            raise SensorstreamError("the page's server has stopped unexpectedly", hint="start it with -v to see why")
        return Served(server.address, options.allow_changes, round(time.monotonic() - began, 3))


def told(server: PageServer, options: PageOptions) -> Sequence[Notice]:
    """What is said at the start: where the page is, and what whoever opens it may do."""
    lines = [Notice(f"open {server.url} in a browser; Ctrl-C ends it")]
    if options.allow_changes:
        text = "everybody with this address and its token can create and delete topics and reset groups"
        lines.append(Notice(text, "warning"))
    if not is_loopback(options.host):
        lines.append(
            Notice(
                "it listens beyond this machine: others need the token in that address, and what is sent is not "
                "encrypted; on a network that you don't trust, listen on 127.0.0.1 and take an SSH tunnel",
                "warning",
            )
        )
    return lines


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none
        raise UsageError(f"--listen: {host} is no address of this machine", hint="take 127.0.0.1") from error
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(64)
    except OSError as error:
        made.close()
        raise UsageError(
            f"--listen {host}:{port} can't be used: {error.strerror or error}",
            hint="another program may listen there: take another port, or 0 for one that is free",
        ) from error
    return made


def _shown_host(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  # what is listened on; shown is a name that others can use
        return _own_names()[0]
    return f"[{host}]" if ":" in host else host


def _own_names() -> tuple[str, ...]:
    return tuple(dict.fromkeys((socket.gethostname(), socket.getfqdn())))
