"""Stations 6-9: what to aggregate, where closed windows go, and what a run came to."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from sensorstream.pipelines.start_at import StartAt
from sensorstream.records import Row, TopicIdentity
from sensorstream.transforms.event_time import EventTimeRule
from sensorstream.transforms.windows import WindowRule

Ended = Literal["end", "timeout", "stopped"]


@dataclass(frozen=True, slots=True)
class AggregateJob:
    """What to aggregate, and when to stop.

    ``start`` is where a new run begins; ``stop_at_end`` ends at the end of the partitions as it is at the start and
    hands out all windows; ``idle_timeout_s`` ends when no record has come for that long. A partition that had nothing
    to read for ``idle_s`` holds no window back. ``rejected`` is the file for records that can't be used (None: they are
    just counted); one that is there already is not written again.
    """

    topic: str
    rule: WindowRule
    event_time: EventTimeRule = field(default_factory=EventTimeRule)
    start: StartAt | None = None
    stop_at_end: bool = False
    idle_timeout_s: float | None = None
    idle_s: float = 10.0
    rejected: Path | None = None


@dataclass(frozen=True, slots=True)
class JobMark:
    """What makes two runs the same job: a target that was written by another one is refused."""

    topic: str
    identity: TopicIdentity
    job: AggregateJob

    def described(self) -> dict[str, Any]:
        """The rules in a form that JSON can hold."""
        rule = self.job.rule
        return {
            "window_ms": rule.size_ms,
            "by": list(rule.by),
            "measures": [measure.name for measure in rule.measures],
            "late_ms": rule.late_ms,
            "time": asdict(self.job.event_time),
        }


class Target(Protocol):
    """Where closed windows go."""

    @property
    def name(self) -> str:
        """Where they go, for people."""

    def open(self, mark: JobMark, columns: Sequence[str]) -> str | None:
        """Make it ready; the state that it was left in, None for nothing yet. Raises SinkError, PositionMismatch."""

    def write(self, rows: Sequence[Row], state: str) -> None:
        """Store windows together with the state, both or neither."""

    def finish(self) -> None:
        """Nothing more comes: make a result that is whole only now visible."""

    def close(self) -> None:
        """Let go; what is not stored is dropped."""


@dataclass(frozen=True, slots=True)
class AggregateResult:
    """What a run came to.

    ``records`` were read, of which ``rejected`` could not be used (``reasons`` has the first ones) and ``late`` came
    after their window; ``windows`` were handed out, ``open_windows`` were not, since they may not be whole. ``rows``
    are the windows where they went nowhere else. ``late`` is over all runs of a target that goes on.
    """

    topic: str
    target: str
    ended: Ended
    window_ms: int
    records: int
    rejected: int
    late: int
    windows: int
    open_windows: int
    watermark: str | None
    reasons: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] | None = None
