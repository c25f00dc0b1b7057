"""Stations 1-4: the threads that share the sources of a replay; each source is in one thread's hands at a time."""

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Protocol, Self

from sensorstream.clients.base import Client
from sensorstream.clients.causes import Waited
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.errors import DeliveryError, NotAllowed, SensorstreamError
from sensorstream.events import Listener, Notice
from sensorstream.pipelines.replay.spec import ReplayedSource, ReplayResult


class _ThreadedSource(Protocol):
    """What the threads ask of a source, whichever it is."""

    topic: str
    ended: bool

    @property
    def on_clock(self) -> bool: ...

    @property
    def acknowledged(self) -> int: ...

    @property
    def open_rows(self) -> int: ...

    @property
    def waited(self) -> Waited: ...

    def open(self) -> None: ...

    def begin(self, now: float) -> None: ...

    def step(self, stop: threading.Event) -> float | None: ...

    def settle(self) -> None: ...

    def close(self) -> None: ...

    def result(self) -> ReplayedSource: ...


class ReplayThreads:
    """The sources of a job and the threads that share them; ``at_once`` of them are opened at the same time.

    ``settle`` waits for the outcomes of what was sent, and raises DeliveryError when some are still open.
    """

    def __init__(
        self,
        client: Client,
        sources: Sequence[_ThreadedSource],
        threads: int,
        listener: Listener,
        *,
        at_once: int = 1,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._sources = sources
        self._threads = threads
        self._listener = listener
        self._at_once = at_once
        self._settle_all = settle
        self._due: list[tuple[float, int, _ThreadedSource]] = []
        # Sources that share a clock are in one thread's hands at a time, all of them: so the order of their rows holds.
        self._on_clock: list[tuple[float, int, _ThreadedSource]] = []
        self._clock_is_free = True
        self._ticket = count()
        self._changed = threading.Condition()
        self._running = 0
        self._stop = threading.Event()
        self._problem: str | None = None
        self._not_allowed = False
        self._unexpected: BaseException | None = None
        self._opened = False

    def __enter__(self) -> Self:
        return self

    def run(self, stop: threading.Event, when_open: Callable[[], None]) -> ReplayResult:
        """Open the sources and publish them until they end or ``stop`` is set."""
        with Waiting(self._client.causes, self._open_things, self._listener) as self._waiting:
            if self._open(stop):
                when_open()
            return self._run(stop)

    def _open_things(self) -> list[Open]:
        """What is waited for; called on another thread."""
        if not self._opened:
            # It needs all that the rows need, but for their own topic.
            needs = [replace(source.waited, topics=source.waited.topics[1:]) for source in self._sources]
            names = [f"the start of {source.topic}" for source in self._sources]
            return [Open(name, None, need, surely=False) for name, need in zip(names, needs, strict=True)]
        return [
            Open(f"acknowledgements of {source.topic}", source.acknowledged, source.waited, key=at)
            for at, source in enumerate(self._sources)
            if source.open_rows
        ]

    def _open(self, stop: threading.Event) -> bool:
        """Open every source. False when ``stop`` was set first: a pipe that nobody writes opens for ever."""
        opening = threading.Thread(target=self._open_sources, name="replay-open", daemon=True)
        opening.start()
        while opening.is_alive() and not stop.is_set():
            opening.join(0.1)
        if self._unexpected is not None:
            raise self._unexpected
        # A pipe may yet open behind our back; that comes too late.
        self._opened = not opening.is_alive()
        return self._opened

    def _open_sources(self) -> None:
        try:
            if self._at_once == 1 or len(self._sources) == 1:
                for source in self._sources:
                    source.open()
            else:
                with ThreadPoolExecutor(self._at_once, "replay-open") as pool:
                    list(pool.map(lambda source: source.open(), self._sources))
        except BaseException as error:
            self._unexpected = error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._close()

    def _run(self, stop: threading.Event) -> ReplayResult:
        began = time.monotonic()
        if not self._opened or stop.is_set():
            return self._result(0.0)
        for source in self._sources:
            source.begin(began)
            self._put(began, source)
        # Daemons: a thread that waits for a pipe which nobody writes must not keep a stopped program alive.
        threads = [
            threading.Thread(target=self._work, name=f"replay-{number}", daemon=True)
            for number in range(min(self._threads, len(self._sources)))
        ]
        self._running = len(threads)
        for thread in threads:
            thread.start()
        with self._changed:
            while self._running and not stop.is_set() and self._problem is None:
                self._changed.wait(0.1)
        # The sources' own event: the caller's says that the user wants to stop, and nothing else.
        self._stop.set()
        deadline = time.monotonic() + 5.0
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._settle()
        if self._unexpected is not None:
            raise self._unexpected
        return self._result(time.monotonic() - began)

    def _work(self) -> None:
        """One thread: take the source that is due next, step it, put it back; until all have ended or stop is set."""
        try:
            while (source := self._take()) is not None:
                due = source.step(self._stop)
                with self._changed:
                    if due is not None:
                        self._put(due, source)
                    if source.on_clock:
                        self._clock_is_free = True
                    self._changed.notify_all()
        except SensorstreamError as error:
            self._give_up_on(error)
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

    def _take(self) -> _ThreadedSource | None:
        with self._changed:
            while not self._stop.is_set() and self._problem is None:
                if all(source.ended for source in self._sources):
                    return None
                wait = 0.2
                heaps = [self._due, self._on_clock] if self._clock_is_free else [self._due]
                heap = min((heap for heap in heaps if heap), default=None)
                if heap:
                    wait = heap[0][0] - time.monotonic()
                    if wait <= 0:
                        self._clock_is_free = self._clock_is_free and heap is not self._on_clock
                        return heapq.heappop(heap)[2]
                self._changed.wait(min(wait, 0.2))
        return None

    def _put(self, due: float, source: _ThreadedSource) -> None:
        heapq.heappush(self._on_clock if source.on_clock else self._due, (due, next(self._ticket), source))

    def _give_up_on(self, error: SensorstreamError) -> None:
        self._give_up(str(self._waiting.explain(error)), not_allowed=isinstance(error, NotAllowed))

    def _give_up(self, reason: str, *, not_allowed: bool = False) -> None:
        with self._changed:
            if self._problem is None:
                self._problem, self._not_allowed = reason, not_allowed
            self._changed.notify_all()

    def _settle(self) -> None:
        """Learn the outcome of everything that was sent, as far as the cluster still answers."""
        if any(source.open_rows for source in self._sources):
            self._listener(Notice("waiting for the acknowledgements of the rows that were sent", "debug"))
        try:
            self._settle_all()
        except DeliveryError as error:
            self._give_up_on(error)
        for source in self._sources:
            try:
                source.settle()
            except SensorstreamError as error:
                self._give_up_on(error)

    def _result(self, seconds: float) -> ReplayResult:
        sources = tuple(source.result() for source in self._sources)
        return ReplayResult(
            sum(source.sent for source in sources),
            sum(source.acknowledged for source in sources),
            sum(source.failed for source in sources),
            sum(source.rejected for source in sources),
            seconds,
            all(source.complete for source in sources),
            self._problem,
            sources,
            self._not_allowed,
        )

    def _close(self) -> None:
        for source in self._sources:
            source.close()
