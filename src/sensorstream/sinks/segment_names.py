"""Station 9: names and folders of finished files, and which of them exist.

``FOLDER/AIR/kafka_partition=0/date_utc=2023-08-31/AIR-0-000000000000-000000004999.parquet``: the levels below the
topic's folder are there when asked for, named so that readers take them for columns (Hive's way); the two numbers are
the first and the last offset of the segment. What begins with ``_`` is no data, by a custom that readers keep to.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from sensorstream.errors import DecodeError
from sensorstream.records import Json, Number, Row
from sensorstream.storage_rules import StorageRules

NO_DATE: Final = "__HIVE_DEFAULT_PARTITION__"
"""The folder of rows that have no date; readers know it as null."""
OPEN: Final = ".open"
"""What the file ends with in which rows wait for their segment."""
_NAME: Final = re.compile(r"(.+)-([0-9]{1,9})-([0-9]{12,})-([0-9]{12,})\.(csv|jsonl|parquet)")
_EPOCH: Final = datetime(1970, 1, 1)  # in UTC, as all of these are
_MILLISECONDS: Final = 10**11


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished file, by its name: the offsets from ``first`` to ``last`` of one partition."""

    path: Path
    topic: str
    partition: int
    first: int
    last: int
    format: str


def open_name(topic: str, partition: int, form: str) -> str:
    """The name of the file in which a partition's rows wait."""
    return f"_{topic}_Consumer_{partition}.{form}{OPEN}"


def segment_path(topic: str, partition: int, first: int, last: int, form: str, rules: StorageRules, day: str) -> Path:
    """Where a segment's rows of one ``day`` go, below the target folder."""
    folder = Path(topic)
    for level in rules.folders:
        folder /= f"kafka_partition={partition}" if level == "partition" else f"date_utc={day}"
    return folder / f"{topic}-{partition}-{first:012}-{last:012}.{form}"


def parse_segment(path: Path) -> Segment | None:
    """What the name of a finished file says; None for any other."""
    match = None if path.name.startswith("_") else _NAME.fullmatch(path.name)
    if match is None:
        return None
    return Segment(path, match[1], int(match[2]), int(match[3]), int(match[4]), match[5])


def segments_below(folder: Path) -> Iterator[Segment]:
    """The finished files in a topic's folder and its levels, in the order of their offsets."""
    return iter(sorted(_walk(folder), key=lambda one: (one.topic, one.partition, one.first, str(one.path))))


def segments_of_topics(folder: Path) -> Iterator[Segment]:
    """The finished files of all topics that were captured into a folder, or of the topic whose folder it is."""
    yield from segments_below(folder)
    for inside in sorted(folder.iterdir()):
        if inside.is_dir() and not inside.name.startswith(("_", ".")):
            yield from (segment for segment in segments_below(inside) if segment.topic == inside.name)


def _walk(folder: Path) -> Iterator[Segment]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name.startswith(("kafka_partition=", "date_utc=")):
            yield from _walk(path)
        elif (segment := parse_segment(path)) is not None:
            yield segment


ParseTime = Callable[[str], int]
"""Reads a time as milliseconds since 1970-01-01. Raises DecodeError."""


def day_of_timestamp(timestamp_ms: int) -> str:
    """The date of a record's timestamp, in UTC; the folder of those without one where it has none."""
    return NO_DATE if timestamp_ms < 0 else _day(timestamp_ms)


def day_of_column(row: Row, column: str, parse: ParseTime | None) -> str:
    """The date in a column, as ``parse`` reads it (None: ISO 8601, or seconds or milliseconds since 1970); in UTC.

    A time without a zone is taken as it stands.
    """
    value = row.get(column)
    try:
        if value is None or isinstance(value, bool | Json):
            return NO_DATE
        if parse is not None:
            return _day(parse(value))
        if isinstance(value, Number):
            number = float(value)
            return _day(int(number if abs(number) >= _MILLISECONDS else number * 1000))
        if len(value) == 10:
            return date.fromisoformat(value).isoformat()
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date().isoformat()
    except (ValueError, OverflowError, DecodeError):
        return NO_DATE


def _day(milliseconds: int) -> str:
    try:
        return (_EPOCH + timedelta(milliseconds=milliseconds)).date().isoformat()
    except OverflowError:
        return NO_DATE
