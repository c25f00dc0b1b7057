"""What each answer of the page's server says. No browser in it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from page_labs import TOKEN, Lab, said
from page_views import RED, SCRIPT, view
from running import until
from sensorstream.errors import ClusterUnreachable, UsageError
from sensorstream.monitor.view import Progress
from sensorstream.monitor.web import server as serving
from sensorstream.monitor.web.app import STATIC
from sensorstream.monitor.web.server import check_token


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.broker.create_topic("AIR", 2)
    yield made
    made.reading.close()


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
