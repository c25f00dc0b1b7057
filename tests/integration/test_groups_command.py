"""``groups``, ``lag --for`` and ``monitor --once`` on real brokers."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from looking import commit, topic_of_its_own
from running import until
from sensorstream import admin
from sensorstream.cli.app import run
from sensorstream.clients import open_client
from sensorstream.clients.base import Rebalance
from sensorstream.config import Settings
from sensorstream.records import TopicPartition, commit_note

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("patient_looks")]
NOTE = commit_note("AIR_Consumer_0", "laptop")


@pytest.fixture
def topic(settings: Settings) -> Iterator[str]:
    """Two partitions, ten rows each, a second apart, and a group of the same name that has read three of the first."""
    with topic_of_its_own(settings, "groups") as name:
        client = open_client(settings)
        with client.publisher() as publisher:
            for number in range(20):
                publisher.publish(name, b"x", partition=number % 2, timestamp_ms=1_693_526_340_000 + number // 2 * 1000)
        with client.reader(group=name) as reader:
            commit(reader, {TopicPartition(name, 0): 3}, NOTE)
        yield name


class Program:
    """Runs commands in this process."""

    def __init__(self, broker: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
        self._connection = ["-b", ",".join(broker)]
        self._capsys = capsys

    def json(self, *words: str) -> Any:
        assert run([*words, *self._connection, "--output", "json"]) == 0
        return json.loads(self._capsys.readouterr().out)["result"]

    def refused(self, code: int, *words: str) -> str:
        assert run([*words, *self._connection]) == code
        return self._capsys.readouterr().err

    def text(self, *words: str) -> str:
        assert run([*words, *self._connection]) == 0
        return self._capsys.readouterr().out


@pytest.fixture
def program(broker: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(broker, capsys)


def committed(settings: Settings, group: str) -> dict[int, tuple[int, str]]:
    return {where.partition: one for where, one in admin.describe_group(settings, group).committed.items()}


def test_a_reset_is_shown_first_and_done_when_confirmed(program: Program, settings: Settings, topic: str) -> None:
    plan = program.json("groups", "reset", topic, "--to", "beginning")
    assert plan == {
        "group": topic,
        "state": "Empty",
        "executed": False,
        "blocked": None,
        "partitions": [
            {"topic": topic, "partition": 0, "before": 3, "after": 0, "first_offset": 0, "end_offset": 10},
        ],
    }
    assert committed(settings, topic) == {0: (3, NOTE)}, "nothing was changed"
    assert "nothing was changed; add --yes" in program.text("groups", "reset", topic, "-o", "end")
    places = [("-o", "-2", 8), ("-o", "99", 10), ("--shift-by", "-99", 0), ("-o", "@now", 10)]
    places += [("-o", "@1693526344500", 5)]
    for option, value, after in places:
        assert program.json("groups", "reset", topic, option, value)["partitions"][0]["after"] == after, value
    done = program.json("groups", "reset", topic, "--shift-by", "2", "-t", topic, "-p", "0", "--yes")
    assert done["executed"]
    assert committed(settings, topic) == {0: (5, NOTE)}, "who reads it is still known"
    program.json("groups", "reset", topic, "--to", "-1", "-t", topic, "--yes")
    assert committed(settings, topic) == {0: (9, NOTE), 1: (9, "")}


def test_a_reset_is_refused_while_somebody_reads(program: Program, settings: Settings, topic: str) -> None:
    owned: set[TopicPartition] = set()

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        owned.update(partitions)
        return dict.fromkeys(owned, 0)

    with open_client(settings).reader(group=topic, client_id="lab-7") as reader:
        reader.subscribe([topic], Rebalance(assigned, lambda _: None, lambda _: None))
        until(lambda: reader.poll(0.2) is not None and len(owned) == 2, "an assignment")
        plan = program.json("groups", "reset", topic, "--to", "end")
        assert "lab-7" in plan["blocked"]
        said = program.refused(1, "groups", "reset", topic, "--to", "end", "--yes")
        assert "live member" in said
        assert "lab-7" in program.refused(1, "groups", "delete", topic, "--yes")
        shown = program.json("groups", "describe", topic)
        assert [one["client_id"] for one in shown["members"]] == ["lab-7"]
        assert shown["members"][0]["partitions"] == [[topic, 0], [topic, 1]]
    assert committed(settings, topic) == {0: (3, NOTE)}


def test_wrong_resets_are_usage_errors(program: Program, topic: str) -> None:
    assert "--shift-by" in program.refused(2, "groups", "reset", topic)
    assert "--shift-by" in program.refused(2, "groups", "reset", topic, "--to", "end", "--shift-by", "1")
    assert "no offset" in program.refused(2, "groups", "reset", topic, "--to", "soon")
    assert topic in program.refused(2, "groups", "reset", f"{topic}x", "--to", "end")
    assert "partition 7" in program.refused(2, "groups", "reset", topic, "--to", "end", "-p", "7")
    assert f"{topic}[1]" in program.refused(2, "groups", "reset", topic, "--shift-by", "1", "-t", topic)


def test_groups_are_listed_and_deleted(program: Program, topic: str) -> None:
    listed = {one["group"]: one for one in program.json("groups", "list")["groups"]}
    row = listed[topic]
    assert (row["state"], row["members"], row["topics"], row["total_lag"]) == ("Empty", 0, [topic], 7)
    assert topic in program.text("groups", "list")
    assert "AIR_Consumer_0" in program.text("groups", "describe", topic)
    assert "--yes" in program.refused(2, "groups", "delete", topic)
    assert program.json("groups", "delete", topic, "--yes") == {"deleted": [topic]}
    assert topic not in {one["group"] for one in program.json("groups", "list")["groups"]}
    assert topic in program.refused(2, "groups", "delete", topic, "--yes")
    assert topic in program.refused(2, "groups", "describe", topic)


def test_lag_and_monitor_watch_for_a_while(program: Program, topic: str) -> None:
    shown = program.json("lag", "-g", topic, "--for", "400ms")
    assert (shown["group"], shown["total_lag"], shown["members"], shown["status"]) == (topic, 7, 0, "UNKNOWN")
    (row,) = shown["partitions"]
    assert (row["consumer_id"], row["lag"], row["rate_in"], row["rate_out"]) == ("AIR_Consumer_0", 7, 0, 0)
    assert row["age_s"] > 24 * 3600, "the row was recorded in 2023"
    assert "CATCH-UP" in program.text("lag", "-g", topic, "--for", "100ms")
    assert topic in program.refused(2, "lag", "-g", f"{topic}x", "--for", "100ms")
    seen = program.json("monitor", "--once", "--for", "400ms")
    assert seen["reachable"]
    assert [one["alive"] for one in seen["brokers"]] == [True] * 3
    (found,) = [one for one in seen["topics"] if one["name"] == topic]
    assert (found["rows"], found["rate"], len(found["partitions"])) == (20, 0, 2)
    assert found["size_bytes"] > 0
    text = program.text("monitor", "--once")
    assert "3 of 3 brokers alive" in text
    assert topic in text
