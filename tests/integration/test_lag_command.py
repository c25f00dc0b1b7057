"""Lag on real brokers: of live members, of pinned consumers, of stopped ones."""

import json
from collections.abc import Iterator, Sequence

import pytest

from looking import commit, topic_of_its_own
from running import until
from sensorstream.cli.app import run
from sensorstream.clients import open_client
from sensorstream.clients.base import Rebalance
from sensorstream.config import Settings
from sensorstream.errors import UsageError
from sensorstream.monitor.lag import group_lag
from sensorstream.records import TopicPartition, commit_note

pytestmark = pytest.mark.broker
NOTE = commit_note("AIR_Consumer_0", "laptop")


@pytest.fixture
def topic(settings: Settings) -> Iterator[str]:
    with topic_of_its_own(settings, "lag") as name:
        with open_client(settings).publisher() as publisher:
            for number in range(10):
                publisher.publish(name, b"x", partition=number % 2)
        yield name


def test_a_pinned_consumer_is_shown_while_it_runs_and_after_it_stopped(settings: Settings, topic: str) -> None:
    group = f"{topic}-pinned"
    with open_client(settings).reader(group=group) as reader:
        reader.assign({TopicPartition(topic, 0): 0})
        commit(reader, {TopicPartition(topic, 0): 2}, NOTE)
        running = group_lag(settings, group)
    assert running == group_lag(settings, group)
    (row,) = running.partitions
    assert (row.topic, row.partition, row.consumer_id, row.host) == (topic, 0, "AIR_Consumer_0", "laptop")
    assert (row.current_offset, row.end_offset, row.lag) == (2, 5, 3)
    assert (running.state, running.total_lag) == ("Empty", 3)


def test_a_live_member_is_shown_with_its_host_and_an_uncommitted_partition_as_unknown(
    settings: Settings, topic: str
) -> None:
    group = f"{topic}-live"
    owned: set[TopicPartition] = set()

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        owned.update(partitions)
        return dict.fromkeys(owned, 0)

    with open_client(settings).reader(group=group, client_id="lab-7") as reader:
        reader.subscribe([topic], Rebalance(assigned, lambda _: None, lambda _: None))
        until(lambda: reader.poll(0.2) is not None and len(owned) == 2, "an assignment")
        commit(reader, {TopicPartition(topic, 0): 5}, NOTE)
        result = group_lag(settings, group)
    assert result.state == "Stable"
    first, second = result.partitions
    assert str(first.consumer_id).startswith("lab-7")
    assert first.host == second.host == "127.0.0.1"
    assert (first.lag, first.current_offset) == (0, 5)
    assert (second.lag, second.current_offset, second.end_offset) == (None, None, 5)
    assert result.total_lag is None


def test_an_unknown_group_is_an_error_with_the_nearest_name(settings: Settings, topic: str) -> None:
    with open_client(settings).reader(group=f"{topic}-known") as reader:
        commit(reader, {TopicPartition(topic, 0): 1})
    with pytest.raises(UsageError) as caught:
        group_lag(settings, f"{topic}-knwon")
    assert f"{topic}-knwon" in caught.value.message
    assert f"{topic}-known" in caught.value.hint


def test_the_command_shows_a_table_and_json_with_these_keys(
    broker: tuple[str, ...], settings: Settings, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    group = f"{topic}-cli"
    with open_client(settings).reader(group=group) as reader:
        commit(reader, {TopicPartition(topic, 0): 5, TopicPartition(topic, 1): 0}, NOTE)
    words = ["lag", "-g", group, "-b", ",".join(broker)]
    assert run([*words, "--output", "json"]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    assert list(result) == ["group", "state", "total_lag", "partitions"]
    assert [row["lag"] for row in result["partitions"]] == [0, 5]
    assert list(result["partitions"][0]) == [
        *("topic", "partition", "consumer_id", "host", "lag", "current_offset", "end_offset"),
    ]
    assert run(words) == 0
    text = capsys.readouterr().out
    header = next(line for line in text.splitlines() if "CONSUMER ID" in line)
    columns = ("TOPIC", "PARTITION", "CONSUMER ID", "HOST", "LAG", "CURRENT OFFSET", "END OFFSET")
    assert [header.index(column) for column in columns] == sorted(header.index(column) for column in columns)
    assert "AIR_Consumer_0" in text
