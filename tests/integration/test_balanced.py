"""Leaders are spread over real brokers when topics are made, brought back when a broker returned; replicas move."""

import contextlib
import threading
from collections import Counter

import pytest

from running import cli, ok, until
from sensorstream import admin
from sensorstream.admin import PartitionDescription
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, samples_folder
from sensorstream.errors import Interrupted

pytestmark = pytest.mark.broker
TOPICS = ("BALANCED_A", "BALANCED_B", "BALANCED_C")


def test_a_fresh_topic_is_led_evenly_and_again_after_a_broker_returned(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", ",".join(cluster.bootstrap))
    settings = Settings(bootstrap=cluster.bootstrap)

    def partitions() -> list[PartitionDescription]:
        return [one for topic in admin.describe_topics(settings, TOPICS).topics for one in topic.partitions]

    # Other tests' topics are on this cluster, and counted: so many partitions that each broker leads of these.
    ok("topics", "create", *TOPICS, "--partitions", "10")
    preferred = Counter(one.replicas[0] for one in partitions())
    assert set(preferred) == {1, 2, 3}

    cluster.stop_broker(2)
    until(lambda: all(one.leader not in (2, None) for one in partitions()), "others lead what broker 2 has led")
    refused = cli("topics", "elect", *TOPICS)
    assert refused.returncode == 1
    assert "is not led by broker 2" in refused.stderr
    cluster.start_broker(2)
    until(lambda: all(2 in one.isr for one in partitions()), "broker 2 is in sync")
    until(lambda: cli("topics", "elect", *TOPICS).returncode == 0, "broker 2 is elected")
    assert Counter(one.leader for one in partitions()) == preferred
    assert ok("topics", "elect", *TOPICS) == {"partitions": 30, "elected": []}
    assert cli("topics", "elect", "BALANCED_X").returncode == 2
    ok("topics", "delete", *TOPICS, "--yes")


def test_replicas_move_with_their_records_and_a_move_can_be_cancelled(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", ",".join(cluster.bootstrap))
    settings = Settings(bootstrap=cluster.bootstrap)
    name = "BALANCED_MOVED"

    def partitions() -> list[PartitionDescription]:
        return list(admin.describe_topics(settings, [name]).topics[0].partitions)

    ok("topics", "create", name, "--partitions", "6", "--replication-factor", "1")
    ok("produce", "--source", f"{name}={samples_folder() / 'AIR2308.csv'}", "--limit", "60", "--delay", "0")
    before = [one.replicas for one in partitions()]
    planned = ok("topics", "reassign", name, "--brokers", "3", "--dry-run")
    assert [one.replicas for one in partitions()] == before
    assert len(planned["partitions"]) == sum(one != (3,) for one in before)

    assert ok("topics", "reassign", name, "--brokers", "3")["partitions"] == planned["partitions"]
    assert [(one.leader, one.replicas, one.next_offset) for one in partitions()] == [(3, (3,), 10)] * 6
    stop = threading.Event()
    stop.set()
    with contextlib.suppress(Interrupted):  # a move that was over before the question whether to stop
        admin.reassign(settings, [name], stop=stop)
    until(lambda: all(len(one.replicas) == 1 for one in partitions()), "each partition has one replica, here or there")

    ok("topics", "reassign", name)
    assert Counter(one.leader for one in partitions()) == {1: 2, 2: 2, 3: 2}
    assert [one.next_offset for one in partitions()] == [10] * 6
    assert ok("topics", "reassign", name)["partitions"] == []
    for wrong, says in (("7", "broker 7"), ("1,x", "commas"), ("", "commas")):
        refused = cli("topics", "reassign", name, "--brokers", wrong)
        assert refused.returncode == 2
        assert says in refused.stderr
    ok("topics", "create", TOPICS[0])
    assert "3 replicas" in cli("topics", "reassign", TOPICS[0], "--brokers", "1,2").stderr
    ok("topics", "delete", name, TOPICS[0], "--yes")
