"""The CSV sink: whole at any moment, widened without loss, never mistaken for another log's file."""

import csv
import errno
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from killing import killed_after
from sensorstream.errors import PositionMismatch, SinkError
from sensorstream.events import Event, Notice, RowRejected
from sensorstream.records import ConsumedRecord
from sensorstream.sinks import checkpoint
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.csv_file import CsvFileSink
from sensorstream.sinks.jsonl_file import JsonlFileSink
from sensorstream.sinks.positioned_file import FileBusy

LOG = Checkpoint("AIR", 0, "cluster", "topic", "csv", raw=False, next_offset=0)


def record(offset: int, value: object) -> ConsumedRecord:
    raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return ConsumedRecord("AIR", 0, offset, 0, None, raw)


def started(path: Path, listener: object = None) -> CsvFileSink:
    sink = CsvFileSink(path, LOG, listener or (lambda event: None))  # type: ignore[arg-type]
    if sink.open() is None:
        sink.start(0)
    return sink


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_stores_rows_with_their_position(tmp_path: Path) -> None:
    sink = started(tmp_path / "a.csv")
    sink.write([record(0, {"a": 1, "b": "x\ny"}), record(1, {"a": None, "b": "0012"})])
    sink.commit(2)
    sink.close()
    assert rows(tmp_path / "a.csv") == [["a", "b"], ["1", "x\ny"], ["", "0012"]]
    stored = checkpoint.load(tmp_path / "a.csv")
    assert stored is not None
    assert (stored.next_offset, stored.columns) == (2, ("a", "b"))
    assert stored.length == (tmp_path / "a.csv").stat().st_size


def capture(path: Path, committed: Sequence[object], written: Sequence[object]) -> None:
    sink = started(path)
    sink.write([record(offset, value) for offset, value in enumerate(committed)])
    sink.commit(len(committed))
    (path.parent / "committed").write_bytes(path.read_bytes())
    sink.write([record(offset, value) for offset, value in enumerate(written, len(committed))])


def test_what_was_not_committed_is_cut_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    killed_after(capture, path, [{"a": 1}], [{"a": 'half a row with a "quote\n'}])
    committed = (tmp_path / "committed").read_bytes()
    assert path.stat().st_size > len(committed)
    with path.open("ab") as file:
        file.write(b'"torn')
    again = CsvFileSink(path, LOG)
    assert again.open() == 1
    assert path.read_bytes() == committed
    again.write([record(1, {"a": 2})])
    again.commit(2)
    again.close()
    assert rows(path) == [["a"], ["1"], ["2"]]


def test_close_without_commit_leaves_only_the_committed_rows(tmp_path: Path) -> None:
    sink = started(tmp_path / "a.csv")
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    sink.write([record(1, {"a": 2})])
    sink.close()
    assert rows(tmp_path / "a.csv") == [["a"], ["1"]]


def test_a_record_with_new_columns_widens_the_whole_file(tmp_path: Path) -> None:
    told: list[Event] = []
    path = tmp_path / "a.csv"
    sink = started(path, told.append)
    sink.write(
        [record(0, {"a": 1, "b": "=x"}), record(1, {"b": 2, "c": "new\nline", "a": 3}), record(2, {"a": 4, "d": 5})]
    )
    sink.commit(3)
    sink.close()
    assert rows(path) == [
        ["a", "b", "c", "d"],
        ["1", "'=x", "", ""],
        ["3", "2", "new\nline", ""],
        ["4", "", "", "5"],
    ]
    assert [event.text for event in told if isinstance(event, Notice)]
    again = CsvFileSink(path, LOG)
    assert again.open() == 3
    again.close()


