"""Station 7: Avro values to columns, each restored to its original cell.

Both wire formats are understood, value by value: Confluent's, with the id of a schema in a registry, and Avro's
single-object encoding, with the fingerprint of a schema.
"""

import base64
import io
import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from sensorstream.errors import DecodeError, SourceError
from sensorstream.records import Json, Number, Row, Value
from sensorstream.serde import avro_times
from sensorstream.serde import json as json_serde
from sensorstream.serde.avro_infer import plain
from sensorstream.serde.avro_schema import CONFLUENT, SINGLE_OBJECT, branches, column_of, parse, type_name
from sensorstream.serde.decoders import SchemaOf
from sensorstream.serde.json import is_number
from sensorstream.wording import counted

_ID_LENGTH: Final = 5
_FINGERPRINT_LENGTH: Final = 10


class AvroDecoder:
    """Decodes values in Avro. The schemas are asked for once each."""

    def __init__(self, by_id: SchemaOf | None, by_fingerprint: SchemaOf | None) -> None:
        self._by_id = by_id
        self._by_fingerprint = by_fingerprint
        self._known: dict[bytes, _Reader] = {}

    def prepare(self, values: Iterable[bytes | None]) -> None:
        """Ask for the schemas of values. Raises SchemasUnreachable; what is wrong with a value, ``decode`` tells."""
        for value in values:
            if value is None or value[:_FINGERPRINT_LENGTH] in self._known or value[:_ID_LENGTH] in self._known:
                continue
            with suppress(DecodeError):
                self._reader_of(value)

    def decode(self, value: bytes) -> Row:
        """One value to its columns. Raises DecodeError with a reason of one line, SchemasUnreachable."""
        reader, begin = self._reader_of(value)
        return reader.read(value, begin)

    def _reader_of(self, value: bytes) -> "tuple[_Reader, int]":
        """The reader for a value, and where its row begins."""
        if value[:2] == SINGLE_OBJECT and len(value) >= _FINGERPRINT_LENGTH:
            prefix = value[:_FINGERPRINT_LENGTH]
        elif value[:1] == CONFLUENT and len(value) >= _ID_LENGTH:
            prefix = value[:_ID_LENGTH]
        elif not value:
            raise DecodeError("the value is empty")
        else:
            raise DecodeError(f"it begins with {value[:2].hex(' ')}, which is neither 00 nor c3 01: it is no Avro")
        reader = self._known.get(prefix)
        if reader is None:
            reader = self._known[prefix] = self._reader(prefix)
        return reader, len(prefix)

    def _reader(self, prefix: bytes) -> "_Reader":
        if len(prefix) == _ID_LENGTH:
            number = int.from_bytes(prefix[1:])
            if self._by_id is None:
                raise DecodeError(
                    f"it names the schema {number} of a registry: give its address with --schema-registry URL"
                )
            name, schema = f"schema {number}", self._by_id(prefix[1:])
            if schema is None:
                raise DecodeError(f"the registry has no schema {number}")
        else:
            fingerprint = prefix[2:]
            name = f"the schema with the fingerprint {fingerprint.hex()}"
            schema = None if self._by_fingerprint is None else self._by_fingerprint(fingerprint)
            if schema is None:
                raise DecodeError(f"{name} is not known on this cluster")
        try:
            return _Reader(json.loads(schema), name)
        except SourceError as error:
            raise DecodeError(error.message) from error
        except ValueError as error:
            raise DecodeError(f"{name} is no JSON") from error


