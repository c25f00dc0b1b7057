"""Station 4 with several processes: the partitions of a source whose rows one of them publishes.

Every process reads the whole source, and encodes and publishes the rows of its own partitions only; so the rows of a
partition come from one process, in the source's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, cycle

from sensorstream.records import PlainRows
from sensorstream.sources.base import Block


@dataclass(frozen=True, slots=True)
class Share:
    """The partitions ``p`` with ``p % of == index``; ``index`` counts from 0."""

    index: int
    of: int

    def has(self, partition: int) -> bool:
        """Whether the partition is in the share."""
        return partition % self.of == self.index

    def partitions(self, count: int) -> Sequence[int]:
        """The share of a topic's ``count`` partitions, in order."""
        return range(self.index, count, self.of)

    def rows(self, block: Block, count: int) -> PlainRows:
        """The block's rows whose index modulo ``count`` is in the share, in order."""
        lines = block.data.split(b"\n")
        lines.pop()
        if count % self.of == 0:
            mine = lines[(self.index - block.first_row) % self.of :: self.of]
        else:
            turn = [self.has((block.first_row + at) % count) for at in range(count)]
            mine = list(compress(lines, cycle(turn)))
        return PlainRows(b"\n".join([*mine, b""]))
