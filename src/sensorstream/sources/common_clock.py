"""Station 2: one clock for several sources, so that their rows are published in the order of recording.

The clock begins with the first row of all sources, and every row is due as far behind it as its time is. With
``--loop`` the sources begin each round together, when the last of them has ended the one before.

Of the sources in one process, the row that is the earliest goes first, however late the replay is: the others are held
until it is gone. Sources in other processes are heard of by what they say (:class:`Said`): when they begin a round,
end it, and leave. All processes work out the same from that.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import SourceRow
from sensorstream.sources.row_times import RowTimes
from sensorstream.sources.schedule import EventTime, OddRows

_MS_PER_S: Final = 1000
_BEHIND_S: Final = 1e-6
_UNKNOWN_S: Final = 0.02
"""How soon to look again while others have still to say where they begin."""
_FAR_S: Final = 10.0
"""A source that begins so much later than the clock is told."""


class Said(NamedTuple):
    """What one source lets the others know: that it begins a round, with its first time; that it ends one, or leaves
    for good, with its last time. Times are in ms, None where no row had one."""

    source: int
    what: Literal["begins", "ends", "leaves"]
    round: int
    time_ms: int | None
    newest_first: bool | None = None


class CommonClock:
    """The clock of the sources of these ``names``; a source is known by its index among them.

    ``speed`` is how many times as fast as the recording; ``max_gap``, in seconds of it, caps a pause in which no source
    has a row, which is for sources of one process only. ``tell`` is called with what a source of this process says.
    The sources are asked one at a time, on whatever thread; others may be heard of meanwhile.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        speed: float = 1.0,
        max_gap: float | None = None,
        listener: Listener = ignore,
        tell: Callable[[Said], None] = lambda said: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tell = tell
        self.now = now
        self.speed = speed
        self.max_gap = max_gap
        self.listener = listener
        self._names = names
        self._state = threading.RLock()
        self._began: float | None = None
        self._backwards: bool | None = None
        self._first_rounds: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._left: set[int] = set()
        self._firsts: dict[int, dict[int, int]] = {}
        self._lasts: dict[int, list[int]] = {}
        self._directions: dict[int, bool] = {}
        self._origins: dict[int, int] = {}
        self._bases: dict[int, float] = {}
        self._pending: dict[int, tuple[int, int]] = {}
        self._skipped: dict[int, float] = {}
        self._gone: dict[int, int] = {}
        self._apart: bool | None = None

    def start(self, now: float) -> float:
        """Begin at ``now``, a reading of the clock ``now``, unless it has begun already; when it began."""
        with self._state:
            if self._began is None:
                self._began = now
            return self._began

    def say(self, said: Said) -> None:
        """A source of this process says something that the others must know."""
        if self.hear(said):
            self.tell(said)

    def leave(self, source: int) -> None:
        """A source of this process has nothing to publish at all."""
        self.say(Said(source, "leaves", 0, None))

    def hear(self, said: Said) -> bool:
        """Take note of what a source says; whether it is new."""
        with self._state:
            source, number = said.source, said.round
            if said.what != "begins":
                self._pending.pop(source, None)
            if source in self._left:
                return False
            self._begun[source] = max(number, self._begun.get(source, number))
            self._ended[source] = max(number - 1, self._ended.get(source, number - 1))
            self._first_rounds.setdefault(source, number)
            if said.what == "begins":
                if source in self._firsts.get(number, {}):
                    return False
                if said.time_ms is not None:
                    self._firsts.setdefault(number, {})[source] = said.time_ms
                if said.newest_first is not None:
                    self._directions.setdefault(source, said.newest_first)
                return True
            if said.time_ms is not None:
                self._lasts.setdefault(number, []).append(said.time_ms)
            self._ended[source] = max(number, self._ended.get(source, number))
            if said.what == "leaves":
                self._left.add(source)
            return True

    @property
    def apart(self) -> bool | None:
        """Whether each source goes by a clock of its own, as some have their newest row first and others have it last.

        None while that is not known.
        """
        with self._state:
            if self._apart is None and len(self._begun) == len(self._names):
                kinds = set(self._directions.values())
                self._apart = len(kinds) > 1
                self._backwards = kinds == {True}
                if self._apart:
                    one, other = (
                        next(self._names[at] for at, kind in sorted(self._directions.items()) if kind is backwards)
                        for backwards in (True, False)
                    )
                    self.listener(
                        Notice(
                            f"{one} has its newest row first and {other} has it last: they can't share one clock, each "
                            "has its own",
                            "warning",
                        )
                    )
            return self._apart

    @property
    def backwards(self) -> bool:
        """Whether time runs backwards."""
        return bool(self._backwards)

    def pending(self, source: int, number: int, time_ms: int) -> None:
        """The next row of a source of this process is the one of this time, in this round."""
        with self._state:
            self._pending[source] = number, time_ms

    def gone(self, number: int, time_ms: int) -> None:
        """A row of this time went out in this round."""
        with self._state:
            place = -time_ms if self._backwards else time_ms
            self._gone[number] = max(place, self._gone.get(number, place))

    def pause(self, source: int) -> None:
        """Hold nobody up for this source, until it says what its next row is."""
        with self._state:
            self._pending.pop(source, None)

    def held(self, source: int) -> float | None:
        """When to look again, in seconds after the start; None when no row of another source is ahead of its own."""
        with self._state:
            number, place, first = min(
                (number, -time_ms if self._backwards else time_ms, at)
                for at, (number, time_ms) in self._pending.items()
            )
            self._skip(number, place)
            if first == source:
                return None
            due = self._due(number, place)
            # Just behind it; and when it is late already, behind all others that wait for a thread.
            return self.unknown() if due is None else max(due + _BEHIND_S, self.elapsed())

    def due(self, number: int, time_ms: int | None) -> float | None:
        """When a row of this time is due, in seconds after the start; None while that is not known."""
        with self._state:
            if time_ms is None:
                return self._base(number)
            return self._due(number, -time_ms if self._backwards else time_ms)

    def unknown(self) -> float:
        """When to look again, in seconds after the start, while it is not known when a row is due."""
        with self._state:
            soon = self.elapsed() + _UNKNOWN_S
            dues = [self._due(number, -time if self._backwards else time) for number, time in self._pending.values()]
            # Nothing changes before a row goes out, at least where all sources are here.
            return max(soon, min((due for due in dues if due is not None), default=soon))

    def elapsed(self) -> float:
        """Seconds since the start."""
        return 0.0 if self._began is None else self.now() - self._began

    def _due(self, number: int, place: int) -> float | None:
        base, origin = self._base(number), self._origin(number)
        if base is None or origin is None:
            return None
        return base + self._length(number, place - origin)

    def _length(self, number: int, ahead_ms: float) -> float:
        return max(0.0, ahead_ms - self._skipped.get(number, 0.0)) / _MS_PER_S / self.speed

    def _skip(self, number: int, place: int) -> None:
        """Cut a pause in which no source has a row."""
        if self.max_gap is None or number not in self._gone:
            return
        over = place - self._gone[number] - self.max_gap * _MS_PER_S
        if over > 0:
            self._skipped[number] = self._skipped.get(number, 0.0) + over
            # It is gone so far now: the same pause must not be cut twice.
            self._gone[number] = place

    def _all(self, rounds: dict[int, int], number: int) -> bool:
        return all(at in self._left or rounds.get(at, number - 1) >= number for at in range(len(self._names)))

    def _origin(self, number: int) -> int | None:
        """The place of the first row of a round; None until every source has said where it begins it."""
        if number not in self._origins and self.apart is not None and self._all(self._begun, number):
            firsts = {at: -time if self._backwards else time for at, time in self._firsts.get(number, {}).items()}
            if firsts:
                self._origins[number] = min(firsts.values())
                if len(self._origins) == 1:
                    self._tell_late(firsts)
        return self._origins.get(number)

    def _tell_late(self, firsts: dict[int, int]) -> None:
        origin = min(firsts.values())
        for at, place in firsts.items():
            wait = (place - origin) / _MS_PER_S / self.speed
            if wait >= _FAR_S and self.max_gap is None:
                self.listener(
                    Notice(
                        f"{self._names[at]} begins {_shown((place - origin) / _MS_PER_S)} of recorded time after the "
                        f"first source: its first row is due in {_shown(wait)}; --clock own lets each start at once",
                    )
                )

    def _base(self, number: int) -> float | None:
        """When a round begins, in seconds after the start; None until all sources have ended the one before."""
        if self.apart is None:
            return None
        if not self._bases:
            # Jobs that go on may be in different rounds; whoever is ahead waits for the others.
            self._bases[min(self._first_rounds.values())] = 0.0
        if number not in self._bases and number - 1 in self._bases and self._all(self._ended, number - 1):
            lasts = [-time if self._backwards else time for time in self._lasts.get(number - 1, [])]
            origin = self._origin(number - 1)
            length = 0.0 if origin is None or not lasts else self._length(number - 1, max(lasts) - origin)
            self._bases[number] = self._bases[number - 1] + length
        return self._bases.get(number)


