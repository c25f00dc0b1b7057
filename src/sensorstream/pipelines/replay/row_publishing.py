"""Stations 3 and 4 for one row at a time: its value, key, time and partition. What has none of them is put aside."""

from collections.abc import Callable
from functools import partial

from sensorstream.clients.partitioner import partition_for_key
from sensorstream.errors import DecodeError, RecordTooLarge
from sensorstream.events import Listener, RowPublished
from sensorstream.pipelines.replay.destination import Destination
from sensorstream.pipelines.replay.spec import Rules
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.base import Source
from sensorstream.sources.formats import Encoder
from sensorstream.sources.row_times import RowTimes


class RowPublishing:
    """Publishes the rows of a source one by one.

    ``key_at`` is the column of the records' keys, ``hashed_at`` that of ``--partition-by column:``; ``times`` knows the
    rows' own times. ``reject`` is given what can't be published, ``published`` each row that is acknowledged.
    """

    def __init__(
        self,
        destination: Destination,
        rules: Rules,
        encoder: Encoder,
        *,
        key_at: int | None,
        hashed_at: int | None,
        times: RowTimes | None,
        reject: Callable[[Rejected], None],
        published: Listener | None,
    ) -> None:
        self._to = destination
        self._rules = rules
        self._encoder = encoder
        self._key_at = key_at
        self._hashed_at = hashed_at
        self._times = times
        self._reject = reject
        self._listener = published

    def publish(self, source: Source, row: SourceRow) -> None:
        """Publish a row of ``source``, or have it rejected. Raises DeliveryError, and what ``reject`` does."""
        to = self._to
        key = None if self._key_at is None else row.cells[self._key_at].encode()
        partition = self.partition(row)
        try:
            value = self._encoder.encode(row.cells)
            delivery = to.publisher.publish(
                to.topic, value, partition=partition, key=key, timestamp_ms=self._timestamp(row)
            )
        except (RecordTooLarge, DecodeError) as error:
            file, line = source.place(row.line)
            where: dict[str, str | int] = {"file": file, "line": line, "row": row.number}
            text = source.text_of(row.cells)
            self._reject(Rejected(where, error.message, text.encode("utf-8", "surrogatepass")))
        else:
            listener = self._listener
            then = None if listener is None else partial(self._acknowledged, listener, partition or 0, value)
            to.outbox.add(row.number, 1, len(value), delivery, then)

    def partition(self, row: SourceRow) -> int | None:
        """Where the row goes; None: anywhere."""
        if self._rules.partition_by == "key":
            at = self._key_at
            return None if at is None else partition_for_key(row.cells[at].encode(), self._to.partitions)
        if self._hashed_at is not None:
            return partition_for_key(row.cells[self._hashed_at].encode(), self._to.partitions)
        return row.number % self._to.partitions

    def _timestamp(self, row: SourceRow) -> int | None:
        """The record's time in ms since 1970 UTC; None for now. Raises DecodeError on a cell that is no time."""
        return self._times.of(row) if self._rules.original_timestamps and self._times is not None else None

    def _acknowledged(self, listener: Listener, partition: int, value: bytes, offset: int) -> None:
        listener(RowPublished(self._to.topic, partition, offset, value))
