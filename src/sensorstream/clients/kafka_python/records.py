"""Stations 4 and 6: record batches written and read in bulk, instead of record by record as in kafka-python.

The layout is Kafka's record batch of format 2 (https://kafka.apache.org/documentation/#recordbatch). A record
costs kafka-python 3 microseconds to write and 5 to read, most of them spent on calls and objects that nobody
looks at; here one loop makes or takes apart a whole batch.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

import kafka.errors as kafka_errors
from kafka.consumer.fetcher import Fetcher
from kafka.protocol.consumer import IsolationLevel

from sensorstream.records import ConsumedRecord, TopicPartition


def _varint(value: int) -> bytes:
    """A whole number of 0 or more, zigzag-coded in groups of seven bits, the lowest first."""
    rest = value << 1
    coded = bytearray()
    while rest > 127:
        coded.append(rest & 127 | 128)
        rest >>= 7
    coded.append(rest)
    return bytes(coded)


_SMALL: Final = 16384
_VARINTS: Final = [_varint(number) for number in range(_SMALL)]
_NO_KEY: Final = [b"\x01" + coded for coded in _VARINTS]
"""What stands before a value of that length: no key, the value's length."""
_NO_HEADERS: Final = b"\x00"


def append_values(records: Any, values: Sequence[bytes], at: int, now_ms: int) -> int:
    """Write values from index ``at`` on, without keys, into a builder of the library until it is full.

    ``now_ms`` is their timestamp. Returns how many were written; a batch without any takes at least one.
    """
    builder = records._builder
    if builder is None:
        return 0
    buffer = builder._buffer
    offset: int = records._next_offset
    empty = builder._first_timestamp is None
    delta = 0 if empty else now_ms - builder._first_timestamp
    if delta < 0:
        now_ms, delta = builder._first_timestamp, 0
    head = b"\x00" + _varint(delta)  # attributes, timestamp
    room = builder._batch_size - len(buffer)
    parts: list[bytes] = []
    add = parts.extend
    begin = wider = offset
    varints, small = _VARINTS, _SMALL
    # What stands around the offset of a record, by the length of its value: the end of the record before it and its
    # own beginning, what stands ahead of the value, and how much room it takes.
    around: dict[int, tuple[bytes, bytes, int]] = {}
    for value in values[at:] if at else values:
        if offset >= wider:
            around.clear()
            width = len(_varint(offset))
            wider = 1 << 7 * width - 1
        length = len(value)
        found = around.get(length)
        if found is None:
            before = _NO_KEY[length] if length < small else b"\x01" + _varint(length)
            size = len(head) + width + len(before) + length + len(_NO_HEADERS)
            found = around[length] = _NO_HEADERS + _varint(size) + head, before, size + 3
        start, before, needed = found
        room -= needed
        if room < 0 and not (empty and offset == begin):
            break
        add((start, varints[offset] if offset < small else _varint(offset), before, value))
        offset += 1
    taken = offset - begin
    if taken:
        parts[0] = parts[0][len(_NO_HEADERS) :]
        parts.append(_NO_HEADERS)
        buffer += b"".join(parts)
        if empty:
            builder._first_timestamp = builder._max_timestamp = now_ms
        elif builder._max_timestamp < now_ms:
            builder._max_timestamp = now_ms
        builder._num_records += taken
        builder._last_offset = offset - 1
        records._next_offset = offset
    return taken


