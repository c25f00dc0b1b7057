"""SQL over captured files: the same answer whatever they are, types, refusals; nothing is changed."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sensorstream.cli.app import run
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import DataError, Interrupted, SensorstreamError, SourceError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.query.query import list_tables, query
from sensorstream.storage_rules import StorageRules

ROWS: list[dict[str, Any]] = [
    {"n": 0, "v": 1.5, "id": "0012", "stamp": "2023-08-31T00:00:00Z", "text": "=1+1", "mixed": 1, "o": {"a": [1]}},
    {"n": 1, "v": 2, "id": "0013", "stamp": "2023-08-31T00:01:00Z", "text": "two\nlines", "mixed": "NA", "o": None},
    {"n": 2, "v": None, "id": "0014", "stamp": "2023-08-31T00:02:00Z", "text": 'say "hi", ü€😀', "mixed": 2.5},
    {"n": 3, "v": -4, "id": "x", "stamp": "2023-08-31T00:03:00Z", "text": "", "mixed": None, "new": 7},
]


def captured(folder: Path, form: str, topic: str = "AIR", rows: list[dict[str, Any]] = ROWS, **options: Any) -> Path:
    broker = MemoryBroker()
    broker.create_topic(topic, 2)
    with MemoryClient(broker).publisher() as publisher:
        for number, row in enumerate(rows):
            publisher.publish(topic, json.dumps(row, ensure_ascii=False).encode(), partition=number % 2)
        publisher.flush(5)
    chosen = CaptureOptions(topic, partitions=(0, 1), exit_at_end=True, to=str(folder), format=form, **options)
    plan = make_job(load(environ={}), chosen)
    capture(MemoryClient(broker), plan.job, plan.make_sink)
    return folder


def ask(sql: str, folder: Path, **options: Any) -> list[tuple[Any, ...]]:
    with query(sql, folder, **options) as answer:
        return list(answer.rows)


def types(sql: str, folder: Path) -> dict[str, str]:
    with query(sql, folder) as answer:
        return {column.name: column.type for column in answer.columns}


FORMS = [
    ("csv", StorageRules()), ("jsonl", StorageRules()), ("sqlite", StorageRules()), ("parquet", StorageRules()),
    ("csv", StorageRules(rotate_rows=1)), ("jsonl", StorageRules(rotate_rows=1)),
    ("parquet", StorageRules(rotate_rows=1, folders=("partition", "date"))),
]  # fmt: skip


@pytest.mark.parametrize(("form", "rules"), FORMS)
def test_the_answer_is_the_same_whatever_the_files_are(tmp_path: Path, form: str, rules: StorageRules) -> None:
    folder = captured(tmp_path / "it's [a] *", form, storage=rules)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    found = ask("SELECT n, v, id, text, mixed, new FROM air ORDER BY n", folder)
    empty = "" if form != "csv" else None  # CSV does not tell an empty text from a missing one
    assert found == [
        (0, 1.5, "0012", "=1+1", "1", None),
        (1, 2.0, "0013", "two\nlines", "NA", None),
        (2, None, "0014", 'say "hi", ü€😀', "2.5", None),
        (3, -4.0, "x", empty, None, 7),
    ]
    kinds = types('SELECT * FROM "AIR"', folder)
    assert (kinds["n"], kinds["v"], kinds["id"], kinds["mixed"]) == ("BIGINT", "DOUBLE", "VARCHAR", "VARCHAR")
    assert kinds["stamp"] == "TIMESTAMP WITH TIME ZONE"
    assert ask("SELECT sum(v), max(stamp) - min(stamp) > INTERVAL 2 MINUTE FROM AIR", folder) == [(-0.5, True)]
    if rules.folders:
        assert kinds["kafka_partition"] == "BIGINT"
        assert kinds["date_utc"] == "DATE"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_topics_are_tables_that_can_be_joined(tmp_path: Path) -> None:
    captured(tmp_path, "csv")
    captured(tmp_path, "parquet", "sea.1", [{"n": 1, "depth": 9}])
    captured(tmp_path / "a", "sqlite", "other", [{"n": 1}])
    assert ask('SELECT AIR.id, depth FROM AIR JOIN "sea.1" USING (n), (SELECT 1)', tmp_path) == [("0013", 9)]
    listed = {table.table: table for table in list_tables(tmp_path)}
    assert {name: table.formats for name, table in listed.items()} == {"AIR": ("csv",), "sea.1": ("parquet",)}
    assert (listed["AIR"].partitions, listed["AIR"].files) == (2, 2)


def test_what_no_position_speaks_of_is_no_part_of_the_answer(tmp_path: Path) -> None:
    captured(tmp_path, "csv")
    with (tmp_path / "AIR_Consumer_0.csv").open("a") as file:
        file.write('9,"half a')
    assert ask("SELECT count(*) FROM AIR", tmp_path) == [(4,)]
    (tmp_path / "AIR_Consumer_1.csv").write_bytes(b"")
    (tmp_path / "AIR_Consumer_1.csv.position").unlink()
    assert ask("SELECT count(*) FROM AIR", tmp_path) == [(2,)]


def test_rows_that_wait_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sensorstream.sinks.segments import SegmentSink

    with monkeypatch.context() as patch:
        patch.setattr(SegmentSink, "settle", lambda self, **named: None)
        captured(tmp_path, "parquet")
    told: list[Event] = []
    assert ask("SELECT count(*) FROM AIR", tmp_path, listener=told.append) == [(0,)]
    assert any(isinstance(event, Notice) and "left out 4 rows" in event.text for event in told)


@pytest.mark.parametrize(
    ("sql", "error", "says"),
    [
        ("SELEC 1", UsageError, 'syntax error at or near "SELEC"'),
        ("SELECT nope FROM AIR", UsageError, 'column "nope" not found'),
        ("SELECT * FROM AIRR", UsageError, "AIRR does not exist.*there are AIR"),
        ("SELECT 1; SELECT 2", UsageError, "not one SELECT"),
        ("-- nothing", UsageError, "not one SELECT"),
        ("COPY AIR TO 'stolen.csv'", UsageError, "not one SELECT"),
        ("EXPLAIN ANALYZE SELECT 1", UsageError, "not one SELECT"),
        ("ATTACH 'x.db'", UsageError, "not one SELECT"),
        ("INSTALL sqlite", UsageError, "not one SELECT"),
        ("SELECT * FROM read_text('/etc/hostname')", UsageError, "disabled by configuration"),
        ("SELECT CAST(id AS INT) FROM AIR", DataError, "Could not convert string 'x'"),
        ("SELECT * FROM AIR\0", UsageError, "."),
    ],
)
def test_what_can_not_be_asked_is_one_line(tmp_path: Path, sql: str, error: type[SensorstreamError], says: str) -> None:
    captured(tmp_path, "csv")
    with pytest.raises(error, match=says) as caught:
        ask(sql, tmp_path)
    assert "\n" not in str(caught.value)
    assert "LINE 1" not in str(caught.value)


def test_folders_without_captured_files_and_damaged_ones_are_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no captured file"):
        ask("SELECT 1", tmp_path)
    with pytest.raises(SourceError, match="no folder"):
        ask("SELECT 1", tmp_path / "missing")
    captured(tmp_path, "parquet")
    next((tmp_path / "AIR").glob("*.parquet")).write_bytes(b"rubbish" * 10)
    with pytest.raises(SensorstreamError) as caught:
        ask("SELECT * FROM AIR", tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "b").mkdir()
    captured(tmp_path / "b", "jsonl")
    (tmp_path / "b" / "AIR_Consumer_0.jsonl").write_bytes(b'{"n":1}\n{"n":\n')
    (tmp_path / "b" / "AIR_Consumer_0.jsonl.position").unlink()
    with pytest.raises(SensorstreamError) as caught:
        ask("SELECT * FROM AIR", tmp_path / "b")
    assert "\n" not in str(caught.value)


def test_memory_is_bounded(tmp_path: Path) -> None:
    captured(tmp_path, "csv")
    with pytest.raises(SensorstreamError, match=r"not enough memory.*--memory"):
        ask("SELECT list(a.range) FROM range(30000000) a", tmp_path, memory="50MB")
    with pytest.raises(UsageError, match="--memory"):
        ask("SELECT 1", tmp_path, memory="much")


def test_it_can_be_interrupted(tmp_path: Path) -> None:
    captured(tmp_path, "csv")
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    with pytest.raises(Interrupted):
        ask("SELECT sum(a.range * b.range % 7) FROM range(10000000) a, range(10000000) b", tmp_path, stop=stop)
    timer.join()


def test_a_database_that_is_captured_into_meanwhile(tmp_path: Path) -> None:
    captured(tmp_path, "sqlite")
    db = sqlite3.connect(tmp_path / "AIR_Consumer_0.sqlite")
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM AIR")
    assert ask("SELECT count(*) FROM AIR", tmp_path) == [(4,)]
    db.rollback()
    db.close()


def test_the_command_writes_tables_csv_and_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    captured(tmp_path, "jsonl")
    sql = "SELECT n, text, stamp, o, sum(n) OVER () AS total FROM AIR ORDER BY n"
    assert run(["query", sql, str(tmp_path), "--format", "csv"]) == 0
    rows = list(csv.reader(io.StringIO(capfd.readouterr().out)))
    assert rows[0] == ["n", "text", "stamp", "o", "total"]
    assert rows[1] == ["0", "'=1+1", "2023-08-31T00:00:00Z", '{"a": [1]}', "6"]
    assert rows[2][1] == "two\nlines"
    assert run(["query", sql, str(tmp_path), "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert lines[0] == {"n": 0, "text": "=1+1", "stamp": "2023-08-31T00:00:00Z", "o": {"a": [1]}, "total": 6}
    assert run(["query", sql, str(tmp_path), "--output", "json", "--rows", "3"]) == 0
    result = json.loads(capfd.readouterr().out)["result"]
    assert result["columns"][0] == {"name": "n", "type": "BIGINT"}
    assert (len(result["rows"]), result["complete"]) == (3, False)
    assert run(["query", "SELECT '\x1b[31m' || id AS id FROM AIR", str(tmp_path), "--rows", "1"]) == 0
    shown = capfd.readouterr().out
    assert "\\x1b[31m0012" in shown
    assert "only the first 1 row" in shown
    for arguments in (["query", str(tmp_path)], ["query", "", str(tmp_path)]):
        assert run(arguments) == 0
        assert "AIR" in capfd.readouterr().out
    assert run(["query", "SELEC 1", str(tmp_path)]) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert run(["query", "SELECT CAST(id AS INT) FROM AIR", str(tmp_path), "--format", "csv"]) == 4


def test_a_reader_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    captured(tmp_path, "csv")
    command = [sys.executable, "-m", "sensorstream", "query", "SELECT range FROM range(3000000)", str(tmp_path)]
    with subprocess.Popen([*command, "--format", "csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"range\n"
        process.stdout.close()
        assert process.wait(60) == 0


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captured(tmp_path, "csv")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(UsageError, match=r"sensorstream\[storage\]"):
        ask("SELECT 1", tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"sensorstream\[storage\]"):
        captured(tmp_path / "p", "parquet")
    assert not (tmp_path / "p").exists()
