"""Captures through a transform and aggregates, killed at random points: each row and each window is there once."""

import csv
import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from running import Started, ok, started, until

pytestmark = [pytest.mark.broker, pytest.mark.long]

PLUG_IN = """
from sensorstream.records import Number
from sensorstream.transforms.base import OutputRow, Unusable

class Copies:
    '''Of row n: no row, one, or two of different columns; every fiftieth can't be used.'''
    name, version = "copies", "1"
    def __init__(self, options):
        pass
    def apply(self, rows):
        return [self.copies(int(row["n"]), row) for row, record in rows]
    def copies(self, n, row):
        if n % 50 == 0:
            return Unusable("a round number")
        return [OutputRow(row), OutputRow({**row, f"extra{n // 4000}": Number("1")})][: n % 3]
"""


@pytest.fixture
def _plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "site"
    info = folder / "copies_plugin-1.dist-info"
    info.mkdir(parents=True)
    (folder / "copies_plugin.py").write_text(PLUG_IN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: copies-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sensorstream.transforms]\ncopies = copies_plugin:Copies\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(":"))
    yield


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def grown(path: Path, before: int, producer: Started) -> bool:
    """Whether a file has grown, or never may since all is in it."""
    return size(path) > before or producer.process.poll() is not None


@pytest.mark.usefixtures("_plug_in")
def test_a_capture_through_a_transform_holds_each_row_once(broker: tuple[str, ...], tmp_path: Path) -> None:
    b = ["--bootstrap", ",".join(broker)]
    source = tmp_path / "s.csv"
    source.write_text("n,text\n" + "".join(f'{n},"row {n}\nof many"\n' for n in range(12_000)))
    ok("topics", "create", "copied", "--partitions", "1", *b)
    dice = random.Random(2308)
    captured = tmp_path / "out" / "copied.csv"
    capture = ["consume", "-t", "copied", "-p", "0", "--transform", "copies", "--to", str(captured), *b]
    with started("produce", "--source", f"copied={source}", "--rate", "3000", *b, cwd=tmp_path) as producer:
        for _ in range(3):
            with started(*capture) as running:
                until(partial(grown, captured, size(captured), producer), "a growing file")
                threading.Event().wait(dice.random() * 0.5)
                os.kill(running.process.pid, signal.SIGKILL)
                running.end()
        assert producer.end() == 0, producer.told
    with started(*capture, "-e") as running:
        assert running.end() in (0, 1), "1 where this last run had something to reject"
    wanted = Counter({n: n % 3 for n in range(12_000) if n % 50 and n % 3})
    with captured.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert Counter(int(row["n"]) for row in rows) == wanted
    assert all(row["text"] == f"row {row['n']}\nof many" for row in rows)
    assert sum(row["extra0"] == "1" for row in rows) == sum(n % 3 == 2 and n % 50 > 0 for n in range(4_000))
    dead = [json.loads(line) for line in (tmp_path / "out" / "copied.rejected.jsonl").read_text().splitlines()]
    assert [one["offset"] for one in dead] == list(range(0, 12_000, 50))


START = datetime(2023, 8, 31, tzinfo=UTC)


def test_aggregates_hold_each_window_once(broker: tuple[str, ...], tmp_path: Path) -> None:
    """To a file and to a topic at the same time; the figures are those of pandas."""
    b = ["--bootstrap", ",".join(broker)]
    source = tmp_path / "s.csv"
    stamps = [(START + timedelta(milliseconds=200 * n)).isoformat() for n in range(10_000)]
    source.write_text("t,k,x\n" + "".join(f"{t},k{n % 7 % 3},{n % 101}.{n % 10}\n" for n, t in enumerate(stamps)))
    ok("topics", "create", "raw", "means", *b)
    dice = random.Random(5)
    target = tmp_path / "means.csv"
    question = ["aggregate", "-t", "raw", "--window", "10s", "--by", "k", "--mean", "x", "--max", "x"]
    question += ["--time-column", "t", "--late", "5s", *b]
    with started("produce", "--source", f"raw={source}", "--rate", "2000", *b, cwd=tmp_path) as producer:
        for _ in range(2):
            with ExitStack() as both:
                runs = [both.enter_context(started(*question, "--to", to)) for to in (str(target), "topic:means")]
                until(partial(grown, target, size(target), producer), "a growing file")
                for running in runs:
                    threading.Event().wait(dice.random() * 0.3)
                    os.kill(running.process.pid, signal.SIGKILL)
                    running.end()
        assert producer.end() == 0, producer.told

    def rest(to: str) -> dict[str, Any]:
        """Answer what is left, until nothing has come for a time that a busy machine does not need to read on."""
        return ok(*question, "--to", to, "--timeout", "20", "--idle", "200ms")

    with ThreadPoolExecutor() as pool:
        ends = list(pool.map(rest, (str(target), "topic:means")))
    wanted = pandas_windows(source)
    with target.open(newline="", encoding="utf-8") as file:
        check(list(csv.DictReader(file)), wanted, ends[0])
    out = tmp_path / "out"
    for partition in ("0", "1"):
        ok("consume", "-t", "means", "-p", partition, "-e", "--format", "jsonl", "--to", str(out), *b)
    lines = [line for path in out.glob("*.jsonl") for line in path.read_text().splitlines()]
    check([json.loads(line) for line in lines], wanted, ends[1])
    assert ok(*question, "--to", "topic:means", "--timeout", "1")["windows"] == 0


def pandas_windows(source: Path) -> dict[tuple[str, str], tuple[int, float, float]]:
    table = pd.read_csv(source)
    table["t"] = pd.to_datetime(table["t"], format="ISO8601")
    found = table.groupby([pd.Grouper(key="t", freq="10s"), "k"])["x"].agg(["count", "mean", "max"])
    return {
        (start.strftime("%Y-%m-%dT%H:%M:%SZ"), k): (int(count), float(mean), float(most))
        for (start, k), count, mean, most in found.itertuples()
    }


def check(
    rows: list[dict[str, Any]], wanted: dict[tuple[str, str], tuple[int, float, float]], end: dict[str, Any]
) -> None:
    """``rows`` are all the windows that were closed by then, each once."""
    assert end["late"] == end["rejected"] == 0
    closed = {key: figures for key, figures in wanted.items() if window_end(key[0]) <= end["watermark"]}
    assert len(closed) > 500
    assert Counter((row["window_start"], row["k"]) for row in rows) == Counter(closed.keys())
    for row in rows:
        count, mean, most = closed[row["window_start"], row["k"]]
        assert (int(row["count"]), float(row["x_max"])) == (count, most)
        assert float(row["x_mean"]) == pytest.approx(mean, rel=1e-12)


def window_end(start: str) -> str:
    return (datetime.fromisoformat(start) + timedelta(seconds=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
