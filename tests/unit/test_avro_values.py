"""Rows in Avro: what is found in a source, and that every cell comes back in its own letters."""

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorstream.errors import DecodeError, SourceError, UsageError
from sensorstream.pipelines.replay.value_options import encoder_of
from sensorstream.records import Number, Row
from sensorstream.serde.avro_decode import AvroDecoder
from sensorstream.serde.avro_encode import AvroEncoder
from sensorstream.serde.avro_infer import SchemaFinder
from sensorstream.serde.avro_schema import (
    CONFLUENT,
    SINGLE_OBJECT,
    avro_names,
    compact,
    crc_64_avro,
    fingerprint,
    parse,
    read_json_file,
)
from sensorstream.serde.csv_cells import source_cell, to_cell
from sensorstream.serde.json import decode
from sensorstream.serde.value_rules import ValueRule, rule_of
from sensorstream.sources.formats import SourceForm

PREFIX = CONFLUENT + (7).to_bytes(4, "big")


def found(columns: Sequence[str], rows: Sequence[Sequence[str]], formats: dict[str, str] | None = None) -> Any:
    finder = SchemaFinder(columns, formats)
    for row in rows:
        finder.add_cells(row)
    return finder.schema("AIR")


def kind_of(*cells: str, time_format: str | None = None) -> Any:
    """The type that is found for a column of these cells."""
    formats = {} if time_format is None else {"x": time_format}
    return found(["x"], [[cell] for cell in cells], formats)["fields"][0]["type"][1]


def there_and_back(columns: Sequence[str], rows: Sequence[Sequence[str]], schema: Any = None) -> list[Row]:
    schema = schema or found(columns, rows)
    encoder = AvroEncoder(schema, PREFIX, columns, whole=False)
    decoder = AvroDecoder(lambda number: compact(schema) if number == PREFIX[1:] else None, None)
    return [decoder.decode(encoder.encode(row)) for row in rows]


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


CELLS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8),
    st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{0,3})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(repr),
    st.datetimes().map(str),
    st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    st.dates().map(str),
    st.sampled_from(["", "true", "false", "=1+1", "'x", "-5.10", "NaN", "null", "-0", "-0.00"]),
)


@settings(max_examples=50)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=6))
def test_any_cells_come_back_as_they_were(rows: list[tuple[str, str, str]]) -> None:
    for row, back in zip(rows, there_and_back(["a", "b", "c d"], rows), strict=True):
        assert list(back) == ["a", "b", "c d"]
        assert [source_cell(to_cell(value)) for value in back.values()] == list(row)


@settings(max_examples=50)
@given(st.lists(st.one_of(*[st.lists(one, min_size=1, max_size=5) for one in CELLS.branches]), min_size=1, max_size=4))
def test_columns_of_one_kind_come_back_as_they_were(columns: list[list[str]]) -> None:
    for cells in columns:
        back = there_and_back(["x"], [[cell] for cell in cells])
        assert [source_cell(to_cell(row["x"])) for row in back] == cells


def test_numbers_come_back_as_numbers_and_texts_as_texts() -> None:
    (row,) = there_and_back(["n", "t", "m"], [["-5.10", "x", "7"]])
    assert [type(value) for value in row.values()] == [Number, str, Number]


