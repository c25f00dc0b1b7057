"""Captures into each kind of storage through the whole pipeline, on the broker in memory, and verify of them."""

import csv
from pathlib import Path
from typing import Any

import pytest

from sensorstream.cli.app import run
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import ConfigError, SinkError, SourceError, UsageError
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.spec import CaptureResult
from sensorstream.pipelines.verify.verdict import TopicVerdict, VerifyOptions
from sensorstream.pipelines.verify.verify import verify
from sensorstream.serde.json import RowEncoder
from sensorstream.sinks.sqlite_tables import read_only
from sensorstream.sources.csv_file import CsvSource
from sensorstream.sources.formats import SourceForm
from sensorstream.storage_rules import StorageRules

ODD = [
    "0012", "12345678901234567890", "", "1.50", "-3.2", "=1+1", "'=1", "+5", "1e400", "NaN", 'say "hi"', "a,b",
    "two\nlines", "ü€😀", "\x00", " 5 ", "true", "null", "x\ry", "9007199254740993", "-0.0", "5.0", "1E5",
]  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "AIR.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Time", "Station", "=Value", "pH", "time"])
        for number in range(60):
            writer.writerow([f"2023-08-31 00:00:{number:02}", "S1", ODD[number % len(ODD)], f"7.{number:02}", number])
    return path


@pytest.fixture
def broker(source: Path) -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("AIR", 2)
    publish(made, source)
    return made


def publish(broker: MemoryBroker, source: Path) -> None:
    with CsvSource(source) as rows, MemoryClient(broker).publisher() as publisher:
        encoder = RowEncoder(rows.columns)
        while batch := rows.read(1000):
            for row in batch.rows:
                publisher.publish("AIR", encoder.encode(row.cells), partition=row.number % 2)
        publisher.flush(5)


def consume(broker: MemoryBroker, **options: Any) -> CaptureResult:
    chosen = {"topic": "AIR", "partitions": (0, 1), "exit_at_end": True, **options}
    plan = make_job(load(environ={}), CaptureOptions(**chosen))
    return capture(MemoryClient(broker), plan.job, plan.make_sink)


def verdict(source: Path, captured: Path) -> TopicVerdict:
    return verify({"AIR": str(source)}, [captured], sources_given=True).topics[0]


@pytest.mark.parametrize("target", ["all.sqlite", "all.DB", "folder"])
def test_sqlite_holds_what_the_source_has(broker: MemoryBroker, source: Path, tmp_path: Path, target: str) -> None:
    to = tmp_path / "out" / target
    form = "sqlite" if target == "folder" else None
    assert consume(broker, to=str(to), format=form, count=20, exit_at_end=False).rows == 20
    assert consume(broker, to=str(to), format=form).rows == 40
    assert consume(broker, to=str(to), format=form).rows == 0
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names == ({target} if form is None else {"AIR_Consumer_0.sqlite", "AIR_Consumer_1.sqlite"})
    good = verdict(source, to)
    assert (good.exactly_once, good.captured, good.partitions) == (True, 60, 2), good.first_difference


