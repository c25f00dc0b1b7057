"""The lab as its users run it, on real brokers: topics, produce, consume, run, verify, lag, demo."""

import csv
import json
import os
import re
import signal
from pathlib import Path

import psutil
import pytest

from running import cli, ok, started, until
from sensorstream import admin
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ExitCode
from sensorstream.monitor.lag import group_lag
from sensorstream.samples import write_samples

pytestmark = [pytest.mark.broker, pytest.mark.long]


@pytest.fixture
def b(broker: tuple[str, ...]) -> list[str]:
    return ["--bootstrap", ",".join(broker)]


def numbered(path: Path, rows: int) -> Path:
    path.write_text("n,text\n" + "".join(f"{n},row {n}\n" for n in range(rows)))
    return path


def test_from_files_to_files_and_the_proof(b: list[str], tmp_path: Path) -> None:
    write_samples(tmp_path, days=1)
    names = ("run-AIR", "run-EARTH", "run-WATER")
    created = ok("topics", "create", *names, *b)
    assert [topic["created"] for topic in created["topics"]] == [True] * 3
    sources = [
        part for name in names for part in ("--source", f"{name}={tmp_path / (name.removeprefix('run-') + '2308.csv')}")
    ]
    group, page = ["-g", "run-group"], tmp_path / "report.html"
    arguments = ["--delay", "0", "--thread", "3", "--to", str(tmp_path / "out"), "--report", str(page)]
    ran = ok("run", "-e", *arguments, *sources, *group, *b)
    assert ran["captured"] is True
    assert ran["replay"]["acknowledged"] == 3 * 1440
    assert sorted(path.name for path in (tmp_path / "out").glob("*.csv")) == sorted(
        f"{name}_Consumer_{partition}.csv" for name in names for partition in (0, 1)
    )
    lag = ok("lag", *group, *b)
    assert lag["total_lag"] == 0
    assert len(lag["partitions"]) == 6
    assert all(row["consumer_id"] and row["host"] and row["current_offset"] == 720 for row in lag["partitions"])
    verdict = ok("verify", *sources, str(tmp_path / "out"))
    assert verdict["exactly_once"] is True
    check_report(page, "1,440")


def check_report(page: Path, rows: str, *more: str) -> None:
    told = page.read_text(encoding="utf-8")
    for part in (rows, "rows published", "Temperature", *more):
        assert part in told
    # The names of XML vocabularies alone: nothing is fetched.
    hosts = set(re.findall(r"https?://([^/\"]+)", told))
    assert hosts <= {"www.w3.org", "purl.org", "creativecommons.org"}


def test_verify_names_the_first_difference(b: list[str], tmp_path: Path) -> None:
    source = numbered(tmp_path / "s.csv", 10)
    ok("topics", "create", "wrong", *b)
    ok("produce", "--source", f"wrong={source}", "--delay", "0", *b, cwd=tmp_path)
    for partition in ("0", "1"):
        ok("consume", "-t", "wrong", "-p", partition, "-e", *b, cwd=tmp_path)
    captured = tmp_path / "wrong_Consumer_1.csv"
    captured.write_text(captured.read_text().replace("row 5", "row five"))
    done = cli("verify", "--source", f"wrong={source}", cwd=tmp_path)
    assert done.returncode == ExitCode.WRONG_DATA
    assert "wrong_Consumer_1.csv" in done.stderr
    assert "row five" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_during_produce_says_where_to_go_on(b: list[str], tmp_path: Path) -> None:
    source = numbered(tmp_path / "s.csv", 200)
    ok("topics", "create", "pausing", *b)
    arguments = ["produce", "--source", f"pausing={source}", *b]
    with started(*arguments, "--rate", "20", "--output", "json", cwd=tmp_path) as first:
        until(lambda: first.told.count("Publish message pausing data: ") >= 5, "five published rows")
        first.signal(signal.SIGINT)
        assert first.end() == ExitCode.INTERRUPTED
    told = first.told.splitlines()[-1]
    assert "--from-row pausing=" in told
    rest = ["--from-row", told.rpartition(" ")[2]]
    second = ok(*arguments, "--delay", "0", *rest, cwd=tmp_path)
    assert 0 < second["acknowledged"] < 200
    for partition in ("0", "1"):
        ok("consume", "-t", "pausing", "-p", partition, "-e", *b, cwd=tmp_path)
    assert ok("verify", "--source", f"pausing={source}", cwd=tmp_path)["exactly_once"] is True


