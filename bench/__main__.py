"""``python -m bench``: start a cluster of its own, run every comparison, write tables and a plot, take it down."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import report
from bench.cases import (
    clients_of,
    csv_to_topic,
    flat,
    memory,
    peers,
    scaling,
    scoring,
    sending,
    startup,
    topic,
    topic_to_csv,
)
from bench.measure import Case, measure, rounds
from bench.report import Finding, Latencies
from sensorstream.cluster.local import LocalCluster
from sensorstream.config import Settings

NAMES = ("start-up", "csv-to-topic", "topic-to-csv", "scoring", "scaling", "flat", "latency", "sending", "memory")
"""What ``--only`` takes."""


def main() -> None:
    """Run the benchmarks that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the throughput cases")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--memory-rows", type=int, default=10_000_000, help="rows of the memory case; 0 leaves it out")
    parser.add_argument("--client", action="append", help="a client to measure (repeatable; default: all installed)")
    parser.add_argument("--only", action="append", metavar="CASE", help=f"repeatable: {', '.join(NAMES)}; default: all")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and its plot")
    parser.add_argument("--redraw", action="store_true", help="measure nothing: draw the plot from the page's tables")
    chosen = parser.parse_args()
    if unknown := set(chosen.only or ()) - set(NAMES):
        parser.error(f"--only {sorted(unknown)[0]}: there is no such case; they are {', '.join(NAMES)}")
    if chosen.redraw:
        sys.stdout.write(f"{report.redraw()}\n")
        return
    told_of_sending = ""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster is taken down
    clients = chosen.client or clients_of()
    peers()
    with tempfile.TemporaryDirectory(prefix="sensorstream-bench-") as name:
        folder = Path(name)
        cluster = LocalCluster(f"bench-{os.getpid()}")
        try:
            up = cluster.up(ports=(0, 0, 0), data_dir=folder / "kafka")
            settings = Settings(bootstrap=up.bootstrap)
            rows = chosen.rows
            cases: dict[str, Callable[[], Sequence[Case]]] = {
                "start-up": lambda: [startup()],
                "csv-to-topic": lambda: [csv_to_topic(settings, folder, rows, clients)],
                "topic-to-csv": lambda: [topic_to_csv(settings, folder, rows, clients)],
                "scoring": lambda: [scoring(settings, folder, max(rows // 10, 1), clients)],
                "scaling": lambda: [scaling(settings, folder, rows, clients[-1])],
                "flat": lambda: [flat(settings, folder, rows, client) for client in clients],
            }
            wanted = chosen.only or NAMES
            findings = [run(case, chosen.rounds) for name in cases if name in wanted for case in cases[name]()]
            latencies = [single_rows(settings, client, chosen.rounds) for client in clients if "latency" in wanted]
            if "sending" in wanted:
                case, topics = sending(settings, folder, rows, clients[-1])
                sent = run(case, chosen.rounds)
                told_of_sending = report.sending_table(sent, topics, folder / "kafka", chosen.rounds + 1)
            if chosen.memory_rows and "memory" in wanted:
                findings += [once(memory(settings, folder, chosen.memory_rows, client)) for client in clients]
        finally:
            cluster.down(delete_data=True)
    if chosen.write and told_of_sending:
        report.write([report.machine(chosen.rounds), told_of_sending], report.DOCS / "tuning.md")
    if chosen.write and findings:
        report.publish(chosen.rounds, findings, latencies)


def run(case: Case, count: int) -> Finding:
    """Run a case and print it."""
    return told(Finding(case, rounds(case, count)))


def once(case: Case) -> Finding:
    """Run each command of a case one time and print it."""
    case.prepare()
    return told(Finding(case, {name: [measure(command)] for name, command in case.commands.items()}))


def told(found: Finding) -> Finding:
    """Print a case."""
    sys.stdout.write(f"\n{report.table(found)}\n")
    sys.stdout.flush()
    return found


def single_rows(settings: Settings, client: str, count: int) -> Latencies:
    """Time single rows through ours and through a bare pair, in turn."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    for number in range(count + 1):
        for kind, runs in found.items():
            one = _latency(client, kind, settings.bootstrap, topic(settings, partitions=1))
            if number:
                runs.append(one)
    latencies = Latencies(client, found["ours"], found["bare"])
    sys.stdout.write(f"\n{report.latency_table([latencies])}\n")
    sys.stdout.flush()
    return latencies


def _latency(client: str, kind: str, bootstrap: Sequence[str], name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.latency", client, kind, ",".join(bootstrap), name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