@pytest.mark.parametrize("kind", ["csv", "jsonl", "sqlite", "parquet"])
def test_columns_of_a_type_are_what_the_source_has_in_each_storage(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "AIR.csv"
    source.write_text("ok,id,n\n" + "".join(f"{'yes' if n % 3 else 'no'},{n}.50,{n}\n" for n in range(20)))
    form = SourceForm(types=("ok=bool", "id=text", "n=number"))
    broker = MemoryBroker()
    broker.create_topic("AIR", 2)
    with form.source(str(source)) as rows, MemoryClient(broker).publisher() as publisher:
        encoder = form.encoder(str(source))(rows.columns)
        for row in rows.read(100).rows:
            publisher.publish("AIR", encoder.encode(row.cells), partition=row.number % 2)
    assert consume(broker, to=str(tmp_path / "out"), format=kind).rows == 20
    found = verify({"AIR": str(source)}, [tmp_path / "out"], options=VerifyOptions(form=form), sources_given=True)
    good = found.topics[0]
    assert (good.exactly_once, good.captured) == (True, 20), good.first_difference


@pytest.mark.parametrize(
    ("sql", "kind", "says"),
    [
        ("DELETE FROM AIR WHERE _partition = 1 AND _offset = 7", "missing", "AIR.csv line"),
        ("UPDATE AIR SET pH = 9.99 WHERE _partition = 1 AND _offset = 7", "different", "offset 7, column pH: '9.99'"),
        ("UPDATE AIR SET _offset = 100 WHERE _partition = 0 AND _offset = 7", "reordered", "offset"),
        ("INSERT INTO AIR SELECT 0, 99, * FROM (SELECT 0, Time, Station, [=Value], pH, time_2 FROM AIR LIMIT 1)",
         "doubled", "offset 99 is duplicated"),
    ],
)  # fmt: skip
def test_verify_finds_what_is_wrong_in_a_database(
    broker: MemoryBroker, source: Path, tmp_path: Path, sql: str, kind: str, says: str
) -> None:
    import sqlite3

    to = tmp_path / "all.sqlite"
    consume(broker, to=str(to))
    db = sqlite3.connect(to)
    db.execute(sql)
    db.commit()
    db.close()
    bad = verdict(source, to)
    assert not bad.exactly_once
    assert bad.first_difference is not None
    assert bad.first_difference.kind == kind
    assert says in bad.first_difference.text


def test_verify_lists_what_the_capture_rejected(broker: MemoryBroker, source: Path, tmp_path: Path) -> None:
    with MemoryClient(broker).publisher() as publisher:
        publisher.publish("AIR", b"bad", partition=1)
        publisher.flush(5)
    to = tmp_path / "all.sqlite"
    assert consume(broker, to=str(to)).rejected == 1
    good = verdict(source, to)
    assert good.exactly_once
    assert [(one.partition, one.offset) for one in good.capture_rejected_records] == [(1, 30)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("folders", "column"), [((), None), (("partition",), None), (("date",), None), (("partition", "date"), "Time")]
)
def test_finished_files_hold_what_the_source_has(
    broker: MemoryBroker, source: Path, tmp_path: Path, form: str, folders: tuple[str, ...], column: str | None
) -> None:
    to = tmp_path / "out"
    rules = StorageRules(folders=folders, date_column=column, rotate_rows=7)
    assert consume(broker, to=str(to), format=form, storage=rules, count=20, exit_at_end=False).rows == 20
    assert consume(broker, to=str(to), format=form, storage=rules).rows == 40
    assert consume(broker, to=str(to), format=form, storage=rules).rows == 0
    good = verdict(source, to)
    assert (good.exactly_once, good.captured, good.not_covered) == (True, 60, ()), good.first_difference
    assert len(good.captured_files) >= 9
    assert verdict(source, to / "AIR").exactly_once


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "sqlite"])
def test_columns_of_the_record_itself_are_stored_and_no_difference(
    broker: MemoryBroker, source: Path, tmp_path: Path, form: str
) -> None:
    rules = StorageRules() if form == "sqlite" else StorageRules(rotate_rows=20)
    consume(broker, to=str(tmp_path / "out"), format=form, storage=rules, with_="offset,timestamp")
    assert verdict(source, tmp_path / "out").exactly_once
    if form == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(tmp_path / "out" / "AIR" / f"AIR-0-{20:012}-{29:012}.parquet")
        assert table["offset"].to_pylist() == list(range(20, 30))
        assert str(table.schema.field("timestamp").type) == "timestamp[us, tz=UTC]"


def test_verify_finds_what_is_wrong_in_finished_files(broker: MemoryBroker, source: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    to = tmp_path / "lab.parquet"
    consume(broker, to=str(to), storage=StorageRules(rotate_rows=10))
    path = to / "AIR" / f"AIR-1-{10:012}-{19:012}.parquet"
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.slice(0, 5), path)
    bad = verdict(source, to)
    assert (bad.missing, bad.captured, bad.exactly_once) == (5, 55, False)
    values = table.column("pH").to_pylist()
    values[3] = 99.5
    pq.write_table(table.set_column(3, table.schema.field("pH"), [values]), path)
    bad = verdict(source, to)
    assert bad.first_difference is not None
    assert "AIR-1-*.parquet row 14, column pH: '99.5'" in bad.first_difference.text
    path.write_bytes(b"rubbish")
    with pytest.raises(SourceError, match="can't be read"):
        verdict(source, to)


def test_rows_that_wait_are_no_part_of_the_verdict_and_told(broker: MemoryBroker, source: Path, tmp_path: Path) -> None:
    chosen = CaptureOptions(topic="AIR", partitions=(0, 1), to=str(tmp_path / "lab.parquet"), count=60)
    plan = make_job(load(environ={}), chosen)
    from sensorstream.sinks.segments import SegmentSink

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentSink, "settle", lambda self, **named: None)
        capture(MemoryClient(broker), plan.job, plan.make_sink)
    bad = verdict(source, tmp_path / "lab.parquet")
    assert (bad.captured, bad.missing) == (0, 60)
    assert bad.not_covered == ("60 rows of AIR not in a finished file yet: the capture will finish it",)
    consume(broker, to=str(tmp_path / "lab.parquet"))
    assert verdict(source, tmp_path / "lab.parquet").exactly_once


