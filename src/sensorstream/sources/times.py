"""Station 2: the time of a row, from one column or several, in ms since 1970-01-01 UTC.

A format is one of :data:`FORMATS` or as for strptime. The cells of several columns are read as one text, with a blank
between them. What a local time means in UTC is the part of ``time_zone.py``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final, NamedTuple

from sensorstream.config import nearest
from sensorstream.errors import DecodeError, UsageError
from sensorstream.sources.time_zone import zone_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000
_DATE_DIRECTIVES: Final = ("%Y", "%m", "%d")
_TIME_DIRECTIVES: Final = ("%H", "%M", "%S")
_REMEMBERED: Final = 1 << 17  # more than the seconds of a day

UNITS: Final = {
    "epoch-s": Decimal(1000),
    "epoch-ms": Decimal(1),
    "epoch-us": Decimal("0.001"),
    "epoch-ns": Decimal("0.000001"),
}
"""Numbers since 1970: how many milliseconds one of them is."""
ORDERS: Final = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year-month-day"}
FORMATS: Final = ("iso", *ORDERS, "epoch", *UNITS)
"""The formats that have a name. ``epoch`` tells the unit of each number by its size: seconds below 10^11,
milliseconds below 10^14, microseconds below 10^17, else nanoseconds. ``dmy``, ``mdy`` and ``ymd`` are dates in this
order of day, month and year, with any of ``/ . -`` between them, and a time of day or none behind them."""

_CLOCK: Final = re.compile(
    r"(\d{1,2})(?:[:.](\d{2})(?:[:.](\d{2})(?:[.,](\d{1,9}))?)?)? ?([AaPp])?(?(5)\.?[Mm]\.?) ?(Z|[+-]\d{2}:?\d{2})?"
)
_DATE: Final = re.compile(r"(\d{1,4})([/.-])(\d{1,2})\2(\d{1,4})")
_COMPACT: Final = re.compile(r"((?:19|20)\d{6})(\d{2})(\d{2})(\d{2})?")
_PARTS: Final = re.compile(
    r"(\d{4})"
    + r"(?:\.0*)? (\d{1,2})" * 2
    + r"(?:(?:\.0*)? (\d{1,2}))?" * 2
    + r"(?:(?:\.0*)? (\d{1,2}(?:\.\d*)?))?(?:\.0*)?"
)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?")
_SHAPE: Final = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](?:\d{4}|\d{2})(?:\D|$)")


class Moment(NamedTuple):
    """A time that was read: milliseconds, rounded down, since 1970-01-01 of UTC where it is ``absolute``, else of the
    clock that it was read from."""

    ms: int
    absolute: bool


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Where a row's time stands and how it is written.

    ``column`` is a column or several, with commas between them; ``format`` is one of :data:`FORMATS` or as for
    strptime (None: ISO 8601, or, out of three columns and more, numbers: year, month, day, hour, minute, second);
    ``zone`` is that of times without an offset: a name such as Europe/Berlin, or an offset such as +07:00
    (None: UTC).
    """

    column: str
    format: str | None = None
    zone: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, where none of them has a comma in its name."""
        return column_list(self.column)

    def check(self) -> None:
        """Raises UsageError for a format or a zone that can't be."""
        check_format(self.format)
        if self.zone is not None:
            zone_of(self.zone)

    def among(self, columns: Sequence[str], source: str, option: str = "--time-column") -> tuple[int, ...]:
        """The indices of its columns among those of a source. Raises UsageError where one is missing."""
        wanted = (self.column,) if self.column in columns else self.names
        for name in wanted:
            if name not in columns:
                raise UsageError(f"{source} has no column {name!r} for {option}", hint=f"it has {', '.join(columns)}")
        return tuple(columns.index(name) for name in wanted)

    def parser(self, columns: int = 1) -> Callable[[str], Moment]:
        """What reads the text of so many columns. It raises DecodeError, with the reason in one line."""
        return _in_parts if self.format is None and columns > 2 else moment_parser(self.format)


