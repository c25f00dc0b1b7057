"""How a watched command ends: refused credentials, and somebody who stops it before anything is settled."""

import threading
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from rich.console import Console

from sensorstream.cli import fail_if, metrics, monitor_screen
from sensorstream.cli.session import Session
from sensorstream.errors import CredentialsRefused, Interrupted, NotAllowed
from sensorstream.events import Event, Notice
from sensorstream.monitor import gather, watching
from sensorstream.monitor import observer as observers
from sensorstream.monitor.gather import Gatherer
from sensorstream.monitor.snapshot import BrokerState, Snapshot
from sensorstream.monitor.web import server
from sensorstream.monitor.web.server import PageOptions

SNAPSHOT = Snapshot(1.0, 0.0, 1, True, brokers=(BrokerState(1, "h", 1, True, True, 0, 0, 0, None),))


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", "127.0.0.1:1")
    return Session("monitor", quiet=True)


class Refused(Gatherer):
    """Its brokers refuse the credentials."""

    def connect(self) -> None:
        raise CredentialsRefused("wrong password")


@pytest.mark.parametrize("text", ["brokers < 3", "lag > 10"])
def test_refused_credentials_end_a_watch_and_fire_no_condition(
    text: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "Gatherer", Refused)
    with pytest.raises(CredentialsRefused, match="wrong password"):
        fail_if.watch(session, fail_if.conditions([text]))


def test_refused_credentials_end_the_page(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "Gatherer", Refused)
    with pytest.raises(CredentialsRefused, match="wrong password"):
        server.serve(session.settings, PageOptions(port=0), threading.Event())


def test_refused_credentials_end_the_screen(session: Session) -> None:
    stop = threading.Event()
    observer = cast(observers.Observer, SimpleNamespace(refused=CredentialsRefused("no")))
    monitor_screen._stop_when_refused(observer, stop, threading.Event())
    assert stop.is_set()


def test_metrics_once_tell_the_cluster_where_the_jobs_can_not_be_read(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: Session) -> NoReturn:
        raise NotAllowed("no right to read _sensorstream_jobs")

    told: list[Event] = []
    monkeypatch.setattr(Session, "listener", told.append)
    monkeypatch.setattr(metrics, "_jobs", refuse)
    monkeypatch.setattr(gather, "take", lambda *_, **__: SNAPSHOT)
    outcome = metrics._once(session)
    assert outcome.text is not None
    outcome.text(Console())
    assert "kafka_brokers 1.0" in capsys.readouterr().out
    assert any(isinstance(one, Notice) and "_sensorstream_jobs" in one.text for one in told)


def test_a_check_that_is_stopped_has_found_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping:
        """Somebody stops the command at the first look."""

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> "Stopping":
            return self

        def __exit__(self, *_: object) -> None: ...

        def take(self) -> Snapshot:
            session.stop.set()
            return SNAPSHOT

    monkeypatch.setattr(watching, "Gatherer", Stopping)
    with pytest.raises(Interrupted):
        fail_if.look(session, 0.0, fail_if.conditions(["brokers < 3 for 60s"]))
    session.stop.clear()
    with pytest.raises(Interrupted):
        fail_if.look(session, 60.0, fail_if.conditions(["brokers < 1 for 60s"]))
    session.stop.clear()
    assert fail_if.look(session, 60.0, fail_if.conditions(["brokers < 3"])).verdicts[0].holds, "it holds all the same"
