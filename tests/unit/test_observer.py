"""The observer's own rules: its share of a core, pausing, what it shows while nobody answers."""

import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from running import until
from sensorstream.config import Settings
from sensorstream.errors import BrokerError, ClusterUnreachable, CredentialsRefused, NotAllowed, SensorstreamError
from sensorstream.monitor import observer as observers
from sensorstream.monitor.conditions import parse
from sensorstream.monitor.gather import Gatherer
from sensorstream.monitor.judging import value_of
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.prometheus import Collector, text_of
from sensorstream.monitor.snapshot import BrokerState, Snapshot

SETTINGS = Settings(bootstrap=("nobody:1",))
BROKER = BrokerState(1, "nobody", 1, True, True, 0, 0, 0, None)


class Gathered(Gatherer):
    """A gatherer that asks nobody; each snapshot takes ``work_s`` of CPU time."""

    work_s = 0.0
    away = False
    error: Exception | None = None
    asked = 0

    def connect(self) -> None:
        Gathered.asked += 1
        if self.error is not None:
            raise self.error
        if self.away:
            raise ClusterUnreachable("nobody answers")

    def take(self) -> Snapshot:
        until_ = time.thread_time() + self.work_s
        while time.thread_time() < until_:
            pass
        return Snapshot(time.time(), 0.0, 1, True, controller=1, brokers=(BROKER,))


@pytest.fixture(autouse=True)
def _no_brokers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(observers, "Gatherer", Gathered)
    yield
    Gathered.work_s, Gathered.away, Gathered.error, Gathered.asked = 0.0, False, None, 0


def test_it_takes_no_more_than_its_share() -> None:
    Gathered.work_s, share = 0.02, 0.1
    began = time.monotonic()
    with Observer(SETTINGS, every_s=0.001, share=share) as observer:
        view = observer.wait(60)
        for _ in range(4):
            view = observer.wait(60, view)
            assert view is not None
        elapsed = time.monotonic() - began
        cost = 5 * Gathered.work_s
        assert cost <= share * elapsed + 2 * Gathered.work_s, "just the last one may not be paid for yet"


def test_it_pauses_refreshes_and_goes_on() -> None:
    with Observer(SETTINGS, every_s=0.01) as observer:
        assert observer.wait(60) is not None
        observer.pause()
        before = Gathered.asked
        # One that was due already may begin yet: it and the first that is asked for are two at the most.
        for more in (1, 2, 3):
            observer.refresh_now()
            until(lambda more=more: Gathered.asked >= before + more, "a snapshot that was asked for")  # type: ignore[misc]
        threading.Event().wait(0.5)
        assert Gathered.asked <= before + 4, "paused, it takes those that are asked for"
        observer.resume()
        until(lambda: Gathered.asked > before + 8, "more snapshots, as before the pause")


def test_it_keeps_the_last_answer_while_nobody_answers() -> None:
    with Observer(SETTINGS, every_s=0.01, share=1.0) as observer:
        assert observer.wait(60) is not None
        Gathered.away = True
        until(lambda: observer.view is not None and not observer.view.snapshot.reachable, "a view of no cluster", 60)
        view = observer.view
        assert view is not None
        assert [(one.id, one.alive, one.controller) for one in view.snapshot.brokers] == [(1, False, False)]
        assert view.snapshot.problems == ("nobody answers",)
        assert observer.error is not None
        Gathered.away = False
        until(lambda: observer.view is not None and observer.view.snapshot.reachable, "a view of the cluster", 60)
        assert observer.error is None


@pytest.mark.parametrize("error", [CredentialsRefused("wrong password"), NotAllowed("no right")])
def test_it_does_not_ask_again_with_credentials_that_are_refused(error: SensorstreamError) -> None:
    Gathered.error = error
    with Observer(SETTINGS, every_s=0.001, share=1.0) as observer:
        view = observer.wait(60)
        until(lambda: not cast(Any, observer)._thread.is_alive(), "it asks no more", 60)
        assert (Gathered.asked, observer.refused) == (1, error)
        assert view is not None
        assert value_of(parse("brokers < 3").comparisons[0], view, "g") == (None, error.message)


def test_an_error_of_a_broker_is_no_count_of_brokers() -> None:
    with Observer(SETTINGS, every_s=0.01, share=1.0) as observer:
        Gathered.error = BrokerError("not now")
        until(lambda: observer.error is not None, "the error", 60)
        view = observer.wait(60)
        assert view is not None
        assert (view.snapshot.refusal, observer.refused) == ("not now", None)
        assert value_of(parse("brokers < 3").comparisons[0], view, "g")[0] is None
        assert "kafka_brokers " not in text_of(Collector(lambda: view))
        Gathered.error = ClusterUnreachable("nobody answers")
        until(lambda: observer.view is not None and observer.view.snapshot.refusal is None, "nobody answers", 60)
        view = observer.view
        assert view is not None
        assert value_of(parse("brokers < 3").comparisons[0], view, "g") == (0, None)


def test_a_fault_of_its_own_is_told_and_does_not_end_it() -> None:
    Gathered.error = KeyError("x")
    with Observer(SETTINGS, every_s=0.01, share=1.0) as observer:
        until(lambda: observer.error is not None, "the fault", 60)
        assert "KeyError" in str(observer.error)
        assert observer.view is not None
        assert not observer.view.snapshot.reachable
        Gathered.error = None
        until(lambda: observer.view is not None and observer.view.snapshot.reachable, "a view of the cluster", 60)
        assert observer.error is None


def test_it_is_told_to_end_without_waiting_and_then_waited_for_within_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looking, answered = threading.Event(), threading.Event()

    class Waiting(Gathered):
        def take(self) -> Snapshot:
            looking.set()
            answered.wait(60)
            return super().take()

    monkeypatch.setattr(observers, "Gatherer", Waiting)
    monkeypatch.setattr(observers, "_END_S", 0.1)
    observer = Observer(SETTINGS)
    try:
        with observer:
            assert looking.wait(60)
            observer.stop()
            assert observer._thread.is_alive(), "it is not waited for"
        assert observer._thread.is_alive(), "nor for longer than the time"
    finally:
        answered.set()
    until(lambda: not observer._thread.is_alive(), "its end", 60)
