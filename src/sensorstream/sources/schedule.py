"""Station 2: when each row is due, by delay, by rate, or by the times in the rows themselves.

A schedule is absolute: it says how many seconds after the source's start a row is due, so what one pause is
too long the next is shorter, and nothing drifts. It never sleeps and never looks at a clock;
:func:`wait_until_due` does, with a clock that a test may put in its place.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

from sensorstream.errors import DecodeError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import SourceRow

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS_PER_S: Final = 1000
_DATE_DIRECTIVES: Final = ("%Y", "%m", "%d")
_TIME_DIRECTIVES: Final = ("%H", "%M", "%S")
_REMEMBERED: Final = 1 << 17  # more than the seconds of a day


class Schedule(Protocol):
    """When the rows of one source are due. ``paced`` False: at once, without asking."""

    paced: bool

    def due(self, row: SourceRow) -> float:
        """Seconds after the source's start at which this row is due; call it once for each row, in order."""

    def restart(self) -> None:
        """The source begins again with its first row (``--loop``); due times go on growing."""


class Unpaced:
    """Every row is due at once."""

    paced = False

    def due(self, row: SourceRow) -> float:
        """Always 0."""
        return 0.0

    def restart(self) -> None:
        """Nothing to do."""


class EveryInterval:
    """The n-th row handed in is due after n intervals; ``interval`` is in seconds."""

    paced = True

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._rows = 0

    def due(self, row: SourceRow) -> float:
        """The first row is due at 0."""
        # A product and not a sum: a million additions of 0.1 s are off by microseconds and growing.
        due = self._rows * self._interval
        self._rows += 1
        return due

    def restart(self) -> None:
        """The first row of the next round is one interval after the last of this one."""


class EventTime:
    """Replays the pauses between the rows' own times, ``speed`` times as fast.

    ``column`` is the index of the time column, ``time_format`` as for strptime (None: ISO 8601). The pause
    ahead of a row is the distance of its time to that of the row before, forwards or backwards, so files with
    the newest row first replay too. ``max_gap`` caps one pause, in seconds of the recording. A row whose time
    can't be read is due with the row before; the first such row brings a Notice.
    """

    paced = True

    def __init__(
        self,
        column: int,
        time_format: str | None = None,
        *,
        speed: float = 1.0,
        max_gap: float | None = None,
        name: str = "",
        listener: Listener = ignore,
    ) -> None:
        self._column = column
        self._parse = time_parser(time_format)
        self._speed = speed
        self._max_gap_ms = None if max_gap is None else max_gap * _MS_PER_S
        self._name = name
        self._listener = listener
        self._last_ms: int | None = None
        self._elapsed_ms: float = 0
        self._noticed = False

    def due(self, row: SourceRow) -> float:
        """The first row is due at 0."""
        try:
            now_ms = self._parse(row.cells[self._column])
        except DecodeError as error:
            if not self._noticed:
                self._noticed = True
                name = f"{self._name}: " if self._name else ""
                text = f"{name}line {row.line}: {error.message}; rows without a time go out at once"
                self._listener(Notice(text, "warning"))
        else:
            if self._last_ms is not None:
                gap = abs(now_ms - self._last_ms)
                self._elapsed_ms += gap if self._max_gap_ms is None else min(gap, self._max_gap_ms)
            self._last_ms = now_ms
        return self._elapsed_ms / _MS_PER_S / self._speed

    def restart(self) -> None:
        """No pause is made for the way back from the last row to the first."""
        self._last_ms = None


