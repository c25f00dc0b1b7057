"""Members of a group with folders of their own, on the broker in memory: together they store each row once."""

import csv
import json
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from sensorstream.cli.app import run
from sensorstream.clients.base import Notes
from sensorstream.clients.memory import MemoryBroker, MemoryClient, MemoryReader
from sensorstream.config import load
from sensorstream.errors import BrokerError, ExitCode, SinkError, SourceError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.pipelines.capture import storing
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.spec import CaptureResult
from sensorstream.pipelines.verify.coverage import cover
from sensorstream.records import TopicPartition
from sensorstream.sinks.segment_names import segments_below
from sensorstream.sinks.sqlite_tables import read_only
from sensorstream.storage_rules import StorageRules

GROUP = "sensor_data_group"
FORMS = ["csv", "jsonl", "sqlite", "parquet"]


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"AIR": 1})


def publish(broker: MemoryBroker, *numbers: int) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for number in numbers:
            publisher.publish("AIR", json.dumps({"n": number}).encode(), partition=0)


def consume(client: MemoryClient, to: Path | str, told: list[str] | None = None, **options: Any) -> CaptureResult:
    def listen(event: Event) -> None:
        if told is not None and isinstance(event, Notice):
            told.append(event.text)

    options = {"group_given": True, "timeout": 0.3, **options}
    plan = make_job(load(environ={}), CaptureOptions(topic="AIR", to=str(to), **options))
    return capture(client, plan.job, plan.make_sink, listener=listen)


def target(folder: Path, form: str) -> Path:
    return folder / "air.sqlite" if form == "sqlite" else folder


def options_of(form: str) -> dict[str, Any]:
    return {"storage": StorageRules(rotate_rows=2)} | {"format": form} if form == "parquet" else {"format": form}


