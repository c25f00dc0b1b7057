"""Station 6: what the readers of every client have in common: a group's offsets, and how they are closed."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping

from sensorstream.closing import Closing
from sensorstream.errors import UsageError
from sensorstream.records import Commit, TopicPartition


class BaseReader(Closing):
    """A reader that may have a group, and may be closed."""

    def __init__(self, group: str | None) -> None:
        self._group = group
        self._closed = False

    @property
    def group(self) -> str | None:
        """The name of its group, if it has one."""
        return self._group

    def _need_group(self, to_do: str) -> str:
        """The name of its group. Raises UsageError where it has none."""
        if self._group is None:
            raise UsageError(f"a reader without a group can't {to_do}", hint="name a group with -g")
        return self._group

    def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed offset, or None."""
        return self.committed_offsets([partition])[partition]

    def committed_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The group's committed offsets, or None."""
        return {one: None if known is None else known.offset for one, known in self.commits(partitions).items()}

    @abstractmethod
    def commits(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, Commit | None]:
        """The group's committed offsets with their notes, or None."""

    def close(self, timeout_s: float = 10.0) -> None:
        """Leave the group without committing and without callbacks, and let go of everything."""
        if not self._closed:
            self._closed = True
            self._end(timeout_s)

    @abstractmethod
    def _end(self, timeout_s: float) -> None:
        """Leave the group, and let go of everything. Never raises, never hangs."""
