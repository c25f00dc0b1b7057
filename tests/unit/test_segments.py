"""Finished files: cut where they should be, named by their offsets, whole whatever is killed when."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from killing import killed_after
from sensorstream.errors import SinkError
from sensorstream.records import ConsumedRecord
from sensorstream.sinks import checkpoint
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.parquet_files import ParquetSegments
from sensorstream.sinks.segment_names import NO_DATE, parse_segment
from sensorstream.sinks.segment_text import CsvSegments, JsonlSegments
from sensorstream.sinks.segments import SegmentFormat, SegmentSink
from sensorstream.storage_rules import StorageRules

DAY_MS = 86_400_000


def record(offset: int, value: object, timestamp_ms: int = 0, partition: int = 0) -> ConsumedRecord:
    raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return ConsumedRecord("AIR", partition, offset, timestamp_ms, None, raw)


def form_of(name: str, folder: Path) -> SegmentFormat:
    if name == "parquet":
        return ParquetSegments(folder / "AIR")
    return CsvSegments(raw=False) if name == "csv" else JsonlSegments()


def sink(folder: Path, form: str = "jsonl", partition: int = 0, **rules: Any) -> SegmentSink:
    """A sink that is begun or goes on."""
    log = Checkpoint("AIR", partition, "cluster", "topic", form, raw=False, next_offset=0)
    made = SegmentSink(folder, log, StorageRules(format=form, **rules), form_of(form, folder))
    folder.mkdir(exist_ok=True)
    try:
        if made.open() is None:
            made.start(0)
    except BaseException:
        made.close()
        raise
    return made


def position(made: SegmentSink) -> int:
    assert made._file.checkpoint is not None
    return made._file.checkpoint.next_offset


def numbers(folder: Path) -> dict[str, list[int]]:
    """The numbers in each finished file, by its path."""
    found = {}
    for path in sorted(folder.rglob("AIR-*")):
        if path.suffix == ".jsonl":
            rows = [json.loads(line)["n"] for line in path.read_text().splitlines()]
        elif path.suffix == ".csv":
            rows = [int(line.split(",")[0]) for line in path.read_text().splitlines()[1:]]
        else:
            import pyarrow.parquet

            rows = pyarrow.parquet.read_table(path, partitioning=None)["n"].to_pylist()
        found[str(path.relative_to(folder))] = rows
    return found


FORMS = ("csv", "jsonl", "parquet")


@pytest.mark.parametrize("form", FORMS)
def test_files_are_cut_after_so_many_rows_and_named_by_their_offsets(tmp_path: Path, form: str) -> None:
    made = sink(tmp_path, form, rotate_rows=3)
    made.write([record(n, {"n": n}) for n in range(8)])
    made.commit(8)
    made.settle()
    first = [f"AIR/AIR-0-{a:012}-{b:012}.{form}" for a, b in ((0, 2), (3, 5))]
    assert numbers(tmp_path) == {first[0]: [0, 1, 2], first[1]: [3, 4, 5]}
    made.write([record(8, {"n": 8})])
    made.commit(12)
    made.settle(last=True)
    made.close()
    # Nine rows make three files; the last range goes on to the position, behind offsets that hold no record.
    assert numbers(tmp_path)[f"AIR/AIR-0-{6:012}-{11:012}.{form}"] == [6, 7, 8]
    again = sink(tmp_path, form, rotate_rows=3)
    assert position(again) == 12
    again.close()


def test_rows_made_of_one_record_stay_together(tmp_path: Path) -> None:
    made = sink(tmp_path, rotate_rows=2)
    made.write([record(n // 3, {"n": n}) for n in range(9)])
    made.commit(3)
    made.settle(last=True)
    made.close()
    assert list(numbers(tmp_path).values()) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_files_are_cut_at_a_size_and_after_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sink(tmp_path / "size", rotate_size=1000)
    made.write([record(n, {"n": n, "x": "y" * 400}) for n in range(7)])
    made.close()
    assert list(numbers(tmp_path / "size").values()) == [[0, 1, 2], [3, 4, 5]]
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    made = sink(tmp_path / "time", rotate_time=60.0)
    made.write([record(0, {"n": 0})])
    made.commit(1)
    now += 59
    made.settle()
    assert not numbers(tmp_path / "time")
    now += 1
    made.settle()
    assert list(numbers(tmp_path / "time").values()) == [[0]]
    made.close()


def leave_rows_waiting(folder: Path, form: str) -> None:
    made = sink(folder, form)
    made.write([record(0, {"n": 0}), record(1, b"bad"), record(2, {"n": 2})])
    made.commit(3)
    made.write([record(3, {"n": 3})])


@pytest.mark.parametrize("form", FORMS)
def test_rows_that_wait_are_there_after_a_kill(tmp_path: Path, form: str) -> None:
    killed_after(leave_rows_waiting, tmp_path, form)
    assert not numbers(tmp_path)
    again = sink(tmp_path, form)
    again.write([record(3, {"n": 3})])
    again.commit(4)
    again.settle(last=True)
    again.close()
    assert list(numbers(tmp_path).values()) == [[0, 2, 3]]
    letters = (tmp_path / f"_AIR_Consumer_0.{form}.open.rejected.jsonl").read_text().splitlines()
    assert [json.loads(letter)["offset"] for letter in letters] == [1]


def die_while_finishing(folder: Path, form: str, stage: str, when: str) -> None:
    made = sink(folder, form, folders=("date",))
    made.write([record(n, {"n": n}, DAY_MS * (n % 2)) for n in range(6)])
    made.commit(6)
    patched = {
        "durable": (made._form, "write"),
        "store": (checkpoint, "store"),
        "truncate": (made._file, "_truncate"),
        "replace": (Path, "replace"),
    }.get(stage)
    if patched is not None:
        where, name = patched
        real = getattr(where, name)

        def deadly(*arguments: Any, **named: Any) -> Any:
            # The position is stored by a rename, too.
            if stage == "replace" and str(arguments[1]).endswith(".position"):
                return real(*arguments, **named)
            if when == "behind":
                real(*arguments, **named)
            return os.kill(os.getpid(), signal.SIGKILL)

        setattr(where, name, deadly)
    made.settle(last=True)


STAGES = ("durable", "store", "truncate", "replace", "after")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("when", ["before", "behind"])
def test_a_kill_at_each_step_of_finishing_loses_and_doubles_nothing(
    tmp_path: Path, form: str, stage: str, when: str
) -> None:
    killed_after(die_while_finishing, tmp_path, form, stage, when)
    again = sink(tmp_path, form, folders=("date",))
    assert position(again) == 6
    again.settle(last=True)
    again.close()
    name = f"AIR-0-{0:012}-{5:012}.{form}"
    assert numbers(tmp_path) == {
        f"AIR/date_utc=1970-01-01/{name}": [0, 2, 4],
        f"AIR/date_utc=1970-01-02/{name}": [1, 3, 5],
    }
    left = [path.name for path in tmp_path.rglob("*") if path.name.endswith((".tmp", ".rewrite"))]
    assert not left


def test_folders_by_partition_and_by_the_date_of_a_column(tmp_path: Path) -> None:
    made = sink(tmp_path, folders=("partition", "date"), date_column="at")
    times: list[object] = [
        "2023-08-31T23:30:00-01:00", "2023-08-31 23:30:00", 1693526399, 1693526400000, "rubbish", None, "2023-02-30",
    ]  # fmt: skip
    made.write([record(n, {"n": n, "at": at}) for n, at in enumerate(times)])
    made.write([record(7, {"n": 7}), record(8, b'{"n":8,"at":1e300}')])
    made.commit(9)
    made.settle(last=True)
    made.close()
    found = {path.split("/")[2]: rows for path, rows in numbers(tmp_path).items()}
    assert found == {
        "date_utc=2023-09-01": [0, 3],
        "date_utc=2023-08-31": [1, 2],
        f"date_utc={NO_DATE}": [4, 5, 6, 7, 8],
    }
    assert all(path.startswith("AIR/kafka_partition=0/") for path in numbers(tmp_path))


def test_csv_files_have_the_columns_of_their_own_rows(tmp_path: Path) -> None:
    made = sink(tmp_path, "csv", rotate_rows=2)
    made.write([record(0, {"n": 0}), record(1, {"n": 1, "=x": "=1"}), record(2, {"b": 1, "n": 2})])
    made.commit(3)
    made.settle(last=True)
    made.close()
    texts = [path.read_text() for path in sorted((tmp_path / "AIR").iterdir())]
    assert texts == ["n,'=x\n0,\n1,'=1\n", "b,n\n1,2\n"]


def test_json_lines_take_any_value_and_the_others_objects(tmp_path: Path) -> None:
    made = sink(tmp_path)
    assert not made.write([record(0, None), record(1, b"[1,\n2]"), record(2, b'{"n":\r\n1}')])
    made.commit(3)
    made.settle(last=True)
    made.close()
    assert next((tmp_path / "AIR").iterdir()).read_bytes() == b'null\n[1, 2]\n{"n":  1}\n'
    made = sink(tmp_path / "b", "csv")
    assert made.write([record(0, None), record(1, b"[1]"), record(2, {}), record(3, b'{"n":\n1}')]) == {0, 1, 2}
    made.commit(4)
    made.settle(last=True)
    made.close()
    assert list(numbers(tmp_path / "b").values()) == [[1]]


def finished(folder: Path, form: str = "jsonl") -> Path:
    made = sink(folder, form)
    made.write([record(0, {"n": 0}), record(1, {"n": 1})])
    made.commit(2)
    made.settle(last=True)
    made.close()
    return next(path for path in (folder / "AIR").iterdir() if parse_segment(path))


def test_finished_files_without_a_position_are_not_added_to(tmp_path: Path) -> None:
    finished(tmp_path)
    (tmp_path / "_AIR_Consumer_0.jsonl.open").unlink()
    (tmp_path / "_AIR_Consumer_0.jsonl.open.position").unlink()
    with pytest.raises(SinkError, match="is there already, and there is no"):
        sink(tmp_path)


def test_overlapping_files_are_refused(tmp_path: Path) -> None:
    path = finished(tmp_path)
    other = path.with_name(path.name.replace(f"{1:012}.", f"{0:012}."))
    other.write_bytes(b"")
    with pytest.raises(SinkError, match="both hold the same offsets"):
        sink(tmp_path)
    other.unlink()
    path.rename(path.with_name(path.name.replace(f"{1:012}.", f"{7:012}.")))
    with pytest.raises(SinkError, match="position 2 both hold"):
        sink(tmp_path)


def test_a_name_that_is_taken_is_told_and_the_rows_still_wait(tmp_path: Path) -> None:
    made = sink(tmp_path)
    made.write([record(0, {"n": 0})])
    made.commit(1)
    taken = tmp_path / "AIR" / f"AIR-0-{0:012}-{0:012}.jsonl"
    taken.parent.mkdir()
    taken.write_text("theirs\n")
    with pytest.raises(SinkError, match="is there already"):
        made.settle(last=True)
    made.close()
    assert taken.read_text() == "theirs\n"
    taken.unlink()
    again = sink(tmp_path)
    again.settle(last=True)
    again.close()
    assert list(numbers(tmp_path).values()) == [[0]]


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    made = sink(tmp_path)
    made.write([record(0, {"n": 0})])
    made.commit(1)
    (tmp_path / "AIR").write_text("a file in the way")
    with pytest.raises(SinkError, match="AIR"):
        made.settle(last=True)
    made.close()


def test_partitions_do_not_touch_one_another(tmp_path: Path) -> None:
    sinks = [sink(tmp_path, "csv", number) for number in range(2)]
    for number, made in enumerate(sinks):
        made.write([record(0, {"n": number}, partition=number)])
        made.commit(1)
    leftover = tmp_path / "AIR" / f"_AIR-1-{0:012}-{0:012}.csv.tmp"
    leftover.parent.mkdir(exist_ok=True)
    leftover.write_text("being made")
    sinks[0].close()
    again = sink(tmp_path, "csv", 0)
    assert leftover.exists()
    again.close()
    sinks[1].close()
    sink(tmp_path, "csv", 1).close()
    assert not leftover.exists()


def test_a_position_of_another_kind_is_refused(tmp_path: Path) -> None:
    sink(tmp_path).close()
    path = tmp_path / "_AIR_Consumer_0.jsonl.open"
    stored = checkpoint.load(path)
    assert stored is not None
    checkpoint.store(path, replace(stored, state="{}"))
    with pytest.raises(SinkError, match="can't be read"):
        sink(tmp_path)
