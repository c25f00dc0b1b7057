"""Station 2: when each row is due, by delay, by rate, or by the times in the rows themselves.

A schedule is absolute: it says how many seconds after the source's start a row is due, so what one pause is
too long the next is shorter, and nothing drifts. It never sleeps and never looks at a clock;
:func:`wait_until_due` does, with a clock that a test may put in its place.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from sensorstream.errors import DecodeError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import SourceRow
from sensorstream.sources.row_times import RowTimes
from sensorstream.wording import counted

_MS_PER_S: Final = 1000


class Schedule(Protocol):
    """When the rows of one source are due. ``paced`` False: at once, without asking."""

    paced: bool

    def start(self, now: float, number: int) -> float:
        """The source begins with round ``number``, from 0, at ``now``; from when its seconds are counted."""

    def held(self, row: SourceRow) -> float | None:
        """Seconds after the start at which to ask again; None: the row may go when it is due, see :meth:`due`."""

    def due(self, row: SourceRow) -> float:
        """Seconds after the source's start at which this row is due; call it once for each row, in order."""

    def restart(self) -> None:
        """The source begins again with its first row (``--loop``); due times go on growing."""

    def pause(self) -> None:
        """For now there is no next row."""

    def end(self) -> None:
        """No more rows come. May be called twice."""


class _Alone:
    """A schedule that has to do with no other source."""

    def start(self, now: float, number: int) -> float:
        """``now``."""
        return now

    def held(self, row: SourceRow) -> float | None:
        """None: nothing is waited for."""
        return None

    def restart(self) -> None:
        """Nothing to do."""

    def pause(self) -> None:
        """Nothing to do."""

    def end(self) -> None:
        """Nothing to do."""


class Unpaced(_Alone):
    """Every row is due at once."""

    paced = False

    def due(self, row: SourceRow) -> float:
        """Always 0."""
        return 0.0


class EveryInterval(_Alone):
    """The n-th row handed in is due after n intervals, over all rounds; ``interval`` is in seconds."""

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


class EventTime(_Alone):
    """Replays the pauses between the rows' own times, ``speed`` times as fast.

    ``times`` tells them, and whether the newest row comes first; then time runs backwards. A row is due as far behind
    the first one as its time is. ``max_gap`` caps one pause, in seconds of the recording. A row that is out of order,
    so that its time would lead back, is due at once, and so is one whose time can't be read; the first such row brings
    a Notice.
    """

    paced = True

    def __init__(
        self,
        times: RowTimes,
        *,
        speed: float = 1.0,
        max_gap: float | None = None,
        name: str = "",
        listener: Listener = ignore,
    ) -> None:
        self._times = times
        self._speed = speed
        self._max_gap_ms = None if max_gap is None else max_gap * _MS_PER_S
        self._odd = OddRows(name, listener)
        self._furthest_ms: int | None = None
        self._elapsed_ms: float = 0

    def due(self, row: SourceRow) -> float:
        """The first row is due at 0."""
        now_ms = self._odd.time_of(row, self._times)
        if now_ms is not None:
            if self._furthest_ms is None:
                self._furthest_ms = now_ms
            ahead = self._odd.ahead(row, now_ms, self._furthest_ms, self._times)
            if ahead > 0:
                self._elapsed_ms += ahead if self._max_gap_ms is None else min(ahead, self._max_gap_ms)
                self._furthest_ms = now_ms
        return self._elapsed_ms / _MS_PER_S / self._speed

    def restart(self) -> None:
        """No pause is made for the way back from the last row to the first."""
        self._furthest_ms = None

    def end(self) -> None:
        """Tell how many rows were out of order."""
        self._odd.tell()


class OddRows:
    """The rows of a source that have no time or are out of order: what is told of them."""

    def __init__(self, name: str, listener: Listener) -> None:
        self._name = f"{name}: " if name else ""
        self._listener = listener
        self._without = self._back = 0

    def time_of(self, row: SourceRow, times: RowTimes) -> int | None:
        """The time of a row; None where it has none."""
        try:
            return times.of(row)
        except DecodeError as error:
            self._without += 1
            if self._without == 1:
                self._warn(f"line {row.line}: {error.message}; rows without a time are sent at once")
            return None

    def ahead(self, row: SourceRow, now_ms: int, furthest_ms: int, times: RowTimes) -> int:
        """How much further a row is than the furthest one, in ms; less than 0 for a row that is out of order."""
        if times.newest_first is None and now_ms != furthest_ms:
            times.newest_first = now_ms < furthest_ms
        ahead = furthest_ms - now_ms if times.newest_first else now_ms - furthest_ms
        if ahead < 0:
            self._back += 1
            if self._back == 1:
                where = "newer" if times.newest_first else "older"
                self._warn(
                    f"line {row.line}: its time is {-ahead / _MS_PER_S:g} s {where} than that of a row before it; "
                    "rows that are out of order are sent at once"
                )
        return ahead

    def tell(self) -> None:
        """Tell how many there were, once; the first one has been told."""
        for count, what in ((self._back, "were out of order"), (self._without, "had no time that can be read")):
            if count > 1:
                self._warn(f"{counted(count, 'row')} {what}; each was sent at once")
        self._back = self._without = 0

    def _warn(self, text: str) -> None:
        self._listener(Notice(f"{self._name}{text}", "warning"))


def make_schedule(
    *,
    delay: float | None = None,
    rate: float | None = None,
    speed: float | None = None,
    max_gap: float | None = None,
    times: RowTimes | None = None,
    name: str = "",
    listener: Listener = ignore,
) -> Schedule:
    """The schedule that the options ask for: ``speed``, else ``rate`` (rows a second), else ``delay`` (s).

    ``times`` are the rows' own, which ``speed`` needs. A delay of 0 or None is unpaced. Raises
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
        if times is None:
            raise UsageError(
                f"--speed needs a time column{f' in {name}' if name else ''}",
                hint="set time_column for the topic in sensorstream.toml",
            )
        return EventTime(times, speed=speed, max_gap=max_gap, name=name, listener=listener)
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
