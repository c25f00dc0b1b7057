"""``produce --exactly-once`` and ``jobs`` on real brokers: taken over, shared by processes, with consumers beside it.

Replays that are killed are in tests/faults/test_replay_killed.py.
"""

import json
import signal
import threading
from pathlib import Path

import psutil
import pytest

from running import cli, ok, started, until
from sensorstream.clients import open_client
from sensorstream.config import Settings
from sensorstream.errors import ExitCode
from sensorstream.records import TopicPartition

pytestmark = [pytest.mark.broker, pytest.mark.long]

ROWS = 3000


@pytest.fixture
def b(broker: tuple[str, ...]) -> list[str]:
    return ["--bootstrap", ",".join(broker)]


def source(folder: Path, topic: str, rows: int = ROWS) -> str:
    path = folder / f"{topic}.csv"
    path.write_text("n,text\n" + "".join(f"{n},row {n}\n" for n in range(rows)))
    return f"{topic}={path}"


def values(b: list[str], topic: str, most: int = 2**31) -> list[list[bytes]]:
    """What a committed reader finds in both partitions; at least ``most`` of them, or all."""
    partitions = [TopicPartition(topic, number) for number in (0, 1)]
    found: list[list[bytes]] = [[], []]
    with open_client(Settings(bootstrap=tuple(b[1].split(",")))).reader() as reader:
        reader.assign(dict.fromkeys(partitions, 0))
        ends = reader.end_offsets(partitions)
        while sum(map(len, found)) < most and any(reader.position(part) < ends[part] for part in partitions):
            for partition, batch in reader.poll_values(1.0).items():
                found[partition.partition] += [value or b"" for value in batch.values]
    return found


def count(b: list[str], topic: str, most: int = 2**31) -> int:
    return sum(map(len, values(b, topic, most)))


def committed(b: list[str], topic: str) -> list[list[int]]:
    """The numbers of the rows in both partitions."""
    return [[json.loads(value)["n"] for value in of_partition] for of_partition in values(b, topic)]


def test_a_newer_run_with_the_other_client_fences_the_older_one(b: list[str], tmp_path: Path) -> None:
    ok("topics", "create", "once-two", *b)
    command = ["produce", "--source", source(tmp_path, "once-two"), "--exactly-once", *b]
    with started(*command, "--rate", "200", "--client", "kafka-python", cwd=tmp_path) as older:
        until(lambda: count(b, "once-two", 1), "a commit")
        older.signal(signal.SIGSTOP)
        ok(*command, "--delay", "0", "--client", "librdkafka", cwd=tmp_path)
        older.signal(signal.SIGCONT)
        assert older.end() == ExitCode.FAILED
    assert "has taken over" in older.told
    assert committed(b, "once-two") == [list(range(0, ROWS, 2)), list(range(1, ROWS, 2))]


def test_processes_share_a_job_and_go_on_with_their_shares(b: list[str], tmp_path: Path) -> None:
    ok("topics", "create", "once-shared", *b)
    rows = 15_000
    command = ["produce", "--source", source(tmp_path, "once-shared", rows), "--exactly-once", "--delay", "0", *b]
    first = cli(*command, "--processes", "2", "--limit", "5000", "--output", "json", cwd=tmp_path)
    assert first.returncode == ExitCode.DONE, first.stderr
    assert json.loads(first.stdout)["result"]["acknowledged"] == 5_000
    other = cli(*command, cwd=tmp_path)
    assert other.returncode == ExitCode.USAGE
    assert "was begun with its source shared by 2 processes" in other.stderr
    result = ok(*command, "--processes", "2", cwd=tmp_path)
    assert result["acknowledged"] == 10_000
    assert result["sources"][0]["job"].count("#") == 0
    assert committed(b, "once-shared") == [list(range(0, rows, 2)), list(range(1, rows, 2))]