def _read_varint(buffer: bytes, at: int) -> tuple[int, int]:
    """A number at this place, and the place after it."""
    number = shift = 0
    while True:
        byte = buffer[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number >> 1 ^ -(number & 1), at
        shift += 7


def _decode_values(buffer: bytes, at: int, count: int) -> list[bytes | None]:
    """The values of so many records, beginning at this place."""
    values: list[bytes | None] = []
    add = values.append
    for _ in range(count):
        byte = buffer[at]
        at += 1
        if byte < 128:
            end = at + (byte >> 1)
        else:
            more = buffer[at]
            if more < 128:
                at += 1
                end = at + ((byte & 127 | more << 7) >> 1)
            else:
                size, at = _read_varint(buffer, at - 1)
                end = at + size
        at += 1  # attributes
        while buffer[at] > 127:  # timestamp
            at += 1
        at += 1
        while buffer[at] > 127:  # offset
            at += 1
        at += 1
        if buffer[at] == 1:  # no key
            at += 1
        else:
            size, at = _read_varint(buffer, at)
            at += size
        byte = buffer[at]
        if byte == 1:
            add(None)
        else:
            at += 1
            if byte < 128:
                add(buffer[at : at + (byte >> 1)])
            else:
                more = buffer[at]
                if more < 128:
                    at += 1
                    add(buffer[at : at + ((byte & 127 | more << 7) >> 1)])
                else:
                    size, at = _read_varint(buffer, at - 1)
                    add(buffer[at : at + size])
        at = end
    if at != len(buffer):
        raise IndexError(at)
    return values


class _Batch:
    """One record batch, taken apart as far as it is asked for."""

    __slots__ = ("_batch", "_begin", "_buffer", "_partition", "_records", "_values", "offsets")

    def __init__(self, partition: TopicPartition, batch: Any) -> None:
        self._partition = partition
        self._batch = batch
        self._values: list[bytes | None] | None = None
        self._records: list[ConsumedRecord] | None = None
        self.offsets: Sequence[int]
        if batch.magic < 2:
            self._records = [
                ConsumedRecord(*partition, one.offset, one.timestamp, one.key, one.value, ()) for one in batch
            ]
            self.offsets = [record.offset for record in self._records]
            return
        batch._maybe_uncompress()
        self._buffer = bytes(batch._buffer)
        self._begin: int = batch._pos
        batch._buffer = b""
        if batch.last_offset_delta == batch.records_count - 1:
            self.offsets = range(batch.base_offset, batch.base_offset + batch.records_count)
        else:  # compacted
            self.offsets = [record.offset for record in self.records()]

    def values(self) -> list[bytes | None]:
        """The values of all its records."""
        if self._values is None:
            if self._records is not None:
                self._values = [record.value for record in self._records]
            else:
                try:
                    self._values = _decode_values(self._buffer, self._begin, self._batch.records_count)
                except IndexError as error:
                    raise self._damaged() from error
        return self._values

    def records(self) -> list[ConsumedRecord]:
        """All its records."""
        if self._records is None:
            try:
                self._records = list(self._decode())
            except (IndexError, UnicodeDecodeError) as error:
                raise self._damaged() from error
        return self._records

    def _decode(self) -> Any:
        batch, buffer, at = self._batch, self._buffer, self._begin
        topic, number = self._partition
        base, first = batch.base_offset, batch.first_timestamp
        appended = batch.max_timestamp if batch.timestamp_type else None
        for _ in range(batch.records_count):
            size, at = _read_varint(buffer, at)
            end = at + size
            late, at = _read_varint(buffer, at + 1)
            delta, at = _read_varint(buffer, at)
            key, at = _read_bytes(buffer, at)
            value, at = _read_bytes(buffer, at)
            count, at = _read_varint(buffer, at)
            headers = []
            for _ in range(count):
                name, at = _read_bytes(buffer, at)
                content, at = _read_bytes(buffer, at)
                headers.append(((name or b"").decode(), content or b""))
            if at != end or at > len(buffer):
                raise IndexError(at)
            stamp = first + late if appended is None else appended
            yield ConsumedRecord(topic, number, base + delta, stamp, key, value, tuple(headers))
        if at != len(buffer):
            raise IndexError(at)

    def _damaged(self) -> Exception:
        damaged: Exception = kafka_errors.CorruptRecordError(
            f"{self._partition}: the record batch at offset {self._batch.base_offset} is damaged"
        )
        return damaged


def _read_bytes(buffer: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = _read_varint(buffer, at)
    return (None, at) if size < 0 else (buffer[at : at + size], at + size)


class Run:
    """Consecutive records of one batch."""

    __slots__ = ("_batch", "_begin", "_end")

    def __init__(self, batch: _Batch, begin: int, end: int) -> None:
        self._batch, self._begin, self._end = batch, begin, end

    def __len__(self) -> int:
        return self._end - self._begin

    def offsets(self) -> Sequence[int]:
        """Their offsets."""
        return self._batch.offsets[self._begin : self._end]

    def values(self) -> list[bytes | None]:
        """Their values."""
        values = self._batch.values()
        return values if len(self) == len(values) else values[self._begin : self._end]

    def records(self) -> list[ConsumedRecord]:
        """The records."""
        return self._batch.records()[self._begin : self._end]


class RunRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # the library is untyped
    """What one fetch brought of one partition, handed out in runs and not in records.

    The library counts what it is given, so a run is given as often as it has records; :func:`runs` takes each once.
    """

    def __init__(self, fetch_offset: int, tp: Any, records: Any, **options: Any) -> None:
        super().__init__(fetch_offset, tp, records, **options)
        self.record_iterator = self  # the library asks only whether there is one
        self._ours = TopicPartition(*tp)
        self._remaining = records
        self._batch: _Batch | None = None
        self._at = 0
        self._next_offset = fetch_offset
        self.bytes_read = records.size_in_bytes()

    def take(self, n: int | None = None) -> list[Run]:
        """Runs of ``n`` records at the most."""
        self._maybe_raise_next_inline_exception()
        taken: list[Run] = []
        left = self._MANY if n is None else n
        try:
            while left > 0:
                if self._batch is None and not self._open_next():
                    self.drain()
                    break
                batch = self._batch
                if batch is None:
                    continue
                run = Run(batch, self._at, min(self._at + left, len(batch.offsets)))
                if len(run):
                    run.values()  # damage is told now, before the position is past it
                    left -= len(run)
                    taken += [run] * len(run)
                    self._at += len(run)
                    self.next_fetch_offset = batch.offsets[self._at - 1] + 1
                if self._at == len(batch.offsets):
                    self.next_fetch_offset = max(self.next_fetch_offset, self._next_offset)
                    self._batch = None
        except Exception as error:
            if not taken:
                raise
            self._next_inline_exception = error
        return taken

    _MANY: Final = 2**31

    def _open_next(self) -> bool:
        """Open the next batch whose records are to be handed out; False when there is none."""
        while True:
            batch = self._remaining.next_batch()
            if batch is None:
                return False
            if self.check_crcs and not batch.validate_crc():
                raise kafka_errors.CorruptRecordError(
                    f"{self._ours}: the record batch at offset {batch.base_offset} does not have its checksum"
                )
            if batch.magic == 2:
                self._next_offset = batch.next_offset
                self.leader_epoch = batch.leader_epoch
                if self._is_left_out(batch):
                    self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)
                    continue
            opened = _Batch(self._ours, batch)
            self._at = bisect_left(opened.offsets, self.fetch_offset)
            if opened.offsets and batch.magic < 2:
                self._next_offset = opened.offsets[-1] + 1
            self._batch = opened
            return True

    def _is_left_out(self, batch: Any) -> bool:
        """Whether a read_committed reader does not see this batch; notes where aborted transactions begin and end."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)


def runs(given: Sequence[Run]) -> list[Run]:
    """Each run once."""
    taken = []
    at = 0
    while at < len(given):
        taken.append(given[at])
        at += len(given[at])
    return taken
