"""Station 6: the timestamp of one record, from the response of a small fetch."""

from typing import Final

import kafka.errors as kafka_errors
from kafka.record import MemoryRecords

from sensorstream.clients.kafka_python.records import _read_varint

_COMPRESSED: Final = 7


def first_timestamp(data: bytes, offset: int) -> int | None:
    """The timestamp (ms since 1970) of the first record at ``offset`` or after it; None where there is none.

    Of a compressed batch only the header is read, as nobody knows how much comes out of it: what is told is as far from
    the batch's first timestamp to its newest as the record is from its first offset to its last.
    """
    try:
        return _first_timestamp(bytes(data), offset)
    except (kafka_errors.KafkaError, IndexError, ValueError, AssertionError):
        return None


def _first_timestamp(data: bytes, offset: int) -> int | None:
    records = MemoryRecords(data)
    while (batch := records.next_batch()) is not None:
        if batch.magic < 2:
            for record in batch:
                if record.offset >= offset:
                    return int(record.timestamp)
            continue
        if batch.is_control_batch or batch.base_offset + batch.last_offset_delta < offset:
            continue
        first, newest = int(batch.first_timestamp), int(batch.max_timestamp)
        if batch.timestamp_type or batch.base_offset >= offset:
            return newest if batch.timestamp_type else first
        if batch.attributes & _COMPRESSED:
            return first + (newest - first) * (offset - int(batch.base_offset)) // int(batch.last_offset_delta)
        buffer, at = bytes(batch._buffer), batch._pos
        for _ in range(batch.records_count):
            size, at = _read_varint(buffer, at)
            end = at + size
            late, at = _read_varint(buffer, at + 1)
            delta, at = _read_varint(buffer, at)
            if batch.base_offset + delta >= offset:
                return int(batch.first_timestamp + late)
            at = end
    return None
