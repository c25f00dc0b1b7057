"""The page's server: one page, its files, and JSON. It sends few requests to the cluster, however many pages are open.

The views come from the observer, which looks at the cluster on its own, however many pages are open. Rows are read on
one thread, one question after another; a question that finds too many before it is turned away.
"""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from sensorstream.clients.base import Client
from sensorstream.clients.own_thread import on_own_thread
from sensorstream.config import Settings
from sensorstream.errors import ExitCode, SensorstreamError, UnknownTopic
from sensorstream.events import Listener, ignore
from sensorstream.monitor.view import View
from sensorstream.monitor.web import payload
from sensorstream.monitor.web.access import AccessControl, AccessRules
from sensorstream.monitor.web.actions import MOST_BYTES, Changes
from sensorstream.monitor.web.curves import curves
from sensorstream.monitor.web.latency import LatencyTail
from sensorstream.monitor.web.rows import Ask, Found, RowReader, ask_of
from sensorstream.monitor.web.rows import payload as rows_payload
from sensorstream.monitor.web.sentiment import SentimentFeed
from sensorstream.monitor.web.watching import Watch, Watches
from sensorstream.records import check_topic_name

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

STATIC: Final = Path(__file__).parent / "static"
LOOK_S: Final = 0.2
"""How often it is looked whether there is a new view for a page."""
BEAT_S: Final = 2.0
"""A page that hears nothing for longer than a few of these takes the server for gone."""
MOST_WAITING: Final = 8
CURVE_ROWS: Final = 600
CLOSE_S: Final = 12.0
"""Longer than one question to a cluster stays open: 10 s."""
_STATUS: Final = {ExitCode.USAGE: 400, ExitCode.UNREACHABLE: 503}


class ViewSource(Protocol):
    """Where views come from: an :class:`~sensorstream.monitor.observer.Observer`, or a test."""

    @property
    def view(self) -> View | None:
        """The newest view; None before there was one."""


class Busy(Exception):
    """Too many questions are waiting already."""


class Reading:
    """The thread on which rows are read, and the watches. Closed by whoever made it."""

    def __init__(self, make_client: Callable[[], Client], settings: Settings, listener: Listener = ignore) -> None:
        self._rows = RowReader(make_client, settings, listener)
        self._thread = ThreadPoolExecutor(1, "page-rows")
        self._waiting = 0
        self._stopped = False

        def make(kind: str, topic: str) -> Watch:
            return (LatencyTail if kind == "latency" else SentimentFeed)(make_client, topic, listener)

        self.watches = Watches(make)

    async def rows(self, ask: Ask) -> Found:
        """Read rows. Raises Busy, and what :meth:`RowReader.read` raises."""
        if self._waiting >= MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._rows.read, ask)
        except (asyncio.CancelledError, RuntimeError):
            if self._stopped:  # it was waiting still, or came too late
                raise Busy from None
            raise
        finally:
            self._waiting -= 1

    def stop(self) -> None:
        """Have everything that reads stop, and forget the questions that wait; does not wait itself."""
        self._stopped = True
        self._rows.stop()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.watches.stop()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Let go of all connections, within this time: what waits for a broker that is away is left behind."""
        deadline = time.monotonic() + within_s
        self.stop()

        def close_rows() -> None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._rows.close()

        closing = on_own_thread("page-rows-close", close_rows)
        self.watches.close(within_s)
        wait([closing], max(0.0, deadline - time.monotonic()))


class Page:
    """The answers, one method a route."""

    def __init__(
        self, source: ViewSource, reading: Reading, settings: Settings, changes: Changes | None, stop: threading.Event
    ) -> None:
        self._source = source
        self._reading = reading
        self._settings = settings
        self._changes = changes
        self._stop = stop
        self._sent: tuple[View | None, bytes] = (None, b"")

    async def index(self, request: "Request") -> "Response":
        """The page itself."""
        from starlette.responses import FileResponse

        return FileResponse(STATIC / "index.html", media_type="text/html")

    async def events(self, request: "Request") -> "Response":
        """Each new view, as server-sent events; a beat in between says that the server is there."""
        from starlette.responses import StreamingResponse

        return StreamingResponse(self._events(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _events(self) -> AsyncIterator[bytes]:
        last: View | None = None
        yield b"retry: 1000\n\n"
        silent = BEAT_S
        while not self._stop.is_set():
            view = self._source.view
            if view is not None and view is not last:
                last, silent = view, 0.0
                yield b"event: view\ndata: " + self._overview(view) + b"\n\n"
            elif silent >= BEAT_S:
                silent = 0.0
                yield b"event: beat\ndata: {}\n\n"
            await asyncio.sleep(LOOK_S)
            silent += LOOK_S

    def _overview(self, view: View) -> bytes:
        """Made once for each view, however many pages are open."""
        if self._sent[0] is not view:
            self._sent = (view, encoded(payload.overview(view)))
        return self._sent[1]

    async def about(self, request: "Request") -> "Response":
        """What the page may do."""
        return answer(
            {
                "changes": self._changes is not None,
                "bootstrap": list(self._settings.bootstrap),
                "topics": [topic.name for topic in self._settings.topics],
            }
        )

    async def overview(self, request: "Request") -> "Response":
        """The cluster, with what the overview plots."""
        view = self._source.view
        return waiting() if view is None else answer({**payload.overview(view), "series": payload.series(view)})

    async def broker(self, request: "Request") -> "Response":
        """One broker."""
        return self._named(request, payload.broker, "broker", "id")

    async def topic(self, request: "Request") -> "Response":
        """One topic."""
        return self._named(request, payload.topic, "topic")

    async def group(self, request: "Request") -> "Response":
        """One group."""
        return self._named(request, payload.group, "group")

    def _named(
        self, request: "Request", make: Callable[[View, str], dict[str, Any] | None], what: str, key: str = "name"
    ) -> "Response":
        view, name = self._source.view, request.query_params.get(key, "")
        if view is None:
            return waiting()
        made = make(view, name)
        return refused(f"the cluster has no {what} of this {key}", 404) if made is None else answer(made)

    async def rows(self, request: "Request") -> "Response":
        """Rows of a topic."""
        given = request.query_params
        ask = ask_of(
            given.get("topic", ""),
            given.get("from", "newest"),
            given.get("value", ""),
            given.get("partition", ""),
            given.get("limit", ""),
        )
        return answer(rows_payload(ask, await self._reading.rows(ask)))

    async def curves(self, request: "Request") -> "Response":
        """The numbers of a topic's newest rows."""
        given = request.query_params
        ask = ask_of(given.get("topic", ""), "newest", "", "", given.get("rows", "") or str(CURVE_ROWS))
        found = await self._reading.rows(ask)
        return answer(curves(self._settings.topic(ask.topic), found.rows, given.get("by")))

    async def latency(self, request: "Request") -> "Response":
        """How long a topic's rows take."""
        return await self._watched(request, "latency")

    async def sentiment(self, request: "Request") -> "Response":
        """A topic of scored posts."""
        return await self._watched(request, "sentiment")

    async def _watched(self, request: "Request", kind: str) -> "Response":
        topic = check_topic_name(request.query_params.get("topic", ""))
        view = self._source.view
        if view is not None and view.snapshot.topic(topic) is None:
            return refused("the cluster has no topic of this name", 404)
        return answer(await asyncio.to_thread(self._reading.watches.payload, kind, topic))

    async def change(self, request: "Request") -> "Response":
        """A change, where changes are allowed."""
        if self._changes is None:
            return refused("this page only reads; start it with --allow-changes to change something", 403)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return refused("a change is asked for as JSON", 415)
        run = self._changes.named(request.path_params["change"])
        if run is None:
            return refused("there is no change of this name", 404)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return refused("a change is asked for in at most 16 KiB", 413)
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            return refused("a change is asked for as a JSON object", 400)
        return answer(await asyncio.to_thread(run, asked))

    async def sweep(self) -> None:
        """Close what nobody looks at any more, for as long as the server runs."""
        while not self._stop.is_set():
            await asyncio.sleep(1)
            await asyncio.to_thread(self._reading.watches.sweep)


