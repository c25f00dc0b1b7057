"""Exactly once from topic to topic, with workers killed, frozen and under one name; all of the output is counted.

The long form is a campaign (``make campaign``), which writes docs/reliability.md.
"""

import os
import random
import signal
import threading
from pathlib import Path

import psutil
import pytest

from faults.figures import Figures, kafka_version, write
from running import Started, cli, ok, started, until
from sensorstream.admin import describe_group
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings
from stream_cases import PARTITIONS, Feed, check, count, progress

pytestmark = [pytest.mark.broker, pytest.mark.long]

KILLS = [pytest.param(2308, 2, id="short"), pytest.param(12, 50, id="campaign", marks=pytest.mark.campaign)]


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize(("seed", "kills"), KILLS)
def test_workers_killed_at_random_points_score_each_post_once(
    cluster: LocalCluster, client: str, seed: int, kills: int
) -> None:
    """Two workers; one that is killed is started again under the same id. At the end their owner is killed, too."""
    broker = cluster.bootstrap
    b = ["--bootstrap", ",".join(broker), "--client", client]
    topic, target, group = (f"{name}-{client}-{seed}" for name in ("killed-posts", "killed-scored", "killed"))
    ok("topics", "create", topic, target, "--partitions", str(PARTITIONS), *b)
    dice = random.Random(seed)
    stream = ["sentiment", "stream", "--from", topic, "--to", target, "--group", group, *b]
    with (
        Feed(broker, topic).running() as feed,
        progress(broker, group, topic) as group_progress,
        started(*stream, "--workers", "2") as running,
    ):
        for number in range(kills):
            group_progress.until_there_is_some()
            threading.Event().wait(dice.random() * 0.4)
            kill_one(running, dice, number + 1)
        group_progress.until_there_is_some()
        workers = psutil.Process(running.process.pid).children()
        running.signal(signal.SIGKILL)
        until(lambda: not any(worker.is_running() for worker in workers), "the end of the workers")
    done = cli(*stream, "--exit", "--output", "json")
    assert done.returncode in (0, 1), done.stderr
    found = count(broker, feed.sent, topic, target)
    if kills >= 50:
        figures = Figures(
            12, "scorer killed", client, "sentiment stream", kills, found, None, None, seed, kafka_version(cluster)
        )
        write(figures)
    assert found.is_zero, found


def kill_one(running: Started, dice: random.Random, count: int) -> None:
    workers = sorted(child.pid for child in psutil.Process(running.process.pid).children())
    os.kill(dice.choice(workers), signal.SIGKILL)
    until(lambda: running.told.count("was killed by SIGKILL; another one takes its place") == count, "another worker")


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_a_worker_that_was_frozen_finds_its_partitions_taken_and_doubles_nothing(
    broker: tuple[str, ...], client: str
) -> None:
    """It wakes up in the middle of what it did, after the others have gone on with its share."""
    b = ["--bootstrap", ",".join(broker), "--client", client]
    topic, target, group = (f"{name}-{client}" for name in ("frozen-posts", "frozen-scored", "frozen"))
    ok("topics", "create", topic, target, "--partitions", str(PARTITIONS), *b)
    stream = ["sentiment", "stream", "--from", topic, "--to", target, "--group", group, *b]
    settings = Settings(bootstrap=broker)

    def members() -> int:
        return len(describe_group(settings, group).members)

    with (
        Feed(broker, topic).running() as feed,
        progress(broker, group, topic) as group_progress,
        started(*stream, "--instance", "a") as first,
        started(*stream, "--instance", "b") as second,
    ):
        group_progress.until_there_is_some()
        until(lambda: members() == 2, "both are members")
        group_progress.until_there_is_some_in_each()
        first.signal(signal.SIGSTOP)
        until(lambda: members() == 1, "the group has given the frozen one up")
        group_progress.until_there_is_some_in_each()
        first.signal(signal.SIGCONT)
        until(lambda: members() == 2, "it is a member again")
        group_progress.until_there_is_some_in_each()
        for running in (first, second):
            running.signal(signal.SIGTERM)
        for running in (first, second):
            assert running.end() in (0, 1), running.told
    done = cli(*stream, "--exit", "--output", "json")
    assert done.returncode in (0, 1), done.stderr
    check(broker, feed.sent, topic, target)


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_of_two_under_one_name_one_ends_and_says_so(
    broker: tuple[str, ...], client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on two machines: folders of their own, so neither knows of the other's worker slot."""
    b = ["--bootstrap", ",".join(broker), "--client", client]
    topic, target, group = (f"{name}-{client}" for name in ("same-posts", "same-scored", "same"))
    ok("topics", "create", topic, target, "--partitions", str(PARTITIONS), *b)
    stream = ["sentiment", "stream", "--from", topic, "--to", target, "--group", group, "--instance", "a", *b]
    with (
        Feed(broker, topic).running() as feed,
        progress(broker, group, topic) as group_progress,
        started(*stream) as one,
    ):
        group_progress.until_there_is_some()
        monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path))
        with started(*stream) as other:
            until(lambda: any(each.process.poll() for each in (one, other)), "one has ended with an error")
            left, ended = (one, other) if one.process.poll() is None else (other, one)
            assert ended.end() == 1
            assert "another process keeps using" in ended.told
            group_progress.until_there_is_some_in_each()
            left.signal(signal.SIGTERM)
            assert left.end() in (0, 1), left.told
    done = cli(*stream, "--exit", "--output", "json")
    assert done.returncode in (0, 1), done.stderr
    check(broker, feed.sent, topic, target)
