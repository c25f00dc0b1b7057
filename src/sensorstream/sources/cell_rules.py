"""Station 2: the cells of described files: codes for missing values, decimal and thousands separators, column types.

A cell comes out as it is published and captured: a number in the letters of JSON, ``true`` and ``false``, nothing for
what is missing. Without a type a cell stays as it is, but for the marks of a number.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sensorstream.description import Description
from sensorstream.errors import DecodeError, UsageError

TRUTHS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), "true"),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), "false"),
}
"""The cells that are truth values, in lower case."""
_NUMBER: Final = re.compile(r"([+-]?)0*([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,4}))?")
_REMEMBERED: Final = 1 << 14

Change = Callable[[str], str]


class CellRules:
    """The rules for the cells of one source. ``columns`` are its columns; ``name`` is what errors call it.

    Raises UsageError for a column that isn't there.
    """

    def __init__(self, description: Description, columns: Sequence[str], name: str) -> None:
        types = description.column_types
        anywhere, of_column = _missing(description.missing, columns)
        for column, option in (
            *((column, "--type") for column in types),
            *((column, "--missing") for column in of_column),
        ):
            if column not in columns:
                shown = ", ".join(columns[:20])
                raise UsageError(f"{name} has no column {column!r} for {option}", hint=f"it has {shown}")
        self._decimal = description.decimal
        self._columns = tuple(columns)
        self._changes: list[Change | None] = [
            _change(description, types.get(column), frozenset({*anywhere, *of_column.get(column, ())}))
            for column in columns
        ]
        self._changed = [(at, change) for at, change in enumerate(self._changes) if change is not None]

    def __call__(self, cells: list[str]) -> list[str]:
        """The cells as they are published. Raises DecodeError naming the column and what was expected."""
        at = 0
        try:
            for at, change in self._changed:
                cells[at] = change(cells[at])
        except DecodeError as error:
            raise DecodeError(f"column {self._columns[at]}: {error.message}") from error
        return cells

    def back(self, cells: Sequence[str]) -> list[str]:
        """Cells that are read as these ones."""
        mark = self._decimal
        if mark in (None, "."):
            return list(cells)
        return [cell.replace(".", mark or ".") if _NUMBER.fullmatch(cell) else cell for cell in cells]


def is_needed(description: Description) -> bool:
    """Whether a description has rules for cells."""
    it = description
    return bool(it.missing or it.types or it.thousands or it.decimal not in (None, "."))


def cell_form(description: Description) -> dict[str, str | list[str]]:
    """What of a description :func:`of_form` needs, for the dead letters of rows."""
    it = description
    texts = {"decimal": it.decimal, "thousands": it.thousands}
    lists = {"missing": list(it.missing), "type": list(it.types)}
    said: dict[str, str | list[str]] = {key: text for key, text in texts.items() if text is not None}
    return said | {key: list_ for key, list_ in lists.items() if list_}


def of_form(form: Mapping[str, Any], columns: Sequence[str]) -> "tuple[CellRules, Description] | None":
    """The rules of :func:`cell_form`, and what they were made of; None where there are none. Raises DecodeError."""
    texts = {key: form[key] for key in ("decimal", "thousands") if key in form}
    lists = {key: form[key] for key in ("missing", "type") if key in form}
    good = all(isinstance(value, str) for value in texts.values()) and all(
        isinstance(value, list) and all(isinstance(one, str) for one in value) for value in lists.values()
    )
    if not good:
        raise DecodeError("how it was read is not known: the rules for cells in its how are not texts")
    if not texts and not lists:
        return None
    description = Description(**texts, missing=tuple(lists.get("missing", ())), types=tuple(lists.get("type", ())))
    try:
        description.check()
        return CellRules(description, columns, "it"), description
    except UsageError as error:
        raise DecodeError(f"how it was read is not known: {error.message}") from error


def _missing(marks: Sequence[str], columns: Sequence[str]) -> tuple[set[str], dict[str, set[str]]]:
    """The marks of every column, and those of one; VALUE is read as COLUMN=VALUE where it has that form."""
    anywhere: set[str] = set()
    of_column: dict[str, set[str]] = {}
    for text in marks:
        column, equals, value = text.partition("=")
        for name in columns:  # a name may hold the sign itself
            if text.startswith(f"{name}="):
                column, value = name, text[len(name) + 1 :]
        if equals and column:
            of_column.setdefault(column, set()).add(value)
        else:
            anywhere.add(value if equals else text)
    return anywhere, of_column


def _change(description: Description, kind: str | None, missing: frozenset[str]) -> Change | None:
    """What is done to a cell of a column; None: nothing."""
    marks = _marks(description)
    steps = {"number": _to_number, "bool": _to_truth, "time": _to_time}
    made = steps.get(kind or "")
    # Missing marks are compared without the blanks around them, and numbers by their value: -999 is -999.0.
    numbers = {value for value in map(_value, missing) if value is not None}

    def change(cell: str) -> str:
        text = cell.strip()
        if missing and (text in missing or (numbers and _value(marks(text)) in numbers)):
            return ""
        if kind == "text":
            return cell
        if made is not None:
            return made(marks(text)) if text else ""
        changed = marks(text)
        return cell if changed == text else changed

    if kind is None and not missing and not _has_marks(description):
        return None
    return lru_cache(maxsize=_REMEMBERED)(change)


def _has_marks(description: Description) -> bool:
    return description.decimal not in (None, ".") or description.thousands is not None


def _marks(description: Description) -> Change:
    """A number with the marks of the description as one with a point; anything else as it is."""
    if not _has_marks(description):
        return lambda text: text
    point, thousands = re.escape(description.decimal or "."), description.thousands
    whole = "[0-9]+" if thousands is None else f"(?:[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+)"
    number = re.compile(f"([+-]?{whole})(?:{point}([0-9]+))?([eE][+-]?[0-9]+)?")

    def change(text: str) -> str:
        match = number.fullmatch(text)
        if match is None:
            return text
        digits = match[1].replace(thousands, "") if thousands else match[1]
        return digits + (f".{match[2]}" if match[2] is not None else "") + (match[3] or "")

    return change


def _value(text: str) -> float | None:
    try:
        value = float(text) if _NUMBER.fullmatch(text) else None
    except ValueError:
        return None
    return value


def _to_number(text: str) -> str:
    match = _NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3] or "0" in text.partition("e")[0].partition("E")[0]):
        raise DecodeError(f"{_shown(text)} is not a number")
    sign, whole, fraction, exponent = match.groups()
    return (
        ("-" if sign == "-" else "")
        + (whole or "0")
        + (f".{fraction}" if fraction else "")
        + (f"e{exponent}" if exponent else "")
    )


def _to_truth(text: str) -> str:
    truth = TRUTHS.get(text.lower())
    if truth is None:
        raise DecodeError(f"{_shown(text)} is not a truth value, such as true, no or 1")
    return truth


def _to_time(text: str) -> str:
    if not any(letter.isdigit() for letter in text):
        raise DecodeError(f"{_shown(text)} is not a time")
    return text


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
