"""From snapshots to views: rates, time to catch up, ages and status. Pure arithmetic; unknown values are None.

**Status** goes by the rules of Burrow (LinkedIn; https://github.com/linkedin/Burrow/wiki/Consumer-Lag-Evaluation-Rules),
which need no thresholds. They look at a group's commits on a partition within a window:

- OK: the lag was zero at any time of the window, or is known to fall.
- REWIND: the committed offset fell, and the group has not caught up since.
- STALL, STOP: for longer than the window's commits span, the committed offset has not moved, and there is something to
  read. STALL: a live member has the partition. STOP: nobody has; a pinned consumer is no member, so its silence is
  STOP.
- WARN: the offset moves, but from commit to commit the lag never fell.
- UNKNOWN: there is no commit, no end offset, or not yet enough time to tell; or nothing moves, and the group's members
  are not known.

Burrow reads each commit as it is made. Here commits are seen in snapshots, so one that repeats its offset is not seen,
and liveness is told by membership; and as a consumer may commit as seldom as every five seconds (Kafka's default),
nothing is said of silence before :data:`EVIDENCE_S` have passed.

**Lag** is here what can still be read: rows that retention has removed are not waited for. **Ages** go by the records'
own timestamps, and are therefore those of the data where a replay set them.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from sensorstream.monitor.snapshot import GroupState, Snapshot
from sensorstream.monitor.view import Point, Progress, Status, View
from sensorstream.records import TopicPartition

RATE_S: Final = 10.0
"""Rates are those of about so many seconds: consumers commit now and then, not all the time."""
WINDOW_S: Final = 30.0
"""How far back the rules of a status look."""
EVIDENCE_S: Final = 8.0
"""How long a group must have been watched before its silence means something."""
POINTS: Final = 600
"""How many points a series has at the most."""
_WORST: Final[tuple[Status, ...]] = ("OK", "UNKNOWN", "WARN", "STOP", "STALL", "REWIND")


@dataclass(slots=True)
class _Track:
    """Values of one thing over time, oldest first; just what the rate's window needs."""

    values: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, at: float, value: int) -> None:
        """A new value; one that fell belongs to another log, and nothing before it counts."""
        if self.values and value < self.values[-1][1]:
            self.values.clear()
        self.values.append((at, value))
        while len(self.values) > 2 and self.values[1][0] <= at - RATE_S:
            self.values.popleft()

    def rate(self) -> float | None:
        """Per second over the window; None before there are two values."""
        if len(self.values) < 2:
            return None
        (first_at, first), (at, last) = self.values[0], self.values[-1]
        return (last - first) / (at - first_at) if at > first_at else None

    def last_rate(self) -> float | None:
        """Per second between the two newest values."""
        if len(self.values) < 2:
            return None
        (first_at, first), (at, last) = self.values[-2], self.values[-1]
        return (last - first) / (at - first_at) if at > first_at else None


@dataclass(slots=True)
class _Commits:
    """What a group did on a partition within the window: (when, offset, lag) where the offset changed."""

    since: float
    moves: deque[tuple[float, int, int]] = field(default_factory=deque)
    caught_up_at: float | None = None
    rewound_at: float | None = None
    offsets: _Track = field(default_factory=_Track)

    def add(self, at: float, offset: int, lag: int, window_s: float) -> None:
        """What a snapshot shows."""
        self.offsets.add(at, offset)
        if self.moves and offset < self.moves[-1][1]:
            self.rewound_at, self.caught_up_at = at, None
            self.moves.clear()
        if lag == 0:
            self.caught_up_at = at
        if not self.moves or offset != self.moves[-1][1]:
            self.moves.append((at, offset, lag))
        while len(self.moves) > 1 and self.moves[1][0] <= at - window_s:
            self.moves.popleft()

    def status(self, at: float, lag: int, *, live: bool | None, window_s: float, evidence_s: float) -> Status:
        """By the rules that stand at the top of this file."""
        if lag == 0 or (self.caught_up_at is not None and at - self.caught_up_at < window_s):
            return "OK"
        if self.rewound_at is not None and at - self.rewound_at < window_s:
            return "REWIND"
        quiet, span = at - self.moves[-1][0], self.moves[-1][0] - self.moves[0][0]
        if quiet >= max(evidence_s, span):
            return "UNKNOWN" if live is None else "STALL" if live else "STOP"
        lags = [one[2] for one in self.moves]
        if any(later < earlier for earlier, later in pairwise(lags)):
            return "OK"
        if len(lags) > 2 and at - max(self.since, at - window_s) >= evidence_s:
            return "WARN"
        return "UNKNOWN"


