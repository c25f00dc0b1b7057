"""The page that Prometheus reads: plain HTTP, read only, on an address of this machine."""

import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from sensorstream.addresses import bracketed
from sensorstream.errors import UsageError
from sensorstream.monitor.listening import is_loopback
from sensorstream.monitor.prometheus import Collector, registry_of
from sensorstream.monitor.web.access import AccessRules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.simple_server import WSGIServer

_HELP: Final = b"Figures for Prometheus are at /metrics\n"
_OTHER_NAME: Final = b"This server does not answer to that host name; ask for 127.0.0.1 or localhost\n"


class Page:
    """Serves a collector's samples at ``url`` while it is open (``with``); ``served`` counts the times."""

    def __init__(self, collector: Collector, host: str, port: int) -> None:
        self.served = 0
        self._host, self._port = host, port
        self._registry = registry_of(collector)
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{bracketed(self._host, self._port)}/metrics"

    def __enter__(self) -> Self:
        """Listen. Raises UsageError where that can't be."""
        from prometheus_client import make_wsgi_app

        self._server = _server(self._host, self._port, self._app(make_wsgi_app(self._registry)))
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5)

    def _app(self, inner: Any) -> "Callable[[dict[str, Any], Any], Iterable[bytes]]":
        # A name that was pointed at the loopback lets pages of others in; beyond it, whoever reaches it may read.
        rules = AccessRules() if is_loopback(self._host) else None

        def serve(environ: dict[str, Any], start_response: Any) -> "Iterable[bytes]":
            asked = environ.get("HTTP_HOST")  # no browser leaves it out
            if rules is not None and asked is not None and not rules.knows_host(asked):
                start_response("421 Misdirected Request", [("Content-Type", "text/plain; charset=utf-8")])
                return [_OTHER_NAME]
            if environ.get("PATH_INFO") != "/metrics" or environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
                start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
                return [_HELP]
            self.served += 1
            answer: Iterable[bytes] = inner(environ, start_response)
            return answer

        return serve


def _server(host: str, port: int, app: Any) -> "WSGIServer":
    import socket
    from socketserver import TCPServer, ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Quiet(WSGIRequestHandler):
        timeout = 10
        """Whoever connects and says nothing does not hold a thread for long."""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is its parent's
            """Say nothing: stderr is for those who run the command."""

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def server_bind(self) -> None:
            """Without asking for the name of the address, which can take long and is of no use."""
            TCPServer.server_bind(self)
            self.server_name, self.server_port = host, self.server_address[1]
            self.setup_environ()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Somebody went away while they were answered."""

    try:
        return make_server(host, port, app, Server, handler_class=Quiet)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that is none
        raise UsageError(
            f"--listen {bracketed(host, port)} can't be listened on: {getattr(error, 'strerror', None) or error}",
            hint="another program may have the port; give another --listen",
        ) from error
