"""Exactly once from topic to topic: workers and brokers killed under load, output and dead letters counted together.

The long versions are campaigns (``make campaign``).
"""

import json
import operator
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from running import Started, cli, ok, started, until
from sensorstream.admin import describe_group
from sensorstream.clients import open_client
from sensorstream.clients.base import Reader
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings
from sensorstream.errors import ClusterUnreachable
from sensorstream.records import ConsumedRecord, TopicPartition

pytestmark = pytest.mark.broker

PARTITIONS = 4
BROKEN_EVERY = 40


def is_broken(n: int) -> bool:
    return n % BROKEN_EVERY == 7


class Feed:
    """Publishes posts, numbered from 0, some of them broken, until it is told to stop."""

    def __init__(self, bootstrap: tuple[str, ...], topic: str) -> None:
        self._client = open_client(Settings(bootstrap=bootstrap, client="librdkafka"))
        self._topic = topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def _run(self) -> None:
        with self._client.publisher() as publisher:
            while not self._stop.wait(0.02):
                for n in range(self.sent, self.sent + 10):
                    value = b"broken %d" % n if is_broken(n) else b'{"id":%d,"text":"a great day, number %d"}' % (n, n)
                    publisher.publish(self._topic, value, partition=n % PARTITIONS)
                self.sent += 10
            publisher.flush(60)

    @contextmanager
    def running(self) -> Iterator["Feed"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()


def read(bootstrap: tuple[str, ...], topic: str) -> list[ConsumedRecord]:
    """Everything that a read_committed reader sees, partition by partition."""
    records: list[ConsumedRecord] = []
    with open_client(Settings(bootstrap=bootstrap, client="librdkafka")).reader() as reader:
        where = [TopicPartition(topic, number) for number in range(reader.partitions_for(topic))]
        ends = reader.end_offsets(where)
        reader.assign(dict.fromkeys(where, 0))

        def done() -> bool:
            for batch in reader.poll(0.2).values():
                records.extend(batch)
            return all(reader.position(one) >= ends[one] for one in where)

        until(done, f"the end of {topic}")
    return sorted(records, key=lambda record: (record.partition, record.offset))


def check(bootstrap: tuple[str, ...], sent: int, target: str) -> None:
    scored = read(bootstrap, target)
    ids = [int(json.loads(record.value or b"")["id"]) for record in scored]
    assert sorted(ids) == [n for n in range(sent) if not is_broken(n)], "each post is scored once"
    for number in range(PARTITIONS):
        one = [n for n, record in zip(ids, scored, strict=True) if record.partition == number]
        assert one == sorted(one), "in order"
        assert all(n % PARTITIONS == number for n in one)
    dead = [int((record.value or b"").split()[1]) for record in read(bootstrap, f"{target}_DEAD")]
    assert sorted(dead) == [n for n in range(sent) if is_broken(n)], "each broken record is a dead letter once"


class Progress:
    """How far a group is in the feed's topic, in records: nothing else is in it."""

    def __init__(self, reader: Reader, topic: str) -> None:
        self._reader = reader
        self._where = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        self._seen = 0

    def until_there_is_some(self) -> None:
        """Wait until the group has committed more than it had at the last call."""
        until(lambda: sum(self._now()) > self._seen, "some progress", 120)
        self._seen = sum(self._now())

    def until_there_is_some_in_each(self) -> None:
        """Wait until the group has committed more of each partition than it has now."""
        before = self._now()
        until(lambda: all(map(operator.gt, self._now(), before)), "progress in each partition", 120)

    def _now(self) -> list[int]:
        while True:
            # A worker that is frozen can leave a transaction open, and the offsets unsettled until it times out.
            with suppress(ClusterUnreachable):
                return [self._reader.committed(one) or 0 for one in self._where]


@contextmanager
def progress(bootstrap: tuple[str, ...], group: str, topic: str) -> Iterator[Progress]:
    with open_client(Settings(bootstrap=bootstrap, client="librdkafka")).reader(group=group) as reader:
        yield Progress(reader, topic)


CAMPAIGN = [(1,), (2,), (3,), (1, 2, 3), (2,), (1, 2, 3)]
KILLS = [pytest.param(2308, 2, id="short"), pytest.param(5, 20, id="campaign", marks=pytest.mark.campaign)]


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize(("seed", "kills"), KILLS)
def test_workers_killed_at_random_points_score_each_post_once(
    broker: tuple[str, ...], client: str, seed: int, kills: int
) -> None:
    """Two workers; one that is killed is started again under the same id. At the end their owner is killed, too."""
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
    check(broker, feed.sent, target)


def kill_one(running: Started, dice: random.Random, count: int) -> None:
    workers = sorted(child.pid for child in psutil.Process(running.process.pid).children())
    os.kill(dice.choice(workers), signal.SIGKILL)
    until(lambda: running.told.count("was killed by SIGKILL; another one goes on") == count, "another worker")


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
    check(broker, feed.sent, target)


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
def test_of_two_under_one_name_one_ends_and_says_so(
    broker: tuple[str, ...], client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on two machines: folders of their own, so neither knows of the other's seat."""
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
            assert "another process uses" in ended.told
            group_progress.until_there_is_some_in_each()
            left.signal(signal.SIGTERM)
            assert left.end() in (0, 1), left.told
    done = cli(*stream, "--exit", "--output", "json")
    assert done.returncode in (0, 1), done.stderr
    check(broker, feed.sent, target)


ROUNDS = [
    pytest.param("kafka-python", [(1,)], id="short-kafka-python"),
    pytest.param("librdkafka", [(1, 2, 3)], id="short-librdkafka"),
    pytest.param("kafka-python", CAMPAIGN, id="campaign-kafka-python", marks=pytest.mark.campaign),
    pytest.param("librdkafka", CAMPAIGN, id="campaign-librdkafka", marks=pytest.mark.campaign),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("client", "rounds"), ROUNDS)
def test_brokers_killed_under_load_lose_and_double_nothing(
    own_cluster: Callable[..., LocalCluster], client: str, rounds: list[tuple[int, ...]]
) -> None:
    """In each round these brokers are killed at once; with three brokers each coordinates something."""
    cluster = own_cluster()
    b = ["--bootstrap", ",".join(cluster.bootstrap), "--client", client]
    ok("topics", "create", "posts", "scored", "--partitions", str(PARTITIONS), *b)
    stream = ["sentiment", "stream", "--from", "posts", "--to", "scored", "--group", "g", *b]
    with (
        Feed(cluster.bootstrap, "posts").running() as feed,
        progress(cluster.bootstrap, "g", "posts") as group_progress,
        started(*stream) as running,
    ):
        for brokers in rounds:
            group_progress.until_there_is_some()
            for broker in brokers:
                cluster.stop_broker(broker, kill=True)
            if len(brokers) == 1:
                group_progress.until_there_is_some()
            cluster.up()
        group_progress.until_there_is_some()
        running.signal(signal.SIGTERM)
        assert running.end() in (0, 1), running.told
    done = cli(*stream, "--exit", "--output", "json")
    assert done.returncode in (0, 1), done.stderr
    check(cluster.bootstrap, feed.sent, "scored")