def make_app(
    source: ViewSource,
    reading: Reading,
    rules: AccessRules,
    settings: Settings,
    *,
    changes: Changes | None = None,
    stop: threading.Event | None = None,
) -> "ASGIApp":
    """The server as an ASGI application. It ends its streams when ``stop`` is set."""
    from contextlib import asynccontextmanager

    from starlette.applications import Starlette
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    page = Page(source, reading, settings, changes, stop or threading.Event())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(page.sweep())
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping

    gets = {
        "/": page.index,
        "/api/events": page.events,
        "/api/about": page.about,
        "/api/overview": page.overview,
        "/api/broker": page.broker,
        "/api/topic": page.topic,
        "/api/group": page.group,
        "/api/rows": page.rows,
        "/api/curves": page.curves,
        "/api/latency": page.latency,
        "/api/sentiment": page.sentiment,
    }
    app = Starlette(
        routes=[
            *(Route(path, handler, methods=["GET"]) for path, handler in gets.items()),
            Route("/api/changes/{change}", page.change, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={SensorstreamError: _failed, Busy: _busy},
        lifespan=lifespan,
    )
    return AccessControl(app, rules)


def encoded(made: object) -> bytes:
    """JSON in UTF-8; no value of it can end a line of an event."""
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def answer(made: Mapping[str, Any], status: int = 200) -> "Response":
    """A JSON answer."""
    from starlette.responses import Response

    return Response(encoded(made), status, media_type="application/json")


def refused(message: str, status: int, hint: str = "") -> "Response":
    """An answer that says why there is none."""
    return answer({"error": message, "hint": hint}, status)


def waiting() -> "Response":
    """The answer before the cluster was looked at for the first time."""
    return refused("the cluster has not been looked at yet", 503, "wait a moment")


async def _failed(request: "Request", error: Exception) -> "Response":
    if not isinstance(error, SensorstreamError):
        raise error
    status = 404 if isinstance(error, UnknownTopic) else _STATUS.get(error.exit_code, 500)
    return refused(error.message, status, error.hint)


async def _busy(request: "Request", error: Exception) -> "Response":
    return refused("the server is reading rows for others", 503, "ask again in a moment")
