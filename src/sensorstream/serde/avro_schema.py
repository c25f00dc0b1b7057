"""Stations 3 and 7: Avro schemas: read, named, fingerprinted, and this program's additional attributes.

Avro has no number that keeps its letters, so a type may carry the attribute ``text``, which other readers pass over:

    {"type": "double", "text": "plain"}         a whole number is written without ``.0``: 23, 23.5
    {"type": "string", "text": "cell"}          what is a number by JSON's grammar comes back as a number
    {"type": "string", "text": "json"}          any JSON value, in its own letters
    {..."logicalType"..., "text": "%d/%m/%Y"}   a time, and how it is written

and a field the attribute ``column``, the column's own name where that is no name in Avro (``PM2.5``).
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sensorstream.errors import SourceError, UsageError

SINGLE_OBJECT: Final = b"\xc3\x01"
"""What a value in Avro's single-object encoding begins with; the schema's fingerprint follows, 8 bytes."""
CONFLUENT: Final = b"\x00"
"""What a value in Confluent's wire format begins with; the schema's id follows, 4 bytes, the highest first."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EMPTY: Final = 0xC15D213AA4D7A795


def require_fastavro() -> None:
    """Raises UsageError where the extra is missing."""
    try:
        import fastavro  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "--value-format avro needs a library that is not installed",
            hint="install it: pip install 'sensorstream[avro]'",
        ) from error


def read_json_file(path: Path) -> Any:
    """What a schema file says. Raises SourceError naming file, line and column."""
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SourceError(f"--schema {path} can't be read: {error.strerror}", hint="check the path") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"--schema {path} is not UTF-8: byte {error.start}", hint="write it in UTF-8") from error
    except json.JSONDecodeError as error:
        raise SourceError(
            f"--schema {path}, line {error.lineno}, column {error.colno} is not JSON: {error.msg}",
            hint="a schema is one JSON object",
        ) from error
    except RecursionError as error:
        raise SourceError(f"--schema {path} is nested too deep", hint="a schema is one JSON object") from error


def parse(schema: Any, name: str) -> Any:
    """A schema as fastavro works with it. ``name`` is what to call it. Raises SourceError for what is no record."""
    from fastavro import parse_schema
    from fastavro.schema import SchemaParseException

    if not isinstance(schema, Mapping) or schema.get("type") != "record":
        raise SourceError(f"{name} is not an Avro record", hint='it is an object with "type": "record" and "fields"')
    try:
        # A copy: the library keeps what it has parsed in what it is given.
        return parse_schema(json.loads(json.dumps(schema)), _force=True)
    except (SchemaParseException, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        if isinstance(error, KeyError):
            reason = f"something lacks {reason}"
        raise SourceError(f"{name} is no Avro schema: {reason}", hint="see the Avro specification, Schemas") from error


def check_names(schema: Mapping[str, Any], name: str) -> None:
    """Raises SourceError for a field whose name is none in Avro, which the library lets pass."""
    for field in schema["fields"]:
        if not _NAME.fullmatch(str(field["name"])):
            raise SourceError(
                f"{name} has a field {field['name']!r}, which is no name in Avro",
                hint='name it with letters, digits and _, and give it "column": the name of the column',
            )


def compact(schema: Any) -> str:
    """A schema as one line of JSON."""
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))


def fingerprint(schema: Any) -> bytes:
    """The CRC-64-AVRO fingerprint of a schema's canonical form, in the order of the single-object encoding."""
    from fastavro.schema import to_parsing_canonical_form

    return crc_64_avro(to_parsing_canonical_form(json.loads(json.dumps(schema))).encode()).to_bytes(8, "little")


def crc_64_avro(data: bytes) -> int:
    """The 64-bit Rabin fingerprint of the Avro specification, "Schema Fingerprints"."""
    value = _EMPTY
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_EMPTY if value & 1 else 0)
    return value


_TABLE: Final = tuple(map(_table_entry, range(256)))


def avro_names(columns: Sequence[str]) -> list[str]:
    """A name for each column, all different, of the letters that Avro allows in one."""
    taken: set[str] = {column for column in columns if _NAME.fullmatch(column)}
    names: list[str] = []
    for column in columns:
        name = column
        if not _NAME.fullmatch(column):
            stem = re.sub(r"[^A-Za-z0-9_]", "_", column)
            stem = f"_{stem}" if not stem or stem[0].isdigit() else stem
            name, count = stem, 1
            while name in taken:
                count += 1
                name = f"{stem}_{count}"
            taken.add(name)
        names.append(name)
    return names


def record_name(topic: str) -> str:
    """The name of the record of a topic's values."""
    return avro_names([topic])[0]


def column_of(field: Mapping[str, Any]) -> str:
    """The column that a field stands for."""
    column = field.get("column")
    return column if isinstance(column, str) and column else str(field["name"])


def branches(kind: Any) -> list[Any]:
    """The types that a value of this type may have: those of a union, else the one."""
    return list(kind) if isinstance(kind, list) else [kind]


def type_name(kind: Any) -> str:
    """``long`` of ``"long"`` and of ``{"type": "long", ...}``; the name of a named type that is referred to."""
    while isinstance(kind, Mapping):
        kind = kind.get("type")
    return "union" if isinstance(kind, list) else str(kind)
