"""The page's server: who is let in, what its answers forbid, what each of them says. No browser in it."""

import asyncio
import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from page_views import RED, SCRIPT, view
from running import until
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import Settings, TopicSettings, sensor_topics
from sensorstream.errors import ClusterUnreachable, UsageError
from sensorstream.monitor.view import Progress, View
from sensorstream.monitor.web import server as serving
from sensorstream.monitor.web.access import CSP, AccessRules
from sensorstream.monitor.web.app import STATIC, Busy, Reading, make_app
from sensorstream.monitor.web.changes import Changes
from sensorstream.monitor.web.rows import Ask, Found
from sensorstream.monitor.web.server import PageOptions, PageServer, check_token, told
from sensorstream.monitor.web.watching import Watches

HERE = "http://127.0.0.1:8765"
TOKEN = "a-token-of-24-characters"
TOPICS = (*sensor_topics(), TopicSettings("PLAIN"))


class Shown:
    """A source of views that a test sets."""

    def __init__(self, now: View | None = None) -> None:
        self.view = now


class Lab:
    """A server in memory on a broker in memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.shown = Shown(view())
        self.settings = Settings(topics=TOPICS)
        self.reading = Reading(lambda: MemoryClient(self.broker), self.settings)
        self._publisher = MemoryClient(self.broker).publisher()

    def put(self, topic: str, *values: bytes | None, partition: int = 0, key: bytes | None = None) -> None:
        for value in values:
            self._publisher.publish(topic, value, partition=partition, key=key)

    @contextmanager
    def client(
        self, rules: AccessRules | None = None, *, changes: bool = False, base: str = HERE
    ) -> Iterator[TestClient]:
        app = make_app(
            self.shown,
            self.reading,
            rules or AccessRules.of("127.0.0.1", 8765),
            self.settings,
            changes=Changes(self.settings) if changes else None,
        )
        with TestClient(app, base_url=base, raise_server_exceptions=False, follow_redirects=False) as client:
            yield client


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.broker.create_topic("AIR", 2)
    yield made
    made.reading.close()


def said(client: TestClient, path: str, status: int = 200) -> Any:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


# Who is let in


@pytest.mark.parametrize("path", ["/", "/static/js/main.js", "/api/overview", "/api/nothing", "/static/../app.py"])
def test_every_answer_carries_the_policy(lab: Lab, path: str) -> None:
    with lab.client() as client:
        headers = client.get(path).headers
    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline() -> None:
    rules = dict(one.strip().split(" ", 1) for one in CSP.split(";"))
    assert rules["default-src"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in CSP


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:8765", 200),
        ("LOCALHOST:8765", 200),
        ("[::1]:8765", 200),
        ("localhost:9999", 200),  # through a tunnel
        ("evil.example:8765", 421),
        ("127.0.0.1.evil.example:8765", 421),
        ("localhost.evil.example", 421),
        ("192.168.1.7:8765", 421),
        ("localhost@evil.example", 421),
        ("evil.example/localhost", 421),
        ("localhost:x", 421),
        ("", 421),
    ],
)
def test_a_name_that_was_pointed_here_is_not_answered(lab: Lab, host: str, status: int) -> None:
    with lab.client() as client:
        assert client.get("/api/about", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("192.168.1.7:8765", 200), ("box:8765", 200), ("BOX.:8765", 200), ("evil.example:8765", 421)],
)
def test_beyond_the_loopback_addresses_and_own_names_are_answered(lab: Lab, host: str, status: int) -> None:
    with lab.client(AccessRules.of("0.0.0.0", 8765, ["box"], TOKEN)) as client:
        answer = client.get("/api/about", headers={"host": host, "authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (HERE, 200),
        ("https://127.0.0.1:8765", 200),  # TLS before it
        ("http://127.0.0.1:9999", 403),
        ("http://localhost:8765", 403),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
def test_pages_of_other_origins_are_turned_away(lab: Lab, origin: str, status: int) -> None:
    with lab.client() as client:
        assert client.get("/api/about", headers={"origin": origin}).status_code == status


def test_what_the_browser_says_of_other_sites_counts(lab: Lab) -> None:
    with lab.client() as client:
        cross = {"sec-fetch-site": "cross-site"}
        assert client.get("/api/overview", headers=cross).status_code == 403
        assert client.get("/", headers=cross).status_code == 200, "a link to the page is no harm"


def test_without_a_token_nothing_is_told(lab: Lab) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN)) as client:
        for path in ("/", "/static/js/main.js", "/api/overview", "/api/events", f"/api/overview?token={TOKEN}"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/?token=wrong").status_code == 401
        assert client.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_the_token_moves_from_the_address_into_a_cookie(lab: Lab) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN)) as client:
        answer = client.get(f"/?token={TOKEN}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        assert "sensorstream-8765" in cookie
        assert client.get("/").status_code == 200
        assert said(client, "/api/about")["changes"] is False
        client.cookies.clear()
        assert client.get("/api/about", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("before", ['foo={"a": 1}; ', "a b=c; ", "[x]=1; =; ", 'q="; ', ""])
@pytest.mark.parametrize("after", ["", '; bar={"b": [2]}'])
def test_cookies_of_other_programs_are_passed_over(lab: Lab, before: str, after: str) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN)) as client:
        cookies = f"{before}sensorstream-8765={TOKEN}{after}"
        assert client.get("/", headers={"cookie": cookies}).status_code == 200
        assert client.get("/", headers={"cookie": cookies.replace(TOKEN, "wrong")}).status_code == 401


def test_the_address_opens_from_a_page_of_another_site(lab: Lab) -> None:
    """A browser names the other site with the redirect's question, too, and sends a lax cookie with it."""
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN)) as client:
        cross = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        moved = client.get(f"/?token={TOKEN}", headers=cross)
        assert (moved.status_code, moved.headers["location"]) == (303, "/")
        assert "samesite=lax" in moved.headers["set-cookie"].lower()
        assert client.get("/", headers=cross).status_code == 200


