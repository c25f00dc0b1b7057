"""The SQLite sink: rows and position in one transaction, types kept, names that SQLite can't tell apart."""

import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from killing import killed_after
from sensorstream.errors import PositionMismatch, SinkError
from sensorstream.records import ConsumedRecord
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.positioned_file import FileBusy
from sensorstream.sinks.sqlite_file import MAX_COLUMNS, SqliteFileSink
from sensorstream.sinks.sqlite_tables import read_only, table_names

LOG = Checkpoint("AIR", 0, "cluster", "topic", "sqlite", raw=False, next_offset=0)


def record(offset: int, value: object, partition: int = 0) -> ConsumedRecord:
    raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return ConsumedRecord("AIR", partition, offset, 0, None, raw)


def started(path: Path, log: Checkpoint = LOG) -> SqliteFileSink:
    sink = SqliteFileSink(path, log)
    if sink.open() is None:
        sink.start(0)
    return sink


def rows(path: Path, sql: str = 'SELECT * FROM "AIR"') -> list[tuple[Any, ...]]:
    db = read_only(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_rows_and_position_come_together_and_with_types(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    sink = started(path)
    values = b'{"i":-5,"f":1.50,"big":123456789012345678901,"t":"0012","yes":true,"no":null,"o":{"a":[1, 2]}}'
    sink.write([record(0, values), record(1, {"i": "mixed"})])
    assert rows(path) == []
    sink.commit(2)
    assert rows(path) == [
        (0, 0, 0, -5, 1.5, "123456789012345678901", "0012", 1, None, '{"a":[1, 2]}'),
        (0, 1, 0, "mixed", None, None, None, None, None, None),
    ]
    sink.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.sqlite"]
    again = SqliteFileSink(path, LOG)
    assert again.open() == 2
    again.close()


def capture(path: Path) -> None:
    sink = started(path)
    sink.write([record(0, {"a": 1}), record(1, b"bad")])
    sink.commit(2)
    sink.write([record(2, {"a": 2}), record(3, b"worse")])


def test_what_was_not_committed_is_gone_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    killed_after(capture, path)
    again = SqliteFileSink(path, LOG)
    assert again.open() == 2
    again.write([record(2, {"a": 2}), record(3, b"worse")])
    again.commit(4)
    again.close()
    assert rows(path) == [(0, 0, 0, 1), (0, 2, 0, 2)]
    letters = [json.loads(line) for line in (tmp_path / "a.sqlite.rejected.jsonl").read_text().splitlines()]
    assert [letter["offset"] for letter in letters] == [1, 3]


def die_at(stage: str, path: Path) -> None:
    mortal = started(path)
    assert mortal._db is not None
    mortal._db.set_trace_callback(lambda sql: os.kill(os.getpid(), signal.SIGKILL) if sql.startswith(stage) else None)
    mortal.write([record(n, {"a": n, "b": "x" * 5000}) for n in range(1, 2000)])
    mortal.commit(2000)


@pytest.mark.parametrize("stage", ["INSERT", "UPDATE", "COMMIT"])
def test_a_kill_within_the_transaction_leaves_the_one_before(tmp_path: Path, stage: str) -> None:
    path = tmp_path / "a.sqlite"
    sink = started(path)
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    sink.close()
    killed_after(die_at, stage, path)
    again = started(path)
    assert again.open() == 1
    assert rows(path) == [(0, 0, 0, 1)]
    again.close()


def test_several_partitions_share_a_database(tmp_path: Path) -> None:
    path = tmp_path / "all.db"
    sinks = [started(path, replace(LOG, partition=number)) for number in range(3)]
    for offset in range(2):
        for number, sink in enumerate(sinks):
            sink.write([record(offset, {f"c{number}": offset, "all": number}, number)])
            sink.commit(offset + 1)
    for sink in sinks:
        sink.close()
    assert rows(path, "SELECT _partition, _offset, c1, [all] FROM AIR ORDER BY 1, 2") == [
        (number, offset, offset if number == 1 else None, number) for number in range(3) for offset in range(2)
    ]


def test_names_that_sqlite_cannot_tell_apart_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    odd = {"Time": 1, "time": 2, "_offset": 3, "": 4, 'x"y': 5, "n\0l": 6, "=f": 7}
    sink = started(path, replace(LOG, topic="sqlite_x"))
    half = b'{"\\ud800":8}'
    sink.write([record(0, odd), record(1, half)])
    sink.commit(2)
    sink.close()
    db = read_only(path)
    table, names = table_names(db, "sqlite_x")
    assert table == "_sqlite_x"
    assert list(names) == [*odd, "\ud800"]
    for column, value in odd.items():
        name = names[column].replace('"', '""')
        assert db.execute(f'SELECT "{name}" FROM "{table}" WHERE _offset = 0').fetchone() == (value,)
    db.close()


def test_a_record_made_into_several_rows(tmp_path: Path) -> None:
    sink = started(tmp_path / "a.sqlite")
    sink.write([record(5, {"a": 1}), record(5, {"a": 2}), record(6, {"a": 3})])
    sink.commit(7)
    sink.close()
    assert rows(tmp_path / "a.sqlite") == [(0, 5, 0, 1), (0, 5, 1, 2), (0, 6, 0, 3)]


def test_what_can_be_no_row_is_rejected(tmp_path: Path) -> None:
    sink = started(tmp_path / "a.sqlite")
    wide = {f"c{n}": n for n in range(MAX_COLUMNS + 1)}
    bad = [record(0, None), record(1, b"[1]"), record(2, {}), record(3, wide), record(4, b"\xff")]
    assert sink.write([*bad, record(5, {"a": 1})]) == {0, 1, 2, 3, 4}
    sink.commit(6)
    assert (sink.rows, sink.rejected) == (1, 5)
    sink.close()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"topic_id": "topic2"}, "deleted topic"),
        ({"cluster_id": "cluster2"}, "another cluster"),
        ({"transform": '{"transform": ["round"]}'}, "transform"),
    ],
)
def test_another_log_is_refused(tmp_path: Path, changed: dict[str, str], says: str) -> None:
    path = tmp_path / "a.sqlite"
    started(path).close()
    other = SqliteFileSink(path, replace(LOG, **changed))  # type: ignore[arg-type]
    with pytest.raises(PositionMismatch, match=says):
        other.open()
    other.close()


