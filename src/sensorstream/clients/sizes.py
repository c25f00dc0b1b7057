"""The size of records when sent: bytes of a record batch of format 2 (Kafka protocol, RecordBatch and Record)."""

from typing import Final

from sensorstream.records import Headers

RECORD_LIMIT: Final = 1024 * 1024
"""The most bytes that a client sends at once unless told otherwise (``max.request.size`` of Kafka's own producer)."""
BATCH_OVERHEAD: Final = 61
"""What a batch has before its first record."""
RECORD_OVERHEAD: Final = 21
"""The most that is added to a record's key, value and headers."""
HEADER_OVERHEAD: Final = 10
"""The most that is added to a header's name and content."""


def batch_of_one(content: int, headers: Headers = ()) -> int:
    """The most bytes that a batch of one record can have, uncompressed; ``content`` are those of its key and value."""
    return (
        BATCH_OVERHEAD
        + RECORD_OVERHEAD
        + content
        + sum(len(name.encode()) + len(value) + HEADER_OVERHEAD for name, value in headers)
    )