def make_schedule(
    *,
    delay: float | None = None,
    rate: float | None = None,
    speed: float | None = None,
    max_gap: float | None = None,
    column: int | None = None,
    time_format: str | None = None,
    name: str = "",
    listener: Listener = ignore,
) -> Schedule:
    """The schedule that the options ask for: ``speed``, else ``rate`` (rows a second), else ``delay`` (s).

    ``column`` is the index of the time column, which ``speed`` needs. A delay of 0 or None is unpaced. Raises
    UsageError when a value is out of range or ``speed`` and ``rate`` are given together.
    """
    for value, option, what in ((rate, "--rate", "rows a second"), (speed, "--speed", "times as fast")):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{option} {value:g} is not a number above 0", hint=f"it means: {what}")
    for value, option in ((delay, "--delay"), (max_gap, "--max-gap")):
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"{option} {value:g} is not a number of seconds of 0 or more")
    if speed is not None and rate is not None:
        raise UsageError("--speed and --rate can't be used together", hint="take one of them")
    if speed is not None:
        if column is None:
            raise UsageError(
                f"--speed needs a time column{f' in {name}' if name else ''}",
                hint="set time_column for the topic in sensorstream.toml",
            )
        return EventTime(column, time_format, speed=speed, max_gap=max_gap, name=name, listener=listener)
    if max_gap is not None:
        raise UsageError("--max-gap works with --speed only")
    if rate is not None:
        return EveryInterval(1 / rate)
    return EveryInterval(delay) if delay else Unpaced()


def wait_until_due(
    due: float, started: float, stop: threading.Event, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Wait until ``due`` seconds after ``started`` (a reading of ``clock``). False when ``stop`` was set."""
    while not stop.is_set():
        left = started + due - clock()
        if left <= 0:
            return True
        # Event.wait takes no more than threading.TIMEOUT_MAX; a day at a time is as good.
        stop.wait(min(left, 86_400.0))
    return False


def parse_time(text: str, time_format: str | None = None) -> int:
    """A time as milliseconds since 1970-01-01 UTC, rounded down.

    ``time_format`` is as for strptime; None means ISO 8601, with or without an offset. A time without an
    offset is taken as UTC. Raises DecodeError.
    """
    return time_parser(time_format)(text)


@lru_cache(maxsize=32)
def time_parser(time_format: str | None) -> Callable[[str], int]:
    """:func:`parse_time` for one format, for those who have many times to parse."""
    if time_format is None:
        return _parse_iso
    day_format, space, clock_format = time_format.partition(" ")
    if (
        space
        and sorted(_directives(day_format)) == sorted(_DATE_DIRECTIVES)
        and _directives(clock_format)
        and set(_directives(clock_format)) <= set(_TIME_DIRECTIVES)
    ):
        return _day_and_clock_parser(time_format, day_format, clock_format)

    def parse(text: str) -> int:
        return _strptime(text, time_format, text)

    return parse


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


def _day_and_clock_parser(time_format: str, day_format: str, clock_format: str) -> Callable[[str], int]:
    """strptime takes 5 us; a day and a time of day that were seen before take two look-ups."""
    midnight = _ms(datetime(2000, 1, 1))  # taken as UTC
    days = _Remembered(lambda text: _strptime(text, day_format, text))
    clocks = _Remembered(lambda text: _strptime("2000 " + text, "%Y " + clock_format, text) - midnight)

    def parse(text: str) -> int:
        day, space, clock = text.partition(" ")
        try:
            if space:
                return days[day] + clocks[clock]
        except DecodeError:
            pass
        return _strptime(text, time_format, text)  # the same once more, for its error names the whole text

    return parse


def _directives(time_format: str) -> list[str]:
    return [time_format[at : at + 2] for at in range(len(time_format)) if time_format[at] == "%"]


def _strptime(text: str, time_format: str, shown: str) -> int:
    try:
        return _ms(datetime.strptime(text, time_format))  # taken as UTC
    except (ValueError, OverflowError) as error:
        raise DecodeError(f"{shown[:80]!r} is not a time of the format {time_format!r}") from error


def _parse_iso(text: str) -> int:
    try:
        return _ms(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise DecodeError(f"{text[:80]!r} is not an ISO 8601 time") from error


def _ms(moment: datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
