"""Captures killed at random points: nothing lost, nothing doubled. Small and seeded.

The long forms are a campaign (``make campaign``), which writes docs/reliability.md.
"""

import os
import random
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

from faults.counting import count_files, write_source
from faults.figures import Figures, kafka_version, write
from faults.workloads import rows_for, until_rows
from running import ok, started, until
from sensorstream.cluster import LocalCluster

pytestmark = pytest.mark.broker

RATE = 1500

CAMPAIGN = [
    pytest.param(client, form, 10, 100, id=f"campaign-{client}-{form}", marks=pytest.mark.campaign)
    for client in ("kafka-python", "librdkafka")
    for form in ("csv", "jsonl")
]
KILLS = [
    pytest.param("kafka-python", "csv", 2308, 3, id="short-csv"),
    pytest.param("librdkafka", "jsonl", 2308, 3, id="short-jsonl"),
    *CAMPAIGN,
]


@pytest.mark.parametrize(("client", "form", "seed", "kills"), KILLS)
def test_a_capture_killed_at_random_points_holds_each_row_once(
    cluster: LocalCluster, tmp_path: Path, client: str, form: str, seed: int, kills: int
) -> None:
    """Both partitions by one capture: it is killed while it starts, stores, and moves its positions on."""
    b = ["--bootstrap", ",".join(cluster.bootstrap), "--client", client]
    topic = f"killed-{client}-{form}-{seed}"
    source = write_source(tmp_path / "s.csv", rows_for(RATE, kills))
    ok("topics", "create", topic, *b)
    dice = random.Random(seed)
    out = tmp_path / "out"
    capture = ["consume", "-t", topic, "-p", "0", "-p", "1", "--to", str(out), "--format", form, *b]
    with started("produce", "--source", f"{topic}={source}", "--rate", str(RATE), *b, cwd=tmp_path) as producer:
        until_rows(cluster.bootstrap, topic)
        for _ in range(kills):
            with started(*capture) as running:
                before = size(out, form)
                if dice.random() < 0.75:
                    until(partial(grown, out, form, before), "a growing file")
                threading.Event().wait(dice.random() * 0.6)
                os.kill(running.process.pid, signal.SIGKILL)
                running.end()
        assert producer.process.poll() is None, "all kills fall on a topic that grows"
        producer.signal(signal.SIGINT)
        assert producer.end(60) == 130, producer.told
    sent = int(producer.told.split(f"{topic}=")[-1].split()[0])
    ok(*capture, "-e")
    count = count_files(out, range(sent), 2)
    if kills >= 100:
        figures = Figures(
            10, "capture killed at random points", client, f"capture to {form}", kills, count, None, None, seed,
            kafka_version(cluster),
        )  # fmt: skip
        write(figures)
    assert count.is_zero, count
    ok("verify", "--source", f"{topic}={source}", "--limit", str(sent), str(out))


def size(folder: Path, form: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"*.{form}"))


def grown(folder: Path, form: str, before: int) -> bool:
    return size(folder, form) > before
