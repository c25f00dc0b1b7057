"""A topic that is deleted, made again, or cut short by retention: an error that says so, and nothing skipped."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from faults.counting import Count, captured_numbers, read, write_source
from faults.figures import Figures, kafka_version, write
from faults.workloads import CLIENTS, END_S, PARTITIONS, Capture, Replay
from running import cli, ok, started, until
from sensorstream import admin
from sensorstream.cluster import LocalCluster
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ExitCode

pytestmark = pytest.mark.broker

ROWS = 6_000


class Broken:
    """A topic with some rows, a replay into it, a capture of it, and what an administrator does to it."""

    def __init__(self, cluster: LocalCluster, client: str, name: str, folder: Path) -> None:
        self.cluster = cluster
        self.client = client
        self.topic = f"{name}-{client}"
        self.settings = Settings(bootstrap=cluster.bootstrap)
        self.make()
        source = write_source(folder / "s.csv", ROWS)
        common = ["--client", client, "--bootstrap", ",".join(cluster.bootstrap)]
        self.replay = Replay(self.topic, source, ROWS, common, 50)
        self.capture = Capture(self.topic, folder / "out", common)

    def make(self) -> None:
        admin.create_topics(self.settings, [TopicSettings(self.topic, partitions=PARTITIONS)])

    def recreate(self) -> None:
        admin.delete_topics(self.settings, [self.topic])
        self.make()

    def delete_records(self, before: int) -> None:
        from kafka import KafkaAdminClient, TopicPartition

        client: Any = KafkaAdminClient(bootstrap_servers=list(self.cluster.bootstrap))
        try:
            client.delete_records({TopicPartition(self.topic, part): before for part in range(PARTITIONS)})
        finally:
            client.close()

    def all_is_stored(self) -> bool:
        positions = [json.loads(path.read_text()) for path in self.capture.folder.glob("*.position")]
        return sum(int(position["next_offset"]) for position in positions) == ROWS // 2

    def stored(self) -> dict[str, list[int]]:
        return {path.name: captured_numbers(path) for path in sorted(self.capture.folder.glob("*.csv"))}

    def record(self, fault: str, command: str) -> None:
        """These cases are short: each run of them counts for the page when a campaign asks for it."""
        write(Figures(16, fault, self.client, command, 1, Count(ROWS), None, None, None, kafka_version(self.cluster)))


def forms(short: str) -> list[Any]:
    """The short form with one client, the campaign with each."""
    long = [pytest.param(client, True, id=f"campaign-{client}", marks=pytest.mark.campaign) for client in CLIENTS]
    return [pytest.param(short, False, id=f"short-{short}"), *long]


@pytest.mark.parametrize(("client", "long"), forms("kafka-python"))
def test_rows_retained_away_are_named_and_not_skipped(
    cluster: LocalCluster, client: str, tmp_path: Path, long: bool
) -> None:
    broken = Broken(cluster, client, f"eaten-{long}", tmp_path)
    ok(*broken.replay.command("--delay", "0", "--limit", "3000"), cwd=tmp_path)
    ok(*broken.capture.command("-e"))
    before = broken.stored()
    ok(*broken.replay.command("--delay", "0", "--from-row", f"{broken.topic}=3000"), cwd=tmp_path)
    broken.delete_records(1500)
    done = cli(*broken.capture.command("-e"))
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert "offsets 1000 to 1499 are no longer in the log" in done.stderr
    assert broken.stored() == before
    if long:
        broken.record("rows retained away", "capture")


@pytest.mark.parametrize(("client", "long"), forms("kafka-python"))
@pytest.mark.parametrize("while_it", ["runs", "is stopped"])
def test_a_topic_made_anew_is_refused_by_a_capture(
    cluster: LocalCluster, client: str, tmp_path: Path, while_it: str, long: bool
) -> None:
    """No row of the new log comes into the file of the old one."""
    broken = Broken(cluster, client, f"anew-{while_it[:2]}-{long}", tmp_path)
    ok(*broken.replay.command("--delay", "0", "--limit", "3000"), cwd=tmp_path)
    if while_it == "runs":
        with started(*broken.capture.command()) as running:
            until(broken.all_is_stored, "the positions behind all rows")
            broken.recreate()
            ok(*broken.replay.command("--delay", "0"), cwd=tmp_path)
            assert running.end(END_S) in (ExitCode.FAILED, ExitCode.USAGE), running.told
            told = running.told
    else:
        ok(*broken.capture.command("-e"))
        broken.recreate()
        ok(*broken.replay.command("--delay", "0"), cwd=tmp_path)
        done = cli(*broken.capture.command("-e"))
        assert done.returncode == ExitCode.FAILED, done.stderr
        told = done.stderr
    assert "deleted" in told, told
    assert broken.stored() == {
        f"{broken.topic}_Consumer_{part}.csv": list(range(part, 3000, PARTITIONS)) for part in range(PARTITIONS)
    }
    if long:
        broken.record(f"topic made anew while it {while_it}", "capture")


@pytest.mark.parametrize(("client", "long"), forms("librdkafka"))
def test_a_topic_made_anew_is_not_gone_on_with_by_an_exactly_once_replay(
    cluster: LocalCluster, client: str, tmp_path: Path, long: bool
) -> None:
    """Its progress is that of the deleted log: either it begins at row 0 and says so, or it refuses."""
    broken = Broken(cluster, client, f"progress-{long}", tmp_path)
    broken.replay.options = [*broken.replay.options, "--exactly-once"]
    with started(*broken.replay.paced(), cwd=tmp_path) as running:
        until(lambda: read(cluster.bootstrap, broken.topic), "some committed rows")
        running.signal(signal.SIGTERM)
        assert running.end(END_S) == ExitCode.INTERRUPTED, running.told
    broken.recreate()
    done = cli(*broken.replay.command("--delay", "0"), cwd=tmp_path, timeout=END_S)
    if done.returncode == ExitCode.DONE:
        ok(*broken.capture.command("-e"))
        assert broken.stored() == {
            f"{broken.topic}_Consumer_{part}.csv": list(range(part, ROWS, PARTITIONS)) for part in range(PARTITIONS)
        }
    assert "deleted" in done.stderr or "again" in done.stderr, done.stderr
    if long:
        broken.record("topic made anew", "replay, exactly once")
