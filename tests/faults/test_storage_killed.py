"""Captures into databases and Parquet killed at random points: nothing lost, nothing doubled. Small and seeded.

The long forms are a campaign (``make campaign``), which writes docs/reliability.md.
"""

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet
import pytest

from faults.counting import Count, compare, write_source
from faults.figures import Figures, kafka_version, write
from faults.workloads import rows_for, until_rows
from running import ok, started, until
from sensorstream.cluster import LocalCluster
from sensorstream.sinks.segment_names import segments_below

pytestmark = pytest.mark.broker

RATE = 1500


def sqlite_numbers(target: Path) -> dict[int, list[int]]:
    """The numbers in each partition of a database, in the order of the log; each row must be whole."""
    found: dict[int, list[int]] = {}
    with closing(sqlite3.connect(target)) as db:
        table = db.execute("SELECT name FROM sensorstream_topics").fetchone()[0]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for partition, number, text in db.execute(f'SELECT _partition, n, text FROM "{table}" ORDER BY 1, _offset'):
            assert text == f"row {number}\nof many"
            found.setdefault(partition, []).append(number)
    return found


def parquet_numbers(target: Path) -> dict[int, list[int]]:
    """The numbers in the finished files of each partition, in the order of their names; each row must be whole."""
    found: dict[int, list[int]] = {}
    files = [segment for topic in target.iterdir() if topic.is_dir() for segment in segments_below(topic)]
    for segment in files:
        table = pyarrow.parquet.read_table(segment.path)
        for number, text in zip(table["n"].to_pylist(), table["text"].to_pylist(), strict=True):
            assert text == f"row {number}\nof many"
            found.setdefault(segment.partition, []).append(number)
    # The ranges of the names go on from one to the next.
    for before, behind in pairwise(files):
        assert behind.first == (before.last + 1 if behind.partition == before.partition else 0)
    return found


NUMBERS: dict[str, Callable[[Path], dict[int, list[int]]]] = {"sqlite": sqlite_numbers, "parquet": parquet_numbers}
ROTATED = {"parquet": ["--rotate-rows", "700"]}
KILLS = [
    pytest.param("librdkafka", "sqlite", 2308, 3, id="short-sqlite"),
    pytest.param("librdkafka", "parquet", 2308, 2, id="short-parquet"),
    *(
        pytest.param(client, form, 11, 50, id=f"campaign-{client}-{form}", marks=pytest.mark.campaign)
        for client in ("kafka-python", "librdkafka")
        for form in ("sqlite", "parquet")
    ),
]


@pytest.mark.parametrize(("client", "form", "seed", "kills"), KILLS)
def test_a_capture_killed_at_random_points_holds_each_row_once(
    cluster: LocalCluster, tmp_path: Path, client: str, form: str, seed: int, kills: int
) -> None:
    """Both partitions by one capture into one target: it is killed while it starts, stores, and moves on."""
    b = ["--bootstrap", ",".join(cluster.bootstrap), "--client", client]
    topic = f"killed-{client}-{form}-{seed}"
    source = write_source(tmp_path / "s.csv", rows_for(RATE, kills))
    ok("topics", "create", topic, *b)
    dice = random.Random(seed)
    out = tmp_path / f"out.{form}"
    capture = ["consume", "-t", topic, "-p", "0", "-p", "1", "--to", str(out), *ROTATED.get(form, []), *b]
    with started("produce", "--source", f"{topic}={source}", "--rate", str(RATE), *b, cwd=tmp_path) as producer:
        until_rows(cluster.bootstrap, topic)
        for _ in range(kills):
            with started(*capture) as running:
                before = stored(tmp_path)
                if dice.random() < 0.75:
                    until(partial(moved, tmp_path, before), "a file that moves")
                threading.Event().wait(dice.random() * 0.6)
                os.kill(running.process.pid, signal.SIGKILL)
                running.end()
        assert producer.process.poll() is None, "all kills fall on a topic that grows"
        producer.signal(signal.SIGINT)
        assert producer.end(60) == 130, producer.told
    sent = int(producer.told.split(f"{topic}=")[-1].split()[0])
    ok(*capture, "-e")
    count: Count = compare(NUMBERS[form](out), range(sent), 2)
    if kills >= 50:
        figures = Figures(
            10, "capture killed at random points", client, f"capture to {form}", kills, count, None, None, seed,
            kafka_version(cluster),
        )  # fmt: skip
        write(figures)
    assert count.is_zero, count
    ok("verify", "--source", f"{topic}={source}", "--limit", str(sent), str(out))


def moved(folder: Path, before: list[tuple[str, int, int]]) -> bool:
    return stored(folder) != before


def stored(folder: Path) -> list[tuple[str, int, int]]:
    """What the capture's files look like: it has stored something when this changes."""
    found = []
    for path in [*folder.glob("out*"), *folder.glob("out*/*")]:
        try:
            there = path.stat()
        except FileNotFoundError:
            continue  # it lets go of its log
        found.append((str(path), there.st_size, there.st_mtime_ns))
    return found
