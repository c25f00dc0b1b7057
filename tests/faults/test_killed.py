"""Nothing lost, nothing doubled: brokers killed under load, captures killed at random points. Small and seeded.

The long versions are campaigns (``make campaign``).
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from running import PROGRAM, cli, ok, started, until
from sensorstream.cluster import LocalCluster

pytestmark = pytest.mark.broker


def numbered(path: Path, rows: int) -> Path:
    path.write_text("n,text\n" + "".join(f'{n},"row {n}\nof many"\n' for n in range(rows)))
    return path


def leader_of(b: list[str], topic: str, partition: int = 0) -> int:
    described = ok("topics", "describe", topic, *b)["topics"][0]["partitions"]
    return int(next(part["leader"] for part in described if part["partition"] == partition))


def capture_and_verify(b: list[str], topic: str, source: Path, folder: Path) -> None:
    for partition in ("0", "1"):
        ok("consume", "-t", topic, "-p", partition, "-e", "--to", str(folder), *b)
    assert ok("verify", "--source", f"{topic}={source}", str(folder))["exactly_once"] is True


@pytest.mark.timeout(240)
def test_a_leader_killed_under_load_loses_nothing(own_cluster: Callable[..., LocalCluster], tmp_path: Path) -> None:
    cluster = own_cluster()
    b = ["--bootstrap", ",".join(cluster.bootstrap)]
    source = numbered(tmp_path / "s.csv", 12_000)
    ok("topics", "create", "bounced", *b)
    leader = leader_of(b, "bounced")
    with started("produce", "--source", f"bounced={source}", "--rate", "1000", *b, cwd=tmp_path) as producer:
        until(lambda: "rows" in producer.told or producer.process.poll() is not None, "some progress")
        cluster.stop_broker(leader, kill=True)
        until(lambda: leader_of_any(b, "bounced", leader), "a new leader")
        cluster.start_broker(leader)
        assert producer.end(120) == 0, producer.told
    assert "going on" in producer.told, "the broker's death is told"
    capture_and_verify(b, "bounced", source, tmp_path / "out")


def leader_of_any(b: list[str], topic: str, dead: int) -> bool:
    described = cli("topics", "describe", topic, "--output", "json", *b)
    return described.returncode == 0 and leader_of(b, topic) not in (dead, -1)


@pytest.mark.timeout(240)
def test_all_brokers_killed_while_capturing_and_producing(
    own_cluster: Callable[..., LocalCluster], tmp_path: Path
) -> None:
    cluster = own_cluster()
    b = ["--bootstrap", ",".join(cluster.bootstrap)]
    source = numbered(tmp_path / "s.csv", 6_000)
    ok("topics", "create", "dark", *b)
    with (
        started("consume", "-t", "dark", "-p", "0", "--to", str(tmp_path / "out"), *b) as capture,
        started("produce", "--source", f"dark={source}", "--rate", "500", *b, cwd=tmp_path) as producer,
    ):
        until(lambda: "Saved data" in capture.told or "rows" in capture.told, "some captured rows")
        for broker in (1, 2, 3):
            cluster.stop_broker(broker, kill=True)
        cluster.up()
        assert producer.end(150) == 0, producer.told
        until(lambda: "at offset 3000" in capture.told, "the end of the capture", 60)
        capture.signal(signal.SIGTERM)
        assert capture.end() == 0, capture.told
    capture_and_verify(b, "dark", source, tmp_path / "out")


KILLS = [pytest.param(2308, 6, id="short"), pytest.param(1, 100, id="campaign", marks=pytest.mark.campaign)]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(("seed", "kills"), KILLS)
def test_a_capture_killed_at_random_points_holds_each_row_once(
    broker: tuple[str, ...], tmp_path: Path, form: str, seed: int, kills: int
) -> None:
    b = ["--bootstrap", ",".join(broker)]
    topic = f"killed-{form}-{seed}"
    source = numbered(tmp_path / "s.csv", 20_000 * kills)
    ok("topics", "create", topic, *b)
    dice = random.Random(seed)
    out = tmp_path / "out"
    captured = out / f"{topic}_Consumer_0.{form}"
    with started("produce", "--source", f"{topic}={source}", "--rate", "2000", *b, cwd=tmp_path) as producer:
        for _ in range(kills):
            arguments = ["consume", "-t", topic, "-p", "0", "--to", str(out), "--format", form, *b]
            with started(*arguments) as capture:
                before = captured.stat().st_size if captured.exists() else 0
                until(partial(grown, captured, before), "a growing file")
                threading.Event().wait(dice.random() * 0.4)
                os.kill(capture.process.pid, signal.SIGKILL)
                capture.end()
        producer.signal(signal.SIGINT)
        assert producer.end(60) == 130, producer.told
    sent = producer.told.strip().rpartition("=")[2]
    for partition in ("0", "1"):
        ok("consume", "-t", topic, "-p", partition, "-e", "--to", str(out), "--format", form, *b)
    assert ok("verify", "--source", f"{topic}={source}", "--limit", sent, str(out))["exactly_once"] is True


def grown(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size > size


def test_a_full_disk_ends_the_capture_with_a_whole_file(broker: tuple[str, ...], tmp_path: Path) -> None:
    """The limit on a file's size stands for the disk: the write fails half way, with the space used up."""
    b = ["--bootstrap", ",".join(broker)]
    source = numbered(tmp_path / "s.csv", 20_000)
    ok("topics", "create", "full", *b)
    ok("produce", "--source", f"full={source}", "--delay", "0", *b, cwd=tmp_path)
    began = time.monotonic()
    command = ["bash", "-c", 'ulimit -f 64; exec "$@"', "-", *PROGRAM]
    command += ["consume", "-t", "full", "-p", "0", "-e", "--to", str(tmp_path / "out"), *b]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert time.monotonic() - began < 30
    assert "full_Consumer_0.csv" in done.stderr
    ok("consume", "-t", "full", "-p", "0", "-e", "--to", str(tmp_path / "out"), *b)
    ok("consume", "-t", "full", "-p", "1", "-e", "--to", str(tmp_path / "out"), *b)
    assert ok("verify", "--source", f"full={source}", str(tmp_path / "out"))["exactly_once"] is True