@pytest.mark.parametrize("moment", ["before the rename", "after the rename"])
def test_a_crash_while_widening_loses_nothing(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "a.csv"
    sink = started(path)
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    sink.close()
    narrow = path.read_bytes()
    sink = CsvFileSink(path, LOG)
    sink.open()
    sink.write([record(1, {"a": 2, "b": 3})])
    # The state as a crash leaves it: the position names the finished file, which has or has not got the name.
    sink.close()
    wide = path.read_bytes()
    after = checkpoint.load(path)
    assert after is not None
    checkpoint.store(path, replace(after, replacement="a.csv.rewrite"))
    if moment == "before the rename":
        (tmp_path / "a.csv.rewrite").write_bytes(wide)
        path.write_bytes(narrow)
    again = CsvFileSink(path, LOG)
    assert again.open() == 1
    again.write([record(1, {"a": 2, "b": 3})])
    again.commit(2)
    again.close()
    assert rows(path) == [["a", "b"], ["1", ""], ["2", "3"]]
    assert not (tmp_path / "a.csv.rewrite").exists()


def test_what_is_no_json_object_goes_whole_to_the_rejected_file(tmp_path: Path) -> None:
    told: list[Event] = []
    sink = started(tmp_path / "a.csv", told.append)
    bad = [b"not json", b'{"a": NaN}', b"\xff\xfe", None, b"[1]", b"{}", b"[" * 100_000]
    sink.write([record(0, {"a": 1}), *[record(1 + at, value) for at, value in enumerate(bad)], record(8, {"a": 2})])
    sink.commit(9)
    sink.close()
    assert rows(tmp_path / "a.csv") == [["a"], ["1"], ["2"]]
    lines = [json.loads(line) for line in (tmp_path / "a.rejected.jsonl").read_text().splitlines()]
    assert [line["offset"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert lines[0]["value"] == "not json"
    assert lines[2]["value_base64"] == "//4="
    assert lines[3]["value"] is None
    assert all(line["reason"] and "\n" not in line["reason"] for line in lines)
    assert sink.rejected == 7
    assert sum(isinstance(event, RowRejected) for event in told) == 7


def test_rejected_lines_that_were_not_committed_are_cut_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    killed_after(capture, path, [b"bad"], [b"worse"])
    again = CsvFileSink(path, LOG)
    assert again.open() == 1
    again.write([record(1, b"worse")])
    again.commit(2)
    again.close()
    lines = (tmp_path / "a.rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["offset"] for line in lines] == [0, 1]


@pytest.mark.parametrize("mend", [b'{\\"a\\": 1}', b"", b'{\\"a\\": 1, \\"longer\\": 2}'])
def test_mended_dead_letters_are_kept_and_later_ones_cut(tmp_path: Path, mend: bytes) -> None:
    path, rejected = tmp_path / "a.csv", tmp_path / "a.rejected.jsonl"
    killed_after(capture, path, [b"bad", b"worse"], [b"worst"])
    rejected.write_bytes(rejected.read_bytes().replace(b'"bad"', b'"' + mend + b'"'))
    again = CsvFileSink(path, LOG)
    assert again.open() == 2
    again.write([record(2, b"worst"), record(3, b"last")])
    # While the capture goes on, with an editor that replaces the file.
    fresh = tmp_path / "fresh"
    fresh.write_bytes(rejected.read_bytes().replace(b'"worse"', b'"mended"'))
    fresh.replace(rejected)
    again.write([record(4, b"latest")])
    again.commit(5)
    again.close()
    lines = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert [line["offset"] for line in lines] == [0, 1, 2, 3, 4]
    values = [mend.decode().replace("\\", ""), "mended", "worst", "last", "latest"]
    assert [line["value"] for line in lines] == values


def test_dead_letters_that_were_thrown_away_stay_away(tmp_path: Path) -> None:
    path, rejected = tmp_path / "a.csv", tmp_path / "a.rejected.jsonl"
    sink = started(path)
    sink.write([record(0, b"bad")])
    sink.commit(1)
    sink.close()
    rejected.unlink()
    again = CsvFileSink(path, LOG)
    assert again.open() == 1
    again.write([record(1, b"worse")])
    again.commit(2)
    again.close()
    assert json.loads(rejected.read_text())["offset"] == 1


def test_a_file_of_somebody_else_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("precious\n")
    with pytest.raises(SinkError, match="no position file"):
        CsvFileSink(path, LOG).open()
    assert path.read_text() == "precious\n"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (Checkpoint("EARTH", 0, "cluster", "topic", "csv", raw=False, next_offset=0), "topic AIR, not EARTH"),
        (Checkpoint("AIR", 1, "cluster", "topic", "csv", raw=False, next_offset=0), "partition 0, not 1"),
        (Checkpoint("AIR", 0, "cluster", "topic2", "csv", raw=False, next_offset=0), "deleted topic"),
        (Checkpoint("AIR", 0, "cluster2", "topic", "csv", raw=False, next_offset=0), "another cluster"),
        (Checkpoint("AIR", 0, "cluster", "topic", "csv", raw=True, next_offset=0), "--raw"),
    ],
)
def test_a_position_of_another_log_is_refused(tmp_path: Path, other: Checkpoint, says: str) -> None:
    path = tmp_path / "a.csv"
    sink = started(path)
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    sink.close()
    before = path.read_bytes()
    with pytest.raises(PositionMismatch, match=says):
        CsvFileSink(path, other).open()
    assert path.read_bytes() == before


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    sink = started(tmp_path / "a.csv")
    with pytest.raises(FileBusy):
        CsvFileSink(tmp_path / "a.csv", LOG).open()
    sink.close()
    again = CsvFileSink(tmp_path / "a.csv", LOG)
    assert again.open() == 0
    again.close()


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "elsewhere.csv")
    sink = CsvFileSink(tmp_path / "a.csv", LOG)
    with pytest.raises(SinkError):
        if sink.open() is None:
            sink.start(0)
    assert not (tmp_path / "elsewhere.csv").exists()


def test_a_changed_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    sink = started(path)
    sink.write([record(0, {"a": 1}), record(1, {"a": 2})])
    sink.commit(2)
    sink.close()
    path.write_text("a\n7\n8\n")
    with pytest.raises(SinkError, match="changed since"):
        CsvFileSink(path, LOG).open()
    assert path.read_text() == "a\n7\n8\n"


def test_a_damaged_position_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    sink = started(path)
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    sink.close()
    place = checkpoint.sidecar(path)
    place.write_text(place.read_text().replace('"next_offset": 1', '"next_offset": 2'))
    with pytest.raises(SinkError, match="damaged"):
        CsvFileSink(path, LOG).open()


def test_a_name_that_is_too_long_says_so(tmp_path: Path) -> None:
    sink = CsvFileSink(tmp_path / ("x" * 300 + ".csv"), LOG)
    with pytest.raises(SinkError, match="too long"):
        if sink.open() is None:
            sink.start(0)


def test_a_bare_carriage_return_stays_within_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    sink = started(path)
    sink.write([record(0, {"a": "x\ry", "b": 1}), record(1, {"a": "\r\n", "b": 2}), record(2, {"a": "z", "b": 3})])
    sink.commit(3)
    sink.close()
    assert rows(path) == [["a", "b"], ["x\ry", "1"], ["'\r\n", "2"], ["z", "3"]]


def test_a_cell_of_any_size_can_be_widened(tmp_path: Path) -> None:
    sink = started(tmp_path / "a.csv")
    sink.write([record(0, {"a": "x" * 200_000})])
    before = csv.field_size_limit(131_072)
    try:
        sink.write([record(1, {"a": 1, "b": 2})])
        sink.commit(2)
        sink.close()
        assert [len(row) for row in rows(tmp_path / "a.csv")] == [2, 2, 2]
    finally:
        csv.field_size_limit(before)


def test_captures_side_by_side_have_rejected_files_of_their_own(tmp_path: Path) -> None:
    sink = started(tmp_path / "a.csv")
    sink.write([record(0, b"bad")])
    sink.commit(1)
    sink.close()
    beside = JsonlFileSink(tmp_path / "a.jsonl", replace(LOG, format="jsonl"))
    assert beside.open() is None
    beside.start(0)
    beside.write([record(0, b"bad too")])
    beside.commit(1)
    beside.close()
    assert beside.open() == 1
    beside.close()
    assert started(tmp_path / "a.csv").rejected == 0
    assert json.loads((tmp_path / "a.rejected.jsonl").read_text())["value"] == "bad"
    assert json.loads((tmp_path / "a.jsonl.rejected.jsonl").read_text())["value"] == "bad too"


def test_rejected_lines_of_somebody_else_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.rejected.jsonl").write_text("kept\n", encoding="utf-8")
    with pytest.raises(SinkError, match=r"a\.rejected\.jsonl is there already"):
        CsvFileSink(tmp_path / "a.csv", LOG).open()
    assert [path.name for path in tmp_path.iterdir()] == ["a.rejected.jsonl"]


def test_a_position_that_cannot_be_stored_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = started(tmp_path / "a.csv")
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    sink.write([record(1, {"a": 2})])
    real = os.open

    def no_folders(path: "str | Path", flags: int, mode: int = 0o777) -> int:
        if Path(path) == tmp_path:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_folders)
        with pytest.raises(SinkError, match="Too many open files"):
            sink.commit(2)
    sink.close()
    again = CsvFileSink(tmp_path / "a.csv", LOG)
    assert again.open() == 1
    again.close()
