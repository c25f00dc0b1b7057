"""``python -m bench.monitor``: what watching a large cluster costs, and how soon a killed broker is seen.

Starts three brokers of its own, makes 1,000 partitions and 100 groups with 10 commits each (``--commits`` for more),
and prints a table; with ``--write`` into docs/monitor.md.
"""

import argparse
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import report
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.cluster.local import LocalCluster
from sensorstream.config import Settings, TopicSettings
from sensorstream.monitor.gather import Gatherer
from sensorstream.monitor.observer import Clocks, Observer
from sensorstream.monitor.rates import History
from sensorstream.monitor.view import View
from sensorstream.records import TopicPartition

PARTITIONS, TOPICS, GROUPS, ROUNDS = 1000, 20, 100, 11


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitor", description=__doc__)
    parser.add_argument("--commits", type=int, default=10, help="partitions that each group has committed")
    parser.add_argument("--watch", type=float, default=60.0, help="seconds to watch for the share of a core")
    parser.add_argument("--kills", type=int, default=3, help="how often a broker is killed")
    parser.add_argument("--write", action="store_true", help="write docs/monitor.md")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is taken down
    with tempfile.TemporaryDirectory(prefix="sensorstream-bench-") as folder:
        cluster = LocalCluster(f"bench-monitor-{os.getpid()}")
        try:
            up = cluster.up(ports=(0, 0, 0), data_dir=Path(folder) / "kafka")
            settings = Settings(bootstrap=up.bootstrap)
            fill(settings, chosen.commits)
            rows = [*snapshots(settings), *watched(settings, chosen.watch), *killed(cluster, settings, chosen.kills)]
        finally:
            cluster.down(delete_data=True)
    head = (
        f"{PARTITIONS:,} partitions in {TOPICS} topics, {GROUPS} groups with {chosen.commits:,} commits each, on three "
        f"brokers; Python {platform.python_version()}, {os.cpu_count()} cores, shared with the brokers; "
        f"load average {os.getloadavg()[2]:.1f}."
    )
    table = "\n".join(["| measured | |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)])
    sys.stdout.write(f"{head}\n\n{table}\n")
    if chosen.write:
        report.write([head, table], report.DOCS / "monitor.md")


def fill(settings: Settings, commits: int) -> None:
    """Topics with a row in each partition, and groups that have read nothing of some of them."""
    names = [f"T{number:02}" for number in range(TOPICS)]
    each = PARTITIONS // TOPICS
    admin.create_topics(settings, [TopicSettings(name, each, 1) for name in names])
    client = open_client(settings)
    with client.publisher() as publisher:
        for name in names:
            for partition in range(each):
                publisher.publish(name, b"x" * 100, partition=partition)
    places = [TopicPartition(name, partition) for partition in range(each) for name in names]
    for number in range(GROUPS):
        with client.reader(group=f"G{number:03}") as reader:
            begin = number * commits
            reader.commit({places[(begin + one) % len(places)]: 0 for one in range(commits)})


def snapshots(settings: Settings) -> Sequence[tuple[str, str]]:
    """Time, CPU time and requests of single snapshots, one connection for all."""
    took: list[float] = []
    cpu: list[float] = []
    views: list[float] = []
    history = History()
    with Gatherer(settings) as gatherer:
        began = time.perf_counter()
        first = gatherer.take()
        first_s = time.perf_counter() - began
        for _ in range(ROUNDS):
            clocks = Clocks(gatherer.io_thread)
            snapshot = gatherer.take()
            cpu.append(clocks.passed())
            took.append(snapshot.took_s)
            began = time.thread_time()
            history.add(snapshot)
            views.append(time.thread_time() - began)
    if snapshot.problems:
        raise SystemExit(f"bench: not everything was told: {snapshot.problems}")
    return [
        ("the first snapshot, with connecting", f"{first_s:.2f} s, {first.requests} requests"),
        (
            f"each further one (median of {ROUNDS}; slowest)",
            f"{statistics.median(took):.2f} s; {max(took):.2f} s, {snapshot.requests} requests",
        ),
        ("CPU time of it (median)", f"{1000 * statistics.median(cpu):.0f} ms"),
        ("CPU time of rates and status (median)", f"{1000 * statistics.median(views):.0f} ms"),
    ]


def watched(settings: Settings, seconds: float) -> Sequence[tuple[str, str]]:
    """What an observer takes of a core, as the process counts it, and how often it looks."""
    views = 0
    with Observer(settings) as observer:
        view = observer.wait(60)
        began, cpu = time.monotonic(), time.process_time()
        while time.monotonic() - began < seconds:
            newer = observer.wait(1.0, view)
            views, view = views + (newer is not None), newer or view
        passed, used = time.monotonic() - began, time.process_time() - cpu
    return [(f"an observer for {seconds:.0f} s", f"{100 * used / passed:.1f} % of a core, {views} snapshots")]


def killed(cluster: LocalCluster, settings: Settings, kills: int) -> Sequence[tuple[str, str]]:
    """From the kill of a broker to the view that shows it, with the observer as it comes."""
    found: list[float] = []
    with Observer(settings) as observer:
        view = observer.wait(60)
        for _ in range(kills):
            view = _until(observer, view, True)
            time.sleep(3)
            began = time.monotonic()
            cluster.stop_broker(3, kill=True)
            view = _until(observer, view, False)
            found.append(time.monotonic() - began)
            cluster.start_broker(3)
    return [(f"a killed broker is shown after (median of {kills}; slowest)", _span(found))]


def _span(found: Sequence[float]) -> str:
    return f"{statistics.median(found):.1f} s; {max(found):.1f} s"


def _until(observer: Observer, view: View | None, alive: bool) -> View | None:
    end = time.monotonic() + 120
    while view is None or not any(one.id == 3 and one.alive is alive for one in view.snapshot.brokers):
        if time.monotonic() > end:
            raise SystemExit("bench: broker 3 is not shown as it is")
        view = observer.wait(5.0, view) or view
    return view


if __name__ == "__main__":
    main()