def test_one_process_that_begins_anew_fences_the_processes_of_the_older_run(b: list[str], tmp_path: Path) -> None:
    ok("topics", "create", "once-anew", *b)
    rows = 600_000
    command = ["produce", "--source", source(tmp_path, "once-anew", rows), "--exactly-once", "--delay", "0", *b]
    with started(*command, "--processes", "2", cwd=tmp_path) as older:
        workers: list[psutil.Process] = []

        def has_committed() -> bool:
            """It goes on for moments only, and stands still while it is looked at: so it is never done before."""
            for worker in workers:
                worker.resume()
            threading.Event().wait(0.3)
            workers[:] = psutil.Process(older.process.pid).children(recursive=True)
            for worker in workers:
                worker.suspend()
            return count(b, "once-anew", 1) > 0

        until(has_committed, "a commit")
        assert ok(*command, "--restart", "--limit", "10", cwd=tmp_path)["acknowledged"] == 10
        # What the older run had under way has ended by now, one way or the other.
        done = count(b, "once-anew")
        assert 10 < done < rows
        for worker in workers:
            worker.resume()
        assert older.end() == ExitCode.FAILED
    assert count(b, "once-anew") == done
    assert ok("jobs", "list", *b)["jobs"][0]["shares"] == 1


def test_jobs_are_listed_shown_and_forgotten(b: list[str], tmp_path: Path) -> None:
    ok("topics", "create", "once-jobs", *b)
    command = ["produce", "--source", source(tmp_path, "once-jobs", 100), "--exactly-once", "--job", "june", *b]
    ok(*command, "--delay", "0", "--limit", "40", cwd=tmp_path)
    listed = {job["name"]: job for job in ok("jobs", "list", *b)["jobs"]}
    job = listed["june/once-jobs"]
    assert (job["rows"], job["next_row"], job["finished"], job["topic"]) == (40, 40, False, "once-jobs")
    assert ok("jobs", "show", "june", *b) == job
    rest = ok(*command, "--delay", "0", cwd=tmp_path)
    assert (rest["sources"][0]["earlier"], rest["acknowledged"]) == (40, 60)
    assert ok("jobs", "show", "june/once-jobs", *b)["finished"]
    again = cli(*command, "--delay", "0", "--output", "json", cwd=tmp_path)
    assert again.returncode == ExitCode.DONE
    assert json.loads(again.stdout)["result"]["sent"] == 0
    assert "is finished" in again.stderr
    assert cli("jobs", "forget", "june", *b).returncode == ExitCode.USAGE
    assert ok("jobs", "forget", "june", "--yes", *b)["forgotten"] == ["june/once-jobs"]
    missing = cli("jobs", "show", "june", *b)
    assert missing.returncode == ExitCode.USAGE
    assert "there is no job 'june'" in missing.stderr
    assert ok(*command, "--delay", "0", cwd=tmp_path)["acknowledged"] == 100


def test_run_publishes_exactly_once_and_captures(b: list[str], tmp_path: Path) -> None:
    ok("topics", "create", "once-run", *b)
    command = ["run", "--source", source(tmp_path, "once-run", 500), "--exactly-once", "--delay", "0", "-e", *b]
    for expected in (500, 0):
        result = ok(*command, "--to", str(tmp_path / "captured"), "-g", "once-run", cwd=tmp_path)
        assert result["replay"]["acknowledged"] == expected
    ok("verify", "--source", f"once-run={tmp_path / 'once-run.csv'}", str(tmp_path / "captured"))


@pytest.mark.parametrize("options", [(), ("--exactly-once",)], ids=["at-least-once", "exactly-once"])
def test_a_topic_whose_limit_is_below_the_batches_is_named_at_once(
    b: list[str], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """librdkafka sends the batches that it has made; kafka-python splits them."""
    topic = "once-small" + "".join(options)
    ok("topics", "create", topic, "--set", "max.message.bytes=2000", *b)
    rows = ("--source", source(tmp_path, topic, 100_000), "--delay", "0")
    command = ["produce", *rows, "--client", "librdkafka", *b]
    refused = cli(*command, *options, cwd=tmp_path, timeout=60)
    assert refused.returncode == ExitCode.FAILED
    assert "the broker refuses a record as too large" in refused.stderr
    assert "raise max.message.bytes of the topic, or lower batch.size below it" in refused.stderr
    ok(*command, "--batch-size", "1000", "--limit", "2000", *options, cwd=tmp_path)
