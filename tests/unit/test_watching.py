"""Waiting and guarding: how often is looked, when it ends, and what is told meanwhile."""

import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from running import until
from sensorstream.config import Settings
from sensorstream.errors import ClusterUnreachable, CredentialsRefused
from sensorstream.events import Event, Notice
from sensorstream.monitor import watching
from sensorstream.monitor.conditions import parse
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.snapshot import BrokerState, Snapshot
from sensorstream.monitor.view import View
from sensorstream.monitor.watching import ConditionWatcher, check, wait_until


def snapshot(at: float, brokers: int) -> Snapshot:
    alive = tuple(BrokerState(number, "h", 1, True, False, 0, 0, 0, None) for number in range(brokers))
    return Snapshot(at, 0.0, 1, True, brokers=alive)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Snapshot | Exception]:
    """What the cluster answers, look by look; the last one again and again."""
    answers: list[Snapshot | Exception] = []

    class Answering:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> "Answering":
            return self

        def __exit__(self, *_: object) -> None: ...

        def take(self) -> Snapshot:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(watching, "Gatherer", Answering)
    monkeypatch.setattr(watching, "EVERY_S", 0.01)
    return answers


def test_wait_sits_out_a_cluster_that_does_not_answer_yet(looks: list[Snapshot | Exception]) -> None:
    looks += [
        ClusterUnreachable("nobody"),
        ClusterUnreachable("nobody"),
        snapshot(1, 1),
        snapshot(2, 1),
        snapshot(3, 3),
    ]
    told: list[Event] = []
    found = wait_until(Settings(), parse("brokers == 3"), timeout_s=60, listener=told.append)
    assert (found.holds, found.reached, found.readings[0].value) == (True, True, 3)
    texts = [event.text for event in told if isinstance(event, Notice)]
    assert texts == ["waiting for brokers == 3: nobody", "waiting for brokers == 3: 1"], "each state is told once"


def test_wait_gives_up_and_says_whether_anybody_answered(looks: list[Snapshot | Exception]) -> None:
    looks += [snapshot(1, 1)]
    found = wait_until(Settings(), parse("brokers == 3"), timeout_s=0.05)
    assert (found.holds, found.reached) == (False, True)
    looks[:] = [ClusterUnreachable("nobody")]
    found = wait_until(Settings(), parse("brokers == 0"), timeout_s=0.05)
    assert (found.holds, found.reached, found.readings) == (False, False, ())


def test_wait_does_not_ask_again_with_credentials_that_are_refused(looks: list[Snapshot | Exception]) -> None:
    looks += [CredentialsRefused("no")]
    with pytest.raises(CredentialsRefused):
        wait_until(Settings(), parse("brokers == 3"))


def test_wait_is_ended_by_stop(looks: list[Snapshot | Exception]) -> None:
    looks += [snapshot(1, 1)]
    stop = threading.Event()
    stop.set()
    assert not wait_until(Settings(), parse("brokers == 3"), stop=stop).holds


def test_a_check_looks_once_or_until_it_is_settled(looks: list[Snapshot | Exception]) -> None:
    looks += [snapshot(1, 1), snapshot(2, 3)]
    (verdict,) = check(Settings(), [parse("brokers == 3")]).verdicts
    assert verdict.holds is False, "one look settles it"
    looks[:] = [snapshot(at, 3) for at in range(1, 9)]
    checked = check(Settings(), [parse("brokers == 3 for 5s"), parse("brokers == 1")])
    assert [one.holds for one in checked.verdicts] == [True, False]
    assert checked.view.snapshot.taken_at == 6
    looks[:] = [snapshot(1, 3), snapshot(2, 3), snapshot(3, 1), snapshot(4, 3)]
    (verdict,) = check(Settings(), [parse("brokers == 3 for 5s")]).verdicts
    assert verdict.holds is False, "it was not true all the time, so it is settled"


class Views:
    """An observer with these views, one after the other."""

    error = None

    def __init__(self, views: Sequence[View]) -> None:
        self._views: Iterator[View] = iter(views)

    def wait(self, timeout_s: float, after: View | None = None) -> View | None:
        return next(self._views, None)


def test_a_guard_calls_once_when_a_condition_holds() -> None:
    called: list[int] = []
    views = [View(snapshot(at, count)) for at, count in ((1, 3), (2, 3), (3, 2), (4, 2))]
    conditions = [parse("brokers < 3"), parse("brokers > 3")]
    with ConditionWatcher(cast(Observer, Views(views)), conditions, "g", lambda: called.append(1)) as guard:
        until(lambda: called, "it has fired", 60)
        until(lambda: not cast(Any, guard)._thread.is_alive(), "it looks no more", 60)
    assert called == [1]
    assert [one.condition for one in guard.fired] == ["brokers < 3"]
    assert guard.verdicts[0].readings[0].value == 2


def test_a_guard_that_sees_nothing_knows_nothing() -> None:
    silent = cast(Observer, SimpleNamespace(error=None, wait=lambda *_, **__: None))
    with ConditionWatcher(silent, [parse("brokers < 3")], "g", lambda: None) as guard:
        pass
    assert (guard.fired, guard.verdicts[0].holds) == ((), None)
