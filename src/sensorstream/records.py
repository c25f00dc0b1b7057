"""The things that travel between the nine stations: rows, records, positions.

Values keep their letters. A CSV cell ``1.50`` is published as the JSON number ``1.50`` and is captured as
``1.50``; ``0012`` is no JSON number, so it travels as text. :class:`Number` and :class:`Json` carry such
literals through Python without a detour through ``float``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class Number(str):
    """A JSON number, in the letters in which it was written."""

    __slots__ = ()


class Json(str):
    """A JSON object or array, in the letters in which it was written."""

    __slots__ = ()


Value: TypeAlias = str | Number | Json | bool | None
"""One decoded value: text, a number literal, nested JSON text, a truth value, or missing."""

Row: TypeAlias = Mapping[str, Value]
"""One decoded record: column name to value, in the record's own order."""

Headers: TypeAlias = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class ConsumedRecord(NamedTuple):
    """A record as it was read from a partition; ``timestamp_ms`` is milliseconds since 1970-01-01 UTC."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class TopicIdentity(NamedTuple):
    """Which log an offset belongs to: a topic deleted and made again has another ``topic_id``.

    Either may be None (unknown) on brokers too old to tell.
    """

    cluster_id: str | None
    topic_id: str | None


class SourceRow(NamedTuple):
    """One row of a source file, still in the letters of the file.

    ``index`` counts the file's data rows from 0, unusable ones included; ``line`` is the line, counted from 1,
    on which the row begins; ``cells`` are as many as the source has columns.
    """

    index: int
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row or record that can't be used, kept whole.

    ``where`` says where it came from (``file`` and ``line``, or ``topic``, ``partition`` and ``offset``);
    ``reason`` is one line; ``raw`` is the thing itself, as it was read.
    """

    where: Mapping[str, str | int]
    reason: str
    raw: bytes
