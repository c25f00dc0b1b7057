"""Conditions on a cluster that is watched: until they are decided, until one holds, or during another task."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from sensorstream.config import Settings
from sensorstream.errors import BrokerError, ClusterUnreachable, CredentialsRefused, SensorstreamError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.monitor.conditions import Condition
from sensorstream.monitor.gather import Gatherer
from sensorstream.monitor.judging import Judge, Reading, Verdict, told
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.rates import History
from sensorstream.monitor.view import View

EVERY_S: Final = 1.0
_TELL_EVERY_S: Final = 10.0
_LOOK_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Checked:
    """The last view that was looked at, and what became of each condition, in order."""

    view: View
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Waited:
    """Whether a condition came to hold, its last values, and after how long.

    ``reached`` False: no broker has answered all the time, so that nothing is known.
    """

    condition: str
    holds: bool
    readings: tuple[Reading, ...]
    seconds: float
    reached: bool


def check(
    settings: Settings,
    conditions: Sequence[Condition],
    *,
    least_s: float = 0.0,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Checked:
    """Look at the cluster until a condition holds or none may any more: once, where none asks for a time or a rate.

    While none holds, it looks for ``least_s``. When ``stop`` is set, what is known by then is what was judged.
    Raises ClusterUnreachable, CredentialsRefused, BrokerError.
    """
    stop = stop or threading.Event()
    judges = [Judge(one, settings.group) for one in conditions]
    history, end = History(), time.monotonic() + least_s
    with Gatherer(settings, listener=listener) as gatherer:
        while True:
            view = history.add(gatherer.take())
            verdicts = tuple(judge.look(view) for judge in judges)
            settled = not any(judge.pending for judge in judges) and time.monotonic() >= end
            if settled or any(verdict.holds for verdict in verdicts) or stop.wait(EVERY_S):
                return Checked(view, verdicts)


def wait_until(
    settings: Settings,
    condition: Condition,
    *,
    timeout_s: float | None = None,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Waited:
    """Look at the cluster until the condition holds, ``timeout_s`` have passed or ``stop`` is set.

    A cluster that does not answer is waited for. Raises CredentialsRefused.
    """
    stop = stop or threading.Event()
    began = time.monotonic()
    judge, history, teller = Judge(condition, settings.group), History(), _Teller(listener)
    verdict = Verdict(condition.text, None, ())
    reached = False
    with Gatherer(settings) as gatherer:
        while True:
            try:
                view = history.add(gatherer.take())
            except CredentialsRefused:
                raise  # asking again could lock the account
            except (ClusterUnreachable, BrokerError) as error:  # brokers that are just starting answer with errors
                teller.tell(f"waiting for {condition.text}: {error.message}", error.message)
                verdict = Verdict(condition.text, None, ())
            else:
                reached = True
                verdict = judge.look(view)
                unknown = "; ".join(str(one.unknown) for one in verdict.readings if one.unknown)
                if not verdict.holds:
                    teller.tell(f"waiting for {told(verdict)}", unknown)
            passed = time.monotonic() - began
            left = EVERY_S if timeout_s is None else min(EVERY_S, timeout_s - passed)
            if verdict.holds or left <= 0 or stop.wait(left):
                return Waited(condition.text, bool(verdict.holds), verdict.readings, round(passed, 3), reached)


class _Teller:
    """Tells how it stands: at once when the reason is another one, else every ten seconds."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._reason: str | None = None
        self._told_at = 0.0

    def tell(self, text: str, reason: str) -> None:
        now = time.monotonic()
        if reason != self._reason or now - self._told_at >= _TELL_EVERY_S:
            self._reason, self._told_at = reason, now
            self._listener(Notice(text))


class ConditionWatcher:
    """Judges every view of an observer on a thread of its own (``with``), until a condition holds.

    ``then`` is called once, on that thread, when one does; ``verdicts`` are the last ones.
    """

    def __init__(
        self,
        observer: Observer,
        conditions: Sequence[Condition],
        group: str,
        then: Callable[[], None],
        listener: Listener = ignore,
    ) -> None:
        self.verdicts: tuple[Verdict, ...] = tuple(Verdict(one.text, None, ()) for one in conditions)
        self._observer = observer
        self._judges = [Judge(one, group) for one in conditions]
        self._then = then
        self._listener = listener
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="conditions", daemon=True)

    @property
    def refused(self) -> CredentialsRefused | None:
        """Why nothing more is looked at, where the brokers have refused the credentials."""
        return self._observer.refused

    @property
    def fired(self) -> tuple[Verdict, ...]:
        """The conditions that hold; none while they don't."""
        return tuple(verdict for verdict in self.verdicts if verdict.holds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        view: View | None = None
        refused: SensorstreamError | None = None
        while not self._stop.is_set():
            newer = self._observer.wait(_LOOK_S, after=view)
            if newer is None:
                continue
            view = newer
            if self._observer.error is not None and type(self._observer.error) is not type(refused):
                refused = self._observer.error
                self._listener(Notice(f"the conditions are not known: {refused.message}", "warning"))
            self.verdicts = tuple(judge.look(view) for judge in self._judges)
            if self.fired:
                self._then()
                return
