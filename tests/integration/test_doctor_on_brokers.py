"""``doctor`` on real brokers: a whole cluster has nothing wrong, and what is broken of one is named."""

import json
from pathlib import Path

import psutil
import pytest

from running import cli
from sensorstream.cluster import LocalCluster, state
from sensorstream.cluster.preflight import free_ports
from sensorstream.errors import ExitCode

pytestmark = pytest.mark.broker

Checks = dict[tuple[str, str | None], tuple[str, str]]


def doctor(*arguments: str, code: ExitCode = ExitCode.DONE, cwd: Path) -> Checks:
    """State and finding of each check of the connection and of the cluster."""
    done = cli("doctor", "--output", "json", *arguments, cwd=cwd)
    assert done.returncode == code, done.stdout + done.stderr
    result = json.loads(done.stdout)["result"]
    assert result["reachable"] is (code == ExitCode.DONE)
    checks = [one for one in result["checks"] if one["area"] in ("connection", "cluster")]
    return {(one["name"], one["subject"]): (one["state"], one["found"]) for one in checks}


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_whole_cluster_has_nothing_wrong(client: str, cluster: LocalCluster, tmp_path: Path) -> None:
    seen = doctor("-b", ",".join(cluster.bootstrap), "--client", client, cwd=tmp_path)
    assert {told for told, _ in seen.values()} == {"ok"}, seen
    for broker, address in enumerate(cluster.bootstrap, 1):
        assert seen["advertised", f"broker {broker}"] == ("ok", address)
        assert seen["kafka", address][1].startswith("Kafka ")
    assert "3 brokers (1, 2, 3), broker" in seen["brokers", None][1]
    assert "agree within" in seen["clock", None][1]
    assert seen["client", None] == ("ok", "it connects")


def test_one_wrong_address_beside_a_good_one_is_a_warning(cluster: LocalCluster, tmp_path: Path) -> None:
    wrong = f"127.0.0.1:{free_ports(1)[0]}"
    seen = doctor("-b", f"{wrong},{cluster.bootstrap[0]}", cwd=tmp_path)
    assert seen["tcp", wrong] == ("warning", "the connection is refused, nobody listens there")
    assert seen["kafka", wrong][0] == "skipped"
    assert seen["brokers", None][0] == "ok"


def test_the_port_of_a_controller_takes_no_clients(cluster: LocalCluster, tmp_path: Path) -> None:
    known = state.load_state(cluster.folder)
    assert known is not None
    address = f"127.0.0.1:{known.controller_ports[1]}"
    seen = doctor("-b", address, code=ExitCode.UNREACHABLE, cwd=tmp_path)
    assert seen["protocol", address] == ("problem", "a KRaft controller, which takes no clients")


def test_a_frozen_broker_takes_the_connection_and_does_not_answer(cluster: LocalCluster, tmp_path: Path) -> None:
    broker = next(one for one in cluster.status().brokers if not one.quorum_leader)
    address = f"127.0.0.1:{broker.port}"
    assert broker.pid is not None
    process = psutil.Process(broker.pid)
    process.suspend()
    try:
        seen = doctor("-b", address, code=ExitCode.UNREACHABLE, cwd=tmp_path)
    finally:
        process.resume()
    assert seen["protocol", address] == ("problem", "takes the connection and does not answer")
