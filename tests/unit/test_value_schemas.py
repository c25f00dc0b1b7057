"""Schemas of values: what is found in a source, what is refused as one, and the rules that hold them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from avro_cases import COLUMNS, GIVEN, PREFIX, found
from sensorstream.errors import DecodeError, SourceError, UsageError
from sensorstream.serde.avro_encode import AvroEncoder
from sensorstream.serde.avro_schema import avro_names, compact, crc_64_avro, fingerprint, parse, read_json_file
from sensorstream.serde.value_rules import ValueRule, rule_of


def kind_of(*cells: str, time_format: str | None = None) -> Any:
    """The type that is found for a column of these cells."""
    formats = {} if time_format is None else {"x": time_format}
    return found(["x"], [[cell] for cell in cells], formats)["fields"][0]["type"][1]


CELL = {"type": "string", "text": "cell"}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 18}


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-7", "9223372036854775807", ""], "long"),
        (["23.10", "-0.05"], {**DECIMAL, "scale": 2}),
        (["1.0", "-0.0"], "double"),
        (["0.1234567890123456789", "1.1234567890123456789"], {**DECIMAL, "precision": 38, "scale": 19}),
        (["23", "23.5"], {"type": "double", "text": "plain"}),
        (["23.0", "23.55"], "double"),
        (["1e-05", "1.5"], "double"),
        (["23.10", "23.5"], CELL),
        (["9223372036854775808"], CELL),
        (["0012", "7"], CELL),
        (["NaN", "x"], CELL),
        (["true", "false"], "boolean"),
        (["True"], CELL),
        (["2024-02-29"], {"type": "int", "logicalType": "date", "text": "%Y-%m-%d"}),
        (["2024-02-30"], CELL),
        (
            ["2024-02-29T01:02:03Z"],
            {"type": "long", "logicalType": "timestamp-millis", "text": "%Y-%m-%dT%H:%M:%SZ"},
        ),
        (
            ["2024-02-29 01:02:03.123456"],
            {"type": "long", "logicalType": "local-timestamp-micros", "text": "%Y-%m-%d %H:%M:%S.%f"},
        ),
        (["31/08/2023 23:57:00"], CELL),
        (["", ""], CELL),
    ],
    ids=str,
)
def test_a_column_has_the_first_type_that_keeps_its_letters(cells: list[str], kind: Any) -> None:
    assert kind_of(*cells) == kind


def test_the_time_column_is_a_time_in_its_own_format() -> None:
    told = "%d/%m/%Y %H:%M:%S"
    assert kind_of("31/08/2023 23:57:00", time_format=told) == {
        "type": "long",
        "logicalType": "local-timestamp-millis",
        "text": told,
    }
    # One digit for the day would not come back as one.
    assert kind_of("1/08/2023 23:57:00", time_format=told) == CELL


def test_every_field_may_be_null_and_carries_the_name_of_its_column() -> None:
    schema = found(["PM2.5", "PM2_5", "2nd", "°C", "a b"], [["1", "2", "3", "4", "5"]])
    names = {field["name"]: field.get("column") for field in schema["fields"]}
    assert names == {"PM2_5_2": "PM2.5", "PM2_5": None, "_2nd": "2nd", "_C": "°C", "a_b": "a b"}
    assert all(field["type"][0] == "null" and field["default"] is None for field in schema["fields"])
    assert len(set(avro_names(["", "-", "--", "__"]))) == 4
    parse(schema, "it")


# Fingerprints: CRC-64-AVRO of Apache Avro's own tests (share/test/data/schema-tests.txt).
VECTORS = [
    ('"null"', '"null"', 7195948357588979594),
    ('"boolean"', '"boolean"', -6970731678124411036),
    ('"int"', '"int"', 8247732601305521295),
    ('{"type":"int"}', '"int"', 8247732601305521295),
    ('"long"', '"long"', -3434872931120570953),
    ('"float"', '"float"', 5583340709985441680),
    ('"double"', '"double"', -8181574048448539266),
    ('"bytes"', '"bytes"', 5746618253357095269),
    ('"string"', '"string"', -8142146995180207161),
    (
        '{"fields":[], "type":"record", "name":"foo"}',
        '{"name":"foo","type":"record","fields":[]}',
        -4824392279771201922,
    ),
    (
        '{"type":"record", "name":"foo", "fields":[{"name":"f1", "type":"boolean"}]}',
        '{"name":"foo","type":"record","fields":[{"name":"f1","type":"boolean"}]}',
        7843277075252814651,
    ),
]


@pytest.mark.parametrize(("schema", "canonical", "expected"), VECTORS, ids=[vector[0] for vector in VECTORS])
def test_fingerprints_are_those_of_the_specification(schema: str, canonical: str, expected: int) -> None:
    unsigned = expected % 2**64
    assert crc_64_avro(canonical.encode()) == unsigned
    assert fingerprint(json.loads(schema)) == unsigned.to_bytes(8, "little")


def test_a_schema_that_is_not_for_these_columns_is_refused() -> None:
    with pytest.raises(UsageError, match="no field for the column 'zz'"):
        AvroEncoder(GIVEN, PREFIX, (*COLUMNS, "zz"), whole=False)
    with pytest.raises(UsageError, match="needs a column 'f'"):
        AvroEncoder(GIVEN, PREFIX, COLUMNS[:-1], whole=False)
    with pytest.raises(SourceError, match="'a-b', which is no name in Avro"):
        AvroEncoder(
            {"type": "record", "name": "A", "fields": [{"name": "a-b", "type": "int"}]}, PREFIX, ["a"], whole=False
        )
    # What has a default may be missing.
    AvroEncoder(GIVEN, PREFIX, ("n", "d", "t", "l", "f"), whole=False)


@pytest.mark.parametrize(
    "schema",
    [
        [],
        "x",
        {"type": "record"},
        {"type": "record", "name": "A", "fields": [{"name": "a", "type": "nonsense"}]},
        {"type": "enum", "name": "A", "symbols": ["a"]},
        {"type": "record", "name": "A", "fields": [{"name": "a"}]},
    ],
    ids=str,
)
def test_what_is_no_schema_is_told_by_name(schema: Any) -> None:
    with pytest.raises(SourceError) as caught:
        parse(schema, "--schema x.avsc")
    assert caught.value.message.startswith("--schema x.avsc is no")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1, column 1 is not JSON"),
        (b'{\n "a": }', "line 2, column 7 is not JSON"),
        (b"\xff\xfe", "is not UTF-8: byte 0"),
        (b"[" * 200_000, "is nested too deep"),
    ],
    ids=["empty", "broken", "binary", "deep"],
)
def test_a_file_that_is_no_json_is_told_with_its_place(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "s.avsc"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=told) as caught:
        read_json_file(path)
    assert str(path) in caught.value.message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_json_file(tmp_path / "none")
    with pytest.raises(SourceError, match="Is a directory"):
        read_json_file(tmp_path)


class Plain:
    def encode(self, cells: Sequence[str]) -> bytes:
        return cells[-1].encode()


def test_a_rule_survives_a_dead_letter() -> None:
    schema = found(["x"], [["23.10"]])
    rule = ValueRule("avro", compact(schema), "it", PREFIX, {"t": "%d/%m/%Y"})
    again = rule_of(json.loads(json.dumps(rule.how)))
    assert again is not None
    assert again.encoder(["x"], Plain(), whole=False).encode(["1.50"]) == rule.encoder(
        ["x"], Plain(), whole=False
    ).encode(["1.50"])
    assert rule_of({"format": "csv"}) is None
    for wrong in ({"value_format": "avro"}, {"value_format": "x", "schema": {}}, {"value_format": "avro", "schema": 1}):
        with pytest.raises(DecodeError, match="value_format in its how"):
            rule_of(wrong)


def test_rows_are_checked_against_a_json_schema() -> None:
    schema = {"type": "object", "properties": {"v": {"type": "number", "maximum": 20}}, "required": ["v"]}
    encoder = ValueRule("json", compact(schema), "--schema s.json").encoder(["x"], Plain(), whole=True)
    assert encoder.encode(['{"v":19.50}']) == b'{"v":19.50}'
    with pytest.raises(DecodeError, match="it does not match the schema, v: 21 is greater than the maximum of 20"):
        encoder.encode(['{"v":21}'])
    with pytest.raises(DecodeError, match="'v' is a required property"):
        encoder.encode(["{}"])


def test_what_is_no_json_schema_is_told() -> None:
    wrong: Any
    for wrong in ([], {"type": "nonsense"}, {"properties": {"v": {"maximum": "x"}}}):
        with pytest.raises(SourceError, match=r"--schema s\.json is no JSON Schema"):
            ValueRule("json", compact(wrong), "--schema s.json").encoder(["x"], Plain(), whole=True)
    # Nothing is fetched from anywhere.
    elsewhere = {"$ref": "http://127.0.0.1:1/schema.json"}
    encoder = ValueRule("json", compact(elsewhere), "it").encoder(["x"], Plain(), whole=True)
    with pytest.raises(DecodeError, match="refers to something outside it"):
        encoder.encode(["{}"])
