"""Stations 1-4 in a child process: one of several that replay together.

The owner writes an :class:`Order`, and then lines: one for "go", and what the sources of other processes say that go by
the same clock; when its end of the pipe is closed, be it that it asks
to stop or that it is gone, the worker stops cleanly. The worker writes what happens, and last how it ended.
"""

import contextlib
import json
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, BinaryIO, Final, TypeAlias

from sensorstream.config import Settings
from sensorstream.errors import SensorstreamError
from sensorstream.events import Event, Progress, ignore
from sensorstream.pipelines.replay.job import ReplayOptions, client_settings, make_job
from sensorstream.pipelines.replay.job_records import JobRecord
from sensorstream.pipelines.replay.plan import Part
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.spec import ReplayResult
from sensorstream.sources.common_clock import CommonClock, Said

_TELL_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do: the whole replay's settings and options, and its own parts of it.

    ``claims`` are the jobs that the owner has begun for sources that are shared, by the source's index.
    """

    settings: Settings
    options: ReplayOptions
    parts: Sequence[Part]
    claims: Mapping[int, JobRecord]


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


Message: TypeAlias = Ready | Told | Refused | Said | ReplayResult


def encode_go(now: float) -> bytes:
    """The line that lets a worker begin at ``now``, a reading of the system's monotonic clock."""
    return json.dumps({"go": now}).encode() + b"\n"


def encode_said(said: Said) -> bytes:
    """The line that lets a worker know what a source of another one says."""
    return json.dumps({"said": said}).encode() + b"\n"


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
    owner = _Owner(orders, stop)
    tell = _Teller(out)

    def when_open() -> None:
        tell.send(Ready())
        while not owner.go.wait(0.1) and not stop.is_set():
            pass

    try:
        job = make_job(order.settings, order.options, tell.anything)
        if job.clock is not None:
            job.clock.tell = tell.said
            if all(part.source for part in order.parts):
                # All processes work out the same; that of the first source tells it.
                job.clock.listener = ignore
        owner.listen(job.clock)
        sources = []
        for part in order.parts:
            source = job.sources[part.source]
            claimed = None if part.share is None else order.claims.get(part.source)
            sources.append(replace(source, rules=replace(source.rules, share=part.share), claimed=claimed))
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


class _Owner:
    """What the owner says after its order. The end of its pipe is a wish to stop."""

    def __init__(self, orders: BinaryIO, stop: threading.Event) -> None:
        self.go = threading.Event()
        self._orders = orders
        self._stop = stop
        self._clock: CommonClock | None = None
        self._listening = False

    def listen(self, clock: CommonClock | None) -> None:
        """Listen from now on, unless that is done already, and let ``clock`` hear what others say."""
        if not self._listening:
            self._listening, self._clock = True, clock
            threading.Thread(target=self._listen, name="owner", daemon=True).start()

    def _listen(self) -> None:
        rest = b""
        # Not through the buffer: its lock, held while this thread waits, would keep the interpreter from ending.
        while some := os.read(self._orders.fileno(), 1 << 16):
            *lines, rest = (rest + some).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
        self._stop.set()

    def _take(self, message: Mapping[str, Any]) -> None:
        if "said" in message and self._clock is not None:
            self._clock.hear(Said(*message["said"]))
        if "go" in message:
            if self._clock is not None:
                self._clock.start(message["go"])
            self.go.set()


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

    def said(self, said: Said) -> None:
        """What one of this process's sources says to the others."""
        with contextlib.suppress(BrokenPipeError):
            self.send(said)

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
