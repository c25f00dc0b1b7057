"""Stations 1-4: publish the rows of source files, each source in its own order and at its own pace.

Threads share the sources: whoever is free takes the source that is due next, publishes what is due, checks what has
been acknowledged, and puts it back. A source is in one thread's hands at a time, so its rows stay in order.
"""

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sensorstream.clients.base import Client, Publisher
from sensorstream.errors import DeliveryError, SensorstreamError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.replay.lane import Lane, Rules
from sensorstream.sources.base import Source

FLUSH_S: Final = 30.0
"""How long a stopped job waits for the answers to what it has sent."""


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """A topic and the source that feeds it. ``make_source`` opens nothing; it takes the row, from 0, to begin at."""

    topic: str
    make_source: Callable[[int], Source]
    first_row: int
    rules: Rules
    rejected: Path


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """What to publish. ``threads`` is at least 1; ``loop`` begins every source anew when it ends, until stopped."""

    sources: Sequence[ReplaySource]
    threads: int = 3
    loop: bool = False
    log_rows: bool = False


@dataclass(frozen=True, slots=True)
class ReplayedSource:
    """What one source came to. ``sent`` rows were queued, ``acknowledged`` by all in-sync replicas, ``failed`` not;
    ``rejected`` could not be used and went to the rejected file. ``next_row`` is where the next run goes on."""

    topic: str
    source: str
    sent: int
    acknowledged: int
    failed: int
    rejected: int
    next_row: int
    complete: bool


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """How a replay ended. ``problem`` is the one-line reason when it could not go on; ``seconds`` is the wall time."""

    sent: int
    acknowledged: int
    failed: int
    rejected: int
    seconds: float
    complete: bool
    problem: str | None
    sources: tuple[ReplayedSource, ...]

    @property
    def delivered(self) -> bool:
        """Whether every row was sent and acknowledged."""
        return self.sent == self.acknowledged and not self.failed and not self.rejected and self.problem is None


def replay(
    client: Client,
    job: ReplayJob,
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    when_open: Callable[[], None] = lambda: None,
) -> ReplayResult:
    """Publish all sources; return when they have ended or ``stop`` is set, with every outcome known.

    ``when_open`` is called when all sources are open, before the first row is sent. Raises, before that, SourceError,
    UnknownTopic, UsageError and ClusterUnreachable. What goes wrong later is in the result.
    """
    if job.threads < 1:
        raise UsageError(f"--thread {job.threads} is too few", hint="it is a whole number of 1 or more")
    with client.publisher(listener=listener) as publisher, _Lanes(publisher, job, listener) as lanes:
        stop = stop or threading.Event()
        if lanes.open(stop):
            when_open()
        return lanes.run(stop)


