"""ZooKeeper mode without a process: what may be asked for, what is remembered, how it is set."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sensorstream.cli.app import run
from sensorstream.cluster import state, zookeeper
from sensorstream.cluster.companion import Known
from sensorstream.cluster.plan import Wanted, make_plan
from sensorstream.cluster.properties import server_properties
from sensorstream.cluster.zookeeper import ZooKeeper
from sensorstream.cluster.zookeeper_properties import choose_version, zookeeper_properties
from sensorstream.errors import Interrupted, LocalClusterError, PortTaken, UsageError
from serving import serving

DUMP = """SessionTracker dump:
Session Sets (3)/(1):
0 expire at Thu Nov 26 21:38:03 UTC 2026:
ephemeral nodes dump:
Sessions with Ephemerals (2):
0x1000040ab0b0001:
\t/brokers/ids/2
\t/controller
0x1000040ab0b0003:
\t/brokers/ids/11
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A port that answers every connection so."""

    def reply(connection: socket.socket) -> None:
        connection.recv(4)
        connection.sendall(answer)

    with serving(reply) as address:
        yield int(address.rpartition(":")[2])


def known(folder: Path, port: int) -> ZooKeeper:
    one = ZooKeeper(folder)
    one.folder.mkdir(parents=True)
    (one.folder / "state.json").write_text(f'{{"port": {port}, "process": null}}', encoding="utf-8")
    return one


def test_without_a_version_it_is_the_newest_that_has_the_mode() -> None:
    assert choose_version(None, "zookeeper").startswith("3.9.")
    assert choose_version("3.6.1", "zookeeper") == choose_version("3.6.1", "kraft") == "3.6.1"


@pytest.mark.parametrize("version", ["4.0", "4.4.0"])
def test_a_version_without_the_mode_is_refused_with_the_reason(version: str) -> None:
    with pytest.raises(UsageError, match=r"has no ZooKeeper mode: Kafka 4\.0 removed it") as caught:
        make_plan("c", Wanted(kafka_version=version, mode="zookeeper", ports="auto"))
    assert "--kafka-version 3.9" in caught.value.hint


def test_a_new_cluster_has_no_controllers_of_its_own() -> None:
    plan = make_plan("c", Wanted(kafka_version="3.6.1", mode="zookeeper", ports="auto"))
    assert (plan.mode, plan.version, plan.fresh, plan.known.controller_ports) == ("zookeeper", "3.6.1", True, {})


def test_the_mode_stays_with_the_data(home: Path) -> None:
    data = home / "data"
    state.save_formatted(data, state.Formatted("c", "x", "3.6.1", 1, complete=True, mode="zookeeper"))
    plan = make_plan("c", Wanted(data_dir=data, ports="auto"))
    assert (plan.mode, plan.version, plan.missing) == ("zookeeper", "3.6.1", (1,))
    with pytest.raises(LocalClusterError, match="runs with ZooKeeper, not KRaft") as caught:
        make_plan("c", Wanted(data_dir=data, ports="auto", mode="kraft"))
    assert "down --delete-data --name c" in caught.value.hint


def test_data_from_before_there_was_a_mode_is_krafts(home: Path) -> None:
    data = home / "data"
    data.mkdir()
    (data / "cluster.json").write_text(
        '{"name": "c", "cluster_id": "x", "kafka_version": "3.9.1", "brokers": 1, "complete": true}', encoding="utf-8"
    )
    assert make_plan("c", Wanted(data_dir=data, ports="auto")).mode == "kraft"
    with pytest.raises(LocalClusterError, match="runs with KRaft, not ZooKeeper"):
        make_plan("c", Wanted(data_dir=data, ports="auto", mode="zookeeper", kafka_version="4.4"))


def test_a_broker_finds_zookeeper_and_listens_on_the_loopback_only() -> None:
    text = server_properties(
        2,
        ports={1: 30001, 2: 30002, 3: 30003},
        controller_ports={},
        log_dir=Path("/data/broker-2"),
        kafka_version=(3, 6, 1),
        zookeeper="127.0.0.1:2181",
    )
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert (lines["broker.id"], lines["zookeeper.connect"]) == ("2", "127.0.0.1:2181")
    assert lines["listeners"] == lines["advertised.listeners"] == "PLAINTEXT://127.0.0.1:30002"
    assert lines["min.insync.replicas"] == "2"
    assert not {"process.roles", "node.id", "controller.quorum.voters", "controller.listener.names"} & lines.keys()


def test_zookeeper_listens_on_the_loopback_only_and_opens_no_web_server() -> None:
    text, (name, logging) = zookeeper_properties(2181, Path("/däta/zookeeper"), Path("/x/zookeeper.log"))
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert (lines["clientPort"], lines["clientPortAddress"]) == ("2181", "127.0.0.1")
    assert lines["admin.enableServer"] == "false"
    assert lines["dataDir"] == r"/d\u00e4ta/zookeeper"
    assert name == "log4j.properties"
    assert "/x/zookeeper.log" in logging


def test_the_registered_brokers_are_read_from_a_dump() -> None:
    assert zookeeper._registered(DUMP) == {2, 11}
    assert zookeeper._registered("This ZooKeeper instance is not currently serving requests\n") == set()


def test_what_answers_like_a_zookeeper_serves() -> None:
    with answering(b"Zookeeper version: 3.8.3\nMode: standalone\nNode count: 27\n") as port:
        assert zookeeper._serves(port)
    with answering(b"HTTP/1.1 400 Bad Request\r\n\xff\xfe") as port:
        assert not zookeeper._serves(port)
    assert not zookeeper._serves(port)


def test_a_broker_that_is_still_registered_is_waited_for_and_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zookeeper, "_GONE_S", 0.2)
    told: list[object] = []
    with answering(DUMP.encode()) as port:
        one = known(home / "c", port)
        one._wait_unregistered({1, 3}, threading.Event(), told.append)
        assert told == []
        with pytest.raises(LocalClusterError, match="broker 2 does not run and is still registered at ZooKeeper"):
            one._wait_unregistered({1, 2}, threading.Event(), told.append)
        with pytest.raises(LocalClusterError, match="brokers 2, 11 do not run and are still registered"):
            one._wait_unregistered({2, 11}, threading.Event(), lambda _: None)
        assert len(told) == 1
        stop = threading.Event()
        stop.set()
        with pytest.raises(Interrupted):
            one._wait_unregistered({2}, stop, told.append)


def test_a_port_that_is_taken_is_another_one_unless_brokers_know_it(home: Path) -> None:
    told: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        before = Known(port, None)
        other = zookeeper._choose_port(before, any_port=False, needed=False, listener=told.append)
        assert other != port
        assert len(told) == 1
        with pytest.raises(PortTaken, match=f"ZooKeeper can't be started again: port {port} is already in use"):
            zookeeper._choose_port(before, any_port=True, needed=True, listener=told.append)


def test_a_broken_note_of_its_process_is_none(home: Path) -> None:
    one = known(home / "c", 2181)
    for text in ("", "[]", "{", '{"port": "x"}', "\x00\xff"):
        (one.folder / "state.json").write_text(text, encoding="utf-8")
        assert one.address() is None
        assert one.status() is None
    with pytest.raises(UsageError, match="cluster 'c' has no ZooKeeper"):
        one.existing_log("c")


def test_data_whose_zookeeper_is_gone_is_refused(home: Path) -> None:
    one, data = ZooKeeper(home / "c"), home / "data"
    one._check_data(data)
    formatted = state.Formatted("c", state.ID_TO_COME, "3.6.1", 1, complete=True, mode="zookeeper")
    state.save_formatted(data, formatted)
    one._check_data(data)  # no broker has run
    state.save_formatted(data, replace(formatted, cluster_id="x"))
    with pytest.raises(LocalClusterError, match="ZooKeeper's data is missing from") as caught:
        one._check_data(data)
    assert "down --delete-data" in caught.value.hint
    (data / "zookeeper" / "version-2").mkdir(parents=True)
    (data / "zookeeper" / "version-2" / "snapshot.0").touch()
    one._check_data(data)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["up", "--mode", "zookeeper", "--kafka-version", "4.4"], "Kafka 4.4.0 has no ZooKeeper mode"),
        (["up", "--mode", "zookeper"], "'zookeper' is not one of 'kraft', 'zookeeper'"),
        (["up", "--mode", ""], "'' is not one of"),
        (["logs", "1", "--zookeeper"], "broker 1 and --zookeeper are two logs"),
        (["logs", "--zookeeper", "--name", "raft"], "cluster 'raft' has no ZooKeeper"),
    ],
)
def test_what_can_not_be_is_wrong_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    state.save_state(state.cluster_folder("raft"), state.ClusterState("/nowhere", {1: 1}, {1: 2}))
    assert run(["cluster", *arguments]) == 2
    assert words in capsys.readouterr().err
