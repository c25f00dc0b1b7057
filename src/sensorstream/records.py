"""The things that travel between the nine stations: rows, records, positions.

Values keep their letters. A CSV cell ``1.50`` is published as the JSON number ``1.50`` and is captured as
``1.50``; ``0012`` is no JSON number, so it travels as text. :class:`Number` and :class:`Json` carry such
literals through Python without a detour through ``float``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, NewType, TypeAlias

from sensorstream.errors import UsageError


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

PlainRows = NewType("PlainRows", bytes)
"""CSV rows as bytes that need no CSV parser: splitting at ``\\n`` and at the delimiter gives the cells.

Valid UTF-8; every row ends with ``\\n`` and has as many cells as the source has columns; there is no quote and
no control character in a cell, and in a source of one column no empty cell. Only
:func:`sensorstream.sources.csv_blocks.plain_rows` makes them.
"""

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

    ``number`` counts the file's data rows from 0, unusable ones included; ``line`` is the line, counted from 1,
    on which the row begins; ``cells`` are as many as the source has columns.
    """

    number: int
    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row or record that can't be used, kept whole.

    ``where`` says where it came from (``file``, ``line`` and ``row``, or ``topic``, ``partition`` and ``offset``);
    ``reason`` is one line; ``raw`` is the thing itself, as it was
    read (None: a record without a value). The others are a record's; ``transform`` is the one that could not use it.
    ``cut``: ``raw`` is just the beginning of a row that is too long.
    """

    where: Mapping[str, str | int]
    reason: str
    raw: bytes | None
    timestamp_ms: int | None = None
    key: bytes | None = None
    headers: Headers = ()
    transform: str | None = None
    cut: bool = False


_TOPIC_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


def check_topic_name(name: str) -> str:
    """``name`` itself, when it can be a topic's. Raises UsageError.

    The rule is Kafka's own (``org.apache.kafka.common.internals.Topic``), checked before a name becomes part of a path.
    """
    if name in (".", "..") or not _TOPIC_NAME.fullmatch(name):
        shown = name if len(name) <= 60 else name[:57] + "..."
        raise UsageError(
            f"{shown!r} can't be a topic's name",
            hint="it has 1 to 249 letters, digits, dots, underscores and hyphens",
        )
    return name


class Commit(NamedTuple):
    """What a group has committed for a partition: the next offset to read, and the note that came with it."""

    offset: int
    note: str


class CommitNote(NamedTuple):
    """Who has committed. ``file`` is the id of the file that holds the rows, which it has held from ``since`` on."""

    client_id: str
    host: str
    file: str = ""
    since: int = 0


def commit_note(client_id: str, host: str, file: str = "", since: int = 0) -> str:
    """What a capture stores with its committed offsets.

    So lag can say who reads a pinned partition, and another member of the group whether the rows are in its own file.
    """
    place = f" {file} {since}" if file else ""
    return f"sensorstream 1 {client_id} {host}{place}"


def note_in(metadata: str | None) -> str:
    """The note in a commit's metadata, as it was given, whichever client has committed it."""
    return (metadata or "").partition("\0")[0]


def metadata_of(note: str) -> str:
    """What kafka-python is to commit for this note.

    confluent-kafka 2.16 commits the zero byte at the end of its string, too, and where it finds none it reads on behind
    the string. What other programs have committed stays as it is.
    """
    return note if read_commit_note(note) is None else f"{note}\0"


def read_commit_note(note: str) -> CommitNote | None:
    """What :func:`commit_note` has made; None for anybody else's commit metadata."""
    parts = note_in(note).split(" ")
    if len(parts) not in (4, 6) or parts[:2] != ["sensorstream", "1"]:
        return None
    if len(parts) == 4:
        return CommitNote(parts[2], parts[3])
    return CommitNote(parts[2], parts[3], parts[4], int(parts[5])) if parts[5].isdecimal() else None


def parse_commit_note(note: str) -> tuple[str, str] | None:
    """The client id and host of :func:`commit_note`; None for anybody else's commit metadata."""
    found = read_commit_note(note)
    return None if found is None else (found.client_id, found.host)
