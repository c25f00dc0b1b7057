"""Whatever starts brokers is stopped at random points, by each signal: no orphan, free ports, and `down` cleans up.

The cases at chosen points are in tests/integration/test_cluster_faults.py. The long form is a campaign (``make
campaign``), which writes docs/reliability.md.
"""

import random
import signal
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from faults.counting import Count
from faults.figures import Figures, write
from running import Started, cli, ok, started, until
from sensorstream.cluster import LocalCluster, artifacts, node, preflight
from sensorstream.errors import ExitCode

pytestmark = pytest.mark.broker

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
FORMS = [pytest.param(2308, 3, 2, id="short"), pytest.param(17, 30, 3, id="campaign", marks=pytest.mark.campaign)]


@pytest.mark.parametrize(("seed", "times", "brokers"), FORMS)
def test_a_launcher_stopped_at_random_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, times: int, brokers: int
) -> None:
    """Brokers are being started. After INT and TERM nothing runs; after KILL nothing does once `down` has run."""
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    dice = random.Random(seed)
    for number in range(times):
        how = SIGNALS[number % len(SIGNALS)]
        name = f"launched-{number}"
        ports = preflight.free_ports(brokers)
        command = ["cluster", "up", "--name", name, "--brokers", str(brokers), "--ports", ",".join(map(str, ports))]
        cluster = LocalCluster(name)
        with started(*command) as running:
            until(partial(begun, cluster, running), "the first node")
            threading.Event().wait(dice.random() * 4)
            before = running.process.poll()
            running.signal(how)
            code = running.end()
        if how == signal.SIGKILL or before is not None:
            ok("cluster", "down", "--delete-data", "--name", name)
        else:
            assert code in (ExitCode.INTERRUPTED, ExitCode.DONE), running.told
            if code == ExitCode.DONE:  # it was ready just then, and has said so
                ok("cluster", "down", "--delete-data", "--name", name)
        assert not nodes(cluster), f"orphans after {how.name}"
        assert all(preflight.is_free(port) for port in ports), f"ports are taken after {how.name}"
        again = cli("cluster", "down", "--delete-data", "--name", name)
        assert "Traceback" not in again.stderr
    if times >= 30:
        figures = Figures(
            17, "launcher stopped by INT, TERM, KILL", "", "cluster up", times, Count(), None, None, seed,
            artifacts.DEFAULT_VERSION,
        )  # fmt: skip
        write(figures)


def begun(cluster: LocalCluster, running: Started) -> bool:
    return bool(nodes(cluster)) or running.process.poll() is not None


def nodes(cluster: LocalCluster) -> list[psutil.Process]:
    return [process for group in node.find_all(cluster.folder).values() for process in group]


DEMOS = [
    pytest.param(signal.SIGTERM, True, id="SIGTERM-ready"),
    pytest.param(signal.SIGKILL, False, id="SIGKILL-started"),
    pytest.param(signal.SIGTERM, False, id="SIGTERM-started", marks=pytest.mark.campaign),
    pytest.param(signal.SIGKILL, True, id="SIGKILL-ready", marks=pytest.mark.campaign),
]


@pytest.mark.parametrize(("how", "ready"), DEMOS)
def test_a_demo_that_is_stopped_leaves_no_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals, ready: bool
) -> None:
    """Its brokers are there for it alone: also when nobody is left to stop them, and while they are starting."""
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with started("demo") as running:
        until(lambda: len(brokers_of(running)) == 3, "the demo's brokers", 120)
        if ready:
            until(lambda: "is ready at" in running.told, "the demo's cluster", 120)
        mine = brokers_of(running)
        assert len(mine) == 3
        running.signal(how)
        running.end()
    until(lambda: not any(process.is_running() for process in mine), "the end of the demo's brokers", 60)


def brokers_of(running: Started) -> list[psutil.Process]:
    return [child for child in psutil.Process(running.process.pid).children() if is_broker(child)]


def is_broker(process: psutil.Process) -> bool:
    try:
        return "kafka.Kafka" in process.cmdline()
    except psutil.Error:
        return False  # it has ended just now
