"""Station 6: one partition of a stream's source on its way into a transaction."""

from sensorstream.pipelines.stream.job import StreamedPartition
from sensorstream.pipelines.stream.records import Made
from sensorstream.records import TopicPartition


class PartitionProgress:
    """One partition of the source: what is committed of it, and what is on its way."""

    def __init__(self, tp: TopicPartition, position: int, committed: int | None) -> None:
        self.tp = tp
        self.first = self.done = self.position = position
        self.committed = committed
        self.made: list[Made] = []
        self.rows_in = self.rows_out = self.dead = 0
        self.end_told = -1

    @property
    def moved(self) -> bool:
        """Whether there is something to commit."""
        return self.position != self.committed

    def settle(self, position: int, count: int) -> None:
        """The first ``count`` of what was on its way are committed, up to ``position``."""
        self.done = self.committed = position
        self.rows_in += count
        for made in self.made[:count]:
            if made.dead:
                self.dead += 1
            else:
                self.rows_out += len(made.letters)
        del self.made[:count]

    def summary(self) -> StreamedPartition:
        """What has been committed of it in this run."""
        return StreamedPartition(*self.tp, self.first, self.done, self.rows_in, self.rows_out, self.dead)