def test_one_writer_of_a_partition_at_a_time(tmp_path: Path) -> None:
    sink = started(tmp_path / "a.sqlite")
    other = SqliteFileSink(tmp_path / "a.sqlite", LOG)
    with pytest.raises(FileBusy):
        other.open()
    other.close()
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    sink.close()
    again = SqliteFileSink(tmp_path / "a.sqlite", LOG)
    assert again.open() == 1
    again.close()


def test_a_position_that_somebody_changed_stores_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    sink = started(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE sensorstream_position SET next_offset = 7")
    db.commit()
    db.close()
    sink.write([record(0, {"a": 1})])
    with pytest.raises(SinkError, match="changed by another program"):
        sink.commit(1)
    sink.close()
    assert rows(path) == []


def test_files_of_others_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("precious " * 100)
    theirs = tmp_path / "theirs.sqlite"
    db = sqlite3.connect(theirs)
    db.execute("CREATE TABLE theirs (a)")
    db.close()
    (tmp_path / "link.sqlite").symlink_to(theirs)
    (tmp_path / "new.sqlite.rejected.jsonl").write_text("kept\n")
    for name, says in (
        ("text", "no SQLite database"),
        ("theirs", "not made by a capture"),
        ("link", "symbolic link"),
        ("new", "is there already"),
    ):
        sink = SqliteFileSink(tmp_path / f"{name}.sqlite", LOG)
        with pytest.raises(SinkError, match=says):
            sink.open()
        sink.close()
    assert text.read_text() == "precious " * 100
    assert rows(theirs, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_a_reader_does_not_keep_the_capture_waiting(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    sink = started(path)
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    reader = read_only(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM AIR").fetchone() == (1,)
    sink.write([record(1, {"a": 2})])
    sink.commit(2)
    assert reader.execute("SELECT count(*) FROM AIR").fetchone() == (1,)
    reader.close()
    sink.close()
    assert len(rows(path)) == 2


def test_a_full_database_is_told_and_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    sink = started(path)
    sink.write([record(0, {"a": 1})])
    sink.commit(1)
    assert sink._db is not None
    sink._db.execute("PRAGMA max_page_count = 20")
    sink.write([record(n, {"a": "x" * 5000}) for n in range(1, 100)])
    with pytest.raises(SinkError, match="no space left"):
        sink.commit(100)
    sink.close()
    again = SqliteFileSink(path, LOG)
    assert again.open() == 1
    again.close()
    assert rows(path) == [(0, 0, 0, 1)]


def test_what_a_killed_process_left_half_is_taken_back_by_who_only_reads(tmp_path: Path) -> None:
    path, left = tmp_path / "a.sqlite", tmp_path / "left.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES ('whole')")
        db.execute("BEGIN")
        db.execute("UPDATE t SET x = 'half'")
        db.executemany("INSERT INTO t VALUES (?)", [("y" * 1000,) for _ in range(1000)])
        # As they stand on the disk when the process is killed now.
        shutil.copy(path, left)
        shutil.copy(f"{path}-journal", f"{left}-journal")
        db.execute("ROLLBACK")
    with closing(read_only(left)) as db:
        assert db.execute("SELECT x FROM t").fetchall() == [("whole",)]
        with pytest.raises(sqlite3.OperationalError):
            db.execute("DELETE FROM t")
