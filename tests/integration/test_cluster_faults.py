"""What goes wrong with a cluster: one clear line each, and nothing left running."""

import os
import shutil
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from running import Started, cli, started
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


# With users, since Kafka's format tool runs for each cluster then.
UP = ("cluster", "up", "--brokers", "1", "--ports", "auto", "--secure", "scram")
FORMATTING, STARTING = "kafka.tools.StorageTool", "kafka.Kafka"


def wait_for(phase: str, up: Started, deadline_s: float = 60.0) -> None:
    """Wait until the command runs this Java program, or has ended. It is looked for often: it does not run for long."""
    deadline = time.monotonic() + deadline_s
    while up.process.poll() is None and not any(phase in words for words in children(up.process.pid)):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def children(pid: int) -> list[list[str]]:
    """The command lines of a process's children."""
    try:
        return [child.cmdline() for child in psutil.Process(pid).children()]
    except psutil.Error:  # it, or the child that was looked at, has just ended
        return []


def fails(*words: str) -> str:
    ended = cli("cluster", *words, timeout=120)
    assert ended.returncode == 1, (ended.stdout, ended.stderr)
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


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
@pytest.mark.parametrize("phase", [FORMATTING, STARTING])
def test_an_interrupted_up_leaves_no_orphan(state_folder: Path, number: signal.Signals, phase: str) -> None:
    with started(*UP) as up:
        wait_for(phase, up)
        up.process.send_signal(number)
        assert up.end(60) == 130, up.told
    assert "stopped while" in up.told
    assert not ours(state_folder)
    assert LocalCluster().status().state == "absent"


def test_down_cleans_up_after_a_killed_up(state_folder: Path) -> None:
    with started(*UP, "--name", "killed") as up:
        wait_for(STARTING, up)
        up.process.send_signal(signal.SIGKILL)
        up.end()
    assert ours(state_folder), "a broker has survived its launcher; this is what down is for"
    local = LocalCluster("killed")
    assert local.down(delete_data=True).stopped == (1,)
    assert not ours(state_folder)


def test_up_takes_over_what_a_killed_up_left(state_folder: Path) -> None:
    with started(*UP) as up:
        wait_for(FORMATTING, up)
        up.process.send_signal(signal.SIGKILL)
        up.end()
    local = LocalCluster()
    try:
        assert local.up(brokers=1, ports="auto").quorum_leader == 1
        assert len(ours(state_folder)) == 1
    finally:
        local.down(delete_data=True)


def test_two_ups_at_once_start_one_cluster_which_goes_down_frozen(state_folder: Path) -> None:
    words = ("cluster", "up", "--brokers", "1", "--ports", str(preflight.free_ports(1)[0]))
    local = LocalCluster()
    try:
        with started(*words) as one, started(*words) as two:
            assert [one.end(), two.end()] == [0, 0], (one.told, two.told)
            assert sorted("already running" in up.stdout.read() for up in (one, two)) == [False, True]
        assert len(ours(state_folder)) == 1

        pid = local.status().brokers[0].pid
        assert pid is not None
        psutil.Process(pid).suspend()
        assert local.status().brokers[0].state == "frozen"
        local.down()
        assert not node.find_all(local.folder)
    finally:
        local.down(delete_data=True)