def test_an_endless_capture_logs_its_rows_and_ends_cleanly(b: list[str], tmp_path: Path) -> None:
    source = numbered(tmp_path / "s.csv", 6)
    ok("topics", "create", "endless", *b)
    with started("consume", "-t", "endless", "-p", "0", *b, cwd=tmp_path) as capture:
        until(lambda: "Reached the end of endless partition 0 at offset 0" in capture.told, "the end")
        ok("produce", "--source", f"endless={source}", "--delay", "0", *b, cwd=tmp_path)
        until(lambda: capture.told.count("Saved data to endless file: ") == 3, "three stored rows")
        until(lambda: "at offset 3" in capture.told, "the end of three rows")
        capture.signal(signal.SIGTERM)
        assert capture.end() == ExitCode.DONE
    assert 'Saved data to endless file: {"n":0,"text":"row 0"}' in capture.told
    with (tmp_path / "endless_Consumer_0.csv").open(newline="") as file:
        assert [row["n"] for row in csv.DictReader(file)] == ["0", "2", "4"]


def test_a_group_shares_partitions_and_its_members_show_in_lag(
    b: list[str], settings: Settings, tmp_path: Path
) -> None:
    source = numbered(tmp_path / "s.csv", 400)
    ok("topics", "create", "shared", "--partitions", "4", *b)
    arguments = ["consume", "-t", "shared", "-g", "shared-group", "--to", str(tmp_path), *b]
    with started(*arguments) as one, started(*arguments) as two:
        until(lambda: "shared[" in one.told and "shared[" in two.told, "both members' partitions")
        ok("produce", "--source", f"shared={source}", "--delay", "0", *b, cwd=tmp_path)

        def done() -> bool:
            lag = group_lag(settings, "shared-group")
            return lag.total_lag == 0 and sum(row.current_offset or 0 for row in lag.partitions) == 400

        until(done, "a lag of 0")

        def shared() -> bool:
            return len({row.consumer_id for row in group_lag(settings, "shared-group").partitions}) == 2

        until(shared, "two members of the group")
        lag = ok("lag", "-g", "shared-group", *b)
        assert (lag["total_lag"], len({row["consumer_id"] for row in lag["partitions"]})) == (0, 2)
        for member in (one, two):
            member.signal(signal.SIGINT)
            assert member.end() == ExitCode.DONE
    assert ok("verify", "--source", f"shared={source}", str(tmp_path))["exactly_once"] is True


def test_run_stops_all_of_its_processes(b: list[str], tmp_path: Path) -> None:
    source = numbered(tmp_path / "s.csv", 1000)
    ok("topics", "create", "stopping", *b)
    arguments = ["run", "--source", f"stopping={source}", "--delay", "0.1", "--to", str(tmp_path), "-g", "stopping", *b]
    with started(*arguments) as lab:
        until(lambda: "stopping[1] | Saved data to stopping file: " in lab.told, "a stored row of each partition")
        assert "Publish message stopping data: " in lab.told
        children = psutil.Process(lab.process.pid).children(recursive=True)
        assert len(children) == 2
        lab.signal(signal.SIGINT)
        assert lab.end() == ExitCode.DONE
    assert not [child for child in children if child.is_running()]