class History:
    """Snapshots of one cluster, as far back as is needed; gives a view for each."""

    def __init__(self, *, window_s: float = WINDOW_S, evidence_s: float = EVIDENCE_S, points: int = POINTS) -> None:
        self._window_s = window_s
        self._evidence_s = min(evidence_s, window_s)
        self._points = points
        self._ends: dict[TopicPartition, _Track] = {}
        self._topic_ids: dict[str, str | None] = {}
        self._commits: dict[tuple[str, TopicPartition], _Commits] = {}
        self._rate: deque[Point] = deque(maxlen=points)
        self._topics: dict[str, deque[Point]] = {}
        self._lags: dict[str, deque[Point]] = {}

    def add(self, snapshot: Snapshot) -> View:
        """The view of a snapshot, which must be newer than those before it."""
        at = snapshot.taken_at
        if not snapshot.reachable:
            return self._away(snapshot)
        self._forget_topics_made_anew(snapshot)
        self._note_ends(snapshot)
        step: dict[str, float | None] = {}
        topic_rate: dict[str, float | None] = {}
        partition_rate: dict[TopicPartition, float | None] = {}
        for topic in snapshot.topics:
            tracks = [self._ends.get(one.where) if one.end_offset is not None else None for one in topic.partitions]
            for one, track in zip(topic.partitions, tracks, strict=True):
                partition_rate[one.where] = None if track is None else track.rate()
            topic_rate[topic.name] = _sum(partition_rate[one.where] for one in topic.partitions)
            step[topic.name] = _sum(None if track is None else track.last_rate() for track in tracks)
            self._topics.setdefault(topic.name, deque(maxlen=self._points)).append(Point(at, step[topic.name]))
        shown = [topic.name for topic in snapshot.topics if not topic.internal]
        self._rate.append(Point(at, _sum(step[name] for name in shown)))
        firsts = {one.where: one.first_offset for topic in snapshot.topics for one in topic.partitions}
        progress: dict[tuple[str, TopicPartition], Progress] = {}
        group_progress: dict[str, Progress] = {}
        for group in snapshot.groups:
            own = self._group(snapshot, group, partition_rate, firsts)
            progress |= {(group.name, where): one for where, one in own.items()}
            group_progress[group.name] = whole = _together(own.values())
            points = self._lags.setdefault(group.name, deque(maxlen=self._points))
            points.append(Point(at, whole.lag))
        self._forget(snapshot)
        return View(
            snapshot,
            _sum(topic_rate[name] for name in shown),
            topic_rate,
            partition_rate,
            group_progress,
            progress,
            tuple(self._rate),
            {name: tuple(points) for name, points in self._topics.items()},
            {name: tuple(points) for name, points in self._lags.items()},
            {topic.name: _age(snapshot, [one.where for one in topic.partitions]) for topic in snapshot.topics},
        )

    def _away(self, snapshot: Snapshot) -> View:
        """Of a cluster that does not answer no rate is known; the plots have a gap there."""
        for points in (self._rate, *self._topics.values(), *self._lags.values()):
            points.append(Point(snapshot.taken_at, None))
        return View(
            snapshot,
            topic_rate={topic.name: None for topic in snapshot.topics},
            partition_rate={one.where: None for topic in snapshot.topics for one in topic.partitions},
            group_progress={group.name: _UNKNOWN for group in snapshot.groups},
            progress={
                (group.name, TopicPartition(one.topic, one.partition)): _UNKNOWN
                for group in snapshot.groups
                for one in group.partitions
            },
            rate_series=tuple(self._rate),
            topic_series={name: tuple(points) for name, points in self._topics.items()},
            lag_series={name: tuple(points) for name, points in self._lags.items()},
            age_s={topic.name: None for topic in snapshot.topics},
        )

    def _note_ends(self, snapshot: Snapshot) -> None:
        for topic in snapshot.topics:
            for one in topic.partitions:
                if one.end_offset is not None:
                    self._ends.setdefault(one.where, _Track()).add(snapshot.taken_at, one.end_offset)

    def _forget_topics_made_anew(self, snapshot: Snapshot) -> None:
        ids = {topic.name: topic.topic_id for topic in snapshot.topics}
        anew = {name for name, one in ids.items() if one and self._topic_ids.get(name, one) not in (one, None)}
        if anew:
            self._ends = {where: one for where, one in self._ends.items() if where.topic not in anew}
            self._commits = {key: one for key, one in self._commits.items() if key[1].topic not in anew}
        self._topic_ids = ids

    def _group(
        self,
        snapshot: Snapshot,
        group: GroupState,
        rates: Mapping[TopicPartition, float | None],
        firsts: Mapping[TopicPartition, int | None],
    ) -> dict[TopicPartition, Progress]:
        """How a group does on each of its partitions."""
        at = snapshot.taken_at
        members = group.members
        owned = None if members is None else {where for member in members for where in member.partitions}
        found = {}
        for one in group.partitions:
            where = TopicPartition(one.topic, one.partition)
            rate_in = rates.get(where)
            lag = readable(one.current_offset, firsts.get(where), one.end_offset)
            if one.current_offset is None or lag is None:
                found[where] = Progress(lag, rate_in, None, None, None, "UNKNOWN")
                continue
            commits = self._commits.setdefault((group.name, where), _Commits(at))
            commits.add(at, one.current_offset, lag, self._window_s)
            rate_out = commits.offsets.rate()
            live = None if owned is None else where in owned
            status = commits.status(at, lag, live=live, window_s=self._window_s, evidence_s=self._evidence_s)
            stamp = snapshot.oldest_unread_ms.get((group.name, where))
            age = 0.0 if lag == 0 else None if stamp is None else max(0.0, at - stamp / 1000)
            found[where] = Progress(lag, rate_in, rate_out, catch_up(lag, rate_in, rate_out), age, status)
        return found

    def _forget(self, snapshot: Snapshot) -> None:
        """Let go of what is there no more; of partitions and groups that were just not told, nothing."""
        topics = {topic.name for topic in snapshot.topics}
        groups = {group.name for group in snapshot.groups}
        self._ends = {where: one for where, one in self._ends.items() if where.topic in topics}
        self._topics = {name: one for name, one in self._topics.items() if name in topics}
        self._lags = {name: one for name, one in self._lags.items() if name in groups}
        self._commits = {key: one for key, one in self._commits.items() if key[0] in groups and key[1].topic in topics}


