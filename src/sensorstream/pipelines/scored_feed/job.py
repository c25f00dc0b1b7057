"""What a feed of scored posts reads, and when it stops."""

from dataclasses import dataclass, field

from sensorstream.pipelines.start_at import StartAt
from sensorstream.sentiment.feed import PostFields


@dataclass(frozen=True, slots=True)
class FeedJob:
    """What to read, and when to stop.

    ``stop_at_end`` ends at the end of the partitions as it is at the start, ``count`` after so many posts,
    ``idle_timeout_s`` when no record has come for that long. One that is ``patient`` looks on for a cluster or a
    topic that is not there; else that is an error.
    """

    topic: str
    start: StartAt = field(default_factory=lambda: StartAt("end"))
    fields: PostFields = field(default_factory=PostFields)
    stop_at_end: bool = False
    count: int | None = None
    idle_timeout_s: float | None = None
    patient: bool = False
