"""The content of a file's columns: types, smallest and largest numbers, codes for missing values, units.

Everything is counted in one pass, in bounded memory.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sensorstream.serde.json import is_number

WORDS: Final = frozenset({"NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "-", "--", "?", "missing"})
"""Texts that stand for nothing in a column of numbers."""
SENTINELS: Final = frozenset(
    {"-999", "-999.0", "-999.9", "-9999", "-9999.0", "-99", "-99.0", "-99.9", "-99.99", "-200", "-200.0", "-999.99"}
)
"""Numbers that stand for nothing in a column whose other numbers are far from them."""
_FAR: Final = -50.0
_TRUTHS: Final = frozenset({"true", "false", "True", "False", "TRUE", "FALSE", "yes", "no"})
_KEPT: Final = 1000
_UNIT: Final = re.compile(r".*?[\s_]*[\[(]([^\])]{1,12})[\])]\s*")


@dataclass(frozen=True, slots=True)
class ColumnFound:
    """One column. ``type`` is number, text, bool, time or empty; ``unit`` None: none is told. ``missing`` are cells
    that most likely stand for nothing, ``empty`` counts empty ones. ``smallest`` and ``largest`` are of its numbers,
    ``different`` counts its texts (None: more than were counted)."""

    name: str
    type: str
    unit: str | None
    missing: tuple[str, ...]
    empty: int
    smallest: float | None
    largest: float | None
    different: int | None


class ColumnCounter:
    """Counts the cells of one column."""

    def __init__(self, name: str, unit: str | None) -> None:
        self.name = name
        self._unit = unit or _unit_of(name)
        self._cells = self._empty = self._numbers = self._truths = 0
        self._marks: Counter[str] = Counter()
        self._smallest: float | None = None
        self._largest: float | None = None
        self.values: Counter[str] | None = Counter()

    def add(self, cell: str) -> None:
        """Count a cell."""
        self._cells += 1
        text = cell.strip()
        if not text:
            self._empty += 1
            return
        if text in WORDS or text in SENTINELS:
            self._marks[text] += 1
            if text in WORDS:
                return
        if is_number(text):
            self._numbers += 1
            if text not in SENTINELS:
                value = float(text)
                self._smallest = value if self._smallest is None else min(self._smallest, value)
                self._largest = value if self._largest is None else max(self._largest, value)
        elif text in _TRUTHS:
            self._truths += 1
        if self.values is not None:
            self.values[text] += 1
            if len(self.values) > _KEPT:
                self.values = None

    def found(self, *, is_time: bool) -> ColumnFound:
        """What the column is."""
        words = sum(count for mark, count in self._marks.items() if mark in WORDS)
        filled = self._cells - self._empty - words
        if is_time:
            kind = "time"
        elif not filled:
            kind = "empty"
        elif self._numbers == filled:
            kind = "number"
        elif self._truths == filled:
            kind = "bool"
        else:
            kind = "text"
        far = kind == "number" and self._smallest is not None and self._smallest > _FAR
        missing = tuple(
            mark for mark in sorted(self._marks) if kind == "number" and (mark in WORDS or (mark in SENTINELS and far))
        )
        return ColumnFound(
            self.name,
            kind,
            self._unit,
            missing,
            self._empty,
            self._smallest if kind == "number" else None,
            self._largest if kind == "number" else None,
            None if self.values is None else len(self.values),
        )


def _unit_of(name: str) -> str | None:
    """The unit in a name such as ``Temp (°C)``."""
    match = _UNIT.fullmatch(name)
    return match[1].strip() if match else None


def station_column(columns: Sequence[ColumnCounter], found: Sequence[ColumnFound]) -> int | None:
    """Which column tells the stations apart: one whose name says so, with few values that come again."""
    for at, (counter, column) in enumerate(zip(columns, found, strict=True)):
        named = re.search(r"station|site|sensor|device|logger|node", counter.name, re.IGNORECASE)
        if named and column.type in ("text", "number") and counter.values and len(counter.values) <= _KEPT // 10:
            return at
    return None
