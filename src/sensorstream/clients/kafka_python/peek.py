"""Station 6: the timestamp of one record, out of what a small fetch has brought."""

from typing import Final

import kafka.errors as kafka_errors
from kafka.record import MemoryRecords

from sensorstream.clients.kafka_python.records import _read_varint

_COMPRESSED: Final = 7


def first_timestamp(data: bytes, offset: int) -> int | None:
    """The timestamp (ms since 1970) of the first record at ``offset`` or after it; None where there is none.

    Of a compressed batch only the header is read: what is told is the timestamp of its first record, which is at the
    most the time of one batch too old.
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
        if batch.timestamp_type or batch.attributes & _COMPRESSED or batch.base_offset >= offset:
            return int(batch.max_timestamp if batch.timestamp_type else batch.first_timestamp)
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
