"""A cluster's whole life, by the commands a user types."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from running import cli
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.probe import cluster_health
from sensorstream.cluster import LocalCluster
from sensorstream.cluster.artifacts import DEFAULT_VERSION
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ClusterUnreachable, LocalClusterError
from sensorstream.records import TopicPartition

pytestmark = [pytest.mark.broker, pytest.mark.long]


def run(*words: str, code: int = 0) -> Any:
    """Run a cluster command; its JSON envelope when it was asked for, else its lines."""
    ended = cli("cluster", *words, timeout=120)
    assert ended.returncode == code, (words, ended.stdout, ended.stderr)
    assert "Traceback" not in ended.stderr
    return json.loads(ended.stdout) if "json" in words else ended.stdout


def write(bootstrap: tuple[str, ...], topic: str, replicas: int, count: int = 200) -> None:
    settings = Settings(bootstrap=bootstrap, client="kafka-python")
    admin.create_topics(settings, [TopicSettings(topic, partitions=2, replication_factor=replicas)])
    with open_client(settings).publisher() as publisher:
        sent = [publisher.publish(topic, str(index).encode(), partition=index % 2) for index in range(count)]
        for delivery in sent:
            delivery.wait(30)


def read(bootstrap: tuple[str, ...], topic: str, count: int = 200) -> list[int]:
    found: list[int] = []
    end = time.monotonic() + 40
    with open_client(Settings(bootstrap=bootstrap, client="kafka-python")).reader(group="life") as reader:
        reader.assign({TopicPartition(topic, partition): 0 for partition in (0, 1)})
        while len(found) < count and time.monotonic() < end:
            try:
                for batch in reader.poll(0.5).values():
                    found += [int(record.value or b"") for record in batch]
            except ClusterUnreachable:
                time.sleep(0.1)  # a broker has just been stopped; its partitions move
    return sorted(found)


def test_three_brokers_from_up_to_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    data = tmp_path / "my dätä = 50% #1"  # any name will do
    data.mkdir()
    (data / "notes.txt").write_text("mine", encoding="utf-8")
    try:
        started = run("up", "--ports", "auto", "--data-dir", str(data), "--output", "json")["result"]
        bootstrap = tuple(started["bootstrap"])
        assert started["kafka_version"] == DEFAULT_VERSION
        assert started["started"] == [1, 2, 3]
        assert cluster_health(bootstrap).brokers == (1, 2, 3)
        metas = [(data / f"broker-{one}" / "meta.properties").read_text().splitlines() for one in (1, 2, 3)]
        own = [{line for line in meta if line.startswith(("node.id=", "directory.id="))} for meta in metas]
        assert [f"node.id={one}" in lines for one, lines in enumerate(own, 1)] == [True] * 3
        assert len(set.union(*own)) == 6, "each node has a number and a folder's id of its own"
        again = run("up")
        assert "already running" in again
        assert f"bootstrap {','.join(bootstrap)}" in again

        write(bootstrap, "life", 3)
        assert read(bootstrap, "life") == list(range(200))
        status = run("status", "--output", "json")
        assert (status["status"], status["result"]["state"]) == ("ok", "running")
        assert status["result"]["quorum_leader"] in (1, 2, 3)
        assert status["result"]["offline_partitions"] == 0
        # Two of the topic's own, six each of Kafka's offsets (and transactions, once they are used).
        assert status["result"]["online_partitions"] >= 8
        memory = [one["memory_bytes"] for one in status["result"]["brokers"]]
        assert sum(memory) < 1.5e9

        run("stop-broker", "2", "--kill")
        assert "was not running" in run("stop-broker", "2")
        hurt = run("status", "--output", "json", code=1)
        assert (hurt["status"], hurt["result"]["state"]) == ("partial", "degraded")
        assert [one["state"] for one in hurt["result"]["brokers"]] == ["running", "stopped", "running"]
        assert read(bootstrap, "life") == list(range(200))
        run("start-broker", "2")
        run("status")
        assert "Kafka Server started" in run("logs", "2")
        assert run("logs", "--lines", "1").count("\n") == 3

        assert "stopped brokers 1, 2, 3" in run("down")
        assert "was not running" in run("down")
        assert run("status", "--output", "json", code=1)["result"]["state"] == "stopped"
        with pytest.raises(ClusterUnreachable):
            cluster_health(bootstrap, 1.0)
        assert "not 3.7.0" in _refusal("up", "--kafka-version", "3.7.0")
        assert "not 1" in _refusal("up", "--brokers", "1")

        run("up")
        assert read(bootstrap, "life") == list(range(200))
        run("down", "--delete-data")
        assert [path.name for path in data.iterdir()] == ["notes.txt"]
        assert run("status", "--output", "json", code=1)["result"]["state"] == "absent"
    finally:
        run("down", "--delete-data")


def _refusal(*words: str) -> str:
    ended = cli("cluster", *words)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    return ended.stderr


def test_clusters_live_side_by_side(cluster: LocalCluster, own_cluster: Callable[..., LocalCluster]) -> None:
    first, second = cluster, own_cluster(brokers=1)
    write(first.bootstrap, "only-here", 1, 1)
    assert cluster_health(second.bootstrap).topics == 0
    second.stop_broker(1, kill=True)
    assert first.status().state == "running"
    assert second.status().state == "stopped"
    with pytest.raises(LocalClusterError, match="data of the cluster 'shared'"):
        LocalCluster("third").up(data_dir=Path(str(first.status().data_dir)))
    admin.delete_topics(Settings(bootstrap=first.bootstrap), ["only-here"])


def test_the_shared_cluster_is_whole(cluster: LocalCluster) -> None:
    assert cluster_health(cluster.bootstrap).brokers == (1, 2, 3)
