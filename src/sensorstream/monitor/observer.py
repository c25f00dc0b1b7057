"""Watches a cluster from a thread: regular snapshots, with a limit on the CPU time that they use.

Each snapshot's CPU time, of this thread and of the one that talks to the brokers, is a debt that time pays off at
``share`` of a core; the next snapshot waits until it is paid. Only the news that a broker has gone or come back is
looked at sooner, and paid for later.
"""

import threading
import time
from dataclasses import replace
from typing import Final, Self

from sensorstream.closing import Closing
from sensorstream.config import Settings
from sensorstream.errors import ClusterUnreachable, CredentialsRefused, SensorstreamError
from sensorstream.events import Event, Listener, Notice, ignore
from sensorstream.monitor.gather import Gatherer
from sensorstream.monitor.rates import History
from sensorstream.monitor.snapshot import Snapshot
from sensorstream.monitor.view import View

EVERY_S: Final = 2.0
SHARE: Final = 0.05
_SOONEST_S: Final = 0.5
"""How soon after a snapshot the next one may follow when something has happened."""
_END_S: Final = 20.0


class Observer(Closing):
    """A context manager with a thread; ``view`` is the newest view, None before there is one.

    ``error`` is why the cluster could not be looked at the last time, None while it answers. After credentials that are
    refused it asks no more: see ``refused``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        every_s: float = EVERY_S,
        share: float = SHARE,
        listener: Listener = ignore,
        history: History | None = None,
    ) -> None:
        self.every_s = every_s
        self.error: SensorstreamError | None = None
        self._share = share
        self._listener = listener
        self._history = history or History()
        self._gatherer = Gatherer(settings, listener=self._hear)
        self._view: View | None = None
        self._news = threading.Condition()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._ends_at = 0.0
        self._paused = False
        self._asked = False
        self._happened = False
        self.cpu_s = 0.0
        """CPU time that snapshots have taken."""
        self._thread = threading.Thread(target=self._work, name="sensorstream-observer", daemon=True)

    @property
    def view(self) -> View | None:
        """The newest view."""
        return self._view

    @property
    def refused(self) -> CredentialsRefused | None:
        """Why it asks no more: a broker has turned it away, and asking again could lock the account."""
        return self.error if isinstance(self.error, CredentialsRefused) else None

    @property
    def paused(self) -> bool:
        """Whether no snapshots are taken."""
        return self._paused

    def wait(self, timeout_s: float, after: View | None = None) -> View | None:
        """The first view that is not ``after``; None when there is none within the time."""
        with self._news:
            self._news.wait_for(lambda: self._view is not after or self._stop.is_set(), timeout_s)
            return self._view if self._view is not after else None

    def pause(self) -> None:
        """Take no snapshots until :meth:`resume`."""
        self._paused = True

    def resume(self) -> None:
        """Go on, at once."""
        self._paused = False
        self.refresh_now()

    def refresh_now(self) -> None:
        """Take a snapshot now, also while paused."""
        self._asked = True
        self._wake.set()

    def stop(self) -> None:
        """Have the thread end; does not wait. From then on :meth:`close` has so long at the most."""
        if not self._stop.is_set():
            self._ends_at = time.monotonic() + _END_S
        self._stop.set()
        self._wake.set()
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """End the thread."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(max(0.0, self._ends_at - time.monotonic()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def _hear(self, event: Event) -> None:
        """On the thread that talks to the brokers: a broker went or came back."""
        if isinstance(event, Notice) and ("can't be reached; " in event.text or "is back" in event.text):
            self._happened = True
            self._wake.set()
        self._listener(event)

    def _work(self) -> None:
        free_at = 0.0
        with self._gatherer:
            while not self._stop.is_set():
                began = time.monotonic()
                self._asked = self._happened = False
                cost = self._take()
                self.cpu_s += cost
                if self.refused is not None:
                    return
                # What was spent ahead of its time is owed until later.
                free_at = max(free_at, began) + cost / self._share if self._share > 0 else began
                self._rest(began, free_at)

    def _take(self) -> float:
        """Take one snapshot; the CPU time it took."""
        first, began = self._view is None, time.thread_time()
        try:
            self._gatherer.connect()
            connecting = time.thread_time() - began
            clocks = Clocks(self._gatherer.io_thread)
            view = self._history.add(self._gatherer.take())
        except SensorstreamError as error:
            self._fail(error)
            return 0.0 if first else time.thread_time() - began
        except Exception as error:  # a thread that ends without a word would leave an old view for a new one
            self._gatherer.close()
            self._fail(SensorstreamError(f"reading the state of the cluster failed: {type(error).__name__}: {error}"))
            return 0.0 if first else time.thread_time() - began
        self.error = None
        cost = clocks.passed()
        self._publish(view)
        return cost if first else connecting + cost  # the first time it is imports that take long

    def _fail(self, error: SensorstreamError) -> None:
        self.error = error
        self._publish(self._history.add(self._unreachable(error)))

    def _unreachable(self, error: SensorstreamError) -> Snapshot:
        last = None if self._view is None else self._view.snapshot
        nobody = isinstance(error, ClusterUnreachable) and not isinstance(error, CredentialsRefused)
        empty = Snapshot(
            taken_at=time.time(),
            took_s=0.0,
            requests=0,
            reachable=False,
            problems=(str(error),),
            refusal=None if nobody else error.message,
        )
        if last is None:
            return empty
        return replace(
            empty,
            cluster_id=last.cluster_id,
            version=last.version,
            brokers=tuple(replace(one, alive=False, controller=False) for one in last.brokers),
            topics=last.topics,
            groups=last.groups,
        )

    def _publish(self, view: View) -> None:
        with self._news:
            self._view = view
            self._news.notify_all()

    def _rest(self, began: float, free_at: float) -> None:
        """Wait until the next snapshot is due: it was asked for, something has happened, or its time has come."""
        soonest = time.monotonic() + _SOONEST_S
        while not self._stop.is_set():
            self._wake.clear()
            now = time.monotonic()
            if self._asked:
                return
            due = soonest if self._happened else max(began + self.every_s, free_at)
            if not self._paused and now >= due:
                return
            self._wake.wait(0.2 if self._paused else min(max(due - now, 0.001), 0.2))


class Clocks:
    """The CPU time of this thread and of the one that talks to the brokers."""

    def __init__(self, other: int | None) -> None:
        self._other = self._clock(other)
        self._began = self._read()

    @staticmethod
    def _clock(thread: int | None) -> int | None:
        if thread is None or not hasattr(time, "pthread_getcpuclockid"):
            return None
        try:
            return time.pthread_getcpuclockid(thread)
        except OSError:
            return None

    def _read(self) -> float:
        if self._other is None:  # a platform without clocks for threads
            return time.process_time()
        try:
            return time.thread_time() + time.clock_gettime(self._other)
        except OSError:
            return time.thread_time()

    def passed(self) -> float:
        """CPU seconds since this was made."""
        return max(0.0, self._read() - self._began)
