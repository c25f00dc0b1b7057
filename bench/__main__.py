"""``python -m bench``: start a cluster of its own, run every case, print a table, take the cluster down."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.cases import csv_to_topic, memory, peers, startup, topic_to_csv
from bench.measure import Case, Measurement, median_ratio, median_wall, peak, rounds
from sensorstream.cluster.local import LocalCluster
from sensorstream.config import Settings


def main() -> None:
    """Run the benchmarks that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the throughput cases")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--memory-rows", type=int, default=5_000_000, help="rows of the memory case; 0 leaves it out")
    parser.add_argument("--client", action="append", help="a client to measure (repeatable)")
    chosen = parser.parse_args()
    clients = chosen.client or ["kafka-python"]
    peers()
    with tempfile.TemporaryDirectory(prefix="sensorstream-bench-") as name:
        folder = Path(name)
        cluster = LocalCluster(f"bench-{os.getpid()}")
        try:
            up = cluster.up(ports=(0, 0, 0), data_dir=folder / "kafka")
            settings = Settings(bootstrap=up.bootstrap)
            tell(startup(), chosen.rounds)
            tell(csv_to_topic(settings, folder, chosen.rows, clients), chosen.rounds)
            tell(topic_to_csv(settings, folder, chosen.rows, clients), chosen.rounds)
            if chosen.memory_rows:
                for client in clients:
                    tell(memory(settings, folder, chosen.memory_rows, client), 0)
        finally:
            cluster.down(delete_data=True)


def tell(case: Case, count: int) -> None:
    """Run a case and print its rows as a Markdown table: each command against the last but one of ours, the peers."""
    found = rounds(case, count) if count else {name: [_once(case, name)] for name in case.commands}
    sys.stdout.write(
        f"\n{case.name}\n\n| command | median s | rows/s | peak MB | times as fast as |\n|---|---|---|---|---|\n"
    )
    for name, runs in found.items():
        wall = median_wall(runs)
        rate = f"{case.rows / wall:,.0f}" if case.rows else "-"
        ratios = [
            f"{median_ratio(runs, theirs):.2f} x {peer}"
            for peer, theirs in found.items()
            if name.startswith("sensorstream") and not peer.startswith("sensorstream")
        ]
        sys.stdout.write(f"| {name} | {wall:.2f} | {rate} | {peak(runs) / 1e6:.0f} | {', '.join(ratios)} |\n")
    sys.stdout.flush()


def _once(case: Case, name: str) -> Measurement:
    from bench.measure import measure

    case.prepare()
    return measure(case.commands[name])


if __name__ == "__main__":
    main()
