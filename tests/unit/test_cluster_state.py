import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sensorstream.cluster import node, preflight, state
from sensorstream.cluster.logs import read_logs
from sensorstream.cluster.plan import Wanted, make_plan
from sensorstream.cluster.properties import logging_properties, new_id, server_properties
from sensorstream.errors import LocalClusterError, PortTaken, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def properties(count: int) -> dict[str, str]:
    text = server_properties(
        1,
        ports={node_id: 30000 + node_id for node_id in range(1, count + 1)},
        controller_ports={node_id: 31000 + node_id for node_id in range(1, count + 1)},
        log_dir=Path("/data/broker-1"),
        kafka_version=(4, 4, 0),
    )
    return dict(line.split("=", 1) for line in text.splitlines())


def test_three_brokers_keep_three_replicas_and_write_to_two() -> None:
    lines = properties(3)
    assert lines["default.replication.factor"] == "3"
    assert lines["min.insync.replicas"] == "2"
    assert lines["offsets.topic.replication.factor"] == "3"
    assert lines["transaction.state.log.replication.factor"] == "3"
    assert lines["transaction.state.log.min.isr"] == "2"
    assert lines["auto.create.topics.enable"] == "false"
    assert lines["group.initial.rebalance.delay.ms"] == "0"
    assert lines["controller.quorum.voters"] == "1@127.0.0.1:31001,2@127.0.0.1:31002,3@127.0.0.1:31003"


@pytest.mark.parametrize(("count", "replicas", "in_sync"), [(1, "1", "1"), (2, "2", "1"), (5, "3", "2")])
def test_replicas_follow_the_number_of_brokers(count: int, replicas: str, in_sync: str) -> None:
    lines = properties(count)
    assert lines["offsets.topic.replication.factor"] == replicas
    assert lines["transaction.state.log.min.isr"] == in_sync


def test_nobody_outside_this_machine_can_connect() -> None:
    lines = properties(3)
    for key in ("listeners", "advertised.listeners"):
        assert all("://127.0.0.1:" in listener for listener in lines[key].split(","))


def test_recorded_data_of_any_age_is_kept() -> None:
    # Retention goes by the records' own timestamps: with Kafka's week a replay of 2023 would be deleted.
    assert properties(3)["log.retention.ms"] == "-1"


def test_each_kafka_line_gets_its_logging() -> None:
    assert logging_properties(Path("/x/broker.log"), (3, 9, 1))[0] == "log4j.properties"
    name, text = logging_properties(Path("/x/broker.log"), (4, 0, 2))
    assert name == "log4j2.properties"
    assert "/x/broker.log" in text
    assert "%d{ISO8601}" in text


def test_cluster_ids_are_kafkas() -> None:
    ids = {new_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(len(one) == 22 and not one.startswith("-") for one in ids)


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    known = state.ClusterState(
        data_dir="/d", ports={1: 10, 2: 20}, controller_ports={1: 11, 2: 21}, processes={2: state.NodeProcess(5, 1.5)}
    )
    state.save_state(tmp_path, known)
    assert state.load_state(tmp_path) == known
    assert state.load_state(tmp_path / "none") is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"data_dir": 1}'])
def test_a_broken_state_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text, encoding="utf-8")
    with pytest.raises(LocalClusterError, match=r"state\.json can't be read"):
        state.load_state(tmp_path)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a b", "-n"])
def test_a_name_is_a_folder_and_nothing_else(name: str) -> None:
    with pytest.raises(UsageError, match="cluster's name"):
        state.cluster_folder(name)


def test_one_command_at_a_time(tmp_path: Path) -> None:
    with (
        state.locked(tmp_path),
        pytest.raises(LocalClusterError, match="another command"),
        state.locked(tmp_path, wait_s=0.1),
    ):
        pass
    with state.locked(tmp_path, wait_s=0.1):
        pass


def test_a_lock_survives_the_deletion_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with state.locked(folder, wait_s=10):
            order.append("second")
            assert (folder / "lock").exists()

    with state.locked(folder):
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait(5)
        shutil.rmtree(folder)
        order.append("first")
        # A third one that comes now makes a new lock file; the second must not believe in the old one.
    thread.join(10)
    assert order == ["first", "second"]


def test_a_lock_is_had_while_others_delete_its_folder_again_and_again(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    stop = threading.Event()

    def deletes() -> None:
        while not stop.is_set():
            shutil.rmtree(folder, ignore_errors=True)

    thread = threading.Thread(target=deletes)
    thread.start()
    try:
        for _ in range(2000):
            with state.locked(folder, wait_s=10):
                pass
    finally:
        stop.set()
        thread.join()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from sensorstream.cluster import state\n"
        "with state.locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(LocalClusterError), state.locked(tmp_path, wait_s=0.1):
            pass
    finally:
        child.kill()
        child.communicate()
    with state.locked(tmp_path, wait_s=5):
        pass


def test_a_pid_that_belongs_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    import psutil

    me = state.NodeProcess(os.getpid(), psutil.Process().create_time())
    assert node.running(me, tmp_path / "broker-1") is None
    assert node.running(None, tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the mark of a chosen port is a Linux socket")
def test_a_port_that_another_process_has_just_chosen_is_not_chosen() -> None:
    """Two clusters that start at the same time: the brokers of the first do not listen yet."""
    code = (
        "import random\n"
        "random.sample = lambda ports, count: list(ports)\n"
        "from sensorstream.cluster.preflight import free_ports\n"
        "print(*free_ports(3), flush=True)\n"
        "input()\n"
    )
    command = [sys.executable, "-c", code]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as second,
    ):
        chosen = [set((process.stdout.readline() if process.stdout else "").split()) for process in (first, second)]
        for process in (first, second):
            process.communicate("\n")
    assert [len(ports) for ports in chosen] == [3, 3]
    assert not chosen[0] & chosen[1]


def test_free_ports_are_free_and_different() -> None:
    ports = preflight.free_ports(5)
    assert len(set(ports)) == 5
    assert all(preflight.is_free(port) for port in ports)
    preflight.require_ports(ports)


def test_a_taken_port_names_its_owner() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        port = holder.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            preflight.require_ports([port])
    assert f"port {port} is already in use" in caught.value.message
    if sys.platform == "linux":
        assert f"(pid {os.getpid()})" in caught.value.message
    assert "--ports" in caught.value.hint


def test_a_folder_below_a_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "cluster", tmp_path / "file" / "clusters" / "one"):
        with pytest.raises(LocalClusterError, match="can't be made"), state.locked(folder, wait_s=10_000):
            pass