class _Lanes:
    """The sources of a job and the threads that share them."""

    def __init__(self, publisher: Publisher, job: ReplayJob, listener: Listener) -> None:
        self._publisher = publisher
        self._job = job
        self._listener = listener
        self._lanes: list[Lane] = []
        self._due: list[tuple[float, int, Lane]] = []
        self._ticket = count()
        self._changed = threading.Condition()
        self._running = 0
        self._stop = threading.Event()
        self._problem: str | None = None
        self._unexpected: BaseException | None = None
        self._opened = False

    def __enter__(self) -> Self:
        return self

    def open(self, stop: threading.Event) -> bool:
        """Open every source. False when ``stop`` was set first: a pipe that nobody writes opens for ever."""
        for source in self._job.sources:
            partitions = self._publisher.partitions_for(source.topic)
            self._lanes.append(
                Lane(
                    source.topic,
                    source.make_source,
                    source.first_row,
                    source.rules,
                    rejected=source.rejected,
                    publisher=self._publisher,
                    partitions=partitions,
                    listener=self._listener,
                    loop=self._job.loop,
                    log_rows=self._job.log_rows,
                )
            )
        opening = threading.Thread(target=self._open_lanes, name="replay-open", daemon=True)
        opening.start()
        while opening.is_alive() and not stop.is_set():
            opening.join(0.1)
        if self._unexpected is not None:
            raise self._unexpected
        # A pipe may yet open behind our back; that comes too late.
        self._opened = not opening.is_alive()
        return self._opened

    def _open_lanes(self) -> None:
        try:
            for lane in self._lanes:
                lane.open()
        except BaseException as error:
            self._unexpected = error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._close()

    def run(self, stop: threading.Event) -> ReplayResult:
        began = time.monotonic()
        if not self._opened or stop.is_set():
            return self._result(0.0)
        for lane in self._lanes:
            lane.begin(began)
            heapq.heappush(self._due, (began, next(self._ticket), lane))
        # Daemons: a thread that waits for a pipe which nobody writes must not keep a stopped program alive.
        threads = [
            threading.Thread(target=self._work, name=f"replay-{number}", daemon=True)
            for number in range(min(self._job.threads, len(self._lanes)))
        ]
        self._running = len(threads)
        for thread in threads:
            thread.start()
        with self._changed:
            while self._running and not stop.is_set() and self._problem is None:
                self._changed.wait(0.1)
        # The lanes' own event: the caller's says that the user wants to stop, and nothing else.
        self._stop.set()
        deadline = time.monotonic() + 5.0
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._settle()
        if self._unexpected is not None:
            raise self._unexpected
        return self._result(time.monotonic() - began)

    def _work(self) -> None:
        """One thread: take the lane that is due next, step it, put it back; until all have ended or stop is set."""
        try:
            while (lane := self._take()) is not None:
                due = lane.step(self._stop)
                with self._changed:
                    if due is not None:
                        heapq.heappush(self._due, (due, next(self._ticket), lane))
                    self._changed.notify_all()
        except SensorstreamError as error:
            self._give_up(str(error))
        except OSError as error:
            self._give_up(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        except BaseException as error:
            # A fault of this program: it ends the job, and shows itself on the main thread.
            self._unexpected = error
            self._give_up(f"{type(error).__name__}: {error}")
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _take(self) -> Lane | None:
        with self._changed:
            while not self._stop.is_set() and self._problem is None:
                if all(lane.ended for lane in self._lanes):
                    return None
                wait = 0.2
                if self._due:
                    wait = self._due[0][0] - time.monotonic()
                    if wait <= 0:
                        return heapq.heappop(self._due)[2]
                self._changed.wait(min(wait, 0.2))
        return None

    def _give_up(self, reason: str) -> None:
        with self._changed:
            if self._problem is None:
                self._problem = reason
            self._changed.notify_all()

    def _settle(self) -> None:
        """Learn the outcome of everything that was sent, as far as the cluster still answers."""
        if any(lane.outbox.open_rows for lane in self._lanes):
            self._listener(Notice("waiting for the answers to the rows that were sent", "debug"))
        try:
            self._publisher.flush(FLUSH_S)
        except DeliveryError as error:
            self._give_up(str(error))
        for lane in self._lanes:
            try:
                lane.settle()
            except SensorstreamError as error:
                self._give_up(str(error))

    def _result(self, seconds: float) -> ReplayResult:
        sources = tuple(
            ReplayedSource(
                lane.topic,
                lane.source.name,
                lane.outbox.sent,
                lane.outbox.acknowledged,
                lane.outbox.failed,
                lane.rejected,
                lane.next_row,
                lane.ended and not lane.outbox.open_rows,
            )
            for lane in self._lanes
        )
        return ReplayResult(
            sum(source.sent for source in sources),
            sum(source.acknowledged for source in sources),
            sum(source.failed for source in sources),
            sum(source.rejected for source in sources),
            seconds,
            all(source.complete for source in sources),
            self._problem,
            sources,
        )

    def _close(self) -> None:
        for lane in self._lanes:
            lane.close()
