"""A disk that is really full: a small file system in memory. Where it can't be had the test fails; it never skips."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.counting import Count, captured_numbers, count_files, write_source
from faults.figures import Figures, kafka_version, write
from faults.workloads import CLIENTS, PARTITIONS, Capture
from running import ok, started, until
from sensorstream.cluster import LocalCluster
from sensorstream.errors import ExitCode

pytestmark = pytest.mark.broker

ROWS, SHORT_ROWS = 30_000, 12_000
ENDS_WITHIN_S = 5.0
FORMS = [
    pytest.param("kafka-python", "csv", False, id="short-csv"),
    pytest.param("librdkafka", "jsonl", False, id="short-jsonl"),
    *(
        pytest.param(client, form, True, id=f"campaign-{client}-{form}", marks=pytest.mark.campaign)
        for client in CLIENTS
        for form in ("csv", "jsonl")
    ),
]


@pytest.fixture
def small_disk(tmp_path: Path, long: bool) -> Iterator[Path]:
    """A file system that is smaller than one captured partition."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount(folder, "size=512k" if long else "size=200k")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def mount(folder: Path, options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "sensorstream-test", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"this test needs the right to mount a small file system (root): {done.stderr}"


@pytest.mark.parametrize(("client", "form", "long"), FORMS)
def test_a_full_disk_ends_the_capture_and_it_goes_on_when_there_is_space(
    cluster: LocalCluster, tmp_path: Path, small_disk: Path, client: str, form: str, long: bool
) -> None:
    """The file of a full disk is whole up to its position; with more space the same command completes it."""
    topic = f"full-{client}-{form}-{long}"
    b = ["--bootstrap", ",".join(cluster.bootstrap)]
    rows = ROWS if long else SHORT_ROWS
    source = write_source(tmp_path / "s.csv", rows)
    ok("topics", "create", topic, "--partitions", str(PARTITIONS), *b)
    capture = Capture(topic, small_disk, ["--client", client, "--format", form, *b])
    with (
        started(*capture.command()) as running,
        started("produce", "--source", f"{topic}={source}", "--rate", "6000", *b, cwd=tmp_path) as producer,
    ):
        until(lambda: any(small_disk.glob("*.position")), "the beginning of a capture")
        until(lambda: free(small_disk) < 16 << 10 or running.process.poll() is not None, "a full disk")
        began = time.monotonic()
        assert running.end() == ExitCode.FAILED, running.told
        took = time.monotonic() - began
        assert producer.end() == ExitCode.DONE, producer.told
    assert "no space left for" in running.told
    for path in [*small_disk.glob("*.csv"), *small_disk.glob("*.jsonl")]:
        numbers = captured_numbers(path)
        assert numbers == sorted(set(numbers)), "what is there is whole"
    assert len(list(small_disk.glob("*.position"))) == PARTITIONS
    mount(small_disk, "remount,size=64m")
    ok(*capture.command("-e"))
    count = count_files(small_disk, range(rows), PARTITIONS)
    if long:
        record(client, form, count, took, kafka_version(cluster))
        assert took <= ENDS_WITHIN_S
    assert count.is_zero, count


def free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def record(client: str, form: str, count: Count, took_s: float, version: str) -> None:
    write(Figures(15, "disk full", client, f"capture to {form}", 1, count, took_s, ENDS_WITHIN_S, None, version))
