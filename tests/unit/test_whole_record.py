"""The record itself in captured rows: its key, time, place and headers as columns, and tombstones."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from capture_labs import MS, TIME, consume, objects, publish, reasons, rows
from sensorstream.clients.memory import MemoryBroker
from sensorstream.errors import PositionMismatch, UsageError
from sensorstream.pipelines.verify.verify import verify
from sensorstream.records import ConsumedRecord, Number
from sensorstream.serde.decoders import open_decoder
from sensorstream.serde.row_maker import RowMaker, iso_time, parse_with
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.csv_file import CsvFileSink


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"T": 2})


WHOLE = "key,timestamp,offset,partition,headers"


def test_the_record_itself_as_columns_ahead_of_its_value(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{"t":23.10}', key=b"SVDT1", headers=(("id", b"7"), ("id", b"\xff")))
    publish(broker, b'{"t":1,"u":true}')
    consume(broker, tmp_path / "a.csv", with_=WHOLE)
    headers = '[{"name":"id","value":"7"},{"name":"id","value_base64":"/w=="}]'
    assert rows(tmp_path / "a.csv") == [
        {"key": "SVDT1", "timestamp": TIME, "offset": "0", "partition": "0", "headers": headers, "t": "23.10", "u": ""},
        {"key": "", "timestamp": TIME, "offset": "1", "partition": "0", "headers": "[]", "t": "1", "u": "true"},
    ]
    assert next(iter(rows(tmp_path / "a.csv")[0])) == "key"


def test_the_record_itself_as_fields(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{ "t": 1.50,\n "deep": {"a":\n [1]} }', key="Müller".encode())
    consume(broker, tmp_path / "a.jsonl", with_="offset,key=station,headers")
    line = '{"offset":0,"station":"Müller","headers":[],"t":1.50,"deep":{"a":  [1]}}\n'
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == line


def test_goes_on_with_the_same_columns_and_refuses_others(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{"t":1}')
    to = tmp_path / "a.csv"
    consume(broker, to, with_="offset")
    publish(broker, b'{"t":2}')
    consume(broker, to, with_="offset")
    assert rows(to) == [{"offset": "0", "t": "1"}, {"offset": "1", "t": "2"}]
    for options, words in (
        ({}, "--with offset, not none"),
        ({"with_": "offset,key"}, "--with offset, not offset,key"),
        ({"with_": "offset", "flatten": True}, "--flatten no, not yes"),
        ({"with_": "offset", "tombstones": True}, "--tombstones no, not yes"),
        ({"with_": "offset", "value_format": "text"}, "--value-format json, not text"),
        ({"with_": "offset", "transforms": ("select",), "transform_settings": ("columns=t",)}, "transform none, not"),
    ):
        with pytest.raises(PositionMismatch, match=words):
            consume(broker, to, **options)
    plain = tmp_path / "plain.csv"
    consume(broker, plain)
    with pytest.raises(PositionMismatch, match=r"--value-format json, not bytes"):
        consume(broker, plain, value_format="bytes")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_tombstones_are_rows_on_demand(broker: MemoryBroker, tmp_path: Path, form: str) -> None:
    publish(broker, None, key=b"gone")
    publish(broker, b'{"t":1}', key=b"here")
    publish(broker, None, key=b"here")
    told = reasons(broker, tmp_path / f"a.{form}", with_="key", tombstones=True)
    assert told == []
    if form == "csv":
        assert rows(tmp_path / "a.csv") == [
            {"key": "gone", "tombstone": "true", "t": ""},
            {"key": "here", "tombstone": "false", "t": "1"},
            {"key": "here", "tombstone": "true", "t": ""},
        ]
    else:
        assert objects(tmp_path / "a.jsonl") == [
            {"key": "gone", "tombstone": True},
            {"key": "here", "tombstone": False, "t": 1},
            {"key": "here", "tombstone": True},
        ]
    assert reasons(broker, tmp_path / f"b.{form}", with_="key") == ["a record without a value (tombstone)"] * 2


def test_tombstones_pass_a_transform_and_the_columns_stand_beside_what_it_made(
    broker: MemoryBroker, tmp_path: Path
) -> None:
    publish(broker, b'{"t":1.26,"in":{"u":2}}', key=b"a")
    publish(broker, None, key=b"b")
    publish(broker, b"nothing", key=b"c")
    told = reasons(
        broker,
        tmp_path / "a.csv",
        with_="key,offset",
        tombstones=True,
        flatten=True,
        transforms=("select",),
        transform_settings=("columns=in.u",),
    )
    assert told == ["it is not JSON: Expecting value at character 0"]
    assert rows(tmp_path / "a.csv") == [
        {"key": "a", "offset": "0", "tombstone": "false", "in.u": "2"},
        {"key": "b", "offset": "1", "tombstone": "true", "in.u": ""},
    ]


def test_a_name_that_the_value_has_too_is_no_overwriting(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{"timestamp":"old","t":1}')
    publish(broker, b'{"t":2}')
    told = reasons(broker, tmp_path / "a.csv", with_="timestamp")
    assert told == [
        "it has a column 'timestamp' itself; name the added one otherwise, as --with timestamp=record_timestamp"
    ]
    assert reasons(broker, tmp_path / "b.csv", with_="timestamp=record_timestamp") == []
    assert rows(tmp_path / "b.csv")[0] == {"record_timestamp": TIME, "timestamp": "old", "t": "1"}


def test_a_key_that_is_no_text(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{"t":1}', key=b"\xff\x00")
    publish(broker, b'{"t":2}', key=b"")
    told = reasons(broker, tmp_path / "a.csv", with_="key")
    assert told == ["its key is no text: byte 0 is not UTF-8 (--key-format bytes takes any)"]
    assert reasons(broker, tmp_path / "b.csv", with_="key", key_format="bytes") == []
    assert [row["key"] for row in rows(tmp_path / "b.csv")] == ["/wA=", ""]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"with_": "kye"}, "--with 'kye' is not known"),
        ({"with_": ""}, "--with '' is not known"),
        ({"with_": "key,key"}, "two columns the name 'key'"),
        ({"with_": "key=x,offset=x"}, "two columns the name 'x'"),
        ({"with_": "key=value", "value_format": "text"}, "two columns the name 'value'"),
        ({"with_": "key=tombstone", "tombstones": True}, "'tombstone' itself"),
        ({"value_format": "xml"}, "--value-format 'xml' is not known"),
        ({"key_format": "bytes"}, "--key-format is for --with key"),
        ({"key_format": "hex", "with_": "key"}, "--key-format 'hex' is not known"),
        ({"flatten": True, "value_format": "bytes"}, "no effect"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_read(
    broker: MemoryBroker, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        consume(broker, tmp_path / "a.csv", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (MS, TIME),
        (-1, None),
        (253402300799999, "9999-12-31T23:59:59.999Z"),
        (2**62, None),
    ],
)
def test_times_are_iso(ms: int, text: str | None) -> None:
    assert iso_time(ms) == text


def test_sinks_can_ask_what_the_added_columns_are() -> None:
    maker = RowMaker(open_decoder("text"), added=parse_with("offset, timestamp=at"), tombstones=True)
    assert maker.kinds == {"offset": "integer", "at": "time", "tombstone": "bool"}
    record = ConsumedRecord("T", 0, 3, MS, None, b"x", ())
    assert maker.row(record) == {"offset": Number("3"), "at": TIME, "tombstone": False, "value": "x"}


def test_the_topics_table_says_it_too(broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(broker, b'{"t":1,"in":{"u":2}}', key=b"k")
    file = tmp_path / "sensorstream.toml"
    monkeypatch.setenv("SENSORSTREAM_CONFIG", str(file))

    def columns(name: str, **options: Any) -> list[str]:
        consume(broker, tmp_path / name, **options)
        return list(rows(tmp_path / name)[0])

    file.write_text('[topics.T.capture]\nwith = ["key", "offset"]\nflatten = true\ntombstones = true\n')
    assert columns("a.csv") == ["key", "offset", "tombstone", "t", "in.u"]
    assert columns("b.csv", with_="none", flatten=False, tombstones=False) == ["t", "in"]
    assert columns("c.csv", with_="partition") == ["partition", "tombstone", "t", "in.u"]
    for table, words in (
        ("with = 5", "with = 5 is not text"),
        ("flatten = 1", "flatten = 1 is not true or false"),
        ("flaten = true", "unknown key 'flaten'"),
        ('with = "kay"', "--with 'kay' is not known"),
    ):
        file.write_text(f"[topics.T.capture]\n{table}\n")
        with pytest.raises(UsageError, match=words):
            consume(broker, tmp_path / "d.csv")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_verify_looks_past_the_added_columns(broker: MemoryBroker, tmp_path: Path, form: str) -> None:
    source = tmp_path / "T.csv"
    source.write_text('Time,t\n1,1.50\n2,\n3,"=x, y"\n')
    for line in (b'{"Time":1,"t":1.50}', b'{"Time":2,"t":null}', b'{"Time":3,"t":"=x, y"}'):
        publish(broker, line, key=b"k")
    to = tmp_path / f"T_Consumer_0.{form}"
    consume(broker, to, with_=WHOLE, tombstones=True, flatten=True)
    verdict = verify({"T": str(source)}, [to])
    assert verdict.exactly_once
    to.write_bytes(to.read_bytes().replace(b"1.50", b"1.51"))
    assert not verify({"T": str(source)}, [to]).exactly_once


def test_verify_refuses_what_it_can_not_compare(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{"t":1}')
    text = tmp_path / "text.csv"
    consume(broker, text, value_format="text")
    with pytest.raises(UsageError, match="captured with --value-format text"):
        verify({"T": str(text)}, [text])
    source = tmp_path / "T.jsonl"
    source.write_text('{"t":1}\n')
    fields = tmp_path / "fields.jsonl"
    consume(broker, fields, with_="key")
    with pytest.raises(UsageError, match="captured with --with or --tombstones"):
        verify({"T": str(source)}, [fields])


def test_any_sink_gets_the_added_columns(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{"Time":1,"in":{"t":1.50}}', key=b"k")
    publish(broker, None, key=b"gone")
    to = tmp_path / "a.sqlite"
    consume(broker, to, with_="key,timestamp,offset", tombstones=True, flatten=True)
    with closing(sqlite3.connect(to)) as db:
        found = db.execute('SELECT key, timestamp, "offset", tombstone, "Time", "in.t" FROM "T"').fetchall()
    assert found == [("k", TIME, 0, 0, 1, 1.5), ("gone", TIME, 1, 1, None, None)]
    with pytest.raises(PositionMismatch, match="--tombstones yes, not no"):
        consume(broker, to, with_="key,timestamp,offset", flatten=True)


def test_columns_beside_plain_values_are_added_in_bulk_as_one_by_one(tmp_path: Path) -> None:
    log = Checkpoint("T", 0, "c", "t", "csv", raw=False, next_offset=0)
    maker = RowMaker(added=parse_with("key,offset"), tombstones=True)
    keys = [b"a", None, b"=1", b'with "quotes", and more', "Ä".encode(), b""]
    plain = [b'{"t":%d,"u":"x"}' % n for n in range(12)]
    odd = [b'{"u":"x","t":1}', b'{"t":"a,b","u":null}', None, b"[]", b'{"t":1,"key":2}']
    hostile = [*keys, b"two\nlines", b"\xff"]
    ended = [b"a\rb"]
    files: list[bytes] = []
    for bulk in (False, True):
        to = tmp_path / f"{bulk}.csv"
        sink = CsvFileSink(to, log, rows=maker)
        sink.open()
        sink.start(0)
        offset = 0
        for values, of_batch in (
            (plain, keys),
            (plain, hostile),
            (plain, ended),
            (odd + plain, keys),
            (plain[:1], [None]),
        ):
            records = [
                ConsumedRecord("T", 0, offset + n, MS, of_batch[n % len(of_batch)], value)
                for n, value in enumerate(values)
            ]
            offset += len(records)
            if bulk:
                sink.write_values(values, partial(list, records))
            else:
                sink.write(records)
        sink.commit(offset)
        assert (sink.rows, sink.rejected) == (12 + 11 + 12 + 15 + 1, 3)
        sink.close()
        files.append(to.read_bytes())
    assert files[0] == files[1]
