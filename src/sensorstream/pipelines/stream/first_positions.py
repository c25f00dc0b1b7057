"""Station 6: where a member of a stream's group begins in partitions that it is given."""

import threading
import time
from collections.abc import Sequence
from typing import Final

from sensorstream.clients.base import Reader
from sensorstream.errors import ClusterUnreachable, OffsetOutOfRange
from sensorstream.pipelines.stream.partition_progress import PartitionProgress
from sensorstream.records import TopicPartition

_UNSETTLED_S: Final = 90.0
"""How long a member that was killed may keep the committed offsets unsettled: until its transaction times out."""
_AGAIN_S: Final = 0.02


def first_positions(
    reader: Reader, partitions: Sequence[TopicPartition], stop: threading.Event
) -> list[PartitionProgress]:
    """Each of these partitions at the group's committed offset, or at the beginning of its log.

    Raises OffsetOutOfRange where the log no longer has that offset, ClusterUnreachable.
    """
    first = reader.beginning_offsets(partitions)
    end = reader.end_offsets(partitions)
    known = _committed(reader, partitions, stop)
    begun = []
    for tp in partitions:
        committed = known[tp]
        position = first[tp] if committed is None else committed
        if position < first[tp]:
            raise OffsetOutOfRange(
                f"{tp}: offsets {position} to {first[tp] - 1} are no longer in the log; retention has removed "
                f"{first[tp] - position} offsets that were not streamed",
                hint="to continue without them, use another --group, or set this group's offsets",
            )
        if position > end[tp]:
            raise OffsetOutOfRange(
                f"{tp}: the committed offset {position} is past the end of the log at {end[tp]}",
                hint="the topic has lost records or is another one; use another --group",
            )
        begun.append(PartitionProgress(tp, position, committed))
    return begun


def _committed(
    reader: Reader, partitions: Sequence[TopicPartition], stop: threading.Event
) -> dict[TopicPartition, int | None]:
    """The group's offsets; a member that has just been killed may have left a transaction open that holds them."""
    deadline = time.monotonic() + _UNSETTLED_S
    while True:
        try:
            return reader.committed_offsets(partitions)
        except ClusterUnreachable:
            if time.monotonic() >= deadline or stop.wait(_AGAIN_S):
                raise
