"""A cluster by its name, on real brokers: each way to say it, and the processes that commands start."""

import pytest

from running import cli, ok
from sensorstream.cluster import LocalCluster
from sensorstream.config import samples_folder

pytestmark = pytest.mark.broker


def test_commands_and_their_processes_go_to_a_cluster_by_its_name(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = f"cluster:{cluster.name}"
    ok("topics", "create", "NAMED", "--partitions", "2", "-b", named)
    listed = {one["name"]: one for one in ok("cluster", "list")["clusters"]}
    assert listed[cluster.name]["state"] == "running"
    assert tuple(listed[cluster.name]["bootstrap"]) == cluster.bootstrap
    source = ("--source", f"NAMED={samples_folder() / 'AIR2308.csv'}", "--limit", "50", "--delay", "0")
    ok("produce", *source, "--processes", "2", "-b", named)
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAP", named)
    ok("produce", *source)
    described = ok("topics", "describe", "NAMED")["topics"][0]
    assert sum(one["next_offset"] for one in described["partitions"]) == 100
    assert cli("topics", "list", "-b", f"{named}-not").returncode == 3
    ok("topics", "delete", "NAMED", "--yes")