def column_list(text: str) -> tuple[str, ...]:
    """The names in ``Date,Time``."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def check_format(time_format: str | None, option: str = "--time-format") -> None:
    """Raises UsageError for what is no format."""
    if time_format is None or time_format in FORMATS:
        return
    try:
        sample = datetime(2023, 8, 31, 23, 59, 1, 500_000, UTC).strftime(time_format)
        datetime.strptime(sample, time_format)
        known = "%" in time_format
    except (ValueError, re.error):
        known = False
    if not known:
        raise UsageError(
            f"{option} {time_format!r} is not known",
            hint=nearest(time_format, FORMATS)
            or f"it is one of {', '.join(FORMATS)}, or as for strptime, for example '%d/%m/%Y %H:%M:%S'",
        )


def parse_time(text: str, time_format: str | None = None) -> int:
    """A time as milliseconds since 1970-01-01 UTC, rounded down; one without an offset is taken as UTC.

    Raises DecodeError.
    """
    return moment_parser(time_format)(text).ms


@lru_cache(maxsize=32)
def moment_parser(time_format: str | None) -> Callable[[str], Moment]:
    """What reads times of one format; it raises DecodeError. None: ISO 8601."""
    if time_format in (None, "iso"):
        return _parse_iso
    if time_format == "epoch" or time_format in UNITS:
        return lambda text: Moment(_since_1970(text, None if time_format == "epoch" else time_format), absolute=True)
    if time_format in ORDERS:
        return _order_parser(time_format)
    assert time_format is not None  # noqa: S101  # for the type checker
    day_format, space, clock_format = time_format.partition(" ")
    if (
        space
        and sorted(_directives(day_format)) == sorted(_DATE_DIRECTIVES)
        and _directives(clock_format)
        and set(_directives(clock_format)) <= set(_TIME_DIRECTIVES)
    ):
        return _day_and_clock_parser(time_format, day_format, clock_format)
    return lambda text: _strptime(text, time_format, text)


def day_and_month(text: str) -> tuple[int, int] | None:
    """The first two numbers of a text such as 03/04/2023 10:00, one the day and one the month; of others None."""
    found = _SHAPE.match(text.strip())
    return None if found is None else (int(found[1]), int(found[2]))


class _Remembered(dict[str, int]):
    """Texts parsed before: a recording of years has some thousand dates and, at most, 86,400 times of day."""

    def __init__(self, parse: Callable[[str], int]) -> None:
        super().__init__()
        self._parse = parse

    def __missing__(self, text: str) -> int:
        value = self._parse(text)
        if len(self) >= _REMEMBERED:
            self.clear()
        self[text] = value
        return value


def _day_and_clock_parser(time_format: str, day_format: str, clock_format: str) -> Callable[[str], Moment]:
    """strptime takes 5 us; a day and a time of day that were seen before take two look-ups."""
    midnight = _ms(datetime(2000, 1, 1, tzinfo=UTC))
    days = _Remembered(lambda text: _strptime(text, day_format, text).ms)
    clocks = _Remembered(lambda text: _strptime("2000 " + text, "%Y " + clock_format, text).ms - midnight)

    def parse(text: str) -> Moment:
        day, space, clock = text.partition(" ")
        try:
            if space:
                return Moment(days[day] + clocks[clock], absolute=False)
        except DecodeError:
            pass
        return _strptime(text, time_format, text)  # the same once more, for its error names the whole text

    return parse


def _directives(time_format: str) -> list[str]:
    return [time_format[at : at + 2] for at in range(len(time_format)) if time_format[at] == "%"]


def _strptime(text: str, time_format: str, shown: str) -> Moment:
    try:
        return _moment(datetime.strptime(text, time_format))
    except (ValueError, OverflowError) as error:
        raise DecodeError(f"{shown[:80]!r} is not a time of the format {time_format!r}") from error


def _parse_iso(text: str) -> Moment:
    try:
        return _moment(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass
    try:
        return _year_first(text)
    except DecodeError as error:
        raise DecodeError(f"{text[:80]!r} is not an ISO 8601 time{_instead(text)}") from error


def _instead(text: str) -> str:
    if day_and_month(text) is not None:
        return "; dmy or mdy (--time-format) says which of its numbers is the day"
    if text.strip().lstrip("-").replace(".", "", 1).isdecimal():
        return "; --time-format epoch takes numbers since 1970"
    return ""


def _order_parser(order: str) -> Callable[[str], Moment]:
    """Dates of one order of day, month and year; days and times of day are remembered."""
    days = _Remembered(lambda text: _day(text, order))
    clocks = _Remembered(_clock_ms)

    def parse(text: str) -> Moment:
        day, _, clock = text.strip().replace("T", " ", 1).partition(" ")
        day, clock = day.rstrip(","), clock.strip()
        try:
            if not clock:
                return Moment(days[day], absolute=False)
            found = _CLOCK.fullmatch(clock)
            if found is not None and found[6] is not None:
                return Moment(days[day] + _clock_ms(clock) - _offset_ms(found[6]), absolute=True)
            return Moment(days[day] + clocks[clock], absolute=False)
        except (ValueError, OverflowError) as error:
            raise DecodeError(f"{text[:80]!r} is not a time in the order {ORDERS[order]}") from error

    return parse


def _day(text: str, order: str) -> int:
    compact = re.fullmatch(r"\d{8}", text) if order == "ymd" else None
    if compact is not None:
        return _ms(datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC))
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    numbers = dict(zip(order, (found[1], found[3], found[4]), strict=True))
    year = numbers["y"]
    if len(year) not in (2, 4) or any(len(numbers[part]) > 2 for part in "dm"):
        raise ValueError(text)
    # Of two digits as POSIX and strptime have it: 69 to 99 are of the last century.
    full = int(year) + (0 if len(year) == 4 else 1900 if int(year) >= 69 else 2000)
    return _ms(datetime(full, int(numbers["m"]), int(numbers["d"]), tzinfo=UTC))


def _clock_ms(text: str) -> int:
    """A time of day as ms since midnight; 24:00 is the end of the day. Raises ValueError."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(text)
    hour, minute, second = int(found[1]), int(found[2] or 0), int(found[3] or 0)
    if found[5] is not None:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if found[5] in "pP" else 0)
    ms = int((found[4] or "0").ljust(3, "0")[:3])
    if minute > 59 or second > 59 or hour > 24 or (hour == 24 and (minute or second or ms)):
        raise ValueError(text)
    return ((hour * 60 + minute) * 60 + second) * 1000 + ms


