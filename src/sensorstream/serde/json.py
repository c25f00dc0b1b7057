"""Stations 3 and 7: a row of cells to a JSON object and back, each value as written.

A cell is written as a JSON number, verbatim, when it is one by the grammar of RFC 8259 and when a reader
that holds numbers as signed 64-bit integers or as doubles keeps its value. All else is text, an empty cell
is null.
So ``1.50`` is published as ``1.50``, while ``0012``, ``+5``, ``1e400``, ``NaN`` and a 20-digit id stay text.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from json import JSONDecodeError, JSONDecoder
from json.decoder import scanstring  # type: ignore[attr-defined]  # it is there, typeshed leaves it out
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any, Final

from sensorstream.errors import DecodeError
from sensorstream.records import Json, Number, Row, Value

_GRAMMAR: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_INT64: Final = range(-(2**63), 2**63)
_SMALLEST_NORMAL: Final = 2.2250738585072014e-308

# One cache of cell texts serves a source of millions of rows: bounded in entries and in the length of each.
_CACHED_CELLS: Final = 1 << 15
_CACHED_LENGTH: Final = 128
_CACHED_TEMPLATES: Final = 1 << 10
_CACHED_TEMPLATE: Final = 1 << 13


def is_number(cell: str) -> bool:
    """Whether a cell is published as a JSON number.

    It is when its letters are a JSON number and its value is not lost when it is read as a signed 64-bit
    integer (no point, no exponent) or as an IEEE 754 double: finite, not gone to 0, at most 17 significant
    digits, and the same value when the double is written with as many digits as tell it from its neighbours
    (David Gay's shortest form, Python's ``repr``).
    """
    match = _GRAMMAR.fullmatch(cell)
    if match is None:
        return False
    whole, fraction, exponent = match.groups()
    if fraction is None and exponent is None:
        return len(whole) <= 19 and int(cell) in _INT64
    digits = len((whole + (fraction or ".")[1:]).lstrip("0"))
    if digits > 17:
        return False
    value = abs(float(cell))
    if digits == 0:
        return True
    if digits <= 15 and _SMALLEST_NORMAL <= value < float("inf"):
        return True  # DBL_DIG: a double keeps any 15 digits
    return 0 < value < float("inf") and Decimal(repr(value)) == abs(Decimal(cell))


def is_grammatical(cell: str) -> bool:
    """Whether a cell is a JSON number by its letters, whatever a reader makes of its value."""
    return _GRAMMAR.fullmatch(cell) is not None


def quote(text: str) -> str:
    """A text as a JSON string; non-ASCII is kept, a lone surrogate becomes its ``\\ud800`` escape."""
    quoted = encode_basestring(text)
    if not quoted.isascii():
        try:
            quoted.encode()
        except UnicodeEncodeError:
            return encode_basestring_ascii(text)
    return quoted


def fragment(cell: str) -> str:
    """The JSON that stands for one cell: its own letters, a quoted text, or null."""
    if not cell:
        return "null"
    return cell if is_number(cell) else quote(cell)


class _Fragments(dict[str, str]):
    """Cell text to JSON fragment, remembered: sensor readings repeat themselves."""

    def __missing__(self, cell: str) -> str:
        made = fragment(cell)
        if len(cell) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_CELLS:
                self.clear()
            self[cell] = made
        return made


class RowEncoder:
    """Encodes the rows of one source. ``columns`` are the keys, all different, in their order."""

    __slots__ = ("_fragment_of", "_template", "columns")

    def __init__(self, columns: Sequence[str]) -> None:
        if len(set(columns)) != len(columns):
            raise ValueError(f"column names repeat: {list(columns)}")
        self.columns = tuple(columns)
        self._template = "{" + ",".join(quote(name).replace("%", "%%") + ":%s" for name in columns) + "}"
        self._fragment_of = _Fragments().__getitem__

    def encode(self, cells: Sequence[str]) -> bytes:
        """One row, as many cells as columns, to a compact JSON object on one line, in UTF-8."""
        return (self._template % tuple(map(self._fragment_of, cells))).encode()


class _Numbers(dict[str, Number]):
    """Number literals, remembered."""

    def __missing__(self, letters: str) -> Number:
        made = Number(letters)
        if len(letters) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_CELLS:
                self.clear()
            self[letters] = made
        return made


def _no_constant(name: str) -> Any:
    raise DecodeError(f"{name} is not JSON")


_number = _Numbers().__getitem__
_DECODER: Final = JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_no_constant)
_scan: Final = _DECODER.scan_once  # type: ignore[attr-defined]  # typeshed leaves it out


def decode(value: bytes) -> dict[str, Value]:
    """One record's value to its columns, in the record's order; of a repeated key the last one counts.

    Numbers come as :class:`Number` and nested objects and arrays as :class:`Json`, both in the letters in
    which they were sent. Raises DecodeError with a reason of one line on anything that is not one JSON object
    in UTF-8.
    """
    if not value:
        raise DecodeError("the value is empty")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"byte {error.start} is not UTF-8") from error
    try:
        try:
            row, end = _scan(text, 0)
        except StopIteration:  # it begins with a blank, or with nothing of JSON
            end = -1
        if end != len(text):
            row = _DECODER.decode(text)
        if type(row) is not dict:
            raise DecodeError(f"it is {_kind(row)}, not a JSON object")
        if (b"[" in value or value.count(b"{") > 1) and any(type(it) in (dict, list) for it in row.values()):
            return _decode_nested(text)
    except JSONDecodeError as error:
        raise DecodeError(f"it is not JSON: {_plain(error.msg)} at character {error.pos}") from error
    except RecursionError as error:
        raise DecodeError("it is nested too deep") from error
    return row


def _decode_nested(text: str) -> dict[str, Value]:
    """The same for a text already known to be a JSON object in which a bracket occurs: walk its members."""
    row: dict[str, Value] = {}
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        if text[at] == ",":
            at = _skip(text, at + 1)
        key, at = scanstring(text, at + 1, True)
        start = _skip(text, _skip(text, at) + 1)
        member, at = _scan(text, start)
        row[key] = Json(text[start:at]) if type(member) in (dict, list) else member
        at = _skip(text, at)
    return row


def _skip(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _kind(value: object) -> str:
    names: dict[type, str] = {list: "an array", str: "a text", Number: "a number", bool: "a truth value"}
    return names.get(type(value), "null")


def _plain(message: str) -> str:
    """The reason without the character that JSON's reader quotes in it: that may be anything."""
    return message.partition(" at")[0] if message.startswith("Invalid control character") else message