_UNKNOWN: Final = Progress(None, None, None, None, None, "UNKNOWN")


def readable(current: int | None, first: int | None, end: int | None) -> int | None:
    """How many offsets can still be read; None where that is unknown, or where the position is past the end."""
    if current is None or end is None or current > end:
        return None
    return max(0, end - max(current, first or 0))


def catch_up(lag: int | None, rate_in: float | None, rate_out: float | None) -> float | None:
    """Seconds until the lag is gone at these rates; None where it is not known, or never."""
    if lag == 0:
        return 0.0
    if lag is None or rate_in is None or rate_out is None or rate_out <= rate_in:
        return None
    return lag / (rate_out - rate_in)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of these; UNKNOWN of none."""
    return max(statuses, key=_WORST.index, default="UNKNOWN")


def _together(parts: Iterable[Progress]) -> Progress:
    """A group as a whole."""
    parts = list(parts)
    if not parts:
        return _UNKNOWN
    lags = [one.lag for one in parts]
    lag = None if None in lags else sum(one or 0 for one in lags)
    rate_in, rate_out = _sum(one.rate_in for one in parts), _sum(one.rate_out for one in parts)
    ages = [one.age_s for one in parts]
    age = None if None in ages else max(one or 0.0 for one in ages)
    return Progress(lag, rate_in, rate_out, catch_up(lag, rate_in, rate_out), age, worst(one.status for one in parts))


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum; None if one is not known or there is none."""
    total, some = 0.0, False
    for value in values:
        if value is None:
            return None
        total, some = total + value, True
    return total if some else None


def _age(snapshot: Snapshot, partitions: Iterable[TopicPartition]) -> float | None:
    """How old the newest of these partitions' records is."""
    stamps = [snapshot.newest_ms[one] for one in partitions if one in snapshot.newest_ms]
    return max(0.0, snapshot.taken_at - max(stamps) / 1000) if stamps else None
