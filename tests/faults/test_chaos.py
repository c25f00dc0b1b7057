"""``cluster chaos``: what it breaks it mends, and a replay and a capture meanwhile lose and double nothing.

The short form, one leader killed, is a case of test_broker_faults.py; the long ones are a campaign (``make campaign``).
"""

import os
import signal
from pathlib import Path

import pytest

from faults.breaking import Breaker
from faults.counting import write_source
from faults.figures import Figures, kafka_version, write
from faults.workloads import MODES, Load, Outcome
from running import cli, ok, started, until
from sensorstream.cluster import LocalCluster
from sensorstream.errors import ExitCode
from sensorstream.lab.chaos.chaos import chaos
from sensorstream.lab.chaos.plan import LINKS, ChaosPlan, Fault, Target
from sensorstream.lab.chaos.results import ChaosResult
from sensorstream.records import TopicPartition

pytestmark = pytest.mark.broker

RATE = 200
SEED = 2308


def lives_through(
    breaker: Breaker, folder: Path, plan: ChaosPlan, topic: str, rows: int
) -> tuple[ChaosResult, list[Outcome]]:
    """Both clients replay and capture in both modes, while the plan is carried out; everything is counted."""
    bootstrap = breaker.cluster.bootstrap
    source = write_source(folder / f"{topic}.csv", rows)
    load = Load(bootstrap, bootstrap, source, rows, name=topic, rate=RATE, modes=tuple(MODES))
    with load.running():
        result = chaos(breaker.cluster, plan)
    assert result.healthy, result.problems
    return result, [lane.outcome() for lane in load.lanes]


def note(number: int, fault: str, cluster: LocalCluster, result: ChaosResult, outcomes: list[Outcome]) -> None:
    """Write what a campaign has shown into the page of its figures."""
    for one in outcomes:
        for command, count in (("replay", one.replayed), ("capture of the replay", one.captured)):
            stall = one.stall_s if command == "replay" else None
            line = f"{command}, {one.mode}"
            write(
                Figures(
                    number, fault, one.client, line, result.faults, count, stall, None, SEED, kafka_version(cluster)
                )
            )


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_campaign_of_two_minutes_of_chaos(cluster: LocalCluster, tmp_path: Path) -> None:
    breaker = Breaker(cluster)
    breaker.start()
    breaker.in_sync()
    leader = Target("leader", TopicPartition("minutes-ex-librdkafka", 1))
    faults = (
        *(Fault("kill", target) for target in (leader, Target("controller"), Target("random"))),
        *(Fault("freeze", target) for target in (leader, Target("controller"))),
        Fault("stop", Target("random")),
        Fault("slow", leader),
        Fault("roll"),
    )
    result, outcomes = lives_through(breaker, tmp_path, ChaosPlan(faults, 20, 120, 10, SEED), "minutes", 100_000)
    note(18, "chaos for two minutes", breaker.cluster, result, outcomes)
    assert all(one.is_zero for one in outcomes), outcomes
    assert result.complete
    assert result.faults >= 3


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_campaign_of_two_minutes_of_cut_and_slow_links(tmp_path: Path) -> None:
    local = LocalCluster("linked-for-long")
    leader = Target("leader", TopicPartition("links-ex-librdkafka", 1))
    targets = (leader, Target("controller"), Target("random"))
    faults = tuple(Fault(kind, target) for kind in sorted(LINKS) for target in targets)
    plan = ChaosPlan(faults, 20, 120, 10, SEED, latency_s=0.3, bytes_per_s=500_000)
    local.up(kafka_version=os.environ.get("SENSORSTREAM_TEST_KAFKA_VERSION"), ports="auto", links=True)
    try:
        result, outcomes = lives_through(Breaker(local), tmp_path, plan, "links", 100_000)
        note(19, "two minutes of cut and slow links", local, result, outcomes)
    finally:
        local.down(delete_data=True)
    assert all(one.is_zero for one in outcomes), outcomes
    assert result.complete
    assert result.faults >= 3


def test_ctrl_c_lets_a_frozen_broker_go_on(cluster: LocalCluster) -> None:
    name = ["--name", cluster.name]
    with started("cluster", "chaos", "--freeze", "broker:2", "--every", "10m", *name) as running:
        until(lambda: "broker 2: frozen" in running.told, "a frozen broker")
        running.signal(signal.SIGINT)
        assert running.end() == ExitCode.INTERRUPTED, running.told
    assert "the cluster is whole" in running.told
    result = ok("cluster", "chaos", "--slow", "random", "--every", "2s", "--for", "1s", "--seed", "7", *name)
    assert (result["faults"], result["healthy"], result["seed"]) == (1, True, 7)
    assert {"fault", "healed"} <= {event["what"] for event in result["events"]}


def test_links_that_are_not_there_are_asked_for(cluster: LocalCluster) -> None:
    refused = cli("cluster", "chaos", "--cut-link", "random", "--name", cluster.name)
    assert refused.returncode == ExitCode.USAGE
    assert "--cut-link needs a cluster with links" in refused.stderr
    assert f"sensorstream cluster up --links --name {cluster.name}" in refused.stderr
    refused = cli("cluster", "up", "--links", "--name", cluster.name)
    assert refused.returncode == ExitCode.FAILED
    assert "is running without links" in refused.stderr


@pytest.mark.campaign
@pytest.mark.timeout(400)
def test_campaign_demo_with_chaos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = ok("demo", "--chaos")
    assert result["passed"] is True
    assert result["chaos"]["faults"] == 1
    assert [topic["captured"] for topic in result["verification"]["topics"]] == [2880] * 3
    assert not list(tmp_path.iterdir())
