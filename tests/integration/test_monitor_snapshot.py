"""Snapshots of real brokers: lag as Kafka's own tool has it, brokers that die or hang, how many requests it takes."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from bench.perf_tools import class_path
from looking import commit, seen, topic_of_its_own, whole
from running import PROGRAM, until
from sensorstream import admin
from sensorstream.admin import watching
from sensorstream.clients import open_client
from sensorstream.clients.base import Reader, Rebalance
from sensorstream.cluster import LocalCluster
from sensorstream.cluster.java_runtime import java_executable
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ClusterUnreachable
from sensorstream.events import ignore
from sensorstream.monitor.gather import Gatherer, take
from sensorstream.monitor.observer import Observer
from sensorstream.monitor.snapshot import Snapshot
from sensorstream.monitor.view import View
from sensorstream.records import TopicPartition, commit_note

pytestmark = [pytest.mark.broker, pytest.mark.long]
REFUSED = "127.0.0.1:1"


@pytest.fixture
def topic(settings: Settings) -> Iterator[str]:
    """Two partitions with 20 rows each."""
    with topic_of_its_own(settings, "snap") as name:
        with open_client(settings).publisher() as publisher:
            for number in range(40):
                publisher.publish(name, b"x", partition=number % 2, timestamp_ms=1_693_526_340_000 + number)
        yield name


def commit_of(settings: Settings, group: str, offsets: dict[TopicPartition, int]) -> None:
    with open_client(settings).reader(group=group) as reader:
        commit(reader, offsets)


def member(reader: Reader, topic: str) -> None:
    """Join, and read from the beginning of both partitions."""
    owned: set[TopicPartition] = set()

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        owned.update(partitions)
        return dict.fromkeys(owned, 0)

    reader.subscribe([topic], Rebalance(assigned, lambda _: None, lambda _: None))

    def has_all() -> bool:
        reader.poll(0.2)
        return len(owned) == 2

    until(has_all, "an assignment")


def killed_member(settings: Settings, topic: str, group: str, folder: Path) -> None:
    """A consumer that is killed: its group does not know yet that it is gone."""
    command = [*PROGRAM, "consume", "-t", topic, "-g", group, "--to", str(folder), "-o", "beginning"]
    process = subprocess.Popen(
        [*command, "-b", ",".join(settings.bootstrap)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        seen(lambda: take(settings), lambda snapshot: _committed(snapshot, group) == {20}, "a commit of all rows")
    finally:
        process.kill()
        process.wait()


def _committed(snapshot: Snapshot, group: str) -> set[int | None]:
    found = snapshot.group(group)
    return set() if found is None else {one.current_offset for one in found.partitions}


def kafkas_own(bootstrap: Sequence[str], topic: str, groups: Iterable[str]) -> dict[tuple[str, int], tuple[str, ...]]:
    """What ``kafka-consumer-groups.sh --describe`` says of a topic, by group and partition.

    That is current offset, log end offset, lag, consumer id, host. The tool ends well, too, when it has found nothing
    within its timeout, or failed at one of the groups.
    """
    try:
        classes = class_path()
    except Exception as error:  # the tool is a peer and no part of the product
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Kafka's own tools can't be had here: {error}")
    command = [str(java_executable().executable), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", classes]
    command += ["org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--describe", "--timeout", "60000"]
    command += [word for group in groups for word in ("--group", group)]
    done = subprocess.run(
        [*command, "--bootstrap-server", ",".join(bootstrap)], capture_output=True, text=True, timeout=120, check=True
    )
    rows = [line.split() for line in done.stdout.splitlines() if f" {topic} " in line]
    assert rows, f"Kafka's own tool says nothing of {topic}: {done.stdout}{done.stderr}"
    return {(row[0], int(row[2])): (*row[3:7], row[7].removeprefix("/")) for row in rows}


def shown(value: object) -> str:
    return "-" if value is None else str(value)


@pytest.mark.usefixtures("patient_looks")
def test_lag_is_what_kafkas_own_tool_tells(settings: Settings, topic: str, tmp_path: Path) -> None:
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    names = {kind: f"{topic}-{kind}" for kind in ("live", "pinned", "stopped", "killed", "never")}
    killed_member(settings, topic, names["killed"], tmp_path)
    with ExitStack() as stack:
        readers = {
            kind: stack.enter_context(open_client(settings).reader(group=names[kind], client_id=f"{kind}-7"))
            for kind in ("live", "pinned", "never")
        }
        for kind in ("live", "never"):
            member(readers[kind], topic)
        commit(readers["live"], {first: 5, second: 20})
        readers["pinned"].assign({first: 0})
        commit(readers["pinned"], {first: 7}, commit_note("AIR_Consumer_0", "laptop"))
        with open_client(settings).reader(group=names["stopped"]) as reader:
            member(reader, topic)
            commit(reader, {first: 20, second: 1})
        snapshot = whole(lambda: take(settings))
        theirs = kafkas_own(settings.bootstrap, topic, names.values())
    ours = {
        (group.name, one.partition): (one.current_offset, one.end_offset, one.lag, one.consumer_id, one.host)
        for group in snapshot.groups
        for one in group.partitions
        if one.topic == topic
    }
    assert ours.keys() == theirs.keys()
    assert {key[0] for key in ours} == set(names.values())
    for key, row in ours.items():
        # Kafka's tool does not know who a pinned consumer is, and it asks later: the killed one may be out by then.
        columns = 3 if key[0] in (names["pinned"], names["killed"]) else 5
        assert tuple(map(shown, row[:columns])) == theirs[key][:columns], key
    assert ours[names["pinned"], 0][3:] == ("AIR_Consumer_0", "laptop")
    states = {kind: snapshot.group(name) for kind, name in names.items()}
    told = {kind: one.state for kind, one in states.items() if one is not None and kind != "killed"}
    assert told == {"live": "Stable", "pinned": "Empty", "stopped": "Empty", "never": "Stable"}
    never = states["never"]
    assert never is not None
    assert [(one.lag, one.current_offset) for one in never.partitions] == [(None, None)] * 2
    assert snapshot.oldest_unread_ms[names["pinned"], first] == 1_693_526_340_000 + 14
    assert snapshot.oldest_unread_ms[names["live"], first] == 1_693_526_340_000 + 10
    assert (names["live"], second) not in snapshot.oldest_unread_ms, "all are read"
    assert snapshot.newest_ms[second] == 1_693_526_340_000 + 39


@pytest.mark.usefixtures("patient_looks")
def test_the_number_of_requests_is_that_of_brokers_and_not_of_what_they_hold(settings: Settings, topic: str) -> None:
    where = TopicPartition(topic, 0)
    commit_of(settings, f"{topic}-0", {where: 0})
    brokers = len(settings.bootstrap)
    # Metadata and the controller once; of each broker groups, members, commits, sizes, two kinds of offsets, newest
    # timestamps and three peeks, and each once more where a connection was just made anew.
    most = 2 + 2 * 10 * brokers
    more = f"{topic}-more"
    with Gatherer(settings) as gatherer:
        assert whole(gatherer.take).requests <= most
        admin.create_topics(settings, [TopicSettings(more, 60, 1)])
        try:
            for number in range(1, 21):
                commit_of(settings, f"{topic}-{number}", {where: number % 20, TopicPartition(more, number): 0})
            told: list[Snapshot] = []

            def taken() -> Snapshot:
                told.append(gatherer.take())
                return told[-1]

            snapshot = whole(taken)
        finally:
            admin.delete_topics(settings, [more])
    assert {f"{topic}-{number}" for number in range(21)} <= {group.name for group in snapshot.groups}
    assert len((snapshot.topic(more) or snapshot.topics[0]).partitions) == 60
    assert max(one.requests for one in told) <= most


def test_a_killed_broker_is_seen_and_so_is_its_return(cluster: LocalCluster, settings: Settings, topic: str) -> None:
    commit_of(settings, f"{topic}-g", {TopicPartition(topic, 0): 3, TopicPartition(topic, 1): 3})
    with Observer(settings, every_s=0.5, share=0.5) as observer:
        until(lambda: _alive(observer.view) == {1, 2, 3}, "a view of three brokers")
        cluster.stop_broker(2, kill=True)
        until(lambda: _alive(observer.view) == {1, 3}, "a view without the killed broker")

        def whole_again() -> bool:
            # The partitions have other leaders, and the group another coordinator.
            group = _snapshot(observer.view).group(f"{topic}-g")
            return group is not None and [one.lag for one in group.partitions] == [17, 17]

        until(whole_again, "the group's lag, told by the brokers that are left")
        # Other tests may have topics with one replica, which may have died with the broker.
        assert (own := _snapshot(observer.view).topic(topic)) is not None
        assert own.offline == 0
        cluster.start_broker(2)
        until(lambda: _alive(observer.view) == {1, 2, 3}, "a view of three brokers again")


def test_a_broker_that_hangs_does_not_stall_a_snapshot(
    cluster: LocalCluster, settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FIRST_ANSWER_S", 60.0)  # the two that are left may be slow
    (pid,) = [one.pid for one in cluster.status().brokers if one.broker == 3]
    assert pid is not None
    frozen = psutil.Process(pid)
    with Gatherer(settings) as gatherer:
        whole(gatherer.take)
        frozen.suspend()
        try:
            told = [gatherer.take() for _ in range(2)]
        finally:
            frozen.resume()
        for snapshot in told:
            listed = 3 in {one.id for one in snapshot.brokers if one.alive}
            assert not listed or any("broker 3" in problem for problem in snapshot.problems), snapshot.problems
            assert snapshot.topic(topic) is not None
            for topic_state in snapshot.topics:
                for one in topic_state.partitions:
                    assert one.end_offset is None or one.leader != 3, "unknown, and not what it was"
        whole(gatherer.take)


def _alive(view: View | None) -> set[int]:
    return set() if view is None else {one.id for one in view.snapshot.brokers if one.alive}


def _snapshot(view: View | None) -> Snapshot:
    assert view is not None
    return view.snapshot


def test_a_cluster_that_nobody_answers_for() -> None:
    settings = Settings(bootstrap=(REFUSED,))
    with pytest.raises(ClusterUnreachable):
        take(settings, listener=ignore)
    with Observer(settings, every_s=0.2) as observer:
        view = observer.wait(60)
        assert view is not None
        assert (view.snapshot.reachable, view.snapshot.brokers) == (False, ())
        assert REFUSED in str(observer.error)