def _offset_ms(text: str) -> int:
    if text == "Z":
        return 0
    size = (int(text[1:3]) * 60 + int(text[-2:])) * 60_000
    if size >= _DAY_MS:
        raise ValueError(text)
    return -size if text[0] == "-" else size


_ymd: Final = _order_parser("ymd")


def _year_first(text: str) -> Moment:
    """Year first and yet not ISO: 2023/08/31 7:05, 20230831235900."""
    text = text.strip()
    compact = _COMPACT.fullmatch(text)
    return _ymd(text if compact is None else f"{compact[1]} {compact[2]}:{compact[3]}:{compact[4] or '00'}")


def _in_parts(text: str) -> Moment:
    """Year, month, day, and hour, minute, second where they are there, each a number."""
    found = _PARTS.fullmatch(text.strip())
    if found is None:
        try:
            return _parse_iso(text)
        except DecodeError as error:
            raise DecodeError(f"{text[:80]!r} is not year, month, day, hour, minute, second in numbers") from error
    year, month, day, hour, minute, second = found.groups()
    try:
        start = _ms(datetime(int(year), int(month), int(day), tzinfo=UTC))
        ms = int(Decimal(second or 0) * 1000)
        hours, minutes = int(hour or 0), int(minute or 0)
        # Hours are counted from 0 or to 24: then 24 is the end of the day.
        if hours > 24 or minutes > 59 or ms >= 60_000 or (hours == 24 and (minutes or ms)):
            raise ValueError(text)
    except ValueError as error:
        raise DecodeError(f"there is no time {text[:80]!r}") from error
    return Moment(start + (hours * 60 + minutes) * 60_000 + ms, absolute=False)


def _since_1970(text: str, unit: str | None) -> int:
    try:
        number = Decimal(text.strip()) if _NUMBER.fullmatch(text.strip()) else Decimal("NaN")
        size = number.adjusted() if number.is_finite() else 99
        if unit is None:
            unit = "epoch-s" if size < 11 else "epoch-ms" if size < 14 else "epoch-us" if size < 17 else "epoch-ns"
        ms = number * UNITS[unit] if size < 25 else Decimal("NaN")
        whole = int(ms.to_integral_value("ROUND_FLOOR"))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise DecodeError(f"{text[:80]!r} is no number of {_unit_name(unit)} since 1970") from error
    if abs(whole) > 10**17:
        raise DecodeError(f"{text[:80]!r} is too large for {_unit_name(unit)} since 1970")
    return whole


def _unit_name(unit: str | None) -> str:
    return {
        "epoch-s": "seconds",
        "epoch-ms": "milliseconds",
        "epoch-us": "microseconds",
        "epoch-ns": "nanoseconds",
    }.get(unit or "", "seconds, milliseconds or microseconds")


def _moment(moment: datetime) -> Moment:
    if moment.tzinfo is None:
        return Moment(_ms(moment.replace(tzinfo=UTC)), absolute=False)
    return Moment(_ms(moment), absolute=True)


def _ms(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