def one_line(value: bytes) -> bytes:
    """Any one JSON value, on one line, otherwise as it came. Raises DecodeError with a reason of one line."""
    try:
        _DECODER.decode(value.decode())
    except UnicodeDecodeError as error:
        raise DecodeError(f"byte {error.start} is not UTF-8") from error
    except JSONDecodeError as error:
        raise DecodeError(f"it is not JSON: {_plain(error.msg)} at character {error.pos}") from error
    except RecursionError as error:
        raise DecodeError("it is nested too deep") from error
    # Within a JSON text a bare line end can only stand between tokens: in a string it would be escaped.
    return value.strip().replace(b"\r", b" ").replace(b"\n", b" ")


def encode(row: Row) -> bytes:
    """A row to a compact JSON object on one line, in UTF-8; numbers and nested values in their own letters.

    Raises TypeError for a value that is none of :data:`~sensorstream.records.Value`.
    """
    text = _TEMPLATES[tuple(row)] % tuple(
        [
            encode_basestring(value)  # type: ignore[arg-type]
            if (kind := type(value)) is str
            else value
            if kind is Number or kind is Json
            else "null"
            if value is None
            else _json_of(value)
            for value in row.values()
        ]
    )
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return (_TEMPLATES[tuple(row)] % tuple(map(_json_of, row.values()))).encode()


class _Templates(dict[tuple[str, ...], str]):
    """Columns to a JSON object with a place for each value, remembered: the rows of a stream have few sets of them."""

    def __missing__(self, names: tuple[str, ...]) -> str:
        made = "{" + ",".join([quote(name).replace("%", "%%") + ":%s" for name in names]) + "}"
        if len(made) <= _CACHED_TEMPLATE:
            if len(self) >= _CACHED_TEMPLATES:
                self.clear()
            self[names] = made
        return made


_TEMPLATES: Final = _Templates()


def _json_of(value: Value) -> str:
    kind = type(value)
    if kind is str:
        return quote(value)  # type: ignore[arg-type]
    if kind is Number or kind is Json:
        return str(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    raise TypeError(f"a value of type {kind.__name__} can't be written as JSON")
