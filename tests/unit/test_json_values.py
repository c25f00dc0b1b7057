"""Which cells are numbers, and what other JSON becomes: the examples that docs/values.md names."""

import pytest

from sensorstream.errors import DecodeError
from sensorstream.records import Json, Number
from sensorstream.serde.csv_cells import source_cell, to_cell
from sensorstream.serde.json import RowEncoder, decode, is_number, one_line


@pytest.mark.parametrize(
    "cell",
    [
        "0", "-0", "1", "-3.2", "1.50", "0.000", "-0.0", "1e5", "1E+5", "2.5e-3", "9223372036854775807",
        "-9223372036854775808", "1.7976931348623157e308", "5e-324", "0.30000000000000004", "12345678901234.5",
    ],
)  # fmt: skip
def test_these_are_numbers_in_their_own_letters(cell: str) -> None:
    assert is_number(cell)
    assert RowEncoder(["x"]).encode([cell]) == f'{{"x":{cell}}}'.encode()
    assert decode(f'{{"x":{cell}}}'.encode()) == {"x": Number(cell)}


@pytest.mark.parametrize(
    "cell",
    [
        "0012", "+5", " 5", "5 ", "5\n", "1.", ".5", "-", "1e", "0x10", "1_000", "1,5", "NaN", "nan", "inf",
        "-Infinity", "true", "null", "1e400", "-1e400", "1e-400", "9223372036854775808", "12345678901234567890",
        "0.123456789012345678", "123456789012345.678", "0.12345678901234567", "1.2345e-320", "٣", "5" * 5000,
    ],
)  # fmt: skip
def test_these_are_text(cell: str) -> None:
    assert not is_number(cell)
    value = decode(RowEncoder(["x"]).encode([cell]))["x"]
    assert value == cell
    assert type(value) is str


def test_a_row_is_one_compact_line_in_column_order() -> None:
    encoder = RowEncoder(["b", "a%s", "é", '"'])
    assert encoder.encode(["1.50", "", "ü\n", "\x00\x1f\\"]) == (
        '{"b":1.50,"a%s":null,"é":"ü\\n","\\"":"\\u0000\\u001f\\\\"}'.encode()
    )
    assert encoder.columns == ("b", "a%s", "é", '"')


def test_a_lone_surrogate_is_still_valid_json() -> None:
    sent = RowEncoder(["x", "\udc80"]).encode(["ü\ud800", "1"])
    assert sent == b'{"x":"\\u00fc\\ud800","\\udc80":1}'
    assert decode(sent) == {"x": "ü\ud800", "\udc80": "1"}


def test_columns_must_differ() -> None:
    with pytest.raises(ValueError, match="repeat"):
        RowEncoder(["a", "a"])


def test_the_cache_forgets_and_nobody_notices() -> None:
    encoder = RowEncoder(["x"])
    for number in range(70_000):
        assert encoder.encode([str(number)]) == b'{"x":%d}' % number
    assert encoder.encode(["7" * 10_000]) == b'{"x":"%s"}' % (b"7" * 10_000)


def test_foreign_json_is_kept_verbatim() -> None:
    row = decode(b' { "n" : -1.50E+3 , "list":[1, {"a" : [ ]}],"o":{ } ,"t":true,"f":false,"z":null,"s":"a[b{"} ')
    assert row == {
        "n": "-1.50E+3", "list": '[1, {"a" : [ ]}]', "o": "{ }", "t": True, "f": False, "z": None, "s": "a[b{",
    }  # fmt: skip
    assert [type(value) for value in row.values()] == [Number, Json, Json, bool, bool, type(None), str]
    assert decode(b'{"a":1,"a":[2],"a":3.0}') == {"a": "3.0"}
    assert decode(b'{"n":123456789012345678901234567890,"e":1e400}') == {
        "n": "123456789012345678901234567890", "e": "1e400",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "the value is empty"),
        (b"\xff{}", "byte 0 is not UTF-8"),
        (b'{"a":"\xc3"}', "byte 6 is not UTF-8"),
        (b"[1]", "it is an array, not a JSON object"),
        (b'"x"', "it is a text, not a JSON object"),
        (b"12", "it is a number, not a JSON object"),
        (b"null", "it is null, not a JSON object"),
        (b"true", "it is a truth value, not a JSON object"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":[-Infinity]}', "-Infinity is not JSON"),
        (b'{"a":1}{}', "it is not JSON: Extra data at character 7"),
        (b'{"a":01}', "it is not JSON: Expecting ',' delimiter at character 6"),
        (b"{'a':1}", "it is not JSON: Expecting property name enclosed in double quotes at character 1"),
        (b'{"a":"\n"}', "it is not JSON: Invalid control character at character 6"),
        (b"\xef\xbb\xbf{}", "it is not JSON: Expecting value at character 0"),
    ],
)
def test_what_is_not_one_object_says_why(value: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as error:
        decode(value)
    assert error.value.message == reason


def test_any_json_fits_on_one_line() -> None:
    assert one_line(b'\n{ "a": 1,\r\n"b":[ ]}\n') == b'{ "a": 1,  "b":[ ]}'
    assert one_line(b"null") == b"null"
    for wrong in (b"", b"\xff", b"{", b"[" * 100_000, b"NaN"):
        with pytest.raises(DecodeError):
            one_line(wrong)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"), ("+5", "'+5"), ("-x", "'-x"), ("@a", "'@a"), ("\tx", "'\tx"), ("\rx", "'\rx"),
        ("'=1", "''=1"), ("''-", "'''-"), ("'a", "'a"), ("'", "'"), ("x=1", "x=1"), ("", ""),
    ],
)  # fmt: skip
def test_formulas_are_escaped_and_come_back(text: str, cell: str) -> None:
    assert to_cell(text) == cell
    assert source_cell(cell) == text
    assert to_cell(text, raw=True) == text == source_cell(text, raw=True)


def test_other_values_as_cells() -> None:
    values = [None, True, False, Number("-3.2"), Json('{"a": 1}')]
    assert [to_cell(value) for value in values] == ["", "true", "false", "-3.2", '{"a": 1}']
