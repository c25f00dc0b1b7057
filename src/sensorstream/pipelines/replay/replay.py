"""Stations 1-4: publish the rows of source files, each source in its own order and at its own pace.

Threads share the sources: whoever is free takes the source that is due next, publishes what is due, checks what has
been acknowledged, and puts it back. A source is in one thread's hands at a time, so its rows stay in order.
"""

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Final, Protocol, Self

from sensorstream.clients.base import Client
from sensorstream.clients.causes import Waited
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.errors import DeliveryError, NotAllowed, SensorstreamError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.replay.follow_lane import lane_of
from sensorstream.pipelines.replay.job_identity import this_run
from sensorstream.pipelines.replay.job_log import open_log
from sensorstream.pipelines.replay.local_checks import check_local
from sensorstream.pipelines.replay.once_lane import OnceLane
from sensorstream.pipelines.replay.spec import Begin, ReplayedSource, ReplayJob, ReplayResult
from sensorstream.records import TopicPartition

FLUSH_S: Final = 30.0
"""How long a stopped job waits for the answers to what it has sent."""
_OPENED_AT_ONCE: Final = 8


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
    stop = stop or threading.Event()
    check_local(job)
    if job.exactly_once:
        return _replay_exactly_once(client, job, stop, listener, when_open)
    with client.publisher(listener=listener) as publisher:
        topics = list(dict.fromkeys(source.topic for source in job.sources))
        with Waiting(client.causes, lambda: [Open("the topics", None, Waited(tuple(topics)))], listener):
            partitions = publisher.partitions_of(topics)
        made = [
            lane_of(source.rules)(
                source.topic,
                source.make_source,
                Begin(source.first_row),
                source.rules,
                rejected=source.rejected,
                publisher=publisher,
                partitions=partitions[source.topic],
                listener=listener,
                loop=job.loop,
                log_rows=job.log_rows,
            )
            for source in job.sources
        ]
        with _Lanes(client, made, job.threads, listener, settle=lambda: publisher.flush(FLUSH_S)) as lanes:
            return lanes.replay(stop, when_open)


def _replay_exactly_once(
    client: Client, job: ReplayJob, stop: threading.Event, listener: Listener, when_open: Callable[[], None]
) -> ReplayResult:
    run = this_run()
    with closing(open_log(client, job.make_jobs_topic, listener)) as log:
        made = [
            OnceLane(
                source,
                source.once,
                client=client,
                log=log,
                run=run,
                restart=job.restart,
                listener=listener,
                loop=job.loop,
                log_rows=job.log_rows,
            )
            for source in job.sources
            if source.once is not None
        ]
        with _Lanes(client, made, job.threads, listener, at_once=_OPENED_AT_ONCE) as lanes:
            result = lanes.replay(stop, when_open)
        ends: dict[TopicPartition, int] = {}
        for lane in made:
            ends |= lane.ends
        if ends and not result.problem:
            log.wait_until_seen(ends)
    return result


class _Way(Protocol):
    """What the threads ask of a lane, whichever it is."""

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


class _Lanes:
    """The sources of a job and the threads that share them; ``at_once`` of them are opened at the same time.

    ``settle`` waits for the outcomes of what was sent, and raises DeliveryError when some are still open.
    """

    def __init__(
        self,
        client: Client,
        lanes: Sequence[_Way],
        threads: int,
        listener: Listener,
        *,
        at_once: int = 1,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._lanes = lanes
        self._threads = threads
        self._listener = listener
        self._at_once = at_once
        self._settle_all = settle
        self._due: list[tuple[float, int, _Way]] = []
        # Lanes that share a clock are in one thread's hands at a time, all of them: the order of their rows is to hold.
        self._on_clock: list[tuple[float, int, _Way]] = []
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

    def replay(self, stop: threading.Event, when_open: Callable[[], None]) -> ReplayResult:
        """Open the sources and publish them until they end or ``stop`` is set."""
        with Waiting(self._client.causes, self._open_things, self._listener) as self._waiting:
            if self._open(stop):
                when_open()
            return self._run(stop)

    def _open_things(self) -> list[Open]:
        """What is waited for; called on another thread."""
        if not self._opened:
            # It needs all that the rows need, but for their own topic.
            needs = [replace(lane.waited, topics=lane.waited.topics[1:]) for lane in self._lanes]
            names = [f"the start of {lane.topic}" for lane in self._lanes]
            return [Open(name, None, need, surely=False) for name, need in zip(names, needs, strict=True)]
        return [
            Open(f"acknowledgements of {lane.topic}", lane.acknowledged, lane.waited, key=at)
            for at, lane in enumerate(self._lanes)
            if lane.open_rows
        ]

    def _open(self, stop: threading.Event) -> bool:
        """Open every source. False when ``stop`` was set first: a pipe that nobody writes opens for ever."""
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
            if self._at_once == 1 or len(self._lanes) == 1:
                for lane in self._lanes:
                    lane.open()
            else:
                with ThreadPoolExecutor(self._at_once, "replay-open") as pool:
                    list(pool.map(lambda lane: lane.open(), self._lanes))
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
        for lane in self._lanes:
            lane.begin(began)
            self._put(began, lane)
        # Daemons: a thread that waits for a pipe which nobody writes must not keep a stopped program alive.
        threads = [
            threading.Thread(target=self._work, name=f"replay-{number}", daemon=True)
            for number in range(min(self._threads, len(self._lanes)))
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
                        self._put(due, lane)
                    if lane.on_clock:
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

    def _take(self) -> _Way | None:
        with self._changed:
            while not self._stop.is_set() and self._problem is None:
                if all(lane.ended for lane in self._lanes):
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

    def _put(self, due: float, lane: _Way) -> None:
        heapq.heappush(self._on_clock if lane.on_clock else self._due, (due, next(self._ticket), lane))

    def _give_up_on(self, error: SensorstreamError) -> None:
        self._give_up(str(self._waiting.explain(error)), not_allowed=isinstance(error, NotAllowed))

    def _give_up(self, reason: str, *, not_allowed: bool = False) -> None:
        with self._changed:
            if self._problem is None:
                self._problem, self._not_allowed = reason, not_allowed
            self._changed.notify_all()

    def _settle(self) -> None:
        """Learn the outcome of everything that was sent, as far as the cluster still answers."""
        if any(lane.open_rows for lane in self._lanes):
            self._listener(Notice("waiting for the acknowledgements of the rows that were sent", "debug"))
        try:
            self._settle_all()
        except DeliveryError as error:
            self._give_up_on(error)
        for lane in self._lanes:
            try:
                lane.settle()
            except SensorstreamError as error:
                self._give_up_on(error)

    def _result(self, seconds: float) -> ReplayResult:
        sources = tuple(lane.result() for lane in self._lanes)
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
        for lane in self._lanes:
            lane.close()
