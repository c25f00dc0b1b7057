"""What goes wrong with a cluster: one clear line each, and nothing left running."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sensorstream.cluster import LocalCluster, artifacts, node, preflight
from sensorstream.cluster.preflight import NODE_MARK
from sensorstream.errors import ArtifactError, LocalClusterError

pytestmark = pytest.mark.broker


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def ours(state_folder: Path) -> list[list[str]]:
    """The command lines of the Java processes of this test."""
    mark = f"{NODE_MARK}{state_folder}{os.sep}"
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if any(word.startswith(mark) for word in line)]


def wait_for(what: Callable[[], bool], deadline_s: float = 60.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def command(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "sensorstream", "cluster", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fails(*words: str) -> str:
    child = command(*words)
    out, error = child.communicate(timeout=120)
    assert child.returncode == 1, (out, error)
    assert out == ""
    assert len(error.splitlines()) == 1, error
    return error


def test_a_taken_port(state_folder: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        port = holder.getsockname()[1]
        error = fails("up", "--brokers", "1", "--ports", str(port))
    assert f"port {port} is already in use" in error
    assert not ours(state_folder)
    assert not state_folder.exists(), "nothing is created half"


def test_too_little_memory(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "MEGABYTES_PER_BROKER", 10**9)
    with pytest.raises(LocalClusterError, match="too little memory"):
        LocalCluster().up(ports="auto")
    assert not state_folder.exists()


def test_a_missing_download(state_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path / "cache"))
    error = fails("up", "--brokers", "1", "--ports", "auto", "--offline")
    assert "are missing or damaged" in error
    assert "run once with a network" in error
    assert not state_folder.exists()


def test_a_damaged_jar_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = artifacts.fetch("3.9.0")
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "jars"
    folder.mkdir(parents=True)
    for jar in full:
        shutil.copyfile(jar, folder / jar.name)
    damaged = next(path for path in folder.iterdir() if "slf4j-api" in path.name)
    artifacts.fetch("3.9.0", offline=True)
    good = damaged.read_bytes()
    damaged.write_bytes(good[:-1] + b"!")
    with pytest.raises(ArtifactError, match="slf4j-api"):
        artifacts.fetch("3.9.0", offline=True)
    assert artifacts.fetch("3.9.0") == tuple(folder / jar.name for jar in full)
    assert damaged.read_bytes() == good
    assert not list(folder.glob(".incoming-*"))


def test_a_jar_that_is_not_the_pinned_one_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path))
    wrong = artifacts.Jar("org.slf4j:slf4j-api:1.7.36", "0" * 64, 41125)
    monkeypatch.setattr(artifacts, "pinned_jars", lambda _version: (wrong,))
    with pytest.raises(ArtifactError, match=r"slf4j-api:1\.7\.36 does not have the pinned SHA-256"):
        artifacts.fetch("3.9.0")
    assert not list(tmp_path.rglob("*.jar"))


def test_a_node_that_dies_at_the_start_says_why(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalCluster()
    # A port that was free when it was looked at and is not when the broker wants it.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        monkeypatch.setattr(preflight, "require_ports", lambda _ports: None)
        with pytest.raises(LocalClusterError, match=r"broker 1 ended while it was starting: .*Address already in use"):
            local.up(brokers=1, ports=[holder.getsockname()[1]])
    assert not ours(state_folder)
    assert local.status().state == "absent"


def test_a_start_that_takes_too_long_leaves_nothing(state_folder: Path) -> None:
    with pytest.raises(LocalClusterError, match=r"not ready within 0\.1 s"):
        LocalCluster().up(brokers=1, ports="auto", timeout_s=0.1)
    assert not ours(state_folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", ["kafka.tools.StorageTool", "kafka.Kafka"])
def test_an_interrupted_up_leaves_no_orphan(state_folder: Path, number: signal.Signals, phase: str) -> None:
    child = command("up", "--brokers", "1", "--ports", "auto")
    wait_for(lambda: any(phase in line for line in ours(state_folder)) or child.poll() is not None)
    child.send_signal(number)
    _, error = child.communicate(timeout=60)
    assert child.returncode == 130, error
    assert "stopped while" in error
    assert not ours(state_folder)
    assert LocalCluster().status().state == "absent"


def test_down_cleans_up_after_a_killed_up(state_folder: Path) -> None:
    child = command("up", "--brokers", "1", "--ports", "auto", "--name", "killed")
    wait_for(lambda: any("kafka.Kafka" in line for line in ours(state_folder)) or child.poll() is not None)
    child.kill()
    child.communicate()
    assert ours(state_folder), "a broker has survived its launcher; this is what down is for"
    local = LocalCluster("killed")
    assert local.down(delete_data=True).stopped == (1,)
    assert not ours(state_folder)


def test_up_takes_over_what_a_killed_up_left(state_folder: Path) -> None:
    child = command("up", "--brokers", "1", "--ports", "auto")
    wait_for(lambda: any("kafka.tools.StorageTool" in line for line in ours(state_folder)) or child.poll() is not None)
    child.kill()
    child.communicate()
    local = LocalCluster()
    try:
        assert local.up(brokers=1, ports="auto").quorum_leader == 1
        assert len(ours(state_folder)) == 1
    finally:
        local.down(delete_data=True)


def test_two_ups_at_once_start_one_cluster(state_folder: Path) -> None:
    port = str(preflight.free_ports(1)[0])
    children = [command("up", "--brokers", "1", "--ports", port) for _ in range(2)]
    try:
        ended = [child.communicate(timeout=120) for child in children]
        assert [child.returncode for child in children] == [0, 0], ended
        assert sorted("already running" in out for out, _ in ended) == [False, True]
        assert len(ours(state_folder)) == 1
    finally:
        LocalCluster().down(delete_data=True)


def test_a_frozen_broker_is_shown_and_goes_down(own_cluster: Callable[..., LocalCluster]) -> None:
    local = own_cluster(brokers=1)
    pid = local.status().brokers[0].pid
    assert pid is not None
    process = psutil.Process(pid)
    process.suspend()
    assert local.status().brokers[0].state == "frozen"
    local.down()
    assert not node.find_all(local.folder)
