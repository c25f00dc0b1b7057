"""A value keeps its letters on the whole way: cell, JSON, value, captured cell, cell."""

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sensorstream.errors import DecodeError
from sensorstream.records import Json, Number
from sensorstream.serde.csv_cells import source_cell, to_cell
from sensorstream.serde.json import RowEncoder, decode, encode, is_number

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates and control characters too
numberish = st.from_regex(r"[+\-]?[0-9]{0,22}(\.[0-9]{0,22})?([eE][+\-]?[0-9]{0,4})?", fullmatch=True)
formulaish = st.from_regex(r"'{0,3}[=+\-@\t\r']{0,2}[a-z0-9.]{0,5}", fullmatch=True)
cells = st.one_of(any_text, numberish, formulaish, st.sampled_from(["", "0012", "NaN", "-0", "1e400", " 5", "'=1"]))
columns = st.lists(any_text, min_size=1, max_size=8, unique=True)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    names = draw(columns)
    return names, draw(st.lists(cells, min_size=len(names), max_size=len(names)))


@given(rows())
def test_the_standard_library_reads_what_was_encoded(row: tuple[list[str], list[str]]) -> None:
    names, values = row
    sent = RowEncoder(names).encode(values)
    assert b"\n" not in sent and b"\r" not in sent

    def no_constant(name: str) -> None:
        raise AssertionError(name)

    seen = json.loads(sent, parse_constant=no_constant)
    assert list(seen) == names
    for cell, value in zip(values, seen.values(), strict=True):
        if cell == "":
            assert value is None
        elif isinstance(value, str):
            assert value == cell
        else:
            assert math.isfinite(value)
            assert value == float(cell) if isinstance(value, float) else str(value) == cell.replace("-0", "0")


@given(rows(), st.booleans())
def test_every_cell_comes_back_in_its_own_letters(row: tuple[list[str], list[str]], raw: bool) -> None:
    names, values = row
    got = decode(RowEncoder(names).encode(values))
    assert list(got) == names
    assert [source_cell(to_cell(value, raw), raw) for value in got.values()] == values
    assert all(isinstance(value, Number) == is_number(cell) for cell, value in zip(values, got.values(), strict=True))


values = st.one_of(
    *(any_text, st.booleans(), st.none(), st.from_regex(r"-?[1-9][0-9]{0,22}", fullmatch=True).map(Number)),
    st.sampled_from(["[1, {}]", "{}"]).map(Json),
)


@given(st.dictionaries(st.one_of(any_text, st.sampled_from(["%", "%s", "100%%"])), values, max_size=8))
def test_a_row_of_values_comes_back_in_its_own_letters(row: dict[str, str | bool | None]) -> None:
    sent = encode(row)
    assert b"\n" not in sent and b"\r" not in sent
    for value in (sent, b" \t\r\n" + sent + b"\n "):
        seen = decode(value)
        assert list(seen.items()) == list(row.items())
        assert [type(one) for one in seen.values()] == [type(one) for one in row.values()]


@given(
    st.sampled_from([b"", b"x", b"{", b"}", b"{}", b"1", b"nul", b",", b"\xc3"]),
    st.sampled_from([b"{}", b'{"a":1}', b""]),
)
def test_what_stands_beside_an_object_is_no_json(before: bytes, after: bytes) -> None:
    if before + after in (b"{}", b'{"a":1}'):
        return
    with pytest.raises(DecodeError):
        decode(before + after)


@given(cells)
def test_no_text_cell_begins_like_a_formula(cell: str) -> None:
    (value,) = decode(RowEncoder(["x"]).encode([cell])).values()
    if not isinstance(value, Number):
        assert not to_cell(value).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(numberish)
def test_a_number_is_kept_by_readers_that_hold_doubles(text: str) -> None:
    if is_number(text) and not text.lstrip("-").isdigit():
        again = repr(float(text))
        assert is_number(again) or "e" in again
        assert float(again) == float(text)
        assert (float(text) == 0) == (text.lower().partition("e")[0].strip("-0.") == "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(any_text, json_values, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_any_object_is_decoded_as_the_standard_library_does(
    thing: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(thing, indent=indent, ensure_ascii=ascii_only)
    value = text.encode("utf-8", "replace")  # without escapes a lone surrogate can't be sent at all
    got = decode(value)
    expected = json.loads(value)
    assert list(got) == list(expected)
    for mine, theirs in zip(got.values(), expected.values(), strict=True):
        if isinstance(mine, Json | Number):
            assert json.loads(mine) == theirs
            assert mine in text.encode("utf-8", "replace").decode()
        else:
            assert mine == theirs


@settings(max_examples=400)
@example(b"")
@example(b"\xff")
@example(b"null")
@example(b'{"a":NaN}')
@example(b'{"a":[{"b":-Infinity}]}')
@example(b'{"a":1}{"a":2}')
@example(b'{"a":' + b"9" * 10_000 + b"}")
@example(b'{"a":' + b"[" * 100_000)
@example(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
@example(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
@given(
    st.binary()
    | st.text('{}[]",:\\u 0123456789eE+-.antrufls\x00').map(str.encode)
    | st.dictionaries(any_text, json_values, max_size=3).map(lambda it: json.dumps(it).encode()[:-1])
)
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    try:
        decode(value)
    except DecodeError as error:
        assert error.message
        assert error.message.isprintable()


@pytest.mark.parametrize("deep", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000])
def test_nesting_without_end_is_an_error_that_says_so(deep: bytes) -> None:
    with pytest.raises(DecodeError, match="nested too deep"):
        decode(b'{"x":' + deep + b"}")
