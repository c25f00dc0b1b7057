"""Station 8: the event time of a row, from a column or its record's timestamp; and the length of windows."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from sensorstream.errors import DecodeError, UsageError
from sensorstream.records import ConsumedRecord, Number, Row
from sensorstream.sources.time_zone import LocalTimes, zone_of
from sensorstream.sources.times import TimeRule
from sensorstream.transforms.options import no_column

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_MS: Final = 366 * 86_400_000
_UNITS: Final[Mapping[str, int]] = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
# A window of the longest size around these must still have a beginning and an end that can be written as a date.
_EARLIEST_MS: Final = int(datetime(3, 1, 1, tzinfo=UTC).timestamp() * 1000)
_LATEST_MS: Final = int(datetime(9997, 1, 1, tzinfo=UTC).timestamp() * 1000)
_SECONDS_BELOW: Final = 10**11
"""A number of less is seconds since 1970 (until the year 5138), else milliseconds."""


def parse_duration(text: str, option: str, *, least_ms: int = 1) -> int:
    """``500ms``, ``10s``, ``1m``, ``2h`` or ``1d`` as milliseconds. Raises UsageError, naming ``option``."""
    found = _DURATION.fullmatch(text.strip())
    if found is None and text.strip() != "0":
        raise UsageError(f"{option} {text!r} is no length of time", hint="write it as 500ms, 10s, 1m, 2h or 1d")
    exact = Decimal(found[1]) * _UNITS[found[2]] if found else Decimal(0)
    length = int(exact)
    if length != exact:
        raise UsageError(f"{option} {text} is not a whole number of milliseconds", hint="use a rounder value")
    if not least_ms <= length <= LONGEST_MS:
        wanted = "more than 0 and " if least_ms else ""
        raise UsageError(f"{option} {text} is out of range", hint=f"it is {wanted}at most 366d")
    return length


def duration_text(length_ms: int) -> str:
    """A length of time as :func:`parse_duration` takes it, in the largest unit that it is a whole number of."""
    unit = max((unit for unit, size in _UNITS.items() if length_ms % size == 0), key=_UNITS.__getitem__)
    return f"{length_ms // _UNITS[unit]}{unit}"


@dataclass(frozen=True, slots=True)
class EventTimeRule:
    """Where a row's time stands: ``column`` (None: the record's timestamp).

    ``column`` may be several, with commas between them. ``time_format`` is as in
    :class:`~sensorstream.sources.times.TimeRule`; None takes ISO 8601 texts, and numbers as seconds or milliseconds
    since 1970. A time without an offset is of ``time_zone`` (None: UTC); of an hour that the clocks showed twice it is
    the first.
    """

    column: str | None = None
    time_format: str | None = None
    time_zone: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are looked at."""
        return () if self.column is None else TimeRule(self.column).names

    def reader(self) -> Callable[[Row, ConsumedRecord], int]:
        """What tells a row's time, in ms since 1970 UTC. It raises DecodeError, with the reason in one line."""
        if self.column is None:
            return lambda row, record: _writable(record.timestamp_ms, f"the timestamp {record.timestamp_ms}")
        columns = self.columns
        parse = TimeRule(self.column, self.time_format).parser(len(columns))
        plain = self.time_format is None and len(columns) == 1
        local = None if self.time_zone is None else LocalTimes(zone_of(self.time_zone))

        def read(row: Row, record: ConsumedRecord) -> int:
            for column in columns:
                if column not in row:
                    raise DecodeError(no_column(column, row))
            values = [row[column] for column in columns]
            texts = [value for value in values if isinstance(value, str)]
            if len(texts) < len(values):
                raise DecodeError(f"{self.column} holds no time")
            if plain and isinstance(values[0], Number):
                return _writable(_since_1970(values[0]), f"{self.column}: {values[0][:40]}")
            moment = parse(" ".join(text.strip() for text in texts) if len(texts) > 1 else texts[0])
            time_ms = moment.ms
            if local is not None and not moment.absolute:
                # Each row for itself: rows of several producers come in no order that could tell the second pass.
                local.restart()
                time_ms = local.utc(time_ms)
            return _writable(time_ms, f"{self.column}: {texts[0][:40]}")

        return read


def iso(time_ms: int) -> str:
    """A time as ISO 8601 in UTC: ``2023-08-31T23:50:00Z``, with milliseconds where it has some."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds").replace("+00:00", "Z")


def _writable(time_ms: int, said: str) -> int:
    """``time_ms`` itself. Raises DecodeError for one that can't be written as a date."""
    if not _EARLIEST_MS <= time_ms <= _LATEST_MS:
        raise DecodeError(f"{said} lies outside of the years 3 to 9996")
    return time_ms


def _since_1970(value: Number) -> int:
    try:
        exact = Decimal(value)
        return int(exact * 1000 if abs(exact) < _SECONDS_BELOW else exact) if exact.adjusted() < 18 else 10**18
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise DecodeError(f"{value[:40]} is no time") from error
