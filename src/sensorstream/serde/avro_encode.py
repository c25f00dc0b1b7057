"""Station 3: rows to Avro, by a schema. A cell that its type can't hold makes the row unusable, with the reason."""

import base64
import binascii
import decimal
import io
import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

from sensorstream.errors import DecodeError, UsageError
from sensorstream.records import Json, Number, Value
from sensorstream.serde import avro_times
from sensorstream.serde import json as json_serde
from sensorstream.serde.avro_infer import is_integer
from sensorstream.serde.avro_schema import avro_names, branches, check_names, column_of, parse, type_name
from sensorstream.serde.json import is_number
from sensorstream.wording import counted

Datum: TypeAlias = Any
_SHOWN: Final = 40
_CACHED_CELLS: Final = 1 << 14
_CACHED_LENGTH: Final = 64
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_INT32: Final = range(-(2**31), 2**31)
_TIMES: Final = ("date", "time-", "timestamp-", "local-timestamp-")


class _Field:
    """A field of the schema and what makes its data of cells."""

    def __init__(self, field: Mapping[str, Any], time_format: str | None) -> None:
        kinds = branches(field["type"])
        self.name = str(field["name"])
        self.column = column_of(field)
        self.nullable = any(type_name(kind) == "null" for kind in kinds)
        self.has_default = "default" in field
        self.empty_text = any(type_name(kind) == "string" for kind in kinds)
        self._kinds = [kind for kind in kinds if type_name(kind) != "null"]
        self._makers = [_maker(kind, time_format) for kind in self._kinds]
        self._known: dict[str, Datum] = {}
        self.json_text = [kind for kind in self._kinds if isinstance(kind, Mapping) and kind.get("text") == "json"]

    def of_cell(self, cell: str) -> Datum:
        """The data of a cell. Raises DecodeError."""
        if not cell and self.nullable:
            return None
        try:
            return self._known[cell]
        except KeyError:
            return self._remember(cell)

    def of_value(self, value: Value) -> Datum:
        """The data of a value of a JSON object. Raises DecodeError."""
        if value is None:
            if not self.nullable:
                raise DecodeError(f"column {self.column!r}: null is no {self._wanted}")
            return None
        if self.json_text:
            return value if isinstance(value, Number | Json) else json.dumps(value, ensure_ascii=False)
        if isinstance(value, bool):
            value = "true" if value else "false"
        return self._remember(value)

    def _remember(self, cell: str) -> Datum:
        data = self._make(str(cell))
        if len(cell) <= _CACHED_LENGTH:
            if len(self._known) >= _CACHED_CELLS:
                self._known.clear()
            self._known[cell] = data
        return data

    def _make(self, cell: str) -> Datum:
        reason = ""
        for make in self._makers:
            try:
                return make(cell)
            except (ValueError, OverflowError, decimal.InvalidOperation, binascii.Error, RecursionError) as error:
                reason = " ".join(str(error).split())[:80] if len(self._makers) == 1 else ""
        shown = cell if len(cell) <= _SHOWN else cell[: _SHOWN - 1] + "…"
        raise DecodeError(f"column {self.column!r}: {shown!r} is no {self._wanted}{f' ({reason})' if reason else ''}")

    @property
    def _wanted(self) -> str:
        return " or ".join(_told(kind) for kind in self._kinds) or "null"


def _told(kind: Any) -> str:
    logical = kind.get("logicalType") if isinstance(kind, Mapping) else None
    if logical == "decimal":
        return f"decimal of {kind.get('scale', 0)} digits after the decimal point"
    if logical is not None and isinstance(kind, Mapping) and kind.get("text"):
        return f"{logical} written {kind['text']}"
    return str(logical or type_name(kind))


def _maker(kind: Any, time_format: str | None) -> Callable[[str], Datum]:
    name = type_name(kind)
    described: Mapping[str, Any] = kind if isinstance(kind, Mapping) else {}
    logical = described.get("logicalType")
    if logical == "decimal" and name in ("bytes", "fixed"):
        return _decimal_maker(int(described.get("scale", 0)), int(described["precision"]))
    if name in ("int", "long") and isinstance(logical, str) and logical.startswith(_TIMES):
        text = described.get("text")
        return avro_times.to_number(logical, text if isinstance(text, str) else time_format)
    simple: dict[str, Callable[[str], Datum]] = {
        "boolean": _bool,
        "int": lambda cell: _integer(cell, _INT32),
        "long": lambda cell: _integer(cell, None),
        "float": _float,
        "double": _double,
        "string": _text,
        "bytes": lambda cell: base64.b64decode(cell, validate=True),
        "fixed": lambda cell: _fixed(cell, int(described.get("size", 0))),
        "enum": lambda cell: _symbol(cell, described.get("symbols", ())),
    }
    return simple.get(name, json.loads)


