"""The partition of a key: the 32-bit murmur2 hash of Kafka's Java client.

Source: org.apache.kafka.common.utils.Utils.murmur2 (Apache Kafka), after Austin Appleby's MurmurHash2.
"""

from typing import Final

_MULTIPLIER: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The hash of ``data`` as an unsigned 32-bit number."""
    length = len(data)
    state = (_SEED ^ length) & _MASK
    whole = length & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        state = (state * _MULTIPLIER & _MASK) ^ word
    if length > whole:
        state = (state ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    state = (state ^ state >> 13) * _MULTIPLIER & _MASK
    return state ^ state >> 15


def partition_for_key(key: bytes, partitions: int) -> int:
    """The partition of a topic with ``partitions`` partitions that all records of this key go to."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
