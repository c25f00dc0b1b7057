"""Whether conditions hold, for each view. An unknown value makes a condition neither hold nor fail, with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sensorstream.monitor.conditions import OPERATORS, Comparison, Condition
from sensorstream.monitor.view import View

NOBODY: Final = "no broker answers"


@dataclass(frozen=True, slots=True)
class Reading:
    """One comparison in one view: the value, or why it is ``unknown``; ``held_s`` is how long it has been true.

    ``holds`` is None where the value is not known, and False until it has been true for as long as was asked.
    """

    comparison: str
    value: float | None
    unknown: str | None
    holds: bool | None
    held_s: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a condition. ``holds`` None: that depends on something that is not known."""

    condition: str
    holds: bool | None
    readings: tuple[Reading, ...]


class Judge:
    """Judges one condition, view after view; ``group`` is the one that ``lag`` means where it names none."""

    def __init__(self, condition: Condition, group: str) -> None:
        self.condition = condition
        self._group = group
        self._since: dict[int, float] = {}
        self._views = 0
        self.pending = True
        """Whether another view may settle what this one leaves open: a time to hold for, or a first rate."""

    def look(self, view: View) -> Verdict:
        """Judge a view, newer than the last one."""
        self._views += 1
        self.pending = False
        readings: list[Reading] = []
        verdicts: list[bool | None] = []
        for all_of in self.condition.any_of:
            part = [self._read(len(readings) + place, one, view) for place, one in enumerate(all_of)]
            verdicts.append(_all([reading.holds for reading in part]))
            readings += part
        holds = _any(verdicts)
        self.pending = self.pending and not holds
        return Verdict(self.condition.text, holds, tuple(readings))

    def _read(self, place: int, comparison: Comparison, view: View) -> Reading:
        value, unknown = value_of(comparison, view, self._group)
        if value is None:
            # It must have been true all the time: what was before counts no more.
            self._since.pop(place, None)
            self.pending |= comparison.figure == "rate" and self._views < 2
            return Reading(str(comparison), None, unknown, None, None)
        if not OPERATORS[comparison.operator](value, comparison.limit):
            self._since.pop(place, None)
            return Reading(str(comparison), value, None, False, None)
        held = view.snapshot.taken_at - self._since.setdefault(place, view.snapshot.taken_at)
        holds = comparison.for_s is None or held >= comparison.for_s
        self.pending |= not holds
        return Reading(str(comparison), value, None, holds, round(held, 3))


def value_of(comparison: Comparison, view: View, group: str) -> tuple[float | None, str | None]:
    """The value that is compared; or None, and why it is not known."""
    snapshot, name = view.snapshot, comparison.name
    if snapshot.refusal is not None:
        return None, snapshot.refusal
    if comparison.figure == "brokers":
        return sum(broker.alive for broker in snapshot.brokers), None
    if not snapshot.reachable:
        return None, NOBODY
    match comparison.figure:
        case "under_replicated":
            return snapshot.under_replicated, None
        case "offline":
            return snapshot.offline, None
        case "lag" | "lag_age":
            return _of_group(comparison.figure, view, name or group)
        case _:
            return _of_topic(comparison.figure, view, name)


def _of_group(figure: str, view: View, name: str) -> tuple[float | None, str | None]:
    group = view.snapshot.group(name)
    if group is None:
        return None, f"there is no group {name}"
    if figure == "lag_age":
        progress = view.group_progress.get(name)
        age = None if progress is None else progress.age_s
        return age, None if age is not None else f"it is not known how old the oldest row is that {name} has not read"
    if group.lag.total_lag is None:
        unknown = [f"{one.topic}[{one.partition}]" for one in group.partitions if one.lag is None]
        return None, f"the lag of {', '.join(unknown[:3])} is not known" if unknown else f"{name} has no offsets"
    return group.lag.total_lag, None


def _of_topic(figure: str, view: View, name: str | None) -> tuple[float | None, str | None]:
    if name is None:
        return view.rate, None if view.rate is not None else "a rate needs two looks"
    topic = view.snapshot.topic(name)
    if topic is None:
        return None, f"there is no topic {name}"
    if figure == "rows":
        return topic.rows, None if topic.rows is not None else f"not all offsets of {name} are known"
    if figure == "rate":
        rate = view.topic_rate.get(name)
        return rate, None if rate is not None else "a rate needs two looks"
    age = view.age_s.get(name)
    return age, None if age is not None else f"the newest row of {name} is not known"


def told(verdict: Verdict) -> str:
    """The values of a condition in words: ``lag > 1000: 1,440``."""
    return "; ".join(f"{reading.comparison}: {value_text(reading)}" for reading in verdict.readings)


def value_text(reading: Reading) -> str:
    """The value of a comparison in words, or that it is unknown and why."""
    if reading.value is None:
        return f"unknown, {reading.unknown}"
    shown = f"{reading.value:,.0f}" if reading.value == int(reading.value) else f"{reading.value:,.1f}"
    return f"{shown}, held for {reading.held_s:.0f} s" if reading.held_s else shown


def _all(holds: Sequence[bool | None]) -> bool | None:
    if False in holds:
        return False
    return None if None in holds else True


def _any(holds: Sequence[bool | None]) -> bool | None:
    if True in holds:
        return True
    return None if None in holds else False
