"""Station 9: decoded values as numbers, booleans and text, for typed storage, and back as cells.

A number becomes an integer of 64 bits or a double where that keeps its value
(:func:`sensorstream.serde.json.is_number`) and stays text where none does. What is nested stays its JSON text.
"""

from typing import Final, TypeAlias

from sensorstream.records import Number, Value
from sensorstream.serde.json import is_number

Typed: TypeAlias = int | float | bool | str | None
"""A value with its type. Text has no half surrogate pair: it could not be written as UTF-8."""

_CACHED: Final = 1 << 15
_CACHED_LENGTH: Final = 128
_EXACT: Final = 2.0**53


class _Numbers(dict[str, int | float | str]):
    """Number literals to their values, remembered: sensor readings repeat themselves."""

    def __missing__(self, letters: str) -> int | float | str:
        made = _number(letters)
        if len(letters) <= _CACHED_LENGTH:
            if len(self) >= _CACHED:
                self.clear()
            self[letters] = made
        return made


def _number(letters: str) -> int | float | str:
    if not is_number(letters):
        return str(letters)
    return float(letters) if any(letter in letters for letter in ".eE") else int(letters)


_number_of: Final = _Numbers().__getitem__


def typed(value: Value) -> Typed:
    """A decoded value with its type."""
    if type(value) is Number:
        return _number_of(value)
    if value is None or value is True or value is False:
        return value
    return clean(str(value))


def clean(text: str) -> str:
    """The text itself; half of a surrogate pair, which UTF-8 can't say, as its escape."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def plain_cell(value: Typed) -> str:
    """A typed value as a cell, one text for each value: ``1.50`` and ``1.5`` are the same number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) <= _EXACT else repr(value)
    return str(value)


def plain_source_cell(cell: str) -> str:
    """A source's cell as :func:`plain_cell` gives it back after the way through JSON."""
    return plain_cell(_number_of(cell)) if is_number(cell) else cell
