"""The numbers of a topic's newest rows over time, by station or another column: pure arithmetic on rows."""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Final

from sensorstream.config import TopicSettings
from sensorstream.errors import SensorstreamError
from sensorstream.monitor.web.rows import ReadRow
from sensorstream.records import ConsumedRecord, Number, Row
from sensorstream.transforms.event_time import EventTimeRule

MOST_FIELDS: Final = 16
MOST_LINES: Final = 10
"""So many values a column may have to make a line of each."""
USUAL_BY: Final = ("Station", "station", "device", "sensor", "page")


def curves(topic: TopicSettings, rows: Sequence[ReadRow], by: str | None = None) -> dict[str, Any]:
    """The numeric columns of these rows, one after another, with a line for each value of the column ``by``.

    ``by`` None takes a column that usually tells devices apart, where there is one; "" makes one line of all. Times
    are the rows' own where the configuration says where they stand, else the records' timestamps.
    """
    fields = _numeric(rows)
    choices = _choices(topic, rows)
    if by is None:
        by = next((name for name in USUAL_BY if name in choices), "")
    elif by not in choices:
        by = ""
    time_of, of_rows = _times(topic, rows)
    placed = [(time_of(one), one.row) for one in rows]
    lines = sorted({_label(row, by) for _, row in placed})[:MOST_LINES] if by else [topic.name]
    xs = sorted({at for at, _ in placed})
    index = {at: place for place, at in enumerate(xs)}
    plots = []
    for field in fields[:MOST_FIELDS]:
        ys: dict[str, list[float | None]] = {line: [None] * len(xs) for line in lines}
        for at, row in placed:
            line = _label(row, by) if by else topic.name
            number = _number(row.get(field))
            if line in ys and number is not None:
                ys[line][index[at]] = number
        plots.append({"field": field, "lines": [{"name": line, "y": ys[line]} for line in lines]})
    return {
        "topic": topic.name,
        "x": [at / 1000 for at in xs],
        "plots": plots,
        "by": by,
        "choices": choices,
        "rows": len(rows),
        "left_out": max(0, len(fields) - MOST_FIELDS),
        "time": topic.time_column if of_rows else None,
    }


def _numeric(rows: Sequence[ReadRow]) -> list[str]:
    """The columns that hold numbers and nothing else, in their order."""
    found: dict[str, bool] = {}
    for one in rows:
        for name, value in one.row.items():
            if value is not None:
                found[name] = found.get(name, True) and _number(value) is not None
    return [name for name, numbers in found.items() if numbers]


def _choices(topic: TopicSettings, rows: Sequence[ReadRow]) -> list[str]:
    """The columns of texts with few different ones."""
    values: dict[str, set[str] | None] = {}
    for one in rows:
        for name, value in one.row.items():
            known = values.setdefault(name, set())
            if value is None or known is None:
                continue
            if isinstance(value, Number | bool) or len(known) > MOST_LINES:
                values[name] = None
            else:
                known.add(value)
    times = (topic.time_column or "").split(",")
    return [name for name, known in values.items() if known and len(known) <= MOST_LINES and name not in times]


def _times(topic: TopicSettings, rows: Sequence[ReadRow]) -> tuple[Callable[[ReadRow], int], bool]:
    """What tells the time of each row, in ms since 1970, and whether it is one of the rows' own."""

    def stamp(one: ReadRow) -> int:
        return one.record.timestamp_ms

    if topic.time_column is None or not rows:
        return stamp, False
    try:
        read: Callable[[Row, ConsumedRecord], int] = EventTimeRule(
            topic.time_column, topic.time_format, topic.time_zone
        ).reader()
        for one in rows:
            read(one.row, one.record)
    except SensorstreamError:
        # A clock for some and another for others would draw what never was.
        return stamp, False
    return (lambda one: read(one.row, one.record)), True


def _label(row: Row, by: str) -> str:
    value = row.get(by)
    return "(none)" if value is None else str(value)[:80].encode("utf-8", "backslashreplace").decode()


def _number(value: object) -> float | None:
    if not isinstance(value, Number):
        return None
    number = float(value)
    return number if isfinite(number) else None
