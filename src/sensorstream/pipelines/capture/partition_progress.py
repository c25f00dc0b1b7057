"""Stations 6-9: one partition on its way into its sink."""

from sensorstream.pipelines.capture.spec import CapturedPartition
from sensorstream.records import TopicPartition
from sensorstream.sinks.base import Sink


class PartitionProgress:
    """One partition: how far it is read, how far it is stored, and how far the group knows of that.

    ``end`` is the offset to stop before, where there is one; ``ranged`` says that its file has a range.
    """

    def __init__(
        self, tp: TopicPartition, sink: Sink, position: int, *, end: int | None = None, ranged: bool = False
    ) -> None:
        self.tp = tp
        self.sink = sink
        self.first = self.position = self.stored = position
        self.committed: int | None = None
        self.end = end
        self.ranged = ranged
        self.end_told = -1
        self.paused = False
        self.unstored = 0
        self.rows = self.rejected = 0

    def store(self) -> None:
        """Make what was written durable with its position; only that counts."""
        self.sink.commit(self.position)
        self.stored, self.unstored = self.position, 0
        self.rows, self.rejected = self.sink.rows, self.sink.rejected

    def summary(self) -> CapturedPartition:
        """What has been stored of it in this run."""
        return CapturedPartition(*self.tp, self.sink.name, self.first, self.stored, self.rows, self.rejected)
