"""The lab with a ZooKeeper: Kafka 3.6.1, three brokers, both clients; a leader and ZooKeeper itself are killed."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from running import cli, ok, started, until
from sensorstream.clients import first_words
from sensorstream.cluster import LocalCluster
from sensorstream.errors import LocalClusterError

pytestmark = [pytest.mark.broker, pytest.mark.long]
CLIENTS = ("kafka-python", "librdkafka")
ROWS = 400


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "s.csv"
    path.write_text("n,text\n" + "".join(f"{n},row {n}\n" for n in range(ROWS)), encoding="utf-8")
    return path


def test_the_lab_runs_with_zookeeper_whoever_is_killed(
    own_cluster: Callable[..., LocalCluster], source: Path, tmp_path: Path
) -> None:
    local = own_cluster(kafka_version="3.6.1", mode="zookeeper")
    until(lambda: local.status().state == "running", "a whole cluster")
    status = local.status()
    assert (status.kafka_version, status.mode) == ("3.6.1", "zookeeper")
    assert status.zookeeper is not None
    assert status.cluster_id
    assert first_words.who_speaks(status.zookeeper.address).kind == "ZooKeeper"
    assert status.quorum_leader in (1, 2, 3)
    b = ["--bootstrap", ",".join(local.bootstrap)]
    assert ok("brokers", *b)["controller"] in (1, 2, 3)
    assert ok("monitor", "--once", *b)["controller"] in (1, 2, 3)
    topics = [f"{kind}-{client}" for kind in ("plain", "once") for client in CLIENTS]
    ok("topics", "create", *topics, "--replication-factor", "3", *b)

    # The leader of a partition is killed; rows are published all the same, while it is started again at once: its
    # registration is still there, and must have gone before it may come back.
    described = ok("topics", "describe", topics[0], *b)["topics"][0]["partitions"]
    leader = described[0]["leader"]
    assert local.stop_broker(leader, kill=True).killed
    plain = [
        ["produce", "--delay", "0", "--source", f"plain-{client}={source}", "--client", client] for client in CLIENTS
    ]
    with started(*plain[0], *b) as first, started(*plain[1], *b) as second:
        local.start_broker(leader)
        assert (first.end(120), second.end(120)) == (0, 0), first.told + second.told

    # ZooKeeper is killed: what runs goes on, `status` says it, and `up` mends it, in the mode that it was.
    psutil.Process(status.zookeeper.pid).kill()
    until(lambda: (seen := local.status().zookeeper) is not None and seen.state == "stopped", "a stopped ZooKeeper")
    assert local.status().state == "degraded"
    mended = local.up()
    assert (mended.mode, mended.started, mended.zookeeper) == ("zookeeper", (), status.zookeeper.address)
    assert mended.cluster_id == status.cluster_id
    with pytest.raises(LocalClusterError, match="runs with ZooKeeper, not KRaft"):
        local.up(mode="kraft")

    for client in CLIENTS:
        c = ["--client", client, *b]
        ok("produce", "--delay", "0", "--exactly-once", "--source", f"once-{client}={source}", *c)
        pinned, grouped = tmp_path / f"pinned-{client}", tmp_path / f"grouped-{client}"
        streamed = ["stream", "--from", f"once-{client}", "--to", f"streamed-{client}", "--create", "-e"]
        ok(*streamed, "--transform", "select", "--set", "columns=n,text", *c)
        ok("consume", "-t", f"streamed-{client}", "-p", "0", "-p", "1", "--to", str(pinned), "-e", *c)
        assert ok("verify", "--source", f"streamed-{client}={source}", str(pinned))["exactly_once"] is True
        ok("consume", "-t", f"plain-{client}", "-g", client, "-c", str(ROWS), "--to", str(grouped), *c)
        assert ok("verify", "--source", f"plain-{client}={source}", str(grouped))["exactly_once"] is True
        lag = ok("lag", "-g", client, *b)
        assert [(row["lag"], row["current_offset"] > 0) for row in lag["partitions"]] == [(0, True), (0, True)]

    assert "standalone" in cli("cluster", "logs", "--zookeeper", "--name", local.name).stdout
    ended = local.down()
    assert (ended.stopped, ended.zookeeper_stopped) == ((1, 2, 3), True)