def numbers(folder: Path, form: str) -> list[int]:
    """The numbers that a folder holds, in their order."""
    if form == "sqlite":
        with closing(read_only(folder / "air.sqlite")) as db:
            return [int(n) for (n,) in db.execute('SELECT n FROM "AIR" ORDER BY _offset')]
    if form == "parquet":
        tables = [pyarrow.parquet.read_table(one.path) for one in segments_below(folder / "AIR")]
        return [int(n) for table in tables for n in table["n"].to_pylist()]
    path = folder / f"AIR_Consumer_0.{form}"
    with path.open(newline="", encoding="utf-8") as file:
        if form == "jsonl":
            return [json.loads(line)["n"] for line in file]
        return [int(row["n"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("form", FORMS)
def test_a_member_that_comes_back_goes_on_behind_what_others_have_stored(
    broker: MemoryBroker, tmp_path: Path, form: str
) -> None:
    mine, other, told = tmp_path / "a", tmp_path / "b", list[str]()
    for folder in (mine, other):
        folder.mkdir()
    for folder, rows in ((mine, (0, 1, 2)), (other, (3, 4)), (mine, (5, 6)), (other, (7,)), (mine, (8,))):
        publish(broker, *rows)
        consume(MemoryClient(broker), target(folder, form), told, **options_of(form))
    assert numbers(mine, form) == [0, 1, 2, 5, 6, 8]
    assert numbers(other, form) == [3, 4, 7]
    skipped = next(text for text in told if "have stored them" in text)
    assert skipped.startswith("AIR[0]: offsets 3 to 4 are not in ")
    found = cover([mine, other])
    assert found.each_once
    assert sorted((one.first_offset, one.next_offset) for one in found.partitions[0].held) == [
        *((0, 3), (3, 5), (5, 7), (7, 8), (8, 9)),
    ]


def test_a_file_put_back_from_a_copy_is_gone_on_with_at_its_own_position(broker: MemoryBroker, tmp_path: Path) -> None:
    """The group's position is that of this very file: the rows up to there are nowhere else."""
    publish(broker, 0, 1)
    consume(MemoryClient(broker), tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    publish(broker, 2, 3)
    consume(MemoryClient(broker), tmp_path / "a")
    publish(broker, 4)
    consume(MemoryClient(broker), tmp_path / "copy")
    assert numbers(tmp_path / "copy", "csv") == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("note", ["", "sensorstream 1 some-client here", "flink"])
def test_what_somebody_else_has_committed_skips_nothing(broker: MemoryBroker, tmp_path: Path, note: str) -> None:
    """Nobody says in which file the rows are, so this file keeps its promise to hold them."""
    publish(broker, 0, 1)
    consume(MemoryClient(broker), tmp_path)
    publish(broker, 2, 3)
    with MemoryClient(broker).reader(group=GROUP) as reader:
        reader.commit({TopicPartition("AIR", 0): 4}, note)
    consume(MemoryClient(broker), tmp_path)
    assert numbers(tmp_path, "csv") == [0, 1, 2, 3]


def test_a_pinned_capture_goes_by_its_file_alone(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, 0, 1)
    consume(MemoryClient(broker), tmp_path / "a")
    publish(broker, 2, 3)
    consume(MemoryClient(broker), tmp_path / "b")
    consume(MemoryClient(broker), tmp_path / "a", partitions=(0,))
    assert numbers(tmp_path / "a", "csv") == [0, 1, 2, 3]


class Refusing(MemoryReader):
    """A reader whose group takes no commits for a while, as while it is reshuffled."""

    times = 0

    def commit(self, positions: Mapping[TopicPartition, int], note: Notes = "") -> None:
        if self.times > 0:
            self.times -= 1
            raise BrokerError("the group's positions were not committed: the group is rebalancing")
        super().commit(positions, note)


def refusing(broker: MemoryBroker, times: int) -> MemoryClient:
    class Client(MemoryClient):
        def reader(self, *, group: str | None = None, **options: Any) -> MemoryReader:
            reader = Refusing(broker, group)
            reader.times = times
            return reader

    return Client(broker)


def test_a_member_that_ends_tells_its_group_until_it_listens(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, 0, 1, 2)
    consume(refusing(broker, 3), tmp_path / "a", count=3)
    consume(MemoryClient(broker), tmp_path / "b")
    assert numbers(tmp_path / "a", "csv") == [0, 1, 2]
    assert not (tmp_path / "b" / "AIR_Consumer_0.csv").read_bytes()


def test_what_the_group_could_not_be_told_is_said_and_found(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storing, "HAND_OVER_S", 0.2)
    told: list[str] = []
    publish(broker, 0, 1, 2)
    consume(refusing(broker, 1000), tmp_path / "a", told, count=3)
    assert "a member with another folder stores them once more" in told[-1]
    publish(broker, 3)
    consume(MemoryClient(broker), tmp_path / "b")
    assert run(["coverage", str(tmp_path / "a"), str(tmp_path / "b"), "--output", "json"]) == ExitCode.WRONG_DATA
    result = json.loads(capsys.readouterr().out)["result"]
    assert list(result) == ["partitions", "doubled", "missing", "each_once"]
    assert (result["doubled"], result["missing"], result["each_once"]) == (3, 0, False)
    (part,) = result["partitions"]
    assert list(part) == ["topic", "partition", "held", "doubled", "missing", "unknown"]
    files = [str(tmp_path / name / "AIR_Consumer_0.csv") for name in "ab"]
    assert part["held"] == [
        {"file": files[0], "first_offset": 0, "next_offset": 3},
        {"file": files[1], "first_offset": 0, "next_offset": 4},
    ]
    assert part["doubled"] == [{"files": files, "first_offset": 0, "next_offset": 3}]
    assert run(["coverage", str(tmp_path / "a"), str(tmp_path / "b")]) == ExitCode.WRONG_DATA
    out, error = capsys.readouterr()
    assert "TWICE" in out
    assert "3 offsets held twice, 0 missing" in out
    assert "AIR[0]: offsets 0 to 2 are both in" in error


def test_what_no_folder_holds_is_named(broker: MemoryBroker, tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        publish(broker, number)
        consume(MemoryClient(broker), tmp_path / name)
    found = cover([tmp_path / "a", tmp_path / "c"])
    assert [(one.first_offset, one.next_offset) for one in found.partitions[0].missing] == [(1, 2)]
    assert not found.each_once
    assert cover([tmp_path / "a", tmp_path / "b", tmp_path / "c"]).each_once


def test_coverage_refuses_what_it_can_not_compare(broker: MemoryBroker, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        cover([tmp_path / "nowhere"])
    with pytest.raises(SourceError, match="no captured file"):
        cover([tmp_path])
    publish(broker, 0)
    consume(MemoryClient(broker), tmp_path / "a")
    broker.delete_topic("AIR")
    broker.create_topic("AIR", 1)
    publish(broker, 0)
    consume(MemoryClient(broker), tmp_path / "b")
    with pytest.raises(UsageError, match="created again"):
        cover([tmp_path / "a", tmp_path / "b"])


def test_a_member_that_can_not_store_any_more_tells_what_it_has_stored(broker: MemoryBroker, tmp_path: Path) -> None:
    """The group takes no commits at first; what is in the file is not stored once more by the next one."""
    publish(broker, *range(3))
    with MemoryClient(broker).publisher() as publisher:
        for number in range(2):
            publisher.publish("AIR", b"no JSON %d" % number, partition=0)
    with pytest.raises(SinkError, match="over --max-rejects 1"):
        consume(refusing(broker, 3), tmp_path / "a", max_rejects=1)
    consume(MemoryClient(broker), tmp_path / "b")
    assert numbers(tmp_path / "a", "csv") == [0, 1, 2]
    assert not (tmp_path / "b" / "AIR_Consumer_0.csv").read_bytes()
