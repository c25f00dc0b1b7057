"""Members of a group with a folder each, as on machines of their own: together they store each row once.

The long form is a campaign (``make campaign``), which writes docs/reliability.md.
"""

import random
import signal
import threading
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest

from faults.counting import Count, Watch, captured_numbers, compare, write_source
from faults.figures import Figures, kafka_version, write
from faults.workloads import CLIENTS, END_S, rows_for
from running import Started, ok, started, total_lag, until
from sensorstream.cluster import LocalCluster
from sensorstream.errors import ExitCode

pytestmark = [pytest.mark.broker, pytest.mark.long]

PARTITIONS = 6
RATE, SHORT_RATE = 400, 100
"""Rows a second, in the campaign and in the short form."""
MEMBERS = 3
EVERY_S = 3.0
CHANGES = [pytest.param(2308, 5, id="short"), pytest.param(20, 60, id="campaign", marks=pytest.mark.campaign)]


class Group:
    """A group whose members have a folder each; a member that has left comes back with its own."""

    def __init__(self, stack: ExitStack, topic: str, folder: Path, options: list[str]) -> None:
        self.folders = [folder / f"machine-{number}" for number in range(MEMBERS)]
        self._stack = stack
        self._command = ["consume", "-t", topic, "-g", topic, "-q", *options]
        self.running: dict[int, Started] = {}

    def join(self, number: int) -> None:
        command = [*self._command, "--to", str(self.folders[number])]
        self.running[number] = self._stack.enter_context(started(*command))

    def leave(self, number: int) -> None:
        """In order, as a pod that is stopped."""
        member = self.running.pop(number)
        member.signal(signal.SIGTERM)
        assert member.end() == ExitCode.DONE, member.told

    def change(self, dice: random.Random) -> None:
        absent = sorted(set(range(MEMBERS)) - self.running.keys())
        if absent and (len(self.running) == 1 or dice.random() < 0.5):
            self.join(dice.choice(absent))
        else:
            self.leave(dice.choice(sorted(self.running)))

    def size(self) -> int:
        return sum(path.stat().st_size for folder in self.folders for path in folder.glob("*.csv"))

    def count(self, sent: int) -> Count:
        """What all folders hold together; which folder a row is in does not matter, the order in each file does."""
        found: dict[int, list[int]] = defaultdict(list)
        for folder in self.folders:
            for path in folder.glob("*.csv"):
                numbers = captured_numbers(path)
                assert numbers == sorted(numbers), f"{path} is not in the order of the log"
                found[int(path.stem.rpartition("_")[2])] += numbers
        return compare({part: sorted(numbers) for part, numbers in found.items()}, range(sent), PARTITIONS)


@pytest.mark.timeout(1500)  # the long form on a busy machine
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("seed", "changes"), CHANGES)
def test_members_with_folders_of_their_own_store_each_row_once(
    cluster: LocalCluster, tmp_path: Path, client: str, seed: int, changes: int
) -> None:
    """They come, leave in order, and come back, while rows flow."""
    long = changes >= 60
    rate = RATE if long else SHORT_RATE
    dice = random.Random(seed)
    topic = f"own-folders-{client}-{seed}"
    b = ["--client", client, "--bootstrap", ",".join(cluster.bootstrap)]
    ok("topics", "create", topic, "--partitions", str(PARTITIONS), *b)
    source = write_source(tmp_path / "s.csv", rows_for(rate, changes, at_least_s=800))
    watch = Watch(cluster.bootstrap, topic)
    with ExitStack() as stack, watch.running():
        replay = ["produce", "--source", f"{topic}={source}", "--rate", str(rate), *b]
        producer = stack.enter_context(started(*replay, cwd=tmp_path))
        group = Group(stack, topic, tmp_path, b)
        group.join(0)
        until(lambda: group.size() > 0, "the first stored rows")
        for _ in range(changes):
            before = group.size()
            group.change(dice)
            if long:
                threading.Event().wait(dice.random() * EVERY_S)  # the fault's own pace
            until(lambda before=before: group.size() > before, "more stored rows", END_S)  # type: ignore[misc]
        producer.signal(signal.SIGTERM)
        assert producer.end() == ExitCode.INTERRUPTED, producer.told
        sent = int(producer.told.split(f"{topic}=")[-1].split()[0])
        until(lambda: sum(watch.counts().values()) == sent, "all that was published")
        for number in list(group.running):
            group.leave(number)
        group.join(0)
        until(lambda: total_lag(topic, *b) == 0, "all that was published is stored", END_S)
        group.leave(0)
    count = group.count(sent)
    if long:
        figures = Figures(
            20, "members with folders of their own join and leave", client, "capture in a group", changes, count,
            None, None, seed, kafka_version(cluster),
        )  # fmt: skip
        write(figures)
    assert count.is_zero, count
