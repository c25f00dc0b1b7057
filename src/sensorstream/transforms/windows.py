"""Station 8: tumbling windows in event time, by key. Pure arithmetic, without a clock or a cluster.

A window holds the rows whose own times lie from its start up to before its end; windows are laid end to end from 1970
UTC on. The watermark is the latest event time of each partition, the smallest of these over the partitions, less the
allowed lateness: windows that end at it or before are closed. A row that comes for a closed window is late: it is
counted, in total and in the next window of its key. (Akidau et al., "The Dataflow Model", VLDB 2015.)
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from sensorstream.errors import SensorstreamError
from sensorstream.records import Number, Row, Value
from sensorstream.transforms.event_time import iso
from sensorstream.transforms.measures import Figures, Measure, Measures, Place

MAX_OPEN: Final = 100_000
"""Windows that may be open at once, each of some hundred bytes to some kilobytes."""

Key: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class WindowRule:
    """What windows there are: ``size_ms`` long, one for each value of the columns ``by``.

    ``late_ms`` is the allowed lateness; None holds every window open until the end. ``max_open`` bounds the memory.
    """

    size_ms: int
    by: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    late_ms: int | None = None
    max_open: int = MAX_OPEN


@dataclass(frozen=True, slots=True)
class WindowState:
    """What must be known to go on after the windows that were closed so far.

    Reading continues at ``resume``, by partition: the first offset of a row in a window that was open. What lies before
    ``settled`` was read already, so of that only rows of open windows count once more. ``latest_ms`` is the latest
    event time of each partition, ``late_by_key`` (key as JSON) has the late rows that no window has told yet.
    """

    closed_until_ms: int | None = None
    latest_ms: Mapping[int, int] = field(default_factory=dict)
    resume: Mapping[int, int] = field(default_factory=dict)
    settled: Mapping[int, int] = field(default_factory=dict)
    late: int = 0
    late_by_key: Mapping[str, int] = field(default_factory=dict)

    def dump(self) -> str:
        """The state as JSON."""
        return json.dumps(
            {
                "closed_until_ms": self.closed_until_ms,
                "latest_ms": dict(self.latest_ms),
                "resume": dict(self.resume),
                "settled": dict(self.settled),
                "late": self.late,
                "late_by_key": dict(self.late_by_key),
            }
        )


def load_state(text: str) -> WindowState:
    """The state that :meth:`WindowState.dump` wrote. Raises ValueError, KeyError or TypeError on anything else."""
    document: dict[str, Any] = json.loads(text)
    for name in ("latest_ms", "resume", "settled"):
        document[name] = {int(partition): int(value) for partition, value in document[name].items()}
    return WindowState(**document)


class Windows:
    """The open windows of one job, over all partitions of a topic.

    ``state`` is where an earlier run was. Rows are handed in in offset order for each partition.
    """

    def __init__(self, rule: WindowRule, partitions: Iterable[int], state: WindowState | None = None) -> None:
        state = state or WindowState()
        self.rule = rule
        self.late = state.late
        self.closed_until_ms = state.closed_until_ms
        self._measures = Measures(rule.measures)
        self._open: dict[int, dict[Key, Figures]] = {}
        self._count = 0
        self._latest: dict[int, int | None] = {partition: state.latest_ms.get(partition) for partition in partitions}
        self._idle: set[int] = set()
        self._settled = dict(state.settled)
        self._next = dict(state.settled)
        self._behind = {one for one, at in state.settled.items() if state.resume.get(one, at) < at}
        self._late_by_key: Counter[str] = Counter(dict(state.late_by_key))

    @property
    def open_count(self) -> int:
        """How many windows are open."""
        return self._count

    @property
    def catching_up(self) -> bool:
        """Whether rows of windows that were open in an earlier run are still to be read once more."""
        return bool(self._behind)

    def seen_before(self, partition: int, offset: int) -> bool:
        """Whether an earlier run has read this record."""
        return offset < self._settled.get(partition, 0)

    def add(self, row: Row, place: Place) -> bool:
        """Put a row into its window; False where it came too late.

        Raises DecodeError where a measured value is none, SensorstreamError when too many windows would be open.
        """
        values = self._measures.values(row)
        start = place.time_ms - place.time_ms % self.rule.size_ms
        key = tuple([row.get(column) for column in self.rule.by])
        before = self.seen_before(place.partition, place.offset)
        if self.closed_until_ms is not None and start + self.rule.size_ms <= self.closed_until_ms:
            if not before:
                self._count_late(key)
                self._advance(place)
            return False
        windows = self._open.get(start)
        figures = None if windows is None else windows.get(key)
        if figures is None:
            if self._count >= self.rule.max_open:
                raise SensorstreamError(
                    f"open windows: {self._count:,}, the most that --max-open allows",
                    hint="give a longer --window, fewer --by, a shorter --late, or a higher --max-open",
                )
            figures = Figures(self._measures)
            figures.add(values, place)
            self._open.setdefault(start, {})[key] = figures
            self._count += 1
        else:
            figures.add(values, place)
        if not before:
            self._advance(place)
        return True

    def passed(self, partition: int, next_offset: int) -> None:
        """Note that everything before ``next_offset`` was handed in or rejected."""
        self._next[partition] = max(next_offset, self._next.get(partition, 0))
        if partition in self._behind and next_offset >= self._settled[partition]:
            self._behind.discard(partition)
            self._move_watermark()

    def idle(self, partitions: Iterable[int]) -> None:
        """Let these partitions, which have nothing more to read, hold no window back until a row comes from them."""
        self._idle.update(partitions)
        self._move_watermark()

    def closed(self) -> list[dict[str, Value]]:
        """The windows that the watermark has passed, in the order of their starts; they are open no more."""
        if self.closed_until_ms is None or not self._open:
            return []
        last = self.closed_until_ms - self.rule.size_ms
        return self._emit(start for start in sorted(self._open) if start <= last)

    def flush(self) -> list[dict[str, Value]]:
        """All windows that are left, whole or not."""
        return self._emit(sorted(self._open))

    def state(self) -> WindowState:
        """What must be known to go on from here, after all that was closed has been stored."""
        resume = dict(self._next)
        for windows in self._open.values():
            for figures in windows.values():
                for partition, offset in figures.offsets.items():
                    resume[partition] = min(offset, resume.get(partition, offset))
        latest = {partition: time for partition, time in self._latest.items() if time is not None}
        return WindowState(self.closed_until_ms, latest, resume, dict(self._next), self.late, dict(self._late_by_key))

    def columns(self) -> tuple[str, ...]:
        """The columns of every row that comes out, in their order."""
        return tuple(self._row(0, (None,) * len(self.rule.by), Figures(self._measures)))

    def _advance(self, place: Place) -> None:
        latest = self._latest.get(place.partition)
        self._idle.discard(place.partition)
        if latest is None or place.time_ms > latest:
            self._latest[place.partition] = place.time_ms
            self._move_watermark()

    def _move_watermark(self) -> None:
        if self.rule.late_ms is None or self._behind:
            return  # what is read once more must find its windows open
        holding = [time for partition, time in self._latest.items() if partition not in self._idle]
        if not holding:
            holding = [time for time in self._latest.values() if time is not None]
        known = [time for time in holding if time is not None]
        if not known or len(known) < len(holding):
            return  # a partition that has not told its time yet may hold any
        watermark = min(known) - self.rule.late_ms
        if self.closed_until_ms is None or watermark > self.closed_until_ms:
            self.closed_until_ms = watermark

    def _count_late(self, key: Key) -> None:
        self.late += 1
        if len(self._late_by_key) < self.rule.max_open or _dumped(key) in self._late_by_key:
            self._late_by_key[_dumped(key)] += 1

    def _emit(self, starts: Iterable[int]) -> list[dict[str, Value]]:
        made: list[dict[str, Value]] = []
        for start in list(starts):
            windows = self._open.pop(start)
            self._count -= len(windows)
            made += [self._row(start, key, windows[key]) for key in sorted(windows, key=_order)]
        return made

    def _row(self, start: int, key: Key, figures: Figures) -> dict[str, Value]:
        return {
            "window_start": iso(start),
            "window_end": iso(start + self.rule.size_ms),
            **dict(zip(self.rule.by, key, strict=True)),
            **figures.row(),
            "late": Number(str(self._late_by_key.pop(_dumped(key), 0))),
        }


def _dumped(key: Key) -> str:
    return json.dumps(key)


def _order(key: Key) -> list[tuple[bool, str]]:
    return [(value is not None, str(value)) for value in key]
