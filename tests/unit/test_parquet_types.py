"""Parquet files: types that pandas and DuckDB read right, and a folder that stays one table whatever comes."""

import json
import os
import signal
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from killing import killed_after
from sensorstream.errors import SinkError
from sensorstream.events import Event, Notice, ignore
from sensorstream.records import ConsumedRecord, Number
from sensorstream.sinks import parquet_files
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.column_kinds import kind_of, microseconds, time_text, wider
from sensorstream.sinks.parquet_files import ParquetSegments
from sensorstream.sinks.segments import SegmentSink
from sensorstream.storage_rules import StorageRules


def sink(folder: Path, partition: int = 0, told: list[Event] | None = None, **options: Any) -> SegmentSink:
    log = Checkpoint("AIR", partition, "cluster", "topic", "parquet", raw=False, next_offset=0)
    form = ParquetSegments(folder / "AIR", listener=ignore if told is None else told.append, **options)
    made = SegmentSink(folder, log, StorageRules(format="parquet"), form)
    folder.mkdir(exist_ok=True)
    if made.open() is None:
        made.start(0)
    return made


def store(folder: Path, values: Sequence[object], partition: int = 0, **options: Any) -> None:
    """Make one finished file of these values."""
    made = sink(folder, partition, **options)
    assert made._file.checkpoint is not None
    at = made._file.checkpoint.next_offset
    raw = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    made.write([ConsumedRecord("AIR", partition, at + n, 0, None, value) for n, value in enumerate(raw)])
    made.commit(at + len(values))
    made.settle(last=True)
    made.close()


def by_duckdb(folder: Path, sql: str = "SELECT *") -> list[tuple[Any, ...]]:
    files = folder / "AIR" / "**" / "*.parquet"
    return duckdb.execute(f"{sql} FROM read_parquet('{files}', hive_partitioning=false)").fetchall()


