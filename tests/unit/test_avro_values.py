"""Rows in Avro: every cell comes back in its own letters, and what can't be a value, or is none, is told."""

import io
import json
import random
from collections.abc import Sequence
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avro_cases import COLUMNS, GIVEN, PREFIX, found
from sensorstream.errors import DecodeError
from sensorstream.pipelines.replay.value_options import encoder_of
from sensorstream.records import Number, Row
from sensorstream.serde.avro_decode import AvroDecoder
from sensorstream.serde.avro_encode import AvroEncoder
from sensorstream.serde.avro_infer import SchemaFinder
from sensorstream.serde.avro_schema import SINGLE_OBJECT, compact, fingerprint
from sensorstream.serde.csv_cells import source_cell, to_cell
from sensorstream.serde.json import decode
from sensorstream.serde.value_rules import ValueRule
from sensorstream.sources.formats import SourceForm


def there_and_back(columns: Sequence[str], rows: Sequence[Sequence[str]], schema: Any = None) -> list[Row]:
    schema = schema or found(columns, rows)
    encoder = AvroEncoder(schema, PREFIX, columns, whole=False)
    decoder = AvroDecoder(lambda number: compact(schema) if number == PREFIX[1:] else None, None)
    return [decoder.decode(encoder.encode(row)) for row in rows]


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


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.jsonl.gz"])
def test_rows_of_any_json_source_are_objects(name: str) -> None:
    schema = found(["v"], [["1.50"]])
    make = encoder_of(ValueRule("avro", compact(schema), "it", PREFIX), SourceForm(), name)
    decoder = AvroDecoder(lambda _: compact(schema), None)
    assert decoder.decode(make(("v", "(the whole object)")).encode(["1.50", '{"v":1.50}'])) == {"v": "1.50"}
