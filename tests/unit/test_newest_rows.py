"""The newest rows of a topic: bounded, live, with the latency of what was waited for; through outages."""

from collections.abc import Iterator

import pytest

from running import until
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import Settings
from sensorstream.errors import CredentialsRefused
from sensorstream.monitor import newest_rows
from sensorstream.monitor.newest_rows import VALUE_BYTES, NewestRows, light_settings

TOPIC = "AIR"


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    made = MemoryBroker()
    made.create_topic(TOPIC, 2)
    yield made
    made.start()


def put(broker: MemoryBroker, *values: bytes | None, partition: int = 0, timestamp_ms: int | None = None) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for value in values:
            publisher.publish(TOPIC, value, partition=partition, timestamp_ms=timestamp_ms)
        publisher.flush(5)


def reading(broker: MemoryBroker, partition: int | None = None, **bounds: int) -> NewestRows:
    return NewestRows(lambda: MemoryClient(broker), TOPIC, partition, **bounds)


def values(rows: NewestRows) -> list[bytes | None]:
    return [row.record.value for row in rows.rows()]


def test_what_is_there_comes_first_then_what_comes_with_its_latency(broker: MemoryBroker) -> None:
    put(broker, b"old")
    with reading(broker) as rows:
        until(lambda: values(rows) == [b"old"] and rows.state.kind == "reading", "the row that is there")
        put(broker, b"new", partition=1)
        until(lambda: values(rows) == [b"new", b"old"], "the new row, on top")
        new, old = rows.rows()
        assert old.latency_s is None, "its age is no latency"
        assert new.latency_s is not None
        assert [latency for _, latency in rows.latencies()] == [new.latency_s]


def test_of_one_partition_no_other_rows_come(broker: MemoryBroker) -> None:
    put(broker, b"other", partition=0)
    put(broker, b"this", partition=1)
    with reading(broker, 1) as rows:
        until(rows.rows, "a row")
        assert values(rows) == [b"this"]


def test_only_the_newest_are_kept_and_long_values_are_cut(broker: MemoryBroker) -> None:
    put(broker, *(b"%d" % number for number in range(100)), b"x" * (VALUE_BYTES + 1))
    with reading(broker, 0, most=5) as rows:
        until(lambda: len(rows.rows()) == 5, "five rows")
        newest = rows.rows()[0]
        assert newest.cut
        assert newest.record.value == b"x" * VALUE_BYTES
        assert values(rows)[1:] == [b"99", b"98", b"97", b"96"]


def test_more_rows_than_are_wanted_are_skipped_and_counted(broker: MemoryBroker) -> None:
    with reading(broker, 0, most=10, rate=20) as rows:
        until(lambda: rows.state.kind == "reading", "the beginning")
        put(broker, *(b"%d" % number for number in range(500)))
        until(lambda: values(rows)[:1] == [b"499"], "the newest row")
        until(lambda: rows.state.read + rows.state.skipped == 500, "the count of all rows")
        assert rows.state.skipped > 0
        assert len(rows.rows()) == 10


def test_rows_with_the_time_of_their_data_have_no_latency_and_are_counted(broker: MemoryBroker) -> None:
    with reading(broker) as rows:
        until(lambda: rows.state.kind == "reading", "the beginning")
        put(broker, b"of 2023", timestamp_ms=1_693_526_220_000)
        until(rows.rows, "the row")
        assert rows.rows()[0].latency_s is None
        assert rows.state.own_times == 1
        assert not rows.latencies()


def test_at_rest_nothing_is_read_and_awake_again_the_newest_comes(broker: MemoryBroker) -> None:
    with reading(broker, most=5) as rows:
        until(lambda: rows.state.kind == "reading", "the beginning")
        rows.rest()
        until(lambda: rows.state.kind == "resting", "rest")
        put(broker, *(b"%d" % number for number in range(50)))
        assert not rows.rows()
        rows.wake()
        until(lambda: values(rows)[:1] == [b"49"], "the newest row")
        assert rows.state.skipped > 0
        assert not rows.latencies(), "they lay there while nobody waited for them"


def test_an_outage_is_told_and_sat_out(broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_rows, "_LOOK_AGAIN_S", 0.05)
    put(broker, b"before")
    broker.stop()
    with reading(broker) as rows:
        until(lambda: rows.state.kind == "away", "word of the outage")
        broker.start()
        until(lambda: values(rows) == [b"before"], "the row")


def test_a_topic_that_is_not_there_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_rows, "_LOOK_AGAIN_S", 0.05)
    broker = MemoryBroker()
    with reading(broker) as rows:
        until(lambda: rows.state.text.startswith("waiting for the topic"), "word of it")
        broker.create_topic(TOPIC, 1)
        put(broker, b"first")
        until(lambda: values(rows) == [b"first"], "the row")


def test_a_fault_of_its_own_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> MemoryClient:
        raise CredentialsRefused("this user is turned away")

    with NewestRows(refuses, TOPIC) as rows:
        until(lambda: rows.state.kind == "failed", "the failure")
        assert "turned away" in rows.state.text


def test_its_client_fetches_little_ahead_and_what_the_user_has_set_stays() -> None:
    found = light_settings(Settings(client="kafka-python", properties={"fetch.max.bytes": "5"}))
    assert found.properties["fetch.max.bytes"] == "5"
    assert int(str(found.properties["max.partition.fetch.bytes"])) < 1_000_000
