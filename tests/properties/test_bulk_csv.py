"""The bulk way from records to CSV lines gives what the careful way gives, or refuses."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from sensorstream.errors import DecodeError
from sensorstream.serde import bulk_csv
from sensorstream.serde.bulk_csv import CsvWriter
from sensorstream.serde.csv_cells import csv_text, to_cell
from sensorstream.serde.json import RowEncoder, decode
from sensorstream.sources.csv_file import CsvSource

SAMPLES = Path(__file__).parents[2] / "samples"
BEIJING = "beijing_air/PRSA_Data_Changping_20130301-20170228.csv"

name = st.one_of(
    st.sampled_from(["Time", "PM2.5", "a", "", " ", "é", "%s", "a,b", "{", "}", "[", ":", "a\\", '"', "\t", "null"]),
    st.text(max_size=4),
)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,18})?([eE][+\-]?[0-9]{1,3})?", fullmatch=True)
near_numbers = st.from_regex(r"[+\-]?[0-9]{0,22}(\.[0-9]{0,22})?([eE][+\-]?[0-9]{0,4})?", fullmatch=True)
text = st.one_of(
    st.sampled_from(
        ["", "null", "true", "31/08/2023 23:59:00", "=1", "-", "+5", "@a", "'", "'=1", "''-", "'a", "a,b", "a b", "[x]",
         "{", "}", "\x7f", "é", "\u2028", "\ufeff", '"', "\\", "\n", "\r", "\x00", "\x01", "\t", ":", "5", " 5 "]
    ),
    st.text(max_size=5),
)  # fmt: skip
quoted = text.map(lambda it: json.dumps(it, ensure_ascii=False))
plain_text = st.one_of(
    st.sampled_from(["", "null", "31/08/2023 23:59:00", "=1", "-", "'=1", "'a", "[x]", "{}", "}", "é", ":", "5"]),
    st.from_regex(r"[a-z'=+\-@]{0,4}", fullmatch=True),
).map(lambda it: f'"{it}"')
constants = st.sampled_from(["null", "null", "true", "false"])
broken = st.one_of(
    st.sampled_from(
        ["", "nul", "nulll", "truth", "True", "NaN", "Infinity", "-Infinity", "0012", "-", "[1]", "[]", "{}", '{"a":1}',
         '"a', 'a"', '"', '"a""b"', "'a'", " 1", "1 ", "1.", ".5", "+1", '"\\u00e9"', '"\\ud800"', '"\\u0000"', "1,2",
         '1,"a":2', "--1", "1-", "1.2.3", "1e", "00", "-00.5", "-01", "٣"]
    ),
    near_numbers,
    text,
)  # fmt: skip
plain = st.one_of(numbers, plain_text, constants)
hostile = st.one_of(plain, quoted, broken)
inserted = [bytes([it]) for it in b' \n\r\t\0\1,:"{}[]\\-+=.0e\x7f\x80\xff'] + [b"\xef\xbb\xbf"]
sane_name = st.from_regex(r"[A-Za-z0-9_.]{1,12}", fullmatch=True)


@st.composite
def records(
    draw: st.DrawFn, names: st.SearchStrategy[str], token: st.SearchStrategy[str]
) -> tuple[list[str], list[bytes]]:
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    keys = [json.dumps(column, ensure_ascii=False) for column in columns]
    between, after = draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ": ")]))
    values = []
    for _ in range(draw(st.integers(0, 8))):
        tokens = draw(st.lists(token, min_size=len(columns), max_size=len(columns)))
        members = [key + after + value for key, value in zip(keys, tokens, strict=True)]
        values.append("{" + between.join(members) + "}")
    return columns, [value.encode("utf-8", "replace") for value in values]


@st.composite
def tampered(draw: st.DrawFn) -> tuple[list[str], list[bytes]]:
    """Records of which one is not as the others: other keys, order, count, spacing, bytes."""
    columns, values = draw(records(sane_name | name, plain))
    if not values:
        return columns, values
    at = draw(st.integers(0, len(values) - 1))
    value = values[at]
    how = draw(st.sampled_from(["cut", "insert", "turn", "double", "drop", "swap", "bytes"]))
    where = draw(st.integers(0, len(value)))
    if how == "cut":
        value = value[:where] + value[where + draw(st.integers(1, 3)) :]
    elif how == "insert":
        value = value[:where] + draw(st.sampled_from(inserted)) + value[where:]
    elif how == "bytes":
        value = draw(st.one_of(st.binary(max_size=20), st.sampled_from([b"", b"{}", b"[]", b"null", b"1"])))
    else:
        members = value[1:-1].split(b",")
        chosen = draw(st.integers(0, len(members) - 1))
        if how == "turn":
            members.reverse()
        elif how == "double":
            members.insert(chosen, members[chosen])
        elif how == "drop":
            del members[chosen]
        else:
            members[chosen] = draw(st.sampled_from(members))
        value = b"{" + b",".join(members) + b"}"
    values[at] = value
    if draw(st.booleans()):
        # What one record lacks the next may have.
        values = (
            b"\x00".join(values)
            .replace(b"}\x00{", draw(st.sampled_from([b"}\x00{", b",\x00", b"}{\x00"])), 1)
            .split(b"\x00")
        )
    return columns, values


def carefully(columns: Sequence[str], values: Sequence[bytes], raw: bool) -> bytes | None:
    """As the CSV sink does it; None where a record doesn't have exactly the columns."""
    rows = []
    for value in values:
        try:
            row = decode(value)
        except DecodeError:
            return None
        if row.keys() != set(columns):
            return None
        rows.append([to_cell(row[column], raw) for column in columns])
    return csv_text(rows).encode("utf-8", "backslashreplace")