OBJECTS = st.lists(
    st.dictionaries(
        st.text(min_size=1, max_size=3, alphabet="ab.°"),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=5),
            st.lists(st.integers(), max_size=2),
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=50)
@given(OBJECTS)
def test_any_json_objects_come_back_with_their_types_and_letters(rows: list[dict[str, Any]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    finder = SchemaFinder()
    for line in lines:
        finder.add_values(decode(line.encode()).items())
    schema = finder.schema("POSTS")
    encoder = AvroEncoder(schema, PREFIX, ("whole",), whole=True)
    decoder = AvroDecoder(lambda _: compact(schema), None)
    for line in lines:
        came, back = decode(line.encode()), decoder.decode(encoder.encode([line]))
        assert {name: value for name, value in back.items() if value is not None} == {
            name: value for name, value in came.items() if value is not None
        }
        assert all(type(back[name]) is type(value) for name, value in came.items())


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


def test_a_value_is_read_by_fastavro_alone() -> None:
    schema = found(["T", "v"], [["2024-02-29T01:02:03.500Z", "23.10"]])
    value = AvroEncoder(schema, SINGLE_OBJECT + fingerprint(schema), ["T", "v"], whole=False).encode(
        ["2024-02-29T01:02:03.500Z", "23.10"]
    )
    assert value[:2].hex() == "c301"
    parsed = fastavro.parse_schema(json.loads(compact(schema)))
    row = fastavro.schemaless_reader(io.BytesIO(value[10:]), parsed, None)
    assert isinstance(row, dict)
    assert str(row["v"]) == "23.10"
    assert str(row["T"]) == "2024-02-29 01:02:03.500000+00:00"


GIVEN = {
    "type": "record",
    "name": "Given",
    "fields": [
        {"name": "n", "type": "int"},
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
        {"name": "e", "type": ["null", {"type": "enum", "name": "E", "symbols": ["A", "B"]}], "default": None},
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "l", "type": {"type": "array", "items": "long"}},
        {"name": "f", "type": "float"},
    ],
}
COLUMNS = ("n", "d", "e", "t", "l", "f")


def test_a_schema_of_ones_own_makes_what_it_says() -> None:
    (row,) = there_and_back(COLUMNS, [["5", "1.5", "B", "2024-02-29T01:02:03+01:00", "[1,2]", "23.1"]], GIVEN)
    assert list(row.values()) == ["5", "1.50", "B", "2024-02-29T00:02:03.000Z", "[1,2]", "23.1"]


@pytest.mark.parametrize(
    ("at", "cell", "reason"),
    [
        (0, "5.0", "column 'n': '5.0' is no int"),
        (0, "2147483648", "column 'n': '2147483648' is no int"),
        (0, "", "column 'n': '' is no int"),
        (0, "x" * 100, f"column 'n': '{'x' * 39}…' is no int"),
        (
            1,
            "1.555",
            "'1.555' is no decimal of 2 digits after the decimal point (it has 3 digits after the decimal point)",
        ),
        (
            1,
            "1234.5",
            "column 'd': '1234.5' is no decimal of 2 digits after the decimal point (it has more than 5 digits)",
        ),
        (1, "1e999999999", "is no decimal"),
        (2, "C", "column 'e': 'C' is no enum (the symbols are A, B)"),
        (3, "yesterday", "column 't': 'yesterday' is no timestamp-millis"),
        (4, "[1,", "column 'l': '[1,' is no array"),
        (4, '["x"]', "it does not fit the schema"),
        (5, "1e39", "column 'f': '1e39' is no float"),
    ],
)
def test_a_cell_that_does_not_fit_its_type_is_told(at: int, cell: str, reason: str) -> None:
    cells = ["5", "1.5", "B", "2024-02-29T01:02:03Z", "[1]", "1"]
    cells[at] = cell
    with pytest.raises(DecodeError) as caught:
        AvroEncoder(GIVEN, PREFIX, COLUMNS, whole=False).encode(cells)
    assert reason in caught.value.message
    assert "\n" not in caught.value.message


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


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "the value is empty"),
        (b'{"a":1}', "it begins with 7b 22"),
        (b"\x00\x00", "it begins with 00 00"),
        (b"\x00\x00\x00\x00\x09\x02", "the registry has no schema 9"),
        (SINGLE_OBJECT + b"12345678", "is not known on this cluster"),
        (PREFIX, "cut short"),
        (PREFIX + b"\x02\x08ab", "cut short"),
        (PREFIX + b"\x02\x04\xff\xfe", "not UTF-8"),
        (PREFIX + b"\x00\x00", "1 byte left over"),
        (PREFIX + b"\x09", "cut short"),
        (PREFIX + b"\x02" + b"\xff" * 9 + b"\x01", "it is"),
    ],
    ids=str,
)
def test_a_value_that_is_no_avro_of_the_schema_has_a_reason(value: bytes, reason: str) -> None:
    schema = found(["x"], [["text"]])
    decoder = AvroDecoder(lambda number: compact(schema) if number == PREFIX[1:] else None, lambda _: None)
    with pytest.raises(DecodeError) as caught:
        decoder.decode(value)
    assert reason in caught.value.message
    assert "\n" not in caught.value.message


def test_nothing_but_a_reason_comes_of_damaged_values() -> None:
    """Bytes cut, flipped and appended: a row, or a DecodeError; nothing else, and no endless work."""
    chance = random.Random(11)
    value = AvroEncoder(GIVEN, PREFIX, COLUMNS, whole=False).encode(
        ["5", "1.5", "B", "2024-02-29T01:02:03Z", "[1,2,3]", "1"]
    )
    decoder = AvroDecoder(lambda _: compact(GIVEN), None)
    for _ in range(3000):
        damaged = bytearray(value)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(5, len(damaged))] = chance.randrange(256)
        try:
            decoder.decode(bytes(damaged[: chance.randint(5, len(damaged))]))
        except DecodeError as error:
            assert "\n" not in error.message


def test_without_a_registry_its_values_say_what_is_missing() -> None:
    with pytest.raises(DecodeError, match="--schema-registry"):
        AvroDecoder(None, None).decode(PREFIX + b"\x00")


def test_schemas_are_asked_for_once_and_ahead() -> None:
    schema = found(["x"], [["text"]])
    asked: list[bytes] = []

    def schema_of(number: bytes) -> str:
        asked.append(number)
        return compact(schema)

    decoder = AvroDecoder(schema_of, None)
    value = AvroEncoder(schema, PREFIX, ["x"], whole=False).encode(["a"])
    decoder.prepare([None, value, value, b"{}", b""])
    assert decoder.decode(value) == {"x": "a"}
    assert asked == [PREFIX[1:]]


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


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.jsonl.gz"])
def test_rows_of_any_json_source_are_objects(name: str) -> None:
    schema = found(["v"], [["1.50"]])
    make = encoder_of(ValueRule("avro", compact(schema), "it", PREFIX), SourceForm(), name)
    decoder = AvroDecoder(lambda _: compact(schema), None)
    assert decoder.decode(make(("v", "(the whole object)")).encode(["1.50", '{"v":1.50}'])) == {"v": "1.50"}