def _bool(cell: str) -> bool:
    if cell not in ("true", "false"):
        raise ValueError
    return cell == "true"


def _integer(cell: str, numbers: range | None) -> int:
    if not is_integer(cell) or (numbers is not None and int(cell) not in numbers):
        raise ValueError
    return int(cell)


def _double(cell: str) -> float:
    if cell in _NOT_FINITE:
        return _NOT_FINITE[cell]
    if not is_number(cell):
        raise ValueError
    return float(cell)


def _float(cell: str) -> float:
    value = _double(cell)
    struct.pack("<f", value)  # too large for 32 bits: OverflowError
    return value


def _text(cell: str) -> str:
    try:
        cell.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} can't be written in UTF-8") from error
    return cell


def _fixed(cell: str, size: int) -> bytes:
    data = base64.b64decode(cell, validate=True)
    if len(data) != size:
        raise ValueError(f"it is {counted(len(data), 'byte')}, not {size}")
    return data


def _symbol(cell: str, symbols: Sequence[str]) -> str:
    if cell not in symbols:
        raise ValueError(f"the symbols are {', '.join(symbols)}")
    return cell


def _decimal_maker(scale: int, precision: int) -> Callable[[str], Datum]:
    def convert(cell: str) -> Decimal:
        if not json_serde.is_grammatical(cell) or len(cell) > 200:
            raise ValueError
        value = Decimal(cell)
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int) or not -scale <= exponent <= precision:
            raise ValueError(f"it has {-exponent} digits after the decimal point" if isinstance(exponent, int) else "")
        if value.adjusted() + 1 + scale > precision:
            raise ValueError(f"it has more than {precision} digits")
        return value

    return convert


class AvroEncoder:
    """Encodes the rows of one source: ``prefix`` and then the row in Avro.

    ``columns`` are the source's; ``whole``: the last cell of a row is a JSON object, which is the row. ``name`` is
    what to call the schema. ``time_formats`` are the formats of time columns, by column, where the schema has none.
    Raises UsageError when the schema lacks a column, or wants one that there is not.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        prefix: bytes,
        columns: Sequence[str],
        *,
        whole: bool,
        name: str = "the schema",
        time_formats: Mapping[str, str] | None = None,
    ) -> None:
        from fastavro import schemaless_writer

        self._write = schemaless_writer
        self._schema = parse(schema, name)
        check_names(schema, name)
        self._prefix = prefix
        formats = time_formats or {}
        self._fields = [_Field(field, formats.get(column_of(field))) for field in schema["fields"]]
        self._by_column = {field.column: field for field in self._fields}
        if len(self._by_column) != len(self._fields):
            raise UsageError(f"{name} has two fields for one column", hint="name each column once")
        # Of JSON objects each has fields of its own: they are looked at row by row.
        self._whole = whole
        self._of_cells = [] if whole else self._match(columns, name)

    def _match(self, columns: Sequence[str], name: str) -> list[_Field]:
        by_name = {field.name: field for field in self._fields}
        found: list[_Field] = []
        for column, mangled in zip(columns, avro_names(columns), strict=True):
            field = self._by_column.get(column) or by_name.get(mangled)
            if field is None:
                raise UsageError(
                    f"{name} has no field for the column {column!r}",
                    hint=f'it has {", ".join(by_name) or "none"}; add it, with "column" where its name is none in Avro',
                )
            found.append(field)
        for field in self._fields:
            if field not in found and not field.has_default:
                raise UsageError(
                    f"{name} needs a column {field.column!r}, which the source does not have",
                    hint='give the field a "default", or take it out',
                )
        return found

    def encode(self, cells: Sequence[str]) -> bytes:
        """A row as the value of a record. Raises DecodeError with the reason when it does not fit the schema."""
        if self._whole:
            row = self._of_object(json_serde.decode(cells[-1].encode("utf-8", "surrogatepass")))
        else:
            row = {field.name: field.of_cell(cell) for field, cell in zip(self._of_cells, cells, strict=True)}
        buffer = io.BytesIO(self._prefix)
        buffer.seek(0, io.SEEK_END)
        try:
            self._write(buffer, self._schema, row)
        except (ValueError, TypeError, OverflowError, KeyError, AttributeError, IndexError, struct.error) as error:
            raise DecodeError(f"it does not fit the schema: {' '.join(str(error).split())[:160]}") from error
        return buffer.getvalue()

    def _of_object(self, row: Mapping[str, Value]) -> dict[str, Datum]:
        extra = row.keys() - self._by_column.keys()
        if extra:
            raise DecodeError(f"the schema has no field for {min(extra)!r}")
        made: dict[str, Datum] = {}
        for field in self._fields:
            if field.column in row:
                made[field.name] = field.of_value(row[field.column])
            elif not field.has_default:
                raise DecodeError(f"it has no {field.column!r}, which the schema requires")
        return made
