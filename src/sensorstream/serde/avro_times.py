"""Stations 3 and 7: convert times between text and Avro's numbers, exactly or not at all.

A format is as for ``strptime``, with ``%3f`` for milliseconds of three digits. A time without a zone is an Avro
``local-timestamp``, one that ends in ``Z`` a ``timestamp``.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final

ISO_FORMATS: Final = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%3f",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S.%3f",
    "%Y-%m-%dT%H:%M:%S.%3fZ",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%fZ",
)
"""The formats that are known for times without being told."""

_EPOCH: Final = datetime(1970, 1, 1)  # the zero of local times, too
_MILLI: Final = timedelta(milliseconds=1)
_MICRO: Final = timedelta(microseconds=1)
_REMEMBERED: Final = 1 << 15


def is_whole(text_format: str) -> bool:
    """Whether a format says a day, and no zone but a last ``Z``: only such times are numbers in Avro."""
    has_day = ("%d" in text_format and any(month in text_format for month in ("%m", "%b", "%B"))) or "%j" in text_format
    return ("%Y" in text_format or "%y" in text_format) and has_day and "%z" not in text_format.lower()


def avro_type(text_format: str) -> dict[str, str]:
    """The Avro type of times of this format."""
    if text_format == "%Y-%m-%d":
        return {"type": "int", "logicalType": "date", "text": text_format}
    unit = "micros" if "%f" in text_format else "millis"
    local = "" if text_format.endswith("Z") else "local-"
    return {"type": "long", "logicalType": f"{local}timestamp-{unit}", "text": text_format}


@lru_cache(maxsize=64)
def to_number(logical: str, text_format: str | None) -> Callable[[str], int]:
    """What makes the number of a time of this logical type. It raises ValueError for what is no such time."""

    def convert(text: str) -> int:
        if logical == "date":
            moment = _parse(text, text_format)
            if moment.time() != time():
                raise ValueError("it has a time of day")
            return (moment - _EPOCH).days
        if logical.startswith("time-"):
            clock = time.fromisoformat(text)
            whole = timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)
            return _in_units(whole + timedelta(microseconds=clock.microsecond), logical)
        return _in_units(_parse(text, text_format) - _EPOCH, logical)

    return convert


def _in_units(span: timedelta, logical: str) -> int:
    if logical.endswith("micros"):
        return span // _MICRO
    if span % _MILLI:
        raise ValueError("it has parts of a millisecond")
    return span // _MILLI


def _parse(text: str, text_format: str | None) -> datetime:
    if text_format is None:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    return datetime.strptime(text, text_format.replace("%3f", "%f"))  # a zone is no part of it


def survives(text: str, text_format: str) -> bool:
    """Whether a text is a time of this format and comes back from its number letter for letter."""
    try:
        moment = _parse(text, text_format)
    except ValueError:
        return False
    if not is_whole(text_format) or (moment.microsecond % 1000 and "%f" not in text_format):
        return False
    return written(moment, text_format) == text


def written(moment: Any, text_format: str) -> str:
    """A date or time in this format."""
    if "%3f" in text_format:
        text_format = text_format.replace("%3f", f"{moment.microsecond // 1000:03d}")
    return str(moment.strftime(text_format))


def to_text(logical: str, text_format: str | None) -> Callable[[Any], str]:
    """What makes the text of what fastavro reads of this logical type: in the format given, else ISO 8601."""

    def convert(value: Any) -> str:
        if text_format is not None and isinstance(value, date):
            return written(value, text_format)
        if isinstance(value, datetime):
            parts = "microseconds" if logical.endswith("micros") else "milliseconds"
            if value.tzinfo is None:
                return value.isoformat(timespec=parts)
            return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=parts) + "Z"
        if isinstance(value, time):
            return value.isoformat("microseconds" if logical.endswith("micros") else "milliseconds")
        return value.isoformat() if isinstance(value, date) else str(value)

    return convert
