"""The plug-in, in projects that are none of ours: their tests run in a pytest of their own, on real brokers."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from running import until
from sensorstream.cluster.state import cluster_names

pytestmark = [pytest.mark.broker, pytest.mark.long]
EXAMPLE = Path(__file__).parents[2] / "examples" / "tested-pipeline"


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)  # this run's own


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_project_passes_with_three_client_libraries(tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLE, tmp_path / "project")
    assert "4 passed" in run(folder)
    assert cluster_names() == ()


SHARED = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(4))
def test_shared(number, kafka_cluster, kafka_topic, kafka_produce, kafka_consume):
    kafka_produce(kafka_topic, ["a", b"b", {"n": number}, None], key="k")
    records = kafka_consume(kafka_topic)
    assert [record.value for record in records[:2]] == [b"a", b"b"]
    assert (records[2].json(), records[3].value) == ({"n": number}, None)
    with open("seen", "a") as seen:
        print(kafka_cluster.name, kafka_topic, file=seen)
"""


def test_worker_processes_share_one_cluster_and_a_kept_one_serves_the_next_run(tmp_path: Path) -> None:
    (tmp_path / "test_shared.py").write_text(SHARED)
    options = ("--kafka-brokers", "1", "--kafka-reuse")
    try:
        assert "4 passed" in run(tmp_path, "-n", "2", *options)
        # Also where warnings are errors; those of kafka-python about its own files left out.
        strict = ("-W", "error", "-W", "ignore::DeprecationWarning")
        assert "4 passed" in run(tmp_path, *options, *strict)
        seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
        assert len({name for name, _ in seen}) == 1
        assert len({topic for _, topic in seen}) == 8
        assert cluster_names() == (seen[0][0],)
    finally:
        subprocess.run(
            [sys.executable, "-m", "sensorstream", "cluster", "down", "--delete-data", "--name", *cluster_names()],
            check=True,
        )


KILLED = """
import os
import time

for name in [name for name in os.environ if name.startswith("SENSORSTREAM_PYTEST")]:
    del os.environ[name]  # as tests do that are to see nothing of the developer's

def test_killed(kafka_cluster, kafka_topic):
    open("ready", "w").close()
    time.sleep(600)
"""


def test_a_killed_run_leaves_no_broker(tmp_path: Path) -> None:
    (tmp_path / "test_killed.py").write_text(KILLED)
    with subprocess.Popen(command("--kafka-brokers", "1"), cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            until((tmp_path / "ready").exists, "a test with a cluster")
        finally:
            process.send_signal(signal.SIGKILL)
    until(lambda: not of_this_test(tmp_path), "the end of all that was started")
    until(lambda: cluster_names() == (), "a cluster that is gone")


def of_this_test(folder: Path) -> list[list[str]]:
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if any(str(folder / "state") in word for word in line)]
