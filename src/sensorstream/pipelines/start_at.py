"""Where a capture begins: ``-o beginning|end|N|-N|@TIME``."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from sensorstream.clients.base import Reader
from sensorstream.errors import UsageError
from sensorstream.records import TopicPartition

_DIGITS: Final = 18
"""An offset and a time are 64-bit integers, which hold every number of so many digits."""
_AGO: Final = re.compile(r"-((?:[0-9]{1,9}[smhdw])+)")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_HINT: Final = "it is beginning, end, N, -N (N before the end) or @TIME"


@dataclass(frozen=True, slots=True)
class StartAt:
    """``beginning``, ``end``, ``offset`` N, N before the end (``tail``), or a ``time`` in ms since 1970 UTC."""

    kind: Literal["beginning", "end", "offset", "tail", "time"]
    value: int = 0


def parse(text: str, now_ms: int | None = None) -> StartAt:
    """Read the value of ``-o``.

    ``@TIME`` is seconds or milliseconds since 1970, or ISO 8601, which is UTC where it names no zone, or relative to
    ``now_ms`` (default: the clock): ``@now``, ``@-1h``, ``@-1d12h``, in s, m, h, d and w.

    Raises UsageError.
    """
    if text in ("beginning", "earliest", "start"):
        return StartAt("beginning")
    if text in ("end", "latest"):
        return StartAt("end")
    if text.startswith("@"):
        return StartAt("time", _milliseconds(text[1:], now_ms))
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS:
        return StartAt("tail" if text.startswith("-") else "offset", int(digits))
    raise UsageError(f"-o {text!r} is no offset", hint=_HINT)


def is_relative(text: str) -> bool:
    """Whether what ``text`` means depends on when it is read."""
    return text == "@now" or (text.startswith("@") and _AGO.fullmatch(text[1:]) is not None)


def resolve(start: StartAt, reader: Reader, tp: TopicPartition, first: int, end: int) -> int:
    """The offset that ``start`` means for a partition that holds ``first`` up to before ``end``."""
    if start.kind == "beginning":
        return first
    if start.kind == "end":
        return end
    if start.kind == "tail":
        return max(first, end - start.value)
    if start.kind == "time":
        found = reader.offset_for_time(tp, start.value)
        return end if found is None else found
    return start.value


def _milliseconds(text: str, now_ms: int | None) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= _DIGITS:
        number = int(text)
        # Ten digits of seconds last until the year 2286; what is longer is milliseconds.
        return number if number >= 10**11 else number * 1000
    if is_relative("@" + text):
        seconds = sum(int(number) * _UNIT_S[unit] for number, unit in re.findall(r"([0-9]+)([smhdw])", text))
        now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        return max(0, now_ms - seconds * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"-o @{text}: {text!r} is no time",
            hint="write seconds since 1970, ISO 8601, as @2023-08-31T23:59:00, or how long ago, as @-1h30m",
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