def test_consumers_end_when_their_owner_is_killed(b: list[str], tmp_path: Path) -> None:
    ok("topics", "create", "orphans", *b)
    source = numbered(tmp_path / "s.csv", 1000)
    with started("run", "--source", f"orphans={source}", "--delay", "1", "--to", str(tmp_path), *b) as lab:
        until(lambda: lab.told.count("capturing into") == 2, "two consumers")
        children = psutil.Process(lab.process.pid).children(recursive=True)
        os.kill(lab.process.pid, signal.SIGKILL)
        until(lambda: not [child for child in children if child.is_running()], "the consumers' end", 90)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["produce", "--source", "nobody={source}", "--delay", "0"], ExitCode.USAGE, "nobody"),
        (["consume", "-t", "nobody", "-p", "0"], ExitCode.USAGE, "nobody"),
        (["consume", "-t", "known", "-p", "9", "-e"], ExitCode.USAGE, "0 to 1"),
        (["run", "--source", "nobody={source}"], ExitCode.USAGE, "nobody"),
        (["topics", "describe", "knwon"], ExitCode.USAGE, "known"),
        (["topics", "create", "too-many", "--replication-factor", "4"], ExitCode.USAGE, "3"),
        (["produce", "--source", "known={source}", "--key", "nope", "--delay", "0"], ExitCode.USAGE, "nope"),
        (["produce", "--source", "known=missing.csv", "--delay", "0"], ExitCode.WRONG_DATA, "missing.csv"),
        (["lag", "-g", "never-seen"], ExitCode.USAGE, "never-seen"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    b: list[str], settings: Settings, tmp_path: Path, arguments: list[str], code: ExitCode, says: str
) -> None:
    admin.create_topics(settings, [TopicSettings("known")])
    source = numbered(tmp_path / "s.csv", 3)
    done = cli(*[part.format(source=source) for part in arguments], *b, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]


def test_values_that_would_move_the_terminal_are_shown_and_not_obeyed(b: list[str], tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("v\n\x1b]52;c;aGk=\x07\x1b[31m[red]x\n")
    ok("topics", "create", "escapes", *b)
    done = cli("produce", "--source", f"escapes={tmp_path / 's.csv'}", "--delay", "0.1", *b, cwd=tmp_path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "[red]x" in done.stderr


# With a report the rows go at a pace, so that there is something to see over time.
@pytest.mark.parametrize("reported", [False, pytest.param(True, marks=pytest.mark.campaign)], ids=["plain", "reported"])
def test_demo_ends_with_a_verdict_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: bool
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    page = tmp_path / "report.html"
    done = cli("demo", *(["--report", str(page)] if reported else []), "--output", "json", timeout=400)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert result["passed"] is True
    assert len(result["cluster"]["bootstrap"]) == 3
    assert len(result["run"]["consumers"]) == 6
    assert result["run"]["lag"]["total_lag"] == 0
    assert [topic["captured"] for topic in result["verification"]["topics"]] == [2880] * 3
    assert list(tmp_path.iterdir()) == ([page] if reported else [])
    if reported:
        check_report(page, "2,880", "Passed: every row was captured exactly once.", "each row once")


def test_demo_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with started("demo") as demo:
        until(lambda: "3. publish" in demo.told, "the third step", 120)
        demo.signal(signal.SIGINT)
        assert demo.end(120) == ExitCode.INTERRUPTED
    assert not list(tmp_path.iterdir())
    mine = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or [])
    ]
    assert not mine


def test_bench_measures_and_leaves_nothing(b: list[str]) -> None:
    before = {topic["name"] for topic in ok("topics", "list", *b)["topics"]}
    found = ok("bench", "--rows", "3000", "--rate", "100", "--seconds", "1", *b)
    assert found["produce"]["rows"] == found["consume"]["rows"] == 3000
    assert found["produce"]["bytes"] == found["consume"]["bytes"] > 3000 * 100
    latency = found["end_to_end"]
    assert latency["samples"] == 100
    assert 0 < latency["p50_ms"] <= latency["p99_ms"] <= latency["max_ms"]
    assert {topic["name"] for topic in ok("topics", "list", *b)["topics"]} == before
