"""A sink: InfluxDB line protocol, ``AIR pm25=12.5,station="Taipei" 1690848000000000000``, with the record's time.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from collections.abc import Mapping
from typing import Any

from sensorstream.records import ConsumedRecord


def line(row: Mapping[str, Any], record: ConsumedRecord) -> str:
    """The line of a record. Raises ValueError for a row without a value."""
    fields = [f"{_name(name)}={_value(value)}" for name, value in row.items() if value is not None]
    if not fields:
        raise ValueError("it has no value, and line protocol needs one")
    stamp = f" {record.timestamp_ms}000000" if record.timestamp_ms >= 0 else ""
    return f"{_name(record.topic)} {','.join(fields)}{stamp}"


def _name(text: str) -> str:
    for mark in ("\\", ",", "=", " "):
        text = text.replace(mark, f"\\{mark}")
    return text


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(float(value))
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
    return f'"{text}"'
