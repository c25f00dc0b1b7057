"""The page's server on a real socket: how it begins, what it sends by itself, and how it ends."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from page_labs import TOKEN, Lab, Shown, said
from page_views import view
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import Settings
from sensorstream.errors import UsageError
from sensorstream.monitor.web.app import Busy
from sensorstream.monitor.web.rows import Ask, Found
from sensorstream.monitor.web.server import PageOptions, PageServer, told
from sensorstream.monitor.web.watching import Watches


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.broker.create_topic("AIR", 2)
    yield made
    made.reading.close()


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    broker = MemoryBroker()
    monkeypatch.setattr("sensorstream.clients.open_client", lambda *_: MemoryClient(broker))
    return broker


def test_events_come_as_views_do(memory: MemoryBroker) -> None:
    shown = Shown(view(at=1.0))
    with PageServer(shown, Settings(), PageOptions(port=0)) as server:
        port = int(server.address.rstrip("/").rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/api/events")
        answer = connection.getresponse()
        assert answer.getheader("content-type", "").startswith("text/event-stream")

        def next_of(kind: bytes) -> Any:
            while answer.readline().strip() != b"event: " + kind:
                pass
            return json.loads(answer.readline().removeprefix(b"data: "))

        assert next_of(b"view")["taken_at"] == 1.0
        assert next_of(b"beat") == {}, "a silent server is a dead one"
        shown.view = view(at=2.0, dead=[2])
        told = next_of(b"view")
        assert told["taken_at"] == 2.0
        assert [one["alive"] for one in told["brokers"]] == [True, False, True]
        assert b"<script>" in json.dumps(told).encode(), "a name is a name"
        connection.close()


def test_it_ends_while_pages_are_open(memory: MemoryBroker) -> None:
    server = PageServer(Shown(view()), Settings(), PageOptions(port=0))
    with server:
        connection = http.client.HTTPConnection(
            "127.0.0.1", int(server.address.rstrip("/").rpartition(":")[2]), timeout=30
        )
        connection.request("GET", "/api/events")
        assert connection.getresponse().readline()
    assert not server.running
    connection.close()


def test_an_address_that_is_taken_is_told(memory: MemoryBroker) -> None:
    with PageServer(Shown(), Settings(), PageOptions(port=0)) as server:
        port = int(server.address.rstrip("/").rpartition(":")[2])
        with pytest.raises(UsageError, match="can't be used"):
            PageServer(Shown(), Settings(), PageOptions(port=port))


def test_what_is_said_at_the_start(memory: MemoryBroker) -> None:
    options = PageOptions(port=0)
    with PageServer(Shown(), Settings(), options) as server:
        (only,) = told(server, options)
        assert "token" not in only.text
    options = PageOptions(port=0, allow_changes=True)
    with PageServer(Shown(), Settings(), options) as server:
        texts = [one.text for one in told(server, options)]
        assert "?token=" in texts[0]
        assert len(texts) == 2
    options = PageOptions(host="0.0.0.0", port=0, token=TOKEN)
    with PageServer(Shown(), Settings(), options) as server:
        texts = [one.text for one in told(server, options)]
        assert TOKEN in texts[0]
        assert "not encrypted" in texts[1]


def test_watches_are_closed_when_nobody_asks(lab: Lab) -> None:
    before = {thread.name for thread in threading.enumerate()}
    assert "latency-tail" not in before
    with lab.client() as client:
        said(client, "/api/latency?topic=AIR")
        watches = lab.reading.watches
        watches._clock = lambda: 1e12
        watches.sweep()
    assert "latency-tail" not in {thread.name for thread in threading.enumerate()}


class Stubborn:
    """A watch that waits for a broker that is away: it does not end by itself."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.waited = 0.0
        self.seen: list[bool] = []
        self.others: list[Stubborn] = []

    def payload(self) -> dict[str, Any]:
        return {}

    def stop(self) -> None:
        self.stopped.set()

    def close(self, within_s: float = 60.0) -> None:
        self.waited = within_s
        self.seen += [one.stopped.is_set() for one in self.others]
        threading.Event().wait(within_s)


def test_watches_end_together_and_within_the_time_of_one() -> None:
    made = [Stubborn() for _ in range(4)]
    waiting = iter(made)
    watches = Watches(lambda *_: next(waiting))
    for number, one in enumerate(made):
        one.others = made
        watches.payload("latency", f"T{number}")
    watches.close(0.5)
    assert sum(one.waited for one in made) < 1.0, "they share the time"
    assert all(one.seen and all(one.seen) for one in made), "each was told before any was waited for"


def test_the_end_does_not_work_off_the_questions_that_wait(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, began, go_on = lab.reading, threading.Event(), threading.Event()
    asked: list[Ask] = []

    def read(ask: Ask) -> Found:
        asked.append(ask)
        began.set()
        go_on.wait(60)
        return Found((), {}, 1, True)

    monkeypatch.setattr(reading._rows, "read", read)

    async def ask_and_end() -> list[object]:
        questions = [asyncio.ensure_future(reading.rows(Ask("AIR"))) for _ in range(4)]
        await asyncio.to_thread(began.wait, 60)
        reading.stop()
        late = asyncio.ensure_future(reading.rows(Ask("AIR")))
        await asyncio.wait([*questions[1:], late], timeout=60)
        reading.close(0.1)  # it does not wait for the one that is being read
        go_on.set()
        return await asyncio.gather(*questions, late, return_exceptions=True)

    first, *others = asyncio.run(ask_and_end())
    assert isinstance(first, Found)
    assert [type(one) for one in others] == [Busy] * 4
    assert len(asked) == 1


def test_rows_ask_the_cluster_nothing_more_once_they_are_stopped(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = lab.reading
    asyncio.run(reading.rows(Ask("AIR")))
    reader = reading._rows._reader
    assert reader is not None

    def away(*_: object) -> Any:
        reading.stop()
        return {}

    def unasked(*_: object) -> Any:
        pytest.fail("it has asked on")

    monkeypatch.setattr(reader, "beginning_offsets", away)
    monkeypatch.setattr(reader, "end_offsets", unasked)
    assert reading._rows.read(Ask("AIR")) == Found((), {}, 2, False)
