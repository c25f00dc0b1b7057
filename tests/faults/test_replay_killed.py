"""Exactly-once replays killed at random points, and frozen while another run takes over: each row is there once.

The long forms are a campaign (``make campaign``), which writes docs/reliability.md.
"""

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from faults.counting import Watch, count_topic, write_source
from faults.figures import Figures, kafka_version, write
from faults.workloads import CLIENTS, END_S, PARTITIONS, Replay, rows_for
from running import Started, ok, started, until
from sensorstream.cluster import LocalCluster
from sensorstream.errors import ExitCode

pytestmark = pytest.mark.broker

RATE, SHORT_RATE = 1000, 400
"""Rows a second, in the campaign and in the short form."""
FEW = 10 * SHORT_RATE
RESUMES_WITHIN_S = 5.0
KILLS = [pytest.param(2308, 3, id="short"), pytest.param(9, 100, id="campaign", marks=pytest.mark.campaign)]
KILLS_AT_LEAST_ONCE = [
    pytest.param("kafka-python", 2308, 2, id="short"),
    *(pytest.param(client, 9, 25, id=f"campaign-{client}", marks=pytest.mark.campaign) for client in CLIENTS),
]
FREEZES = [pytest.param(2308, 1, id="short"), pytest.param(11, 10, id="campaign", marks=pytest.mark.campaign)]


def replay_of(
    cluster: LocalCluster,
    client: str,
    topic: str,
    folder: Path,
    rows: int,
    *options: str,
    rate: int,
    few: int | None = None,
) -> Replay:
    b = ["--bootstrap", ",".join(cluster.bootstrap)]
    ok("topics", "create", topic, "--partitions", str(PARTITIONS), *b)
    source = write_source(folder / f"{topic}.csv", rows)
    return Replay(topic, source, rows, ["--client", client, *b, *options], rate, few)


def until_more(watch: Watch, running: Started) -> None:
    """Wait until rows are seen that were not there before; a run that has ended brings none."""
    before = len(watch.seen)
    until(lambda: len(watch.seen) > before or running.process.poll() is not None, "new rows", END_S)
    assert running.process.poll() is None, running.told


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("seed", "kills"), KILLS)
def test_a_replay_killed_at_random_points_publishes_each_row_once(
    cluster: LocalCluster, tmp_path: Path, client: str, seed: int, kills: int
) -> None:
    """One kill in four falls into the start, the others fall on a run whose rows are being seen."""
    dice = random.Random(seed)
    rate, few = (SHORT_RATE, FEW) if kills < 25 else (RATE, None)
    rows = rows_for(rate, kills, at_least_s=60)
    replay = replay_of(cluster, client, f"again-{client}-{seed}", tmp_path, rows, "--exactly-once", rate=rate, few=few)
    watch = Watch(cluster.bootstrap, replay.topic)
    resumed: list[float] = []
    with watch.running():
        for _ in range(kills):
            with started(*replay.paced(), cwd=tmp_path) as running:
                began = time.monotonic()
                if dice.random() < 0.75:
                    until_more(watch, running)
                    resumed.append(time.monotonic() - began)
                threading.Event().wait(dice.random() * 0.6)
                os.kill(running.process.pid, signal.SIGKILL)
                running.end()
        assert 0 < len(watch.seen) < rows, "kills fall on a replay that is neither at its beginning nor done"
        replay.rest("", watch.numbers())
        again = ok(*replay.command("--delay", "0", "--limit", str(replay.rows)), timeout=END_S)
        assert again["sent"] == 0, "a job that is finished sends nothing"
    count = count_topic(cluster.bootstrap, replay.topic, range(replay.rows), PARTITIONS, watch.seen)
    if kills >= 100:
        figures = Figures(
            9, "replay killed at random points", client, "replay, exactly once", kills, count,
            max(resumed), RESUMES_WITHIN_S, seed, kafka_version(cluster),
        )  # fmt: skip
        write(figures)
        assert max(resumed) <= RESUMES_WITHIN_S, resumed
    assert count.is_zero, count