def test_values_have_types_for_pandas_and_duckdb(tmp_path: Path) -> None:
    row = (
        b'{"i":5,"f":1.50,"big":9007199254740993,"huge":123456789012345678901,"t":"0012","yes":true,"no":null,'
        b'"o":{"a":[1, 2]},"iso":"2023-08-31T23:57:00Z","wall":"2023-08-31 23:57:00.250",'
        b'"zone":"2023-08-31T23:57:00+02:00","Time":"31/08/2023 23:57:00","day":"2023-08-31"}'
    )
    store(tmp_path, [row, b'{"i":6}'], time_column="Time", time_format="%d/%m/%Y %H:%M:%S")
    frame = pd.read_parquet(tmp_path / "AIR")
    # The missing values of the second row make pandas' int64 a float64 and its bool an object.
    typed = {name: str(kind) for name, kind in frame.dtypes.items() if str(kind) not in ("object", "str")}
    assert typed == {
        "i": "int64", "f": "float64", "big": "float64",
        "iso": "datetime64[us, UTC]", "wall": "datetime64[us]", "zone": "datetime64[us, UTC]",
        "Time": "datetime64[us]",
    }  # fmt: skip
    assert frame["iso"][0] == pd.Timestamp("2023-08-31T23:57:00Z")
    assert frame["zone"][0] == pd.Timestamp("2023-08-31T21:57:00Z")
    assert frame["Time"][0] == pd.Timestamp("2023-08-31T23:57:00")
    assert frame["t"][0] == "0012"
    kinds = {name: kind for name, kind, *_ in by_duckdb(tmp_path, "DESCRIBE SELECT *")}
    assert kinds == {
        "i": "BIGINT", "f": "DOUBLE", "big": "BIGINT", "huge": "VARCHAR", "t": "VARCHAR", "yes": "BOOLEAN",
        "no": "VARCHAR", "o": "VARCHAR", "iso": "TIMESTAMP WITH TIME ZONE", "wall": "TIMESTAMP",
        "zone": "TIMESTAMP WITH TIME ZONE", "Time": "TIMESTAMP", "day": "VARCHAR",
    }  # fmt: skip
    values = by_duckdb(tmp_path, "SELECT i, f, big, huge, t, yes, no, o")
    assert values[0] == (5, 1.5, 9007199254740993, "123456789012345678901", "0012", True, None, '{"a":[1, 2]}')
    assert values[1] == (6, None, None, None, None, None, None, None)


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        pytest.param([[1, 2], [2.5]], [1.0, 2.0, 2.5], id="int-float"),
        pytest.param([[1.5], ["NA"], [3]], ["1.5", "NA", "3"], id="number-text"),
        pytest.param([[True], [1]], ["true", "1"], id="bool-int"),
        pytest.param([[None], [1], [None]], [None, 1, None], id="null-int"),
        pytest.param([[9007199254740993], [0.5]], ["9007199254740993", "0.5"], id="bigint-float"),
        pytest.param(
            [["2023-08-31T00:00:00.100Z"], ["soon"]], ["2023-08-31T00:00:00.100Z", "soon"], id="time-text"
        ),
        pytest.param([["2023-08-31T00:00:00Z"], ["2023-08-31 00:00:00"]],
                     ["2023-08-31T00:00:00Z", "2023-08-31 00:00:00"], id="two-forms"),
        pytest.param([["x"], [1.50], [{"a": 1}]], ["x", "1.5", '{"a": 1}'], id="text-first"),
        pytest.param([[5, "x", 2.50]], ["5", "x", "2.5"], id="within-a-file"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("partitions", [1, 2])
def test_a_later_file_with_other_types_leaves_a_folder_that_everybody_reads(
    tmp_path: Path, batches: list[list[Any]], expected: list[Any], partitions: int
) -> None:
    for number, batch in enumerate(batches):
        store(tmp_path, [{"n": len(batches), "v": value} for value in batch], number % partitions)
    in_order = "SELECT v FROM (SELECT v, filename, file_row_number"
    files = tmp_path / "AIR" / "*.parquet"
    found = duckdb.execute(
        f"{in_order} FROM read_parquet('{files}', filename=true, file_row_number=true)) "
        "ORDER BY split_part(parse_filename(filename), '-', 3), split_part(parse_filename(filename), '-', 2), 3"
    ).fetchall()
    key = str
    assert sorted([row[0] for row in found], key=key) == sorted(expected, key=key)
    frame = pd.read_parquet(tmp_path / "AIR")
    read = [None if pd.isna(value) else value for value in frame["v"]]
    assert sorted(read, key=lambda v: str(float(v)) if isinstance(v, float) else str(v)) == sorted(
        expected, key=lambda v: str(float(v)) if isinstance(v, float) else str(v)
    )
    assert not [path for path in (tmp_path / "AIR").iterdir() if path.suffix not in (".parquet", ".json")]


def test_new_columns_come_into_all_files_and_are_told(tmp_path: Path) -> None:
    told: list[Event] = []
    store(tmp_path, [{"a": 1}])
    store(tmp_path, [{"b": "x", "Ä\ud800": 1}], 1, told=told)
    frame = pd.read_parquet(tmp_path / "AIR").sort_values("a")
    assert list(frame.columns) == ["a", "b", "Ä\\ud800"]
    assert list(frame["b"].fillna("-")) == ["-", "x"]
    assert any(isinstance(event, Notice) and "rewritten" in event.text for event in told)
    told.clear()
    store(tmp_path, [{"a": 3}], told=told)
    assert not told


def die_while_rewriting(folder: Path, step: str) -> None:
    real, count = parquet_files._rewrite, {"unsettled": 0, "first": 1, "second": 2}[step]
    done = 0

    def deadly(path: Path, kinds: dict[str, str]) -> None:
        nonlocal done
        if done == count:
            os.kill(os.getpid(), signal.SIGKILL)
        real(path, kinds)
        done += 1

    parquet_files._rewrite = deadly
    store(folder, [{"n": 3, "v": "text"}])


@pytest.mark.parametrize("step", ["unsettled", "first", "second"])
def test_a_kill_while_files_are_written_anew_is_made_good(tmp_path: Path, step: str) -> None:
    for number in range(3):
        store(tmp_path, [{"n": number, "v": number}])
    killed_after(die_while_rewriting, tmp_path, step)
    store(tmp_path, [{"n": 9, "v": 9}], 1)
    last = sink(tmp_path)
    last.settle(last=True)
    last.close()
    assert sorted(by_duckdb(tmp_path, "SELECT n, v")) == [(0, "0"), (1, "1"), (2, "2"), (3, "text"), (9, "9")]
    assert sorted(pd.read_parquet(tmp_path / "AIR")["v"]) == ["0", "1", "2", "9", "text"]


def test_captures_side_by_side_agree_on_the_columns(tmp_path: Path) -> None:
    """Four writers in one folder, each bringing columns and types of its own."""

    def write(partition: int) -> None:
        for number in range(6):
            value: object = number if number < 3 else f"t{number}" if partition % 2 else number + 0.5
            store(tmp_path, [{"n": number, "v": value, f"c{partition}": number}], partition)

    threads = [threading.Thread(target=write, args=(partition,)) for partition in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frame = pd.read_parquet(tmp_path / "AIR")
    assert len(frame) == 24
    assert {*frame.columns} == {"n", "v", "c0", "c1", "c2", "c3"}
    assert len(by_duckdb(tmp_path)) == 24
    assert sorted(frame["v"].map(str)).count("0") == 4


def test_lost_or_damaged_columns_are_found_again(tmp_path: Path) -> None:
    store(tmp_path, [{"a": 1}])
    columns = tmp_path / "AIR" / parquet_files.COLUMNS
    columns.unlink()
    store(tmp_path, [{"a": "x"}])
    assert sorted(by_duckdb(tmp_path)) == [("1",), ("x",)]
    columns.write_text("{")
    made = sink(tmp_path)
    made.write([ConsumedRecord("AIR", 0, 2, 0, None, b'{"a":1}')])
    made.commit(3)
    with pytest.raises(SinkError, match="changed or damaged"):
        made.settle(last=True)
    made.close()
    columns.unlink()
    (tmp_path / "AIR" / f"AIR-7-{0:012}-{1:012}.parquet").write_bytes(b"PAR1")
    made = sink(tmp_path)
    with pytest.raises(SinkError, match="not made by a capture, or is damaged"):
        made.settle(last=True)
    made.close()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None], "null"),
        ([Number("1"), None], "int"),
        ([Number("1"), Number("1.0")], "float"),
        ([Number("1e400")], "text"),
        (["2023-02-30T00:00:00Z"], "text"),
        (["2023-08-31T00:00:00.123456789Z"], "text"),
        (["2023-08-31T00:00:00"], "time:iso T 0 -"),
        (["0001-01-01T00:00:00+23:59"], "text"),
        (["", "2023-08-31T00:00:00"], "text"),
        ([True, None, False], "bool"),
    ],
)
def test_kinds(values: list[Any], kind: str) -> None:
    assert kind_of(values) == kind