def test_a_change_from_another_site_is_refused_though_it_has_the_cookie(lab: Lab) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN), changes=True) as client:
        assert client.get(f"/?token={TOKEN}").status_code == 303
        path, body = "/api/changes/delete-topic", {"name": "AIR", "confirm": "AIR"}
        for headers in (
            {"origin": "http://evil.example"},
            {"origin": "http://127.0.0.1:9999"},
            {"origin": "null"},
            {"origin": HERE, "sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "cross-site"},
            {},
        ):
            assert client.post(path, json=body, headers=headers).status_code == 403, headers


def test_methods_that_are_not_there_are_refused(lab: Lab) -> None:
    with lab.client() as client:
        assert client.request("OPTIONS", "/api/about").status_code == 403
        assert client.post("/api/overview", headers={"origin": HERE}).status_code == 405


# Changes


def test_it_only_reads_unless_it_is_told(lab: Lab) -> None:
    with lab.client() as client:
        answer = client.post("/api/changes/create-topic", json={"name": "NEW"}, headers={"origin": HERE})
    assert answer.status_code == 403
    assert "--allow-changes" in answer.json()["error"]


def test_a_change_needs_token_origin_and_json(lab: Lab) -> None:
    with lab.client(AccessRules.of("127.0.0.1", 8765, token=TOKEN), changes=True) as client:
        path, body, known = "/api/changes/delete-topic", {"name": "AIR"}, {"authorization": f"Bearer {TOKEN}"}
        assert client.post(path, json=body, headers={"origin": HERE}).status_code == 401
        assert client.post(path, json=body, headers=known).status_code == 403, "no origin"
        assert client.post(path, json=body, headers={**known, "origin": "http://evil.example"}).status_code == 403
        let_in = {**known, "origin": HERE}
        assert client.post(path, content=b"name=AIR", headers=let_in).status_code == 415
        assert client.post("/api/changes/drop-all", json={}, headers=let_in).status_code == 404
        assert (
            client.post(path, content=b"{" * 20_000, headers={**let_in, "content-type": "application/json"}).status_code
            == 413
        )
        assert client.post(path, json=["AIR"], headers=let_in).status_code == 400
        answer = client.post(path, json=body, headers=let_in)
        assert answer.status_code == 400
        assert "not confirmed" in answer.json()["error"]
        wrong = {"name": "NEW", "partitions": 0, "replication_factor": True}
        assert client.post("/api/changes/create-topic", json=wrong, headers=let_in).status_code == 400
        assert client.post("/api/changes/create-topic", json={"name": "../x"}, headers=let_in).status_code == 400


# What is told


def test_before_the_first_look_it_says_so(lab: Lab) -> None:
    lab.shown.view = None
    with lab.client() as client:
        assert "not been looked at" in said(client, "/api/overview", 503)["error"]
        assert said(client, "/api/topic?name=AIR", 503)
        assert client.get("/").status_code == 200


def test_overview(lab: Lab) -> None:
    lab.shown.view = view(dead=[2])
    with lab.client() as client:
        told = said(client, "/api/overview")
    assert [(one["id"], one["alive"], one["leaders"]) for one in told["brokers"]] == [
        (1, True, 3),
        (2, False, 1),
        (3, True, 2),
    ]
    assert told["under_replicated"] == 4
    assert [one["name"] for one in told["groups"]] == [SCRIPT, RED]
    assert [one["lag"] for one in told["groups"]] == [40, None], "what is not known is no 0"
    assert told["series"]["rate"]["y"] == [0.0, None, 20.0]
    assert [one["name"] for one in told["series"]["topics"]] == ["AIR", "POSTS_SCORED"]


def test_of_all_groups_nothing_is_known_where_it_is_not_known_of_one(lab: Lab) -> None:
    known, unknown = lab.shown.view.snapshot.groups if lab.shown.view else ()
    progress = Progress(40, 10.0, 12.0, 0.0, 4.0, "OK")

    def shown(**ages: float | None) -> tuple[float | None, float | None]:
        made = view()
        groups = {"known": known, "unknown": unknown}
        lab.shown.view = replace(
            made,
            snapshot=replace(made.snapshot, groups=tuple(groups[name] for name in ages)),
            group_progress={
                groups[name].name: replace(progress, lag=40 if name == "known" else None, age_s=age)
                for name, age in ages.items()
            },
        )
        told = said(client, "/api/overview")
        return told["lag"], told["oldest_s"]

    with lab.client() as client:
        assert shown(known=0.0, unknown=None) == (None, None)
        assert shown(known=4.0) == (40, 4.0)
        assert shown(known=None) == (40, None)
        assert shown() == (0, None)


def test_broker_topic_and_group(lab: Lab) -> None:
    with lab.client() as client:
        broker = said(client, "/api/broker?id=1")
        assert {(one["topic"], one["partition"]) for one in broker["parts"] if one["leads"]} == {
            ("AIR", 0),
            ("POSTS_SCORED", 0),
            ("__consumer_offsets", 0),
        }
        topic = said(client, "/api/topic?name=AIR")
        assert [(one["leader"], one["isr"], one["end_offset"]) for one in topic["parts"]] == [
            (1, [1, 2, 3], 100),
            (2, [2, 3, 1], 200),
        ]
        assert [one["rate"] for one in topic["parts"]] == [11.0, None]
        assert {one["name"]: one["lag"] for one in topic["groups"]} == {SCRIPT: 40, RED: None}
        (group,) = said(client, f"/api/group?name={SCRIPT}")["parts"]
        assert (group["lag"], group["status"], group["consumer_id"]) == (40, "OK", "client-1")
        for path in ("broker?id=9", "topic?name=GONE", "group?name=x", "topic"):
            assert "cluster has no" in said(client, f"/api/{path}", 404)["error"]


def test_rows_newest_first_by_offset_and_by_time(lab: Lab) -> None:
    lab.put("AIR", *(b'{"n":%d,"s":"x"}' % number for number in range(30)))
    with lab.client() as client:
        newest = said(client, "/api/rows?topic=AIR&limit=5")
        assert [row["offset"] for row in newest["rows"]] == [29, 28, 27, 26, 25]
        assert newest["columns"] == [{"name": "n", "numeric": True}, {"name": "s", "numeric": False}]
        assert newest["rows"][0]["cells"] == ["29", "x"]
        assert newest["bounds"] == [{"partition": 0, "first": 0, "end": 30}, {"partition": 1, "first": 0, "end": 0}]
        by_offset = said(client, "/api/rows?topic=AIR&partition=0&from=offset&value=7&limit=3")
        assert [row["offset"] for row in by_offset["rows"]] == [7, 8, 9]
        at = by_offset["rows"][0]["timestamp_ms"]
        by_time = said(client, f"/api/rows?topic=AIR&partition=0&from=time&value={at}&limit=30")
        assert all(row["timestamp_ms"] >= at for row in by_time["rows"])
        assert said(client, "/api/rows?topic=AIR&partition=0&from=offset&value=999")["rows"] == []


def test_values_stay_what_they_are(lab: Lab) -> None:
    lab.put("AIR", f'{{"a":"{SCRIPT}","b":"{RED}","c":1.50,"d":null,"e":"\\ud800"}}'.encode(), key=b"<b>\xff")
    lab.put("AIR", b"plain \x00 text", b"\xff\xfe", None, b"\x00\x00\x00\x00\x07x")
    lab.put("AIR", b'{"long":"' + b"x" * 5000 + b'"}')
    with lab.client() as client:
        told = said(client, "/api/rows?topic=AIR&partition=0&from=offset&value=0")
        assert client.get("/api/rows?topic=AIR").headers["content-type"] == "application/json"
    names = [one["name"] for one in told["columns"]]
    rows = [dict(zip(names, row["cells"], strict=True)) for row in told["rows"]]
    assert (rows[0]["a"], rows[0]["b"], rows[0]["c"], rows[0]["d"]) == (SCRIPT, RED, "1.50", None)
    assert rows[0]["e"] == "\\ud800"
    assert told["rows"][0]["key"] == "<b>\\xff"
    assert rows[1]["value"] == "plain \x00 text"
    assert "JSON" in told["rows"][1]["reason"]
    assert rows[2]["value"] == "//4="
    assert "tombstone" in told["rows"][3]["reason"]
    assert told["rows"][4]["reason"]
    assert len(rows[5]["long"]) == 2001


@pytest.mark.parametrize(
    "query",
    [
        "topic=../etc",
        "topic=",
        "topic=AIR&from=offset&value=-1",
        "topic=AIR&from=offset&value=1e3",
        "topic=AIR&from=time&value=never",
        "topic=AIR&from=nowhere",
        "topic=AIR&partition=7",
        "topic=AIR&partition=-1",
        "topic=AIR&limit=x",
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_a_line(lab: Lab, query: str) -> None:
    with lab.client() as client:
        told = said(client, f"/api/rows?{query}", 400)
    assert told["error"]
    assert "\n" not in told["error"]


def test_a_topic_that_is_not_there_and_a_cluster_that_is_gone(lab: Lab) -> None:
    with lab.client() as client:
        assert said(client, "/api/rows?topic=GONE", 404)
        lab.broker.stop()
        assert said(client, "/api/rows?topic=AIR", 503)["error"]
        lab.broker.start()
        assert said(client, "/api/rows?topic=AIR")["rows"] == []


def test_curves_by_station_at_the_rows_own_times(lab: Lab) -> None:
    for minute, station, pm in ((0, "A", "1.5"), (1, "A", "2.5"), (0, "B", "9"), (1, "B", "null")):
        lab.put(
            "AIR",
            b'{"Time":"31/08/2023 10:%02d:00","Station":"%s","PM2.5":%s}' % (minute, station.encode(), pm.encode()),
        )
    with lab.client() as client:
        told = said(client, "/api/curves?topic=AIR")
        assert (told["by"], told["choices"], told["time"]) == ("Station", ["Station"], "Time")
        assert told["x"] == [1693476000.0, 1693476060.0]
        (plot,) = told["plots"]
        assert plot == {"field": "PM2.5", "lines": [{"name": "A", "y": [1.5, 2.5]}, {"name": "B", "y": [9.0, None]}]}
        (one,) = said(client, "/api/curves?topic=AIR&by=")["plots"][0]["lines"]
        assert one["name"] == "AIR"


def test_rows_without_numbers_or_times_make_no_curves(lab: Lab) -> None:
    lab.put("AIR", b'{"a":"x"}', b"no json", b'{"n":"1"}')
    with lab.client() as client:
        told = said(client, "/api/curves?topic=AIR")
    assert (told["plots"], told["time"]) == ([], None)


def test_latency_is_measured_from_the_end_on(lab: Lab) -> None:
    lab.put("AIR", b"{}")
    with lab.client() as client:
        until(lambda: "from its end" in said(client, "/api/latency?topic=AIR")["state"], "a reader at the end", 20)
        lab.put("AIR", b"{}", b"{}")
        until(lambda: said(client, "/api/latency?topic=AIR")["samples"] == 2, "two samples", 20)
        told = said(client, "/api/latency?topic=AIR")
        assert 0 <= told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]
        assert said(client, "/api/latency?topic=GONE", 404)


def test_sentiment_by_page(lab: Lab) -> None:
    lab.broker.create_topic("POSTS_SCORED", 1)
    for page, label, compound in ((SCRIPT, "positive", "0.5"), (RED, "negative", "-0.5"), (SCRIPT, "neutral", "0.0")):
        lab.put(
            "POSTS_SCORED",
            json.dumps({"page": page, "text": "t", "label": label, "compound": 0, "status": "ok"})
            .replace('"compound": 0', f'"compound": {compound}')
            .encode(),
        )
    lab.put("POSTS_SCORED", b'{"page":"none"}')
    with lab.client() as client:
        path = "/api/sentiment?topic=POSTS_SCORED"
        until(lambda: said(client, path)["posts"] == 3, "three posts", 20)
        told = said(client, path)
    assert [(one["page"], one["posts"], one["mean"]) for one in told["pages"]] == [(SCRIPT, 2, 0.25), (RED, 1, -0.5)]
    assert told["counts"] == {"positive": 1, "neutral": 1, "negative": 1, "unscored": 0}
    assert told["unusable"] == 1
    assert len(told["latest"]) == 3


# The files of the page


def test_no_file_of_the_page_asks_another_host_or_makes_markup() -> None:
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", index)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", index), "nothing inline"
    for path in sorted((STATIC / "js").glob("*.js")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), (
            path.name
        )
    assert not re.search(r"url\((?!\"icon\.svg\")", (STATIC / "page.css").read_text(encoding="utf-8"))


def test_what_is_vendored_has_its_licence() -> None:
    vendored = {path.name for path in (STATIC / "vendor").iterdir()}
    assert vendored == {"uPlot-1.6.32.iife.min.js", "uPlot-1.6.32.min.css", "uPlot-LICENSE.txt"}
    notices = (Path(__file__).parents[2] / "THIRD_PARTY.md").read_text(encoding="utf-8")
    assert "uPlot 1.6.32" in notices


# The server on a real socket


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


# Small parts


def test_tokens() -> None:
    assert check_token(TOKEN) == TOKEN
    for wrong in ("short", "x" * 15, "with spaces in it all", "with;semicolons;in;it", "ümlautümlautümlaut"):
        with pytest.raises(UsageError):
            check_token(wrong)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match="not installed") as found:
        serving.require_web()
    assert "sensorstream[monitor]" in found.value.hint


def test_unreachable_is_an_answer_and_not_an_end(lab: Lab) -> None:
    lab.shown.view = view(reachable=False)
    with lab.client() as client:
        told = said(client, "/api/overview")
        assert told["reachable"] is False
        assert told["problems"] == ["nobody answers"]
    assert ClusterUnreachable.exit_code == 3
