"""What keeps a command waiting is named, on real brokers and with both clients.

That it is named within five seconds is for the unit tests to say: they have a clock of their own. Each case is a
broker's fault, and both clients meet it at the same time.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from running import Started, ok, started, until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.causes import NoLeader, TooFewInSync, Waited
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, TopicSettings

pytestmark = [pytest.mark.broker, pytest.mark.long]
CLIENTS = ("kafka-python", "librdkafka")
ALL, ONE, SAFE, NEW = "WAITING_ALL", "WAITING_ONE", "WAITING_SAFE", "WAITING_NEW"
WAITING = re.compile(r"waiting for .*, for \d+ s now: (?P<why>.*)")


def waits(running: Started, why: str | re.Pattern[str]) -> Callable[[], bool]:
    """Whether the command has said that it waits, and why."""
    pattern = re.escape(why) if isinstance(why, str) else why

    def told() -> bool:
        found = [match for match in map(WAITING.search, running.told.splitlines()) if match]
        return any(re.search(pattern, match["why"]) for match in found)

    return told


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_what_keeps_a_command_waiting_is_named(cluster: LocalCluster, settings: Settings, tmp_path: Path) -> None:
    b = ("-b", ",".join(cluster.bootstrap))
    (tmp_path / "rows.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(200)))
    admin.create_topics(
        settings,
        [
            TopicSettings(ALL, 2, 3, configs={"min.insync.replicas": "3"}),
            TopicSettings(ONE, 3, 1),
            TopicSettings(SAFE, 3, 3),
        ],
    )
    for topic in (ONE, SAFE):
        ok("produce", "--source", f"{topic}=rows.csv", "--delay", "0", *b, cwd=tmp_path)
    alone = {part.leader: part.partition for part in admin.describe_topics(settings, [ONE]).topics[0].partitions}

    def both(stack: ExitStack, *words: str) -> Sequence[Started]:
        return [
            stack.enter_context(started(*(word.replace("CLIENT", client) for word in words), "--client", client, *b,
                                        cwd=tmp_path))
            for client in CLIENTS
        ]  # fmt: skip

    # A broker is killed: too few replicas in sync for one topic, nobody leads a partition of another.
    cluster.stop_broker(3, kill=True)
    short = f"2 of 3 replicas in sync and must have 3 (min.insync.replicas), broker {3} missing"
    headless = f"{ONE}[{alone[3]}] has no leader: its replica is on broker 3"
    until(
        lambda: (
            {type(cause) for cause in open_client(settings).causes(Waited((ALL, ONE), writes=True))}
            == {TooFewInSync, NoLeader}
        ),
        "the controller has noticed",
    )
    with ExitStack() as stack:
        producing = both(stack, "produce", "--source", f"{ALL}=rows.csv", "--delay", "0", "--output", "json")
        exactly = both(
            stack, "produce", "--exactly-once", "--job", "CLIENT", "--source", f"{ALL}=rows.csv", "--delay", "0"
        )
        capturing = both(stack, "consume", "-t", ONE, "-p", str(alone[3]), "-e", "--to", "CLIENT/")
        for running in (*producing, *exactly):
            until(waits(running, short), "too few replicas are told of")
        for running in exactly:
            running.signal(signal.SIGKILL)
        for running in capturing:
            until(waits(running, headless), "the missing leader is told of")
            assert running.end() == 3
            assert headless in running.told.splitlines()[-1]
        cluster.start_broker(3)
        for running in producing:
            assert running.end() == 0, running.told
            assert f"continuing: the wait for acknowledgements of {ALL} is over" in running.told

    # Brokers are frozen: they take connections and do not answer. Two of three, so that no quorum is left that could
    # give their partitions to others while the commands are still starting.
    until(
        lambda: all(3 in part.isr for part in admin.describe_topics(settings, [SAFE]).topics[0].partitions),
        "the broker is in sync",
    )
    pids = [one.pid for one in cluster.status().brokers if one.broker in (2, 3)]
    silent = re.compile(
        rf"(broker [23] \(|the brokers? at )({re.escape(cluster.bootstrap[1])}|{re.escape(cluster.bootstrap[2])})"
        r".* do(es)? not answer"
    )
    with ExitStack() as stack:
        for pid in pids:
            assert pid is not None
            stack.enter_context(frozen(pid))
        waiting = [
            stack.enter_context(
                started(
                    *("produce", "--source", f"{SAFE}=rows.csv", "--delay", "0", "--client", "librdkafka", *b),
                    cwd=tmp_path,
                )
            ),
            stack.enter_context(started("topics", "create", NEW, *b, cwd=tmp_path)),
        ]
        for running in waiting:
            until(waits(running, silent), "the silent brokers are told of")
            running.signal(signal.SIGKILL)
    until(lambda: len(admin.describe_cluster(settings).brokers) == 3, "the brokers are back in the cluster")
    until(lambda: cluster.status().under_replicated_partitions == 0, "all replicas are in sync")
    made = {one.name for one in admin.list_topics(settings).topics}  # NEW may be among them
    admin.delete_topics(settings, sorted(made & {ALL, ONE, SAFE, NEW}))


def test_where_no_broker_answers_it_is_told_while_one_is_looked_for(silent: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        commands = [
            stack.enter_context(
                started("consume", "-t", "A", "-p", "0", "--client", client, "-b", silent, cwd=tmp_path)
            )
            for client in CLIENTS
        ] + [stack.enter_context(started("topics", "list", "-b", silent, cwd=tmp_path))]
        for running in commands:
            until(waits(running, f"no broker answers ({silent}: "), "the silence is told of")
            assert running.end() == 3
