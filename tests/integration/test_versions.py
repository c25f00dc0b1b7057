"""Every supported line of Kafka runs the lab: topics, produce, consume, lag, brokers, and the proof."""

from collections.abc import Callable
from pathlib import Path

import pytest

from running import ok
from sensorstream.cluster import LocalCluster
from sensorstream.cluster.artifacts import DEFAULT_VERSION, choose_version

pytestmark = [pytest.mark.broker, pytest.mark.long]
# The default version is what all other tests run.
ALWAYS = ["3.7.0", "3.9"]
SELDOM = ["3.6", "3.7", "3.8", "4.0", "4.1", "4.2", "4.3", DEFAULT_VERSION]
LINES = [*ALWAYS, *(pytest.param(line, marks=pytest.mark.campaign) for line in SELDOM)]


@pytest.mark.parametrize("line", LINES)
def test_a_supported_line_runs_the_lab(own_cluster: Callable[..., LocalCluster], line: str, tmp_path: Path) -> None:
    local = own_cluster(brokers=1, kafka_version=line)
    status = local.status()
    assert (status.state, status.kafka_version, status.quorum_leader) == ("running", choose_version(line), 1)
    b = ["--bootstrap", ",".join(local.bootstrap)]
    source = tmp_path / "s.csv"
    source.write_text("n,text\n" + "".join(f"{n},row {n}\n" for n in range(1000)))
    ok("topics", "create", "lab", "--replication-factor", "1", *b)
    assert [topic["name"] for topic in ok("topics", "list", *b)["topics"]] == ["lab"]
    ran = ok("run", "-e", "--delay", "0", "--source", f"lab={source}", "--to", str(tmp_path / "out"), *b)
    assert ran["captured"] is True
    assert ok("verify", "--source", f"lab={source}", str(tmp_path / "out"))["exactly_once"] is True
    lag = ok("lag", *b)
    assert [(row["lag"], row["current_offset"]) for row in lag["partitions"]] == [(0, 500), (0, 500)]
    brokers = ok("brokers", *b)
    assert brokers["controller"] == 1
    ok("topics", "alter", "lab", "--partitions", "3", *b)
    assert len(ok("topics", "describe", "lab", *b)["topics"][0]["partitions"]) == 3
    ok("topics", "delete", "lab", "-y", *b)
    assert local.down().killed == ()