@pytest.mark.parametrize(("client", "seed", "kills"), KILLS_AT_LEAST_ONCE)
def test_a_replay_at_least_once_killed_at_random_points_loses_nothing(
    cluster: LocalCluster, tmp_path: Path, client: str, seed: int, kills: int
) -> None:
    """It is gone on with at a row that was seen in each partition: rows may come twice then, none is missing."""
    dice = random.Random(seed)
    rate, few = (SHORT_RATE, FEW) if kills < 25 else (RATE, None)
    rows = rows_for(rate, kills, at_least_s=60)
    replay = replay_of(cluster, client, f"least-{client}-{seed}", tmp_path, rows, rate=rate, few=few)
    watch = Watch(cluster.bootstrap, replay.topic)
    with watch.running():
        row = 0
        for _ in range(kills):
            with started(*replay.paced(), "--from-row", f"{replay.topic}={row}", cwd=tmp_path) as running:
                until_more(watch, running)
                threading.Event().wait(dice.random() * 0.6)
                os.kill(running.process.pid, signal.SIGKILL)
                running.end()
            row = min(next_row(watch, partition) for partition in range(PARTITIONS))
        replay.rest(f"--from-row {replay.topic}={row}", ())
    count = count_topic(cluster.bootstrap, replay.topic, range(replay.rows), PARTITIONS, watch.seen)
    if kills >= 25:
        figures = Figures(
            9, "replay killed at random points", client, "replay, at least once", kills, count, None, None, seed,
            kafka_version(cluster),
        )  # fmt: skip
        write(figures)
    assert count.lost == count.reordered == count.aborted == 0, count


def next_row(watch: Watch, partition: int) -> int:
    """The first row of a partition that has not been seen."""
    seen = {number for (where, _), number in list(watch.seen.items()) if where == partition}
    return next(row for row in range(partition, 1 << 30, PARTITIONS) if row not in seen)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("seed", "freezes"), FREEZES)
def test_a_frozen_older_run_comes_back_and_is_fenced(
    cluster: LocalCluster, tmp_path: Path, client: str, seed: int, freezes: int
) -> None:
    """Another run, as on another machine, takes over while the first one is frozen; then the first one wakes up."""
    dice = random.Random(seed)
    rows = 8000 * freezes
    replay = replay_of(cluster, client, f"frozen-{client}-{seed}", tmp_path, rows, "--exactly-once", rate=300)
    watch = Watch(cluster.bootstrap, replay.topic)
    with watch.running():
        for number in range(freezes):
            last = number == freezes - 1
            with started(*replay.paced(), cwd=tmp_path) as first:
                until_more(watch, first)
                threading.Event().wait(dice.random())
                first.signal(signal.SIGSTOP)
                with started(*(replay.command("--delay", "0") if last else replay.paced()), cwd=tmp_path) as second:
                    if last:
                        assert second.end(END_S) == ExitCode.DONE, second.told
                    else:
                        until_more(watch, second)
                    first.signal(signal.SIGCONT)
                    told = ended(first)
                    assert "has taken over" in told, told
                    if not last:
                        until_more(watch, second)
                        second.signal(signal.SIGTERM)
                        assert second.end(END_S) == ExitCode.INTERRUPTED, second.told
    count = count_topic(cluster.bootstrap, replay.topic, range(rows), PARTITIONS, watch.seen)
    if freezes >= 10:
        figures = Figures(
            11, "a frozen older run comes back", client, "replay, exactly once", freezes, count, None, None, seed,
            kafka_version(cluster),
        )  # fmt: skip
        write(figures)
    assert count.is_zero, count


def ended(running: Started) -> str:
    try:
        assert running.end(END_S) == ExitCode.FAILED, running.told
    except subprocess.TimeoutExpired:
        pytest.fail(f"a run that was fenced did not end within {END_S:g} s:\n{running.told}")
    return running.told
