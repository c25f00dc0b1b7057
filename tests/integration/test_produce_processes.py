"""``produce --processes`` and sources of posts on real brokers: order, exactly once, signals, deaths, no orphans."""

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from running import PROGRAM, Started, cli, ok, started, until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.config import Settings
from sensorstream.errors import ExitCode
from sensorstream.records import TopicPartition

pytestmark = pytest.mark.broker

ROWS = 60_000


@pytest.fixture
def b(broker: tuple[str, ...]) -> list[str]:
    return ["--bootstrap", ",".join(broker)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_file(tmp_path_factory.mktemp("large") / "large.csv", ROWS)


def numbered_file(path: Path, rows: int) -> Path:
    with path.open("w") as file:
        file.write("n,text\n")
        file.writelines(f'{n},"row {n}"\n' for n in range(rows))
    return path


def next_offsets(b: list[str], topic: str) -> int:
    described = admin.describe_topics(Settings(bootstrap=tuple(b[1].split(","))), [topic]).topics
    return sum(part.next_offset or 0 for part in described[0].partitions)


def stored(b: list[str], topic: str) -> list[list[bytes]]:
    """What stands in both partitions."""
    values: list[list[bytes]] = [[], []]
    with open_client(Settings(bootstrap=tuple(b[1].split(",")))).reader() as reader:
        partitions = [TopicPartition(topic, partition) for partition in (0, 1)]
        reader.assign(dict.fromkeys(partitions, 0))
        ends = reader.end_offsets(partitions)
        while any(reader.position(partition) < ends[partition] for partition in partitions):
            for partition, batch in reader.poll_values(1.0).items():
                values[partition.partition] += [value or b"" for value in batch.values]
    return values


def numbers(b: list[str], topic: str) -> list[list[int]]:
    return [[json.loads(value)["n"] for value in values] for values in stored(b, topic)]


def workers_of(running: Started) -> list[psutil.Process]:
    try:
        return psutil.Process(running.process.pid).children()
    except psutil.NoSuchProcess:
        return []


def test_one_large_source_by_two_processes(b: list[str], tmp_path: Path, large: Path) -> None:
    ok("topics", "create", "two-shares", *b)
    result = ok("produce", "--processes", "2", "--source", f"two-shares={large}", "--delay", "0", *b, cwd=tmp_path)
    assert (result["sent"], result["acknowledged"], result["failed"], result["complete"]) == (ROWS, ROWS, 0, True)
    assert result["sources"][0]["next_row"] == ROWS
    for partition in ("0", "1"):
        ok("consume", "-t", "two-shares", "-p", partition, "-e", "--to", str(tmp_path / "out"), *b)
    assert ok("verify", "--source", f"two-shares={large}", str(tmp_path / "out"))["exactly_once"] is True


def test_posts_and_sensor_rows_by_two_processes(b: list[str], tmp_path: Path) -> None:
    posts, rows = tmp_path / "posts.jsonl", tmp_path / "rows.tsv"
    posts.write_text("".join(f'{{"id":"p{n}","n":{n}.0, "tags":["a"]}}\n' for n in range(50)) + "no json\n")
    rows.write_text("n\ttext\n" + "".join(f'{n}\tsay "{n}\n' for n in range(50)))
    ok("topics", "create", "mixed-posts", "mixed-rows", *b)
    sources = ["--source", f"mixed-posts={posts}", "--source", f"mixed-rows={rows}"]
    done = cli("produce", "--processes", "2", *sources, "--rate", "200", "--output", "json", *b, cwd=tmp_path)
    assert done.returncode == ExitCode.FAILED, "one line was rejected"
    result = json.loads(done.stdout)["result"]
    assert [(part["acknowledged"], part["rejected"]) for part in result["sources"]] == [(50, 1), (50, 0)]
    assert json.loads((tmp_path / "posts.rejected.jsonl").read_text())["line"] == 51
    lines = posts.read_bytes().splitlines()[:50]
    assert stored(b, "mixed-posts") == [lines[::2], lines[1::2]]
    assert numbers(b, "mixed-rows") == [list(range(0, 50, 2)), list(range(1, 50, 2))]


def test_ctrl_c_stops_all_processes_and_says_where_to_go_on(b: list[str], tmp_path: Path) -> None:
    ok("topics", "create", "shared-int", *b)
    # With a limit rows go one by one, and there are many, so that there is time to stop it.
    rows = 10 * ROWS
    large = numbered_file(tmp_path / "larger.csv", rows)
    arguments = ["produce", "--processes", "2", "--source", f"shared-int={large}", "--delay", "0", *b]
    slowly = ["--client", "kafka-python", "--limit", str(rows)]
    with started(*arguments, *slowly, "--output", "json", cwd=tmp_path) as first:
        until(lambda: next_offsets(b, "shared-int") > 0, "some rows")
        first.signal(signal.SIGINT)
        assert first.end() == ExitCode.INTERRUPTED, first.told
        assert not workers_of(first)
    told = first.told.splitlines()[-1]
    rest = told.rpartition(" ")[2]
    assert rest.startswith("shared-int=")
    row = int(rest.partition("=")[2])
    assert 0 < row < rows
    # Each process stopped at a row of its own: what is behind the first of them may be there twice, nothing is missing.
    assert ok(*arguments, "--from-row", rest, "--limit", "10000")["acknowledged"] == 10_000
    for partition, got in enumerate(numbers(b, "shared-int")):
        end = max(row + 10_000, max(got) + 1)  # one may have been farther when it stopped
        assert sorted(set(got)) == list(range(partition, end, 2))
        again = next(at for at in range(1, len(got) + 1) if at == len(got) or got[at] < got[at - 1])
        assert got[:again] == sorted(got[:again])
        assert got[again:] == sorted(got[again:])


def test_a_killed_process_ends_the_replay_and_is_named(b: list[str], tmp_path: Path) -> None:
    sources = []
    for name in ("killed-a", "killed-b"):
        (tmp_path / f"{name}.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(60_000)))
        sources += ["--source", f"{name}={tmp_path / name}.csv"]
    ok("topics", "create", "killed-a", "killed-b", *b)
    with started("produce", "--processes", "2", *sources, "--rate", "200", "--output", "json", *b) as replay:
        # A process tells how far it is ten times a second; what it had not told yet when it was killed is not known.
        until(lambda: min(next_offsets(b, "killed-a"), next_offsets(b, "killed-b")) > 200, "rows of a second and more")
        workers = workers_of(replay)
        assert len(workers) == 2
        workers[0].kill()
        assert replay.end() == ExitCode.FAILED
        assert not any(worker.is_running() for worker in workers)
    assert "was killed by SIGKILL" in replay.told
    hints = dict(word.split("=") for word in replay.told.splitlines()[-1].split() if word.startswith("killed-"))
    for name, row in hints.items():
        there = {n for of_partition in numbers(b, name) for n in of_partition}
        assert 0 < int(row) <= len(there)
        assert set(range(int(row))) <= there, "nothing ahead of the row to go on with is missing"
    assert set(hints) == {"killed-a", "killed-b"}


def test_processes_end_when_their_owner_is_killed(b: list[str], tmp_path: Path) -> None:
    sources = []
    for name in ("orphan-a", "orphan-b"):
        (tmp_path / f"{name}.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(60_000)))
        sources += ["--source", f"{name}={tmp_path / name}.csv"]
    ok("topics", "create", "orphan-a", "orphan-b", *b)
    with started("produce", "--processes", "2", *sources, "--rate", "100", *b, cwd=tmp_path) as replay:
        until(lambda: next_offsets(b, "orphan-a") > 0, "some rows")
        workers = workers_of(replay)
        assert len(workers) == 2
        replay.process.kill()
        until(lambda: not any(worker.is_running() for worker in workers), "the end of the workers", 60)


@pytest.mark.parametrize("kind", ["fifo", "stdin"])
def test_the_first_ctrl_c_ends_the_wait_for_a_pipe(b: list[str], tmp_path: Path, kind: str) -> None:
    """It was swallowed; and the end of a program whose thread waited for standard input was an abort."""
    ok("topics", "create", f"waiting-{kind}", *b)
    reader, writer = os.pipe()
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    source = f"waiting-{kind}={'-' if kind == 'stdin' else fifo}"
    process = subprocess.Popen(
        [*PROGRAM, "produce", "--source", source, "--delay", "0", "-v", *b],
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: threads_of(process.pid) > 1, "the wait for the pipe")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)
    assert process.returncode == ExitCode.INTERRUPTED, told
    assert "to go on, add: --from-row" in told


def threads_of(pid: int) -> int:
    try:
        return psutil.Process(pid).num_threads()
    except psutil.NoSuchProcess:
        return 0