cases = given(
    st.one_of(records(name, plain), records(sane_name, hostile), records(name, hostile), tampered()),
    st.booleans(),
    st.sampled_from([1, 40, 1 << 19]),
)


@cases
@example((["a", "b"], [b'{"a":1,"b":2,"b":3}', b'{"a":1}']), False, 1 << 19)
@example((["a"], [b'{"a":1}', b'{"a":null}']), False, 1 << 19)
@example((["a"], [b'{"a":""}', b'{"a":1}']), False, 1 << 19)
@example((["a", "b"], [b'{"a":1,"b":2},{"a":3', b'"b":4}']), False, 1 << 19)
@example((["a", "b"], [b'{"a":1', b'"b":2},{"a":3,"b":4}']), False, 1 << 19)
@example((["a", "b"], [b'{"a":","b":"x"y"}']), False, 1 << 19)
@settings(max_examples=250)
def test_in_bulk_or_not_the_lines_are_the_same(case: tuple[list[str], list[bytes]], raw: bool, chunk: int) -> None:
    check_the_same(case, raw, chunk)


@pytest.mark.campaign
@cases
@settings(max_examples=5000)
def test_in_bulk_or_not_in_thousands_of_cases(case: tuple[list[str], list[bytes]], raw: bool, chunk: int) -> None:
    check_the_same(case, raw, chunk)


def check_the_same(case: tuple[list[str], list[bytes]], raw: bool, chunk: int) -> None:
    columns, values = case
    whole, bulk_csv.CHUNK_BYTES = bulk_csv.CHUNK_BYTES, chunk  # type: ignore[misc]
    try:
        lines = CsvWriter(columns, raw).lines(values)
    finally:
        bulk_csv.CHUNK_BYTES = whole  # type: ignore[misc]
    event("refused" if lines is None else "done")
    if lines is not None:
        assert lines == carefully(columns, values, raw)


@pytest.mark.parametrize(
    ("columns", "value"),
    [
        (["a"], b'{"a":"b"}'),
        (["a"], b'{"a":10}'),
        (["a", "b", "c"], b'{"a":"b","b":null,"c":1.5}'),
        (["a", "b"], b'{"a":true,"b":false}'),
        (["b", "a"], b'{"b": -2e-7, "a": ""}'),
        (["\xe9"], '{"\xe9":"\xe9"}'.encode()),
    ],
)
def test_any_one_byte_more_or_less(columns: list[str], value: bytes) -> None:
    changes = [value[:at] + value[at + 1 :] for at in range(len(value))] + [value[:at] for at in range(len(value))]
    changes += [value[:at] + it + value[at:] for at in range(len(value) + 1) for it in inserted]
    for raw in (True, False):
        writer = CsvWriter(columns, raw)
        assert writer.lines([value]) == carefully(columns, [value], raw)
        for changed in changes:
            for values in ([changed], [value, changed], [changed, value]):
                lines = writer.lines(values)
                assert lines is None or lines == carefully(columns, values, raw), changed


@given(records(sane_name, plain), st.booleans())
@settings(max_examples=300)
def test_plain_values_are_not_refused(case: tuple[list[str], list[bytes]], raw: bool) -> None:
    columns, values = case
    lines = CsvWriter(columns, raw).lines(values)
    if len(columns) > 1:
        assert lines is not None
    if lines is not None:
        assert lines == carefully(columns, values, raw)


def check_whole(path: Path) -> None:
    with CsvSource(path) as source:
        encode = RowEncoder(source.columns).encode
        writer = CsvWriter(source.columns)
        while batch := source.read(5000):
            values = [encode(row.cells) for row in batch.rows]
            lines = writer.lines(values)
            assert lines is not None
            assert lines == carefully(source.columns, values, False)
            spaced = [json.dumps(json.loads(value), ensure_ascii=False).encode() for value in values]
            assert writer.lines(spaced) == carefully(source.columns, spaced, False)


@pytest.mark.parametrize("sample", ["AIR2308.csv", "EARTH2308.csv", "WATER2308.csv"])
def test_plain_sensor_data_is_done_to_the_last_row(sample: str) -> None:
    check_whole(SAMPLES / sample)


def test_a_recording_is_done_to_the_last_row() -> None:
    folder = os.environ.get("SENSORSTREAM_TEST_DATA")
    if folder is None:
        pytest.skip("SENSORSTREAM_TEST_DATA is not set: the real recordings are not part of the project")
    check_whole(Path(folder) / BEIJING)