def test_too_little_memory_is_said_before_anything_starts() -> None:
    preflight.require_memory(1)
    with pytest.raises(LocalClusterError, match="too little memory: 100,000 brokers need") as caught:
        preflight.require_memory(100_000)
    assert "--brokers 1" in caught.value.hint


def formatted(folder: Path, **other: object) -> None:
    fields = {"name": "c", "cluster_id": "x", "kafka_version": "3.9.1", "brokers": 3, "complete": True, **other}
    state.save_formatted(folder, state.Formatted(**fields))  # type: ignore[arg-type]


def test_a_new_cluster_is_three_brokers_of_the_default_version() -> None:
    plan = make_plan("c", Wanted(ports="auto"))
    assert plan.fresh
    assert plan.missing == (1, 2, 3)
    used = [*plan.known.ports.values(), *plan.known.controller_ports.values()]
    assert len(set(used)) == 6


def test_the_number_of_ports_is_the_number_of_brokers() -> None:
    assert make_plan("c", Wanted(ports=(0,))).missing == (1,)


def test_formatted_data_keeps_version_and_brokers(home: Path) -> None:
    formatted(home / "data", brokers=1)
    plan = make_plan("c", Wanted(data_dir=home / "data", ports="auto"))
    assert (plan.version, plan.missing, plan.fresh) == ("3.9.1", (1,), False)
    assert make_plan("c", Wanted(kafka_version="3.9.1", brokers=1, data_dir=home / "data", ports=(0,))).missing == (1,)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"kafka_version": "4.4"}, r"formatted for Kafka 3\.9\.1, not 4\.4\.0"),
        ({"kafka_version": "3.9"}, r"formatted for Kafka 3\.9\.1, not 3\.9\.2"),
        ({"brokers": 1}, "formatted with 3 brokers, not 1"),
    ],
)
def test_formatted_data_refuses_another_shape(home: Path, wanted: dict[str, object], words: str) -> None:
    formatted(home / "data")
    with pytest.raises(LocalClusterError, match=words) as caught:
        make_plan("c", Wanted(data_dir=home / "data", ports="auto", **wanted))  # type: ignore[arg-type]
    assert "down --delete-data --name c" in caught.value.hint


def test_data_of_another_cluster_is_not_touched(home: Path) -> None:
    formatted(home / "data", name="other")
    with pytest.raises(LocalClusterError, match="data of the cluster 'other'"):
        make_plan("c", Wanted(data_dir=home / "data"))


def test_a_folder_that_is_not_ours_is_not_touched(home: Path) -> None:
    (home / "data" / "broker-1").mkdir(parents=True)
    with pytest.raises(LocalClusterError, match="not created by this program"):
        make_plan("c", Wanted(data_dir=home / "data"))


@pytest.mark.parametrize(
    ("ports", "words"),
    [((1, 2), "2 ports for 3 brokers"), ((5, 5, 6), "named twice"), ((1, 2, 70000), "70000 is not a port")],
)
def test_wrong_ports_are_usage_errors(ports: tuple[int, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_plan("c", Wanted(brokers=3, ports=ports))


def test_a_log_that_rolls_loses_no_line(tmp_path: Path) -> None:
    log = tmp_path / "broker-1.log"
    log.write_text("one\ntwo\n", encoding="utf-8")
    stop = threading.Event()
    lines = read_logs({1: log}, last=1, follow=True, stop=stop)
    assert next(lines).text == "two"
    with log.open("a", encoding="utf-8") as file:
        file.write("three\nfo")
    log.rename(tmp_path / "broker-1.log.1")
    with (tmp_path / "broker-1.log.1").open("a", encoding="utf-8") as file:
        file.write("ur\n")
    log.write_text("five\n", encoding="utf-8")
    assert [next(lines).text for _ in range(3)] == ["three", "four", "five"]
    stop.set()
    assert list(lines) == []


def test_the_reason_of_a_death_is_found_in_the_log(tmp_path: Path) -> None:
    one = node.Node(1, tmp_path / "broker-1", tmp_path / "data")
    one.folder.mkdir()
    assert one.last_error() == ""
    one.log_file.write_text(
        "[2026-01-01T00:00:00,000] INFO starting (kafka)\n"
        "[2026-01-01T00:00:01,000] ERROR Exiting Kafka due to fatal exception (kafka.Kafka$)\n"
        "java.lang.RuntimeException: outer\n"
        "\tat kafka.x\n"
        "Caused by: java.net.BindException: Address already in use\n"
        "[2026-01-01T00:00:02,000] INFO shut down (kafka)\n",
        encoding="utf-8",
    )
    reason = one.last_error()
    assert "BindException: Address already in use" in reason
    assert "\n" not in reason
