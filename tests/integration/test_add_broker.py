"""Brokers join real clusters and leave them again: records, groups and every replica are there after it."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from running import cli, ok, until
from sensorstream import admin
from sensorstream.admin.moving import carry_out
from sensorstream.cluster import LocalCluster, state
from sensorstream.cluster.membership import add_broker
from sensorstream.config import Settings, samples_folder
from sensorstream.errors import BrokerError, UnknownTopic
from sensorstream.lab.membership import remove_broker

pytestmark = [pytest.mark.broker, pytest.mark.long]
ROWS = 60


def publish(topic: str, *options: str) -> None:
    source = f"{topic}={samples_folder() / 'AIR2308.csv'}"
    ok("produce", "--source", source, "--limit", str(ROWS), "--delay", "0", *options)


def replicas(settings: Settings, topic: str) -> list[tuple[int, ...]]:
    return [one.replicas for one in admin.describe_topics(settings, [topic]).topics[0].partitions]


def without_four(settings: Settings, topic: str) -> bool:
    """Whether each partition has its two replicas, none of them on broker 4."""
    return all(4 not in one and len(one) == 2 for one in replicas(settings, topic))


def well(local: LocalCluster) -> None:
    """The cluster is whole, and every replica of it is in sync."""
    until(
        lambda: (seen := local.status()).state == "running" and seen.under_replicated_partitions == 0,
        "a whole cluster without an under-replicated partition",
    )


def test_a_broker_joins_takes_its_share_and_leaves(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", f"cluster:{cluster.name}")
    name, wide = "JOINED", "JOINED_WIDE"
    settings = Settings(bootstrap=cluster.bootstrap)
    first = cluster.bootstrap
    ok("topics", "create", name, "--partitions", "8", "--replication-factor", "2")
    publish(name)
    before = replicas(settings, name)
    added = ok("cluster", "add-broker", "--name", cluster.name)
    broker = added["broker"]
    try:
        assert (broker, added["brokers"], added["bootstrap"][:3]) == (4, [1, 2, 3, 4], list(first))
        assert [(one.broker, one.voter) for one in cluster.status().brokers] == [
            *((n, True) for n in (1, 2, 3)),
            (4, False),
        ]
        (listed,) = [one for one in ok("cluster", "list")["clusters"] if one["name"] == cluster.name]
        assert (listed["brokers"], listed["running"]) == ([1, 2, 3, 4], [1, 2, 3, 4])
        assert str(added["port"]) in cli("cluster", "env", cluster.name).stdout

        # The broker dies while it is to take its share: the move ends with what to do, and all stays where it was.
        plan = admin.plan_reassignment(settings, [name])
        assert any(4 in one.after for one in plan)
        cluster.stop_broker(4, kill=True)
        until(lambda: 4 not in {one.id for one in admin.describe_cluster(settings).brokers}, "broker 4 is gone")
        told: list[str] = []
        with pytest.raises(BrokerError, match=r"broker 4 does not run: moved .*, the others stay") as caught:
            carry_out(
                settings, plan, stop=threading.Event(), timeout_s=1, listener=lambda event: told.append(str(event))
            )
        assert "start it" in caught.value.hint
        assert any("broker 4 does not run" in line for line in told)
        # Brokers hear of what was taken back a moment after it was.
        until(lambda: without_four(settings, name), "the replicas stay where they were")

        # Of a plan with a topic that is gone since, nothing goes on.
        with pytest.raises(BrokerError, match=r"JOINED_GONE\[0\] was not moved"):
            carry_out(settings, [replace(plan[0], topic="JOINED_GONE", partition=0), *plan], stop=threading.Event())
        until(lambda: without_four(settings, name), "the replicas stay where they were")
        cluster.start_broker(4)

        everyone = ("topics", "reassign", name, "--brokers", "1,2,3,4")
        until(lambda: cli(*everyone).returncode == 0, "the replicas are on all four")
        after = replicas(settings, name)
        assert sum(4 in one for one in after) == 4
        well(cluster)
        assert cluster.start_broker(4).state == "running"

        refused = cli("cluster", "remove-broker", "1", "--name", cluster.name)
        assert (refused.returncode, "vote" in refused.stderr) == (2, True)
        ok("topics", "create", wide, "--replication-factor", "4")
        refused = cli("cluster", "remove-broker", "4", "--name", cluster.name)
        assert (refused.returncode, f"{wide}[0] has 4 replicas" in refused.stderr) == (2, True)
        ok("topics", "delete", wide, "--yes")
    finally:
        gone = remove_broker(cluster.name, broker)
    assert (gone.brokers, gone.bootstrap) == ((1, 2, 3), first)
    assert {(one.topic, one.partition) for one in gone.partitions} >= {(name, n) for n in range(8) if 4 in after[n]}
    assert without_four(settings, name)
    assert sum(one.next_offset or 0 for one in admin.describe_topics(settings, [name]).topics[0].partitions) == ROWS
    assert len(before) == len(after)
    well(cluster)
    assert not (cluster.folder / "broker-4").exists()
    assert cli("cluster", "remove-broker", "4", "--name", cluster.name).returncode == 2
    ok("topics", "delete", name, "--yes")


def test_a_secured_cluster_with_links_gives_the_broker_what_is_its_own_and_knows_it_after_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", "cluster:safe")
    local = LocalCluster("safe")
    try:
        local.up(brokers=1, ports="auto", secure="tls+scram", acl=True, metrics=True, links=True)
        ok("topics", "create", "S", "--partitions", "2", "--replication-factor", "1")
        publish("S")
        added = add_broker("safe", port=0)
        secure = tmp_path / "state" / "clusters" / "safe" / "data" / "secure"
        own = secure / "broker-2.pem"
        assert own.read_bytes() != (secure / "broker.pem").read_bytes()
        assert own.stat().st_mode & 0o077 == 0
        assert "broker-2.pem" in (local.folder / "broker-2" / "server.properties").read_text()
        assert (added.brokers, local.status().brokers[1].metrics) == ((1, 2), added.metrics)
        ways = local._links.ways
        assert ways is not None
        assert ways.lead_to(2)
        ok("topics", "reassign", "S", "--brokers", "2")

        assert local.down().stopped == (1, 2)
        assert local.up().started == (1, 2)
        well(local)
        ok("topics", "create", "T", "--replication-factor", "2")
        refused = cli("cluster", "remove-broker", "2", "--name", "safe")
        assert (refused.returncode, "there would be 1 broker" in refused.stderr) == (2, True)
        ok("topics", "delete", "T", "--yes")
        gone = ok("cluster", "remove-broker", "2", "--name", "safe")
        assert [one["after"] for one in gone["partitions"] if one["topic"] == "S"] == [[1], [1]]
        well(local)
        assert not own.exists()
        assert ok("cluster", "env", "safe/user")["variables"]["KAFKA_BOOTSTRAP_SERVERS"] == ",".join(local.bootstrap)
    finally:
        local.down(delete_data=True)


def test_with_zookeeper_any_broker_may_leave_and_one_that_is_dead_is_no_hindrance(
    own_cluster: Callable[..., LocalCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    local = own_cluster(brokers=1, kafka_version="3.9", mode="zookeeper")
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", f"cluster:{local.name}")
    refused = cli("cluster", "remove-broker", "1", "--name", local.name)
    assert (refused.returncode, "0 brokers would be left" in refused.stderr) == (2, True)
    assert add_broker(local.name).broker == 2
    ok("topics", "create", "Z", "--replication-factor", "2")
    ok("topics", "create", "ZZ", "--replication-factor", "1")
    publish("ZZ")
    assert cli("cluster", "remove-broker", "1", "--name", local.name).returncode == 2  # Z has two replicas
    ok("topics", "delete", "Z", "--yes")
    assert remove_broker(local.name, 1).brokers == (2,)
    well(local)
    assert state.load_state(local.folder).ports.keys() == {2}  # type: ignore[union-attr]
    assert add_broker(local.name).broker == 1
    pid = local.status().brokers[0].pid
    assert pid is not None
    os.kill(pid, 9)
    until(lambda: local.running_brokers() == (2,), "broker 1 is dead")
    assert remove_broker(local.name, 1).brokers == (2,)
    assert local.down().stopped == (2,)
    assert local.up().started == (2,)
    well(local)
    settings = Settings(bootstrap=local.bootstrap)

    def rows() -> int:
        try:
            found = admin.describe_topics(settings, ["ZZ"]).topics[0].partitions
        except UnknownTopic:  # with ZooKeeper, a broker that has just come up is told of topics a moment later
            return 0
        return sum(one.next_offset or 0 for one in found)

    until(lambda: rows() == ROWS, "all rows")
    assert json.loads((Path(local.status().data_dir or "") / "cluster.json").read_text())["ids"] == [2]
