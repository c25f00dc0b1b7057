"""When the rows of a file were recorded: the time columns, their format, the step, gaps and repeated times."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from sensorstream.errors import DecodeError
from sensorstream.sources.times import Moment, TimeRule

_FORMATS: Final = (None, "ymd", "dmy", "mdy")
_NAMED: Final = re.compile(r"time|date|stamp|^ts$|epoch|unix", re.IGNORECASE)
_DATE: Final = re.compile(r"^(?:date|day|datum)$", re.IGNORECASE)
_CLOCK: Final = re.compile(r"^(?:time|hour|clock|zeit|uhrzeit)$", re.IGNORECASE)
_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")
_STEPS: Final = 10_000
_GAP: Final = 1.5
_BAD_OF: Final = 20
"""One of so many rows may have no time that can be read."""


@dataclass(frozen=True, slots=True)
class TimeFound:
    """The time of the rows. ``column`` and ``format`` are as for ``--time-column`` and ``--time-format`` (None: ISO
    8601); ``ambiguous``: day and month could be the other way round. ``first`` and ``last`` are ISO 8601; ``step_s`` is
    the most common time between neighbours in seconds, ``gaps`` counts longer ones, ``repeated`` rows with the time of
    the one before, ``backwards`` those before it, and ``unreadable`` rows whose time can't be read. ``order`` is
    ``ascending`` or ``descending``."""

    column: str
    format: str | None
    ambiguous: bool
    first: str | None
    last: str | None
    step_s: float | None
    gaps: int
    repeated: int
    backwards: int
    unreadable: int
    order: str


def find_rule(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[TimeRule, bool] | None:
    """Where the time of these rows stands and how it is written, and whether that is ambiguous; None: nowhere."""
    if not rows:
        return None
    lower = [name.strip().lower() for name in columns]
    if all(part in lower for part in _PARTS[:3]):
        wanted = [columns[lower.index(part)] for part in _PARTS if part in lower]
        rule = TimeRule(",".join(wanted))
        if _reads(rule, columns, rows):
            return rule, False
    dates = [name for name in columns if _DATE.match(name.strip())]
    clocks = [name for name in columns if _CLOCK.match(name.strip())]
    candidates = [f"{date},{clock}" for date in dates for clock in clocks]
    named = [name for name in columns if _NAMED.search(name)]
    candidates += [*named, *(name for name in columns if name not in named)]
    for column in candidates:
        fitting = [one for one in _FORMATS if _reads(TimeRule(column, one), columns, rows)]
        if fitting:
            chosen = fitting[0]
            return TimeRule(column, chosen), chosen == "dmy" and "mdy" in fitting
        if column in named and _is_epoch(column, columns, rows):
            return TimeRule(column, "epoch"), False
    return None


def _reads(rule: TimeRule, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    if "," in rule.column and rule.column not in columns and any(name not in columns for name in rule.names):
        return False
    read, bad = reader(rule, columns), 0
    for row in rows:
        try:
            read(row)
        except DecodeError:
            bad += 1
            if bad * _BAD_OF > len(rows):
                return False
    return bad < len(rows)


def _is_epoch(column: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    at = columns.index(column) if column in columns else None
    if at is None:
        return False
    try:
        return all(1e8 < abs(float(row[at])) < 1e19 for row in rows)
    except ValueError:
        return False


def reader(rule: TimeRule, columns: Sequence[str]) -> Callable[[Sequence[str]], Moment]:
    """What reads the time of a row; it raises DecodeError."""
    places = rule.among(columns, "the file")
    parse = rule.parser(len(places))
    if len(places) == 1:
        (only,) = places
        return lambda cells: parse(cells[only])
    return lambda cells: parse(" ".join(cells[place] for place in places))


class TimeCounter:
    """Follows the times of a file's rows; ``key`` of a row tells stations apart."""

    def __init__(self, rule: TimeRule, columns: Sequence[str], *, ambiguous: bool) -> None:
        self.rule = rule
        self._ambiguous = ambiguous
        self._read = reader(rule, columns)
        self._before: dict[str, int] = {}
        self._steps: Counter[int] = Counter()
        self._first: int | None = None
        self._last: int | None = None
        self._up = self._down = self._repeated = self._unreadable = 0

    def add(self, cells: Sequence[str], key: str) -> None:
        """Count a row."""
        try:
            now = self._read(cells).ms
        except DecodeError:
            self._unreadable += 1
            return
        self._first = now if self._first is None else min(self._first, now)
        self._last = now if self._last is None else max(self._last, now)
        before = self._before.get(key)
        self._before[key] = now
        if before is None:
            return
        if now == before:
            self._repeated += 1
            return
        self._up += now > before
        self._down += now < before
        if len(self._steps) < _STEPS or abs(now - before) in self._steps:
            self._steps[abs(now - before)] += 1

    @property
    def unreadable(self) -> int:
        """How many rows had a time that can't be read."""
        return self._unreadable

    def found(self) -> TimeFound:
        """What the times are."""
        step = self._steps.most_common(1)[0][0] if self._steps else None
        gaps = 0 if step is None else sum(count for one, count in self._steps.items() if one > step * _GAP)
        return TimeFound(
            self.rule.column,
            self.rule.format,
            self._ambiguous,
            _iso(self._first),
            _iso(self._last),
            None if step is None else step / 1000,
            gaps,
            self._repeated,
            min(self._up, self._down),
            self._unreadable,
            "ascending" if self._up >= self._down else "descending",
        )


class EitherWay:
    """Follows times whose day and month could be the other way round, both ways, until the rows tell."""

    def __init__(self, rule: TimeRule, columns: Sequence[str]) -> None:
        self._ways = [TimeCounter(replace(rule, format=one), columns, ambiguous=False) for one in ("dmy", "mdy")]
        self._undecided = TimeCounter(rule, columns, ambiguous=True)

    def add(self, cells: Sequence[str], key: str) -> None:
        """Count a row."""
        for one in (*self._ways, self._undecided):
            one.add(cells, key)

    def found(self) -> TimeFound:
        """What the times are, the way that reads more of them; ambiguous where both read the same."""
        dmy, mdy = self._ways
        if dmy.unreadable == mdy.unreadable:
            return self._undecided.found()
        return min(self._ways, key=lambda one: one.unreadable).found()


def times_of(rule: TimeRule, columns: Sequence[str], *, ambiguous: bool) -> TimeCounter | EitherWay:
    """What follows the times of a file."""
    return EitherWay(rule, columns) if ambiguous else TimeCounter(rule, columns, ambiguous=False)


def _iso(ms: int | None) -> str | None:
    if ms is None:
        return None
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{ms % 1000:03d}" if ms % 1000 else "")
