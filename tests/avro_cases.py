"""Rows in Avro: the schema that is found for cells, and one of somebody's own."""

from collections.abc import Sequence
from typing import Any

from sensorstream.serde.avro_infer import SchemaFinder
from sensorstream.serde.avro_schema import CONFLUENT

PREFIX = CONFLUENT + (7).to_bytes(4, "big")


def found(columns: Sequence[str], rows: Sequence[Sequence[str]], formats: dict[str, str] | None = None) -> Any:
    finder = SchemaFinder(columns, formats)
    for row in rows:
        finder.add_cells(row)
    return finder.schema("AIR")


GIVEN = {
    "type": "record",
    "name": "Given",
    "fields": [
        {"name": "n", "type": "int"},
        {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
        {"name": "e", "type": ["null", {"type": "enum", "name": "E", "symbols": ["A", "B"]}], "default": None},
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "l", "type": {"type": "array", "items": "long"}},
        {"name": "f", "type": "float"},
    ],
}
COLUMNS = ("n", "d", "e", "t", "l", "f")
