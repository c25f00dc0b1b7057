"""Exactly once from topic to topic, with workers killed, frozen and under one name; all of the output is counted.

The long form is a campaign (``make campaign``), which writes docs/reliability.md.
"""

import os
import random
import signal
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import pytest

from faults.figures import Figures, kafka_version, write
from running import Started, until
from sensorstream.admin import describe_group
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings
from stream_cases import FedStream, end

pytestmark = [pytest.mark.broker, pytest.mark.long]

CLIENTS = ("kafka-python", "librdkafka")
KILLS = [
    pytest.param(CLIENTS, 2308, 2, id="short"),
    *(pytest.param((one,), 12, 50, id=f"campaign-{one}", marks=pytest.mark.campaign) for one in CLIENTS),
]


@pytest.mark.parametrize(("clients", "seed", "kills"), KILLS)
def test_workers_killed_at_random_points_score_each_post_once(
    cluster: LocalCluster, clients: tuple[str, ...], seed: int, kills: int
) -> None:
    """Two workers; one that is killed is started again under the same id. At the end their owner is killed, too."""
    dice = random.Random(seed)
    with ExitStack() as stack:
        streams = [FedStream(stack, cluster.bootstrap, client, f"killed-{seed}") for client in clients]
        running = [(stream, stream.start("--workers", "2")) for stream in streams]
        for number in range(kills):
            for stream, owner in running:
                stream.progress.until_there_is_some()
                threading.Event().wait(dice.random() * 0.4)
                kill_one(owner, dice, number + 1)
        workers = []
        for stream, owner in running:
            stream.progress.until_there_is_some()
            workers += psutil.Process(owner.process.pid).children()
            owner.signal(signal.SIGKILL)
        until(lambda: not any(worker.is_running() for worker in workers), "the end of the workers")
    for client, stream in zip(clients, streams, strict=True):
        found = stream.complete()
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


def test_a_worker_that_was_frozen_finds_its_partitions_taken_and_doubles_nothing(broker: tuple[str, ...]) -> None:
    """It wakes up in the middle of what it did, after the others have gone on with its share."""
    settings = Settings(bootstrap=broker)
    with ExitStack() as stack:
        streams = [FedStream(stack, broker, client, "frozen") for client in CLIENTS]
        first = [stream.start("--instance", "a") for stream in streams]
        second = [stream.start("--instance", "b") for stream in streams]

        def members(count: int) -> bool:
            return all(len(describe_group(settings, stream.group).members) == count for stream in streams)

        def all_go_on_in_each() -> None:
            for stream in streams:
                stream.progress.until_there_is_some_in_each()

        for stream in streams:
            stream.progress.until_there_is_some()
        until(lambda: members(2), "both are members")
        all_go_on_in_each()
        for one in first:
            one.signal(signal.SIGSTOP)
        until(lambda: members(1), "the groups have given the frozen ones up")
        all_go_on_in_each()
        for one in first:
            one.signal(signal.SIGCONT)
        until(lambda: members(2), "they are members again")
        all_go_on_in_each()
        end(*first, *second)
    for stream in streams:
        found = stream.complete()
        assert found.is_zero, found


def one_failed(*running: Started) -> bool:
    return any(one.process.poll() for one in running)


def test_of_two_under_one_name_one_ends_and_says_so(
    broker: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on two machines: folders of their own, so neither knows of the other's worker slot."""
    with ExitStack() as stack:
        streams = [FedStream(stack, broker, client, "same") for client in CLIENTS]
        ones = [stream.start("--instance", "a") for stream in streams]
        for stream in streams:
            stream.progress.until_there_is_some()
        monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path))
        others = [stream.start("--instance", "a") for stream in streams]
        for stream, one, other in zip(streams, ones, others, strict=True):
            until(partial(one_failed, one, other), "one has ended with an error")
            left, ended = (one, other) if one.process.poll() is None else (other, one)
            assert ended.end() == 1
            assert "another process keeps using" in ended.told
            stream.progress.until_there_is_some_in_each()
            end(left)
    for stream in streams:
        found = stream.complete()
        assert found.is_zero, found
