"""A reader that is not known counts the same rows: kcat, read_committed, on what an exactly-once replay made."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from faults.counting import Watch, by_partition, compare, read, write_source
from faults.workloads import CLIENTS, PARTITIONS, Replay
from running import ok, started, until
from sensorstream.cluster import LocalCluster

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("client", CLIENTS)
def test_kcat_counts_each_row_once(cluster: LocalCluster, tmp_path: Path, client: str) -> None:
    """One run is killed within a transaction, so the topic holds aborted rows, which kcat must not see."""
    kcat = shutil.which("kcat")
    assert kcat, "kcat is needed (Debian: apt-get install kcat)"
    rows, topic = 100_000, f"kcat-{client}"
    b = ["--bootstrap", ",".join(cluster.bootstrap)]
    ok("topics", "create", topic, "--partitions", str(PARTITIONS), *b)
    source = write_source(tmp_path / "s.csv", rows)
    replay = Replay(topic, source, rows, ["--client", client, *b, "--exactly-once"], rate=500, few=3000)
    watch = Watch(cluster.bootstrap, topic)
    with watch.running(), started(*replay.paced(), cwd=tmp_path) as running:
        until(lambda: watch.seen, "the first committed rows")
        committed = len(watch.seen)
        until(lambda: len(read(cluster.bootstrap, topic, "read_uncommitted")) > committed, "rows of a transaction")
        os.kill(running.process.pid, signal.SIGKILL)
        assert running.end() == -signal.SIGKILL, "it is killed while it publishes"
    replay.rest("", watch.numbers())
    # -f prints the text's own line ends too, so the value stands last and is JSON: its line ends are escaped.
    command = [kcat, "-C", "-q", "-e", "-b", ",".join(cluster.bootstrap), "-t", topic, "-o", "beginning"]
    command += ["-X", "isolation.level=read_committed", "-f", "%p %o %s\n"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = [line.split(" ", 2) for line in done.stdout.splitlines()]
    seen = {(int(partition), int(offset)): int(value.split(",")[0].split(":")[1]) for partition, offset, value in lines}
    count = compare(by_partition(seen), range(replay.rows), PARTITIONS)
    assert count.is_zero, count
    assert count.rows == len(lines)
    assert seen == read(cluster.bootstrap, topic)
