"""The newest rows as a table, with the columns of their values where they are JSON objects; and one row in full."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sensorstream.errors import DecodeError
from sensorstream.monitor.newest_rows import NewRow
from sensorstream.monitor.screen import figures
from sensorstream.monitor.screen.columns import Cell, Column, Table
from sensorstream.monitor.screen.tables import figure
from sensorstream.records import Value
from sensorstream.serde import json as json_serde
from sensorstream.visible import visible

COLUMNS: Final = 40
"""So many columns of values are shown at the most; the row itself shows all of them."""


class ShownRow:
    """A row with its decoded value: ``columns`` is None where it is no JSON object."""

    __slots__ = ("columns", "new", "text")

    def __init__(self, new: NewRow) -> None:
        self.new = new
        value = new.record.value
        self.text = "(no value)" if value is None else value.decode("utf-8", "backslashreplace")
        self.columns: dict[str, Value] | None = None
        if value is not None and not new.cut:
            try:
                self.columns = json_serde.decode(value)
            except DecodeError:
                self.columns = None


def clock(timestamp_ms: int) -> str:
    """A record's time in this machine's zone; with the date where it is not of today."""
    if timestamp_ms < 0:
        return figures.UNKNOWN
    try:
        at = datetime.fromtimestamp(timestamp_ms / 1000).astimezone()
    except (OverflowError, OSError, ValueError):
        return figures.UNKNOWN
    time = f"{at:%H:%M:%S}.{timestamp_ms % 1000:03}"
    return time if at.date() == datetime.now().astimezone().date() else f"{at:%Y-%m-%d} {time}"


def table(rows: Sequence[ShownRow], *, one_partition: bool) -> Table[ShownRow]:
    """The table of these rows, as they come."""
    columns = [
        Column[ShownRow]("time", lambda row: Cell(clock(row.new.record.timestamp_ms))),
        Column[ShownRow]("offset", lambda row: Cell(figures.count(row.new.record.offset)), right=True),
        Column[ShownRow]("latency", lambda row: figure(_latency(row), "plain"), right=True),
    ]
    if not one_partition:
        columns.insert(1, Column[ShownRow]("part", lambda row: Cell(str(row.new.record.partition)), right=True))
    if any(row.new.record.key is not None for row in rows):
        columns.append(Column[ShownRow]("key", lambda row: Cell(_key(row)), widest=24))
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row.columns or ()))
    columns += [_value_column(name) for name in list(names)[:COLUMNS]]
    if not names or any(row.columns is None for row in rows):
        columns.append(
            Column[ShownRow]("value", lambda row: Cell(visible(row.text) if row.columns is None else ""), widest=200)
        )
    return Table(
        columns,
        rows,
        key=lambda row: (row.new.record.partition, row.new.record.offset),
        text=lambda row: f"{row.text} {_key(row)}",
    )


def _value_column(name: str) -> Column[ShownRow]:
    def cell(row: ShownRow) -> Cell:
        if row.columns is None or name not in row.columns:
            return Cell("")
        value = row.columns[name]
        return Cell("null", "dim") if value is None else Cell(visible(_plain(value)))

    return Column(visible(name), cell)


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _latency(row: ShownRow) -> str:
    return "" if row.new.latency_s is None else figures.milliseconds(1000 * row.new.latency_s)


def _key(row: ShownRow) -> str:
    key = row.new.record.key
    return "" if key is None else visible(key.decode("utf-8", "backslashreplace"))


def in_full(row: ShownRow) -> list[tuple[str, str]]:
    """A record as names and texts: what it is, its headers, then its columns or its whole value."""
    record = row.new.record
    lines = [
        ("topic", visible(record.topic)),
        ("partition", str(record.partition)),
        ("offset", figures.count(record.offset)),
        ("time", clock(record.timestamp_ms)),
        ("latency", _latency(row) or "not measured: it was there before it was waited for"),
        ("key", _key(row) if record.key is not None else "none"),
    ]
    lines += [
        (f"header {visible(name)}", visible(value.decode("utf-8", "backslashreplace")))
        for name, value in record.headers
    ]
    lines.append(("", ""))
    if row.columns is None:
        lines.append(("value (cut)" if row.new.cut else "value", visible(row.text)))
    else:
        lines += [
            (visible(name), "null" if value is None else visible(_plain(value))) for name, value in row.columns.items()
        ]
    return lines