class _Reader:
    """Reads the values of one schema."""

    def __init__(self, schema: Mapping[str, Any], name: str) -> None:
        from fastavro import schemaless_reader

        self._read = schemaless_reader
        self._schema = parse(schema, name)
        fields = schema["fields"]
        columns = [column_of(field) for field in fields]
        if len(set(columns)) != len(columns):
            columns = [str(field["name"]) for field in fields]
        self._fields = [
            (str(field["name"]), column, _converter(field["type"]))
            for field, column in zip(fields, columns, strict=True)
        ]

    def read(self, value: bytes, begin: int) -> Row:
        buffer = io.BytesIO(value)
        buffer.seek(begin)
        try:
            row: Any = self._read(buffer, self._schema, None)
            left = len(value) - buffer.tell()
            if left:
                raise DecodeError(f"{counted(left, 'byte')} left over after the row: it is of another schema")
            return {column: convert(row[name]) for name, column, convert in self._fields}
        except DecodeError:
            raise
        except UnicodeDecodeError as error:
            raise DecodeError("a text in it is not UTF-8") from error
        except (EOFError, ValueError, IndexError, KeyError, TypeError, ArithmeticError, struct.error) as error:
            reason = " ".join(str(error).split())[:120]
            raise DecodeError(f"it is cut short or of another schema{f': {reason}' if reason else ''}") from error
        except (MemoryError, RecursionError) as error:
            raise DecodeError("it is of another schema, or nested too deep") from error


def _converter(kind: Any) -> Callable[[Any], Value]:
    """What makes a value of what fastavro reads of this type."""
    kinds = [branch for branch in branches(kind) if type_name(branch) != "null"]
    if len(kinds) != 1:
        return _any_value
    convert = _of_branch(kinds[0])
    return lambda data: None if data is None else convert(data)


def _of_branch(kind: Any) -> Callable[[Any], Value]:
    name = type_name(kind)
    described: Mapping[str, Any] = kind if isinstance(kind, Mapping) else {}
    logical, text = described.get("logicalType"), described.get("text")
    if logical == "decimal":
        return _decimal
    if name in ("int", "long"):
        if isinstance(logical, str) and logical.startswith(("date", "time", "local-timestamp")):
            written = avro_times.to_text(logical, text if isinstance(text, str) else None)
            return lambda data: Number(data) if isinstance(data, int) else written(data)
        return Number
    if name == "double":
        return _plain_double if text == "plain" else _double
    if name == "float":
        return _float
    if name == "string" and text == "cell":
        return lambda data: Number(data) if is_number(data) else str(data)
    if name == "string" and text == "json":
        return _json_text
    if name == "boolean":
        return bool
    return str if name in ("string", "enum") else _any_value


def _decimal(data: Any) -> Value:
    return Number(format(data, "f")) if isinstance(data, Decimal) else _any_value(data)


def _not_finite(data: float) -> str:
    return "NaN" if math.isnan(data) else "Infinity" if data > 0 else "-Infinity"


def _double(data: float) -> Value:
    return Number(repr(data)) if math.isfinite(data) else _not_finite(data)


def _plain_double(data: float) -> Value:
    return Number(plain(data)) if math.isfinite(data) else _not_finite(data)


def _float(data: float) -> Value:
    """A double that was 32 bits wide: in the fewest digits that make the same 32 bits."""
    if not math.isfinite(data):
        return _not_finite(data)
    wide = struct.pack("<f", data)
    short = next(
        (text for digits in range(1, 10) if struct.pack("<f", float(text := f"{data:.{digits}g}")) == wide), ""
    )
    return Number(repr(float(short or data)))


def _json_text(data: str) -> Value:
    try:
        return json_serde.decode(f'{{"value":{data}}}'.encode("utf-8", "surrogatepass"))["value"]
    except (DecodeError, KeyError):
        return str(data)


def _any_value(data: Any) -> Value:
    """A value by its Python type alone: of a union of several types, or one that is no cell."""
    if data is None or isinstance(data, bool):
        return data
    if isinstance(data, int):
        return Number(data)
    if isinstance(data, float):
        return _double(data)
    if isinstance(data, Decimal):
        return _decimal(data)
    if isinstance(data, dict | list):
        return Json(json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_nested))
    return str(_nested(data))


def _nested(data: Any) -> Any:
    """What JSON has no word for, in a value that is nested."""
    if isinstance(data, bytes):
        return base64.b64encode(data).decode()
    if isinstance(data, Decimal):
        return format(data, "f")
    written = getattr(data, "isoformat", None)
    return str(data) if written is None else written()