def test_kinds_do_not_depend_on_the_order() -> None:
    kinds = ["null", "bool", "int", "bigint", "float", "text", "time:iso T 0 Z", "time:iso T 0 -"]
    for a in kinds:
        for b in kinds:
            assert wider(a, b) == wider(b, a)
            for c in kinds:
                assert wider(wider(a, b), c) == wider(a, wider(b, c)), (a, b, c)


@pytest.mark.parametrize("text", ["2023-08-31T23:57:00.000001-05:30", "1969-12-31 23:59:59", "9999-12-31T23:59:59Z"])
def test_times_come_back_letter_by_letter(text: str) -> None:
    form = kind_of([text]).removeprefix("time:")
    micros = microseconds(form, text)
    assert micros is not None
    assert time_text(form, micros) == text


def test_a_configured_format_must_give_the_letters_back() -> None:
    assert kind_of(["31/08/2023 01:02:03"], "%d/%m/%Y %H:%M:%S") == "time:strptime %d/%m/%Y %H:%M:%S"
    assert kind_of(["31/8/2023 01:02:03"], "%d/%m/%Y %H:%M:%S") == "text"


@pytest.mark.parametrize("time_format", ["%d/%m/%Y %H:%M:%S", "%Y.%m.%d %H.%M", "%m-%d-%Y", "%Y%m%d%H%M%S", "%d %b %Y"])
@pytest.mark.parametrize("moment", ["2023-08-31 23:57:01", "1000-01-01 00:00:00", "9999-12-31 23:59:59"])
def test_each_way_of_reading_a_configured_format_reads_the_same(time_format: str, moment: str) -> None:
    text = datetime.fromisoformat(moment).strftime(time_format)
    kind = kind_of([text], time_format)
    assert kind == f"time:strptime {time_format}"
    micros = microseconds(kind.removeprefix("time:"), text)
    assert micros is not None
    since = datetime.strptime(text, time_format) - datetime(1970, 1, 1)
    assert micros == round(since / timedelta(microseconds=1))
    assert time_text(kind.removeprefix("time:"), micros) == text
    for wrong in (text + " ", text.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}").replace("1", "x"), "", text[1:]):
        assert wrong == text or kind_of([wrong], time_format) in ("text", kind)
    assert kind_of(["31/02/2023 00:00:00"], "%d/%m/%Y %H:%M:%S") == "text"
