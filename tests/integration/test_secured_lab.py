"""Three secured brokers, with rights to be had, links that can be cut and a schema registry: chaos and a lab on it."""

import csv
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from faults.counting import count_files, write_source
from faults.workloads import END_S, PARTITIONS, Capture, Replay, rows_for
from running import cli, ok, started, until
from sensorstream.clients import first_words, open_client
from sensorstream.cluster import ClusterUp, LocalCluster
from sensorstream.cluster.named import reach
from sensorstream.config import Settings
from sensorstream.errors import ExitCode
from sensorstream.events import Event, Notice
from sensorstream.lab.chaos.chaos import chaos
from sensorstream.lab.chaos.plan import ChaosPlan, Fault, Target
from sensorstream.records import TopicPartition

pytestmark = [pytest.mark.broker, pytest.mark.long]

NAME = "linked"
RATE = 20
ROWS = rows_for(RATE, 2, at_least_s=600)
ONCE, LEAST = "linked-once", "linked-least"
REPLAYS = {ONCE: ("--exactly-once", "--client", "kafka-python"), LEAST: ("--client", "librdkafka")}


@pytest.fixture(scope="module")
def up(_own_surroundings: None) -> Iterator[ClusterUp]:
    """The cluster, as it was started."""
    local = LocalCluster(NAME)
    try:
        yield local.up(ports="auto", secure="tls+scram", acl=True, links=True, schema_registry=True, timeout_s=300.0)
    finally:
        local.down(delete_data=True)


@pytest.fixture
def local(up: ClusterUp) -> LocalCluster:
    """The cluster; it is to be left whole."""
    return LocalCluster(up.name)


def rows_in(local: LocalCluster, topic: str) -> int:
    """How many records of a topic there are, markers of transactions among them."""
    reached = reach(local.name)
    settings = Settings(reached.bootstrap, client="kafka-python", properties=dict(reached.properties))
    with open_client(settings).reader() as reader:
        return sum(reader.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)]).values())


def test_the_lesser_user_publishes_avro_with_the_schema_registry(up: ClusterUp, tmp_path: Path) -> None:
    assert up.schema_registry is not None
    assert up.links
    assert first_words.who_speaks(urlsplit(up.schema_registry).netloc).kind == "schema registry"
    ok("topics", "create", "secured-avro", "-b", f"cluster:{NAME}")
    (tmp_path / "rows.csv").write_text("Time,Temp\n1,23.10\n2,-0.05\n")
    avro = ("--value-format", "avro", "--schema-registry", up.schema_registry, "--profile", f"{NAME}-user")
    sent = ok("produce", "--source", "secured-avro=rows.csv", "--delay", "0", *avro, cwd=tmp_path)
    assert sent["acknowledged"] == 2
    ok("consume", "-t", "secured-avro", "-p", "0", "-p", "1", "-e", "--to", "out", *avro, cwd=tmp_path)
    rows = [row for path in sorted((tmp_path / "out").glob("*.csv")) for row in csv.reader(path.open())][1::2]
    assert rows == [["1", "23.10"], ["2", "-0.05"]]
    status = ok("cluster", "status", "--name", NAME)
    assert (status["state"], status["schema_registry"]["state"], status["links"]["state"]) == 3 * ("running",)


def test_replays_through_cut_and_slow_links_lose_and_double_nothing(local: LocalCluster, tmp_path: Path) -> None:
    """Exactly once with one client and at least once with the other one, as the lesser user."""
    source = write_source(tmp_path / "s.csv", ROWS)
    ok("topics", "create", *REPLAYS, "--partitions", str(PARTITIONS), "--profile", NAME)
    common = ["--profile", f"{NAME}-user"]
    replays = [Replay(topic, source, ROWS, [*more, *common], RATE, few=500) for topic, more in REPLAYS.items()]
    leader = Target("leader", TopicPartition(ONCE, 0))
    replaced = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, Notice) and re.search(rf"{ONCE}-0\b.*: leader \d+ -> \d+", event.text):
            replaced.set()  # long enough

    with ExitStack() as stack:
        running = [stack.enter_context(started(*one.paced(), cwd=tmp_path)) for one in replays]
        for topic in REPLAYS:
            until(partial(rows_in, local, topic), f"rows in {topic}", END_S)
        cut = ChaosPlan((Fault("cut-link", leader),), every_s=END_S + 1, for_s=1, hold_s=END_S, seed=1)
        slow = ChaosPlan((Fault("slow-link", leader),), every_s=5, for_s=1, hold_s=4, seed=1)
        results = [chaos(local, cut, stop=replaced, listener=listen), chaos(local, slow)]
        for replay, one in zip(replays, running, strict=True):
            # Of the records that there are, markers and aborted ones among them, no more can be committed rows.
            replay.complete(one, lambda topic=replay.topic: range(rows_in(local, topic)))  # type: ignore[misc]
    for result in results:
        assert (result.faults, result.healthy, result.problems) == (1, True, ())
    story = next(one for one in results[0].partitions if (one.topic, one.partition) == (ONCE, 0))
    assert len(story.leaders) >= 2, "a broker that nobody reaches is replaced"
    for replay in replays:
        capture = Capture(replay.topic, tmp_path / f"out-{replay.topic}", common)
        ok(*capture.command("-e"), timeout=END_S)
        count = count_files(capture.folder, range(replay.rows), PARTITIONS)
        assert count.lost == 0, (replay.topic, count)
        assert count.is_zero or replay.topic == LEAST, (replay.topic, count)


def test_chaos_comes_as_the_super_user_and_starts_a_secured_broker_again(local: LocalCluster) -> None:
    told = ok("cluster", "chaos", "--stop", "broker:2", "--every", "4s", "--hold", "1s", "--for", "1s", "--name", NAME)
    assert (told["faults"], told["healthy"]) == (1, True)
    assert local.running_brokers() == (1, 2, 3)


def test_links_that_were_killed_are_missed_and_come_back(local: LocalCluster) -> None:
    pid = ok("cluster", "status", "--name", NAME)["links"]["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: (links := local.status().links) is not None and links.state == "stopped", "the end of the links")
    status = cli("cluster", "status", "--name", NAME)
    assert status.returncode == ExitCode.FAILED
    assert "the process of its links is stopped" in status.stderr
    assert f"sensorstream cluster up --name {NAME}" in status.stderr
    up = ok("cluster", "up", "--name", NAME)
    assert (up["links"], up["started"], up["already_running"]) == (True, [], False)
    assert ok("cluster", "status", "--name", NAME)["links"]["pid"] != pid
