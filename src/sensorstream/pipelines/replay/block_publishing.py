"""Stations 1-4 for many rows at once: blocks of a CSV file become the values of its partitions, no row looked at alone.

This is how a file is published as fast as it goes. A row that has a key, a time or a partition of its own goes the
other way (``row_publishing.py``), and so does one that can't be published as the others are.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sensorstream.errors import RecordTooLarge
from sensorstream.pipelines.replay.destination import Destination
from sensorstream.pipelines.replay.share import Share
from sensorstream.records import SourceRow
from sensorstream.serde.bulk_json import BlockEncoder
from sensorstream.sources.base import Block
from sensorstream.sources.csv_blocks import CsvBlocks
from sensorstream.sources.followed import FollowedSource

BLOCK_BYTES: Final = 1 << 20
"""How much of a source is read at once where its rows need not be looked at one by one."""
SHARE_BYTES: Final = 128 * 1024
"""So much of it is to be at hand for each partition before it is published: brokers are asked once a partition and
burst, so with a handful of rows for each of many partitions the asking takes longer than the rows."""
MAX_BURST: Final = 20
"""So many blocks at the most are published at once, however many partitions there are: they are in memory together."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Blocks that are published at once, and the values of those of their rows that this process publishes.

    ``to_look_at`` are the rows behind them that must be looked at one by one.
    """

    blocks: list[Block]
    values: list[bytes]
    to_look_at: Sequence[SourceRow]

    @property
    def first_row(self) -> int:
        """The index of the first row, where there is one."""
        return self.blocks[0].first_row

    @property
    def rows(self) -> int:
        """How many rows the blocks have."""
        return sum(block.rows for block in self.blocks)


class BlockPublishing:
    """Publishes rows by the block, row ``n`` into partition ``n`` modulo their number; ``share`` is this process's."""

    def __init__(self, destination: Destination, share: Share | None) -> None:
        self._to = destination
        self._share = share
        self._burst = min(max(1, -(-destination.partitions * SHARE_BYTES // BLOCK_BYTES)), MAX_BURST)
        self._encoder: BlockEncoder | None = None

    def forget_columns(self) -> None:
        """The source's columns may be others from now on."""
        self._encoder = None

    def gather(self, source: CsvBlocks | FollowedSource, stop: threading.Event) -> Burst:
        """The next blocks of the source, as many as its partitions are worth; without blocks where there are none.

        Fewer where rows come that must be looked at one by one, or that are not there yet: a pipe is not waited for.
        """
        blocks: list[Block] = []
        values: list[bytes] = []
        to_look_at: Sequence[SourceRow] = ()
        partitions, share = self._to.partitions, self._share
        self._to.outbox.make_room(stop)
        while len(blocks) < self._burst and not stop.is_set():
            block = source.read_block(BLOCK_BYTES)
            if block is None:
                break
            if self._encoder is None:
                self._encoder = BlockEncoder(source.columns, block.delimiter)
            encoded = self._encoder.encode(block.data if share is None else share.rows(block, partitions))
            if encoded is None:
                to_look_at = block.source_rows()
                break
            blocks.append(block)
            values += encoded
            if source.size_bytes is None and not isinstance(source, FollowedSource):
                break
        return Burst(blocks, values, to_look_at)

    def publish(self, burst: Burst, publish_row: Callable[[SourceRow], None]) -> None:
        """Publish a burst that has blocks, and empty it. ``publish_row`` is given the rows of a batch that is refused.

        Raises DeliveryError, UnknownTopic, UnknownPartition, and what ``publish_row`` does.
        """
        share, count = self._share, self._to.partitions
        partitions = range(count) if share is None else share.partitions(count)
        # The first value belongs to the first of our partitions from that of the first block's first row on.
        first = sum(partition < burst.first_row % count for partition in partitions)
        values = burst.values
        shares = [values[(at - first) % len(partitions) :: len(partitions)] for at in range(len(partitions))]
        values.clear()  # the client has its own copy of what it was given: a share can go as soon as it is published
        shares.reverse()
        for partition in partitions:
            if of_partition := shares.pop():
                self._publish_share(burst.blocks, partition, of_partition, publish_row)

    def _publish_share(
        self, blocks: Sequence[Block], partition: int, values: list[bytes], publish_row: Callable[[SourceRow], None]
    ) -> None:
        to = self._to
        try:
            delivery = to.publisher.publish_batch(to.topic, values, partition=partition)
        except RecordTooLarge:
            # Nothing of the batch was queued: one by one, so that just the rows that are too large are put aside.
            for block in blocks:
                for row in block.source_rows():
                    if row.number % to.partitions == partition:
                        publish_row(row)
        else:
            to.outbox.add(blocks[0].first_row, len(values), sum(map(len, values)), delivery)