def test_the_topics_table_says_how_it_is_stored(broker: MemoryBroker, source: Path, tmp_path: Path) -> None:
    (tmp_path / "sensorstream.toml").write_text(
        '[topics.AIR]\ntime_column = "Time"\ntime_format = "%Y-%m-%d %H:%M:%S"\n'
        '[topics.AIR.capture]\nformat = "csv"\nfolders = "date"\ndate_column = "Time"\nrotate_size = "1kB"\n'
    )
    settings = load(environ={}, start=tmp_path)
    for form, name in ((None, "AIR/date_utc=2023-08-31"), ("parquet", "AIR/date_utc=2023-08-31"), ("sqlite", "")):
        to = tmp_path / str(form)
        chosen = CaptureOptions(topic="AIR", partitions=(0, 1), exit_at_end=True, to=str(to), format=form)
        if form == "sqlite":
            with pytest.raises(UsageError, match="is not rotated"):
                make_job(settings, chosen)
            continue
        plan = make_job(settings, chosen)
        capture(MemoryClient(broker), plan.job, plan.make_sink)
        assert len(list((to / name).iterdir())) > 2
        assert verdict(source, to).exactly_once
    one = CaptureOptions(topic="AIR", partitions=(0,), to=str(tmp_path / "one.csv"))
    assert make_job(settings, one).job.one_file


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("capture = 1", "must be a table"),
        ('capture = { fromat = "csv" }', "did you mean 'format'"),
        ('capture = { format = "xls" }', "capture: format 'xls' is not known"),
        ('capture = { folders = "year" }', "no list of folders"),
        ('capture = { folders = ["date", "date"] }', "no list of folders"),
        ("capture = { rotate_rows = 0 }", "whole number"),
        ("capture = { rotate_rows = true }", "whole number"),
        ('capture = { rotate_size = "5 apples" }', "is no size"),
        ('capture = { rotate_time = "-5s" }', "is no time"),
        ("capture = { date_column = 5 }", "is not text"),
    ],
)
def test_a_table_that_is_wrong_is_named(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "sensorstream.toml").write_text(f"[topics.AIR]\n{toml}\n")
    with pytest.raises(ConfigError, match=says):
        load(environ={}, start=tmp_path)


@pytest.mark.parametrize("option", ["--rotate-time=5x", "--rotate-size=-1MB", "--rotate-rows=0", "--folders=year"])
def test_an_option_that_is_wrong_is_named_as_it_was_given(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["consume", "-t", "AIR", "-p", "0", option]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {option.partition('=')[0]} ")
    assert told.count("\n") == 1


def test_members_of_a_group_share_a_database(broker: MemoryBroker, source: Path, tmp_path: Path) -> None:
    to = tmp_path / "all.sqlite"
    consume(broker, to=str(to), partitions=(), group_given=True, exit_at_end=False, timeout=0.3)
    assert verdict(source, to).exactly_once
    db = read_only(to)
    assert db.execute("SELECT count(*), count(DISTINCT _partition) FROM AIR").fetchone() == (60, 2)
    db.close()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"to": "-", "format": "sqlite"}, UsageError, "can't go to stdout"),
        ({"to": "x.csv", "format": "sqlte"}, UsageError, "not known"),
        ({"to": "x.csv"}, UsageError, "one file"),
        ({"to": "text.sqlite"}, SinkError, "no SQLite database"),
        ({"to": "x.csv", "storage": StorageRules(rotate_rows=1)}, UsageError, "several are to be made"),
        ({"to": "x.db", "storage": StorageRules(rotate_rows=1)}, UsageError, "not rotated"),
        ({"to": ".", "storage": StorageRules(date_column="Time")}, UsageError, "--date-column"),
        ({"to": "text.sqlite/x.parquet"}, SinkError, "not a folder"),
        ({"to": "x.csv", "format": "parquet"}, UsageError, "one file"),
        ({"to": "-", "storage": StorageRules(rotate_rows=1)}, UsageError, "stdout is neither rotated"),
    ],
)
def test_what_can_not_be_stored_into_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.sqlite").write_text("no database " * 50)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=says):
        make_job(load(environ={}), CaptureOptions(topic="AIR", partitions=(0, 1), **options))
    assert sorted(tmp_path.iterdir()) == before


def test_a_source_of_json_is_not_compared_with_a_database(broker: MemoryBroker, tmp_path: Path) -> None:
    to = tmp_path / "all.sqlite"
    consume(broker, to=str(to))
    (tmp_path / "s.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="SQLite"):
        verdict(tmp_path / "s.jsonl", to)
