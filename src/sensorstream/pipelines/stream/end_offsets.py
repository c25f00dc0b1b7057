"""Station 6: the end of a stream's source: for a stream that stops there, and to report when it is reached."""

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sensorstream.clients.base import Reader
from sensorstream.events import Listener, PartitionEnd
from sensorstream.pipelines.stream.partition_progress import PartitionProgress
from sensorstream.records import ConsumedRecord, TopicPartition

_LOOK_EVERY_S: Final = 0.5


class EndOffsets:
    """The ends of a source's partitions. Those that are agreed on stay, whatever is published meanwhile.

    A partition that is at its agreed end is paused until it is given up.
    """

    def __init__(self, reader: Reader, listener: Listener) -> None:
        self._reader = reader
        self._listener = listener
        self._agreed: dict[TopicPartition, int] = {}
        self._reached: set[TopicPartition] = set()
        self._looked_at = 0.0

    def agree(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop at the ends as they are now."""
        self._agreed = self._reader.end_offsets(partitions)

    def cut(self, tp: TopicPartition, read: Sequence[ConsumedRecord]) -> Sequence[ConsumedRecord]:
        """Of what was read of a partition, what lies before its agreed end."""
        end = self._agreed.get(tp)
        if end is None or read[-1].offset < end - 1:
            return read
        self._reached.add(tp)
        self._reader.pause([tp])
        return [record for record in read if record.offset < end]

    def bound(self, tp: TopicPartition, position: int) -> int:
        """A position, but not past the agreed end: records behind it may have been fetched, but were not used."""
        return min(position, self._agreed.get(tp, position))

    def not_reached(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Those of these partitions in which there is more to read."""
        return [tp for tp in partitions if tp not in self._reached]

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These are somebody else's, or read anew."""
        self._reached.difference_update(partitions)

    def group_is_there(self, all_progress: Collection[PartitionProgress]) -> bool:
        """Whether the group, not this member alone, has committed everything up to the agreed ends."""
        if any(progress.moved or progress.done < self._agreed.get(progress.tp, 0) for progress in all_progress):
            return False
        ours = {progress.tp for progress in all_progress}
        others = [tp for tp, end in self._agreed.items() if end and tp not in ours]
        if others:
            now = time.monotonic()
            if now - self._looked_at < _LOOK_EVERY_S:
                return False
            self._looked_at = now
            committed = {tp: offset or 0 for tp, offset in self._reader.committed_offsets(others).items()}
            if any(committed[tp] < self._agreed[tp] for tp in others):
                return False
            further = [tp for tp in others if committed[tp] > self._agreed[tp]]
            ends = self._reader.end_offsets(further)
            if any(committed[tp] > ends[tp] for tp in further):
                return False  # behind the log's end: whoever is given that partition refuses it
        for progress in all_progress:
            self._tell(progress)
        return True

    def tell(self, all_progress: Iterable[PartitionProgress]) -> None:
        """Tell the listener of those that are at the end of their log, each end once."""
        waiting = [progress for progress in all_progress if progress.position > progress.end_told]
        if waiting:
            ends = self._reader.end_offsets([progress.tp for progress in waiting])
            for progress in waiting:
                if progress.position >= ends[progress.tp]:
                    self._tell(progress)

    def _tell(self, progress: PartitionProgress) -> None:
        if progress.end_told != progress.position:
            progress.end_told = progress.position
            self._listener(PartitionEnd(progress.tp.topic, progress.tp.partition, progress.position))
