"""Stations 1-4 in a process of their own: one of several that replay together.

The owner writes an :class:`Order`, and then one byte for "go"; when its end of the pipe is closed, be it that it asks
to stop or that it is gone, the worker stops cleanly. The worker writes what happens, and last how it ended.
"""

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import BinaryIO, Final, TypeAlias

from sensorstream.config import Settings
from sensorstream.errors import SensorstreamError
from sensorstream.events import Event, Progress
from sensorstream.pipelines.replay.job import ReplayOptions, client_settings, make_job
from sensorstream.pipelines.replay.plan import Part
from sensorstream.pipelines.replay.replay import ReplayResult, replay

_TELL_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do: the whole replay's settings and options, and its own parts of it."""

    settings: Settings
    options: ReplayOptions
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Ready:
    """Every source of the worker is open."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event of one of the sources, by its index among all, or of none of them."""

    source: int | None
    event: Event


@dataclass(frozen=True, slots=True)
class Refused:
    """The worker could not begin."""

    error: SensorstreamError


Message: TypeAlias = Ready | Told | Refused | ReplayResult


def work() -> int:
    """Be a worker, on this process's standard input and output. The exit code is 0 when the owner was told the end."""
    # What others may write to standard output must not get between the messages.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", closefd=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    # The terminal's Ctrl-C is the owner's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _work(sys.stdin.buffer, out, stop)
        out.close()
    except (BrokenPipeError, EOFError):
        return 1  # nobody listens any more
    return 0


def _work(orders: BinaryIO, out: BinaryIO, stop: threading.Event) -> None:
    from sensorstream.clients import open_client

    order: Order = pickle.load(orders)  # noqa: S301  # from our own owner, through its pipe
    go = threading.Event()
    threading.Thread(target=_listen, args=(orders, go, stop), name="owner", daemon=True).start()
    tell = _Teller(out)

    def when_open() -> None:
        tell.send(Ready())
        while not go.wait(0.1) and not stop.is_set():
            pass

    try:
        job = make_job(order.settings, order.options, tell.anything)
        sources = []
        for part in order.parts:
            source = job.sources[part.source]
            sources.append(replace(source, rules=replace(source.rules, share=part.share)))
        topics: dict[str, int | None] = {}
        for source, part in zip(sources, order.parts, strict=True):
            # Progress names its topic: with two sources of one topic it can't be told whose it is.
            topics[source.topic] = None if source.topic in topics else part.source
        client = open_client(client_settings(order.settings, order.options), tell.anything)
        result = replay(client, replace(job, sources=sources), stop=stop, listener=tell.of(topics), when_open=when_open)
    except SensorstreamError as error:
        tell.send(Refused(error))
    else:
        tell.send(result)


def _listen(orders: BinaryIO, go: threading.Event, stop: threading.Event) -> None:
    """Wait for the owner's word to begin, and then for the end of its pipe."""
    # Not through the buffer: its lock, held while this thread waits, would keep the interpreter from ending.
    while os.read(orders.fileno(), 1):
        go.set()
    stop.set()


class _Teller:
    """Writes messages to the owner, from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._told_at: dict[str, float] = {}

    def send(self, message: Message) -> None:
        """Write one message. Raises BrokenPipeError."""
        data = pickle.dumps(message)
        with self._lock:
            self._out.write(data)
            self._out.flush()

    def anything(self, event: Event, source: int | None = None) -> None:
        """A listener."""
        # When the owner is gone there is nobody to be told, and the work is about to stop.
        with contextlib.suppress(BrokenPipeError):
            self.send(Told(source, event))

    def of(self, topics: Mapping[str, int | None]) -> Callable[[Event], None]:
        """The listener of a replay."""

        def listen(event: Event) -> None:
            if not isinstance(event, Progress):
                self.anything(event)
                return
            now = time.monotonic()
            if now - self._told_at.get(event.what, 0.0) >= _TELL_EVERY_S:
                self._told_at[event.what] = now
                self.anything(event, topics.get(event.what))

        return listen
