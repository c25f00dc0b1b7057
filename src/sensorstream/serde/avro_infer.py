"""Station 3: the Avro schema of a source, derived from all of its cells.

A column gets the first of these types that brings every cell of it back letter for letter: boolean, long, decimal (as
many digits after the decimal point everywhere), double, date or timestamp, and string, which takes all else. Every
field may be null, and is by default: so the schemas of two files stay compatible where a column comes or goes.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sensorstream.records import Json, Number, Value
from sensorstream.serde import avro_times
from sensorstream.serde.avro_schema import avro_names, record_name
from sensorstream.serde.json import is_number

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\.([0-9]+)")
_INT64: Final = range(-(2**63), 2**63)
_PRECISIONS: Final = (18, 38)
_REMEMBERED: Final = 1 << 14


def is_integer(cell: str) -> bool:
    """Whether a cell is a whole number of 64 bits, as it would be written."""
    return len(cell) <= 20 and _INTEGER.fullmatch(cell) is not None and cell != "-0" and int(cell) in _INT64


def plain(value: float) -> str:
    """A double in the fewest digits that tell it from its neighbours, a whole number without ``.0``."""
    return repr(value).removesuffix(".0")


def _is_plain(cell: str) -> bool:
    return is_number(cell) and plain(float(cell)) == cell


def _is_repr(cell: str) -> bool:
    return is_number(cell) and repr(float(cell)) == cell


class _Column:
    """What the cells of a column have in common so far."""

    def __init__(self, time_format: str | None, *, of_cells: bool) -> None:
        self._of_cells = of_cells
        self._scale: int | None = None
        self._digits = 0
        self._seen: set[object] = set()
        self._kinds: set[str] = set()
        numbers: list[tuple[str, Callable[[str], bool]]] = [
            ("long", is_integer),
            ("decimal", self._is_decimal),
            ("double", _is_repr),
            ("plain", _is_plain),
        ]
        formats = [time_format] if time_format is not None else []
        formats += [known for known in avro_times.ISO_FORMATS if known != time_format]
        self._numbers = numbers
        self._times = [format_ for format_ in formats if avro_times.is_whole(format_)]
        self._bool = True

    def _is_decimal(self, cell: str) -> bool:
        found = _DECIMAL.fullmatch(cell)
        if found is None:
            return False
        scale, digits = len(found[1]), len(cell.lstrip("-0.").replace(".", ""))
        if digits == 0 and cell.startswith("-"):
            return False
        self._digits = max(self._digits, digits, scale)
        self._scale = scale if self._scale is None else self._scale
        return scale == self._scale and self._digits <= _PRECISIONS[-1]

    def add_cell(self, cell: str) -> None:
        """A cell of a file of cells: its letters are all that there is."""
        if not cell or cell in self._seen:
            return
        self._remember(cell)
        self._kinds.add("cell")
        self._bool = self._bool and cell in ("true", "false")
        self._numbers = [known for known in self._numbers if known[1](cell)]
        if self._times:
            self._times = [known for known in self._times if avro_times.survives(cell, known)]

    def add_value(self, value: Value) -> None:
        """A value of a JSON object, which has a type by itself."""
        if value is None or (type(value), value) in self._seen:
            return
        self._remember((type(value), value))
        if isinstance(value, bool):
            self._kinds.add("bool")
        elif isinstance(value, Number):
            self._kinds.add("number")
            self._numbers = [known for known in self._numbers if known[1](value)]
        elif isinstance(value, Json):
            self._kinds.add("json")
        else:
            self._kinds.add("text")
            if self._times:
                self._times = [known for known in self._times if avro_times.survives(value, known)]

    def _remember(self, value: object) -> None:
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen.add(value)

    def type(self) -> Any:
        """The type of the column."""
        if not self._kinds:
            return self._string("cell") if self._of_cells else "string"
        if self._kinds == {"cell"}:
            return (self._truth() if self._bool else None) or self._number() or self._time() or self._string("cell")
        if self._kinds == {"bool"}:
            return self._truth()
        if self._kinds == {"number"}:
            return self._number() or self._string("json")
        if self._kinds == {"text"}:
            return self._time() or "string"
        return self._string("json")

    @staticmethod
    def _truth() -> str:
        return "boolean"

    def _number(self) -> Any:
        for name, _ in self._numbers:
            if name == "decimal":
                precision = next(known for known in _PRECISIONS if known >= self._digits)
                scale = self._scale or 0
                return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
            return {"type": "double", "text": "plain"} if name == "plain" else name
        return None

    def _time(self) -> Any:
        return avro_times.avro_type(self._times[0]) if self._times else None

    @staticmethod
    def _string(text: str) -> Any:
        # Of cells always: the next file may have numbers among its texts.
        return {"type": "string", "text": text}


class SchemaFinder:
    """Looks at the rows of a source, and tells their schema.

    ``time_formats`` are the known formats of time columns, by column. Columns stand in the order in which they came.
    """

    def __init__(self, columns: Sequence[str] = (), time_formats: Mapping[str, str] | None = None) -> None:
        self._formats = time_formats or {}
        self._of_cells = bool(columns)
        self._columns: dict[str, _Column] = {}
        for name in columns:
            self._column(name)
        self._in_order = list(self._columns.values())

    def _column(self, name: str) -> _Column:
        if name not in self._columns:
            self._columns[name] = _Column(self._formats.get(name), of_cells=self._of_cells)
        return self._columns[name]

    def add_cells(self, cells: Sequence[str]) -> None:
        """A row of as many cells as there are columns."""
        for column, cell in zip(self._in_order, cells, strict=True):
            column.add_cell(cell)

    def add_values(self, row: Iterable[tuple[str, Value]]) -> None:
        """A JSON object."""
        for name, value in row:
            self._column(name).add_value(value)

    def schema(self, topic: str) -> dict[str, Any]:
        """The schema of the rows so far, named after their topic."""
        fields: list[dict[str, Any]] = []
        for (column, found), name in zip(self._columns.items(), avro_names(list(self._columns)), strict=True):
            field: dict[str, Any] = {"name": name, "type": ["null", found.type()], "default": None}
            if name != column:
                field["column"] = column
            fields.append(field)
        return {"type": "record", "name": record_name(topic), "namespace": "sensorstream", "fields": fields}
