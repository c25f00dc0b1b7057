"""What the value of a captured record becomes in its row: JSON, text or bytes, and nested JSON as columns."""

import base64
import json
from pathlib import Path

import pytest

from capture_labs import consume, objects, publish, reasons, rows
from sensorstream.clients.memory import MemoryBroker
from sensorstream.errors import DecodeError
from sensorstream.records import Json, Number
from sensorstream.serde import json as json_serde
from sensorstream.serde.bulk_csv import CsvWriter
from sensorstream.serde.flatten import MAX_DEPTH, flattened


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"T": 2})


def test_a_plain_capture_has_the_position_that_it_always_had(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{"t":1}')
    consume(broker, tmp_path / "a.csv", value_format="json")
    document = json.loads((tmp_path / "a.csv.position").read_text())
    assert not {"transform", "range", "range_end"} & document.keys()


def test_a_plain_capture_takes_the_bulk_way(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    real = CsvWriter.lines

    def counted(self: CsvWriter, values: list[bytes]) -> bytes | None:
        lines = real(self, values)
        taken.append(len(values) if lines is not None else 0)
        return lines

    monkeypatch.setattr(CsvWriter, "lines", counted)
    for n in range(50):
        publish(broker, b'{"t":%d}' % n)
    consume(broker, tmp_path / "a.csv", value_format="json")
    assert sum(taken) == 49


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_text_and_bytes_are_one_column(broker: MemoryBroker, tmp_path: Path, form: str) -> None:
    values = [b"plain", 'ÄÖ, "quoted"\nline 2'.encode(), b"", b'{"a":1}', bytes(range(32, 127)), b"\x00tab\t"]
    for value in values:
        publish(broker, value)
    publish(broker, b"\xff\xfe")
    read = rows if form == "csv" else objects
    told = reasons(broker, tmp_path / f"text.{form}", value_format="text")
    assert told == ["byte 0 is not UTF-8"]
    assert [row["value"] for row in read(tmp_path / f"text.{form}")] == [value.decode() for value in values]
    consume(broker, tmp_path / f"bytes.{form}", value_format="bytes", raw=True)
    stored = [base64.b64decode(row["value"], validate=True) for row in read(tmp_path / f"bytes.{form}")]
    assert stored == [*values, b"\xff\xfe"]


def flat(text: str) -> dict[str, object]:
    return dict(flattened(json_serde.decode(text.encode())))


def test_nested_objects_become_columns() -> None:
    assert flat('{"a":{"b":1,"c":{"d":"x"}},"e":null}') == {"a.b": Number("1"), "a.c.d": "x", "e": None}
    assert list(flat('{"z":{"y":1},"a":2,"z2":{"x":{"w":3},"v":4}}')) == ["z.y", "a", "z2.x.w", "z2.v"]
    # Arrays stay whole, whatever is in them; so does an object without members.
    assert flat('{"a":[{"b":1}, 2],"c":{},"d":{"e":[ ]}}') == {
        "a": Json('[{"b":1}, 2]'),
        "c": Json("{}"),
        "d.e": Json("[ ]"),
    }
    assert flat('{"a": { "b" : 1.50 , "ü": {"\\u00e4":true}}}') == {"a.b": Number("1.50"), "a.ü.ä": True}


@pytest.mark.parametrize("text", ['{"a.b":1,"a":{"b":2}}', '{"a":{"b":2},"a.b":1}', '{"a":{"b.c":1,"b":{"c":1}}}'])
def test_two_values_of_one_name_are_no_row(text: str) -> None:
    with pytest.raises(DecodeError, match="two of its values get the column"):
        flat(text)


def test_depth_is_bounded() -> None:
    def deep(levels: int) -> str:
        return '{"a":' * (levels + 1) + "1" + "}" * (levels + 1)

    assert list(flat(deep(MAX_DEPTH - 1))) == [".".join("a" * MAX_DEPTH)]
    for levels in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(DecodeError, match="too deep"):
            flat(deep(levels))


def test_nested_records_flattened_in_a_capture(broker: MemoryBroker, tmp_path: Path) -> None:
    publish(broker, b'{"id":1,"pos":{"lat":1.0,"lon":2}}')
    publish(broker, b'{"id":2,"pos":null}')
    publish(broker, b'{"id":3,"pos.lat":1,"pos":{"lat":2}}')
    told = reasons(broker, tmp_path / "a.csv", flatten=True)
    assert told == ["two of its values get the column 'pos.lat' when it is flattened"]
    assert rows(tmp_path / "a.csv") == [
        {"id": "1", "pos.lat": "1.0", "pos.lon": "2", "pos": ""},
        {"id": "2", "pos.lat": "", "pos.lon": "", "pos": ""},
    ]
    consume(broker, tmp_path / "a.jsonl", flatten=True)
    assert objects(tmp_path / "a.jsonl")[0] == {"id": 1, "pos.lat": 1.0, "pos.lon": 2}
