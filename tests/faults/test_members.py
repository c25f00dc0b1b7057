"""Members of a group join and leave while a topic is captured: each row is stored once, whoever has its partition.

The long form is a campaign (``make campaign``), which writes docs/reliability.md.
"""

import random
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from faults.counting import Watch, count_files, write_source
from faults.figures import Figures, kafka_version, write
from faults.workloads import CLIENTS, END_S, rows_for
from running import Started, ok, started, total_lag, until
from sensorstream.cluster import LocalCluster
from sensorstream.errors import ExitCode

pytestmark = [pytest.mark.broker, pytest.mark.long]

PARTITIONS = 6
RATE, SHORT_RATE = 250, 100
"""Rows a second, in the campaign and in the short form."""
EVERY_S = 5.0
CHANGES = [pytest.param(2308, 4, id="short"), pytest.param(14, 60, id="campaign", marks=pytest.mark.campaign)]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("seed", "changes"), CHANGES)
def test_members_that_join_and_leave_store_each_row_once(
    cluster: LocalCluster, tmp_path: Path, client: str, seed: int, changes: int
) -> None:
    """One to three members share a folder; one in three of those that leave is killed."""
    long = changes >= 60
    rate = RATE if long else SHORT_RATE
    dice = random.Random(seed)
    topic, group = f"members-{client}-{seed}", f"members-{client}-{seed}"
    b = ["--bootstrap", ",".join(cluster.bootstrap)]
    ok("topics", "create", topic, "--partitions", str(PARTITIONS), *b)
    source = write_source(tmp_path / "s.csv", rows_for(rate, changes, at_least_s=800))
    out = tmp_path / "out"
    capture = ["consume", "-t", topic, "-g", group, "--to", str(out), "--client", client, "-q", *b]
    replay = ["produce", "--source", f"{topic}={source}", "--rate", str(rate), "--client", client, *b]
    watch = Watch(cluster.bootstrap, topic)
    stalls: list[float] = []
    with ExitStack() as stack, watch.running():
        producer = stack.enter_context(started(*replay, cwd=tmp_path))
        members = [stack.enter_context(started(*capture))]
        until(lambda: size(out) > 0, "the first stored rows")
        with watch.stall(stalls):
            for _ in range(changes):
                before = size(out)
                if len(members) < 3 and (len(members) == 1 or dice.random() < 0.5):
                    members.append(stack.enter_context(started(*capture)))
                else:
                    leave(members.pop(dice.randrange(len(members))), kill=dice.random() < 1 / 3)
                if long:
                    threading.Event().wait(EVERY_S)  # the fault's own pace
                until(lambda before=before: size(out) > before, "more stored rows", END_S)  # type: ignore[misc]
        producer.signal(signal.SIGTERM)
        assert producer.end() == ExitCode.INTERRUPTED, producer.told
        sent = int(producer.told.split(f"{topic}=")[-1].split()[0])
        until(lambda: sum(watch.counts().values()) == sent, "all that was published")
        for member in members:
            leave(member, kill=False)
    with started(*capture) as last:  # the others' partitions are its own when those that were killed are missed
        until(lambda: total_lag(group, *b) == 0, "all that was published is stored", END_S)
        leave(last, kill=False)
    count = count_files(out, range(sent), PARTITIONS)
    if long:
        figures = Figures(
            14, "members join and leave", client, "capture in a group", changes, count, None, None, seed,
            kafka_version(cluster),
        )  # fmt: skip
        write(figures)
    assert count.is_zero, count


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.csv"))


def leave(member: Started, *, kill: bool) -> None:
    if kill:
        member.signal(signal.SIGKILL)
        member.end()
        return
    member.signal(signal.SIGTERM)
    assert member.end() == ExitCode.DONE, member.told