class OnClock:
    """The schedule of one source of a :class:`CommonClock`."""

    paced = True

    def __init__(self, clock: CommonClock, source: int, times: RowTimes, *, name: str, listener: Listener) -> None:
        self._clock = clock
        self._source = source
        self._times = times
        self._odd = OddRows(name, listener)
        self._own = EventTime(times, speed=clock.speed, max_gap=clock.max_gap, name=name, listener=listener)
        self._own_row: SourceRow | None = None
        self._own_began = self._own_due = 0.0
        self._round = 0
        self._row: SourceRow | None = None
        self._furthest_ms: int | None = None

    def start(self, now: float, number: int) -> float:
        """When the clock began; the source begins with round ``number``, from 0."""
        self._round = number
        return self._clock.start(now)

    def held(self, row: SourceRow) -> float | None:
        """When to look at the row again, in seconds after the start; None when it may go as soon as it is due."""
        clock = self._clock
        if row is not self._row and not clock.apart:
            self._take(row)
        if clock.apart is None:
            # Without a time there is nothing to tell the others yet.
            return clock.unknown() if self._furthest_ms is not None else None
        if clock.apart:
            if row is not self._own_row:
                if self._own_row is None:
                    self._own_began = clock.elapsed()
                self._own_row, self._own_due = row, self._own_began + self._own.due(row)
            return None
        if self._times.newest_first is None:
            self._times.newest_first = clock.backwards
        if clock.due(self._round, self._furthest_ms) is None:
            return clock.unknown()
        if self._furthest_ms is None:
            return None
        clock.pending(self._source, self._round, self._furthest_ms)
        return clock.held(self._source)

    def due(self, row: SourceRow) -> float:
        """When the row is due; :meth:`held` has been asked before."""
        if self._clock.apart:
            return self._own_due
        return self._clock.due(self._round, self._furthest_ms) or 0.0

    def restart(self) -> None:
        """The source begins its next round."""
        self._let_go()
        self._clock.say(Said(self._source, "ends", self._round, self._furthest_ms))
        self._own.restart()
        self._round += 1
        self._row = self._furthest_ms = None

    def pause(self) -> None:
        """For now there is no next row."""
        self._clock.pause(self._source)

    def end(self) -> None:
        """No more rows come."""
        self._let_go()
        self._clock.say(Said(self._source, "leaves", self._round, self._furthest_ms))
        self._odd.tell()
        self._own.end()

    def _let_go(self) -> None:
        """The row before has gone out."""
        if self._furthest_ms is not None:
            self._clock.gone(self._round, self._furthest_ms)

    def _take(self, row: SourceRow) -> None:
        """Work out where the row stands: at its time, or, where that is none or leads back, at the furthest one."""
        self._let_go()
        self._row = row
        now_ms = self._odd.time_of(row, self._times)
        if now_ms is None:
            return
        if self._furthest_ms is None:
            self._furthest_ms = now_ms
            self._clock.say(Said(self._source, "begins", self._round, now_ms, self._times.newest_first))
        elif self._odd.ahead(row, now_ms, self._furthest_ms, self._times) > 0:
            self._furthest_ms = now_ms
        self._clock.pending(self._source, self._round, self._furthest_ms)


def _shown(seconds: float) -> str:
    """A length of time in its largest unit."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
