"""The one format of dead letters: unusable data is kept complete, one JSON object per line of a rejected file.

Bytes stand under ``key`` and ``value`` where they are UTF-8, else under ``key_base64`` and ``value_base64``. People
mend ``value`` in an editor, so a line is read back with care: what is wrong with it is said in words. The ``id`` says
which record or row it is, whatever becomes of the value. docs/rejects.md describes every key.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sensorstream.errors import DecodeError
from sensorstream.records import ConsumedRecord, Headers, Rejected

_ID_LETTERS: Final = 16
_T = TypeVar("_T", str, int)
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One line of a rejected file.

    A record has ``partition``, ``offset``, ``timestamp_ms``, ``key``, ``headers``, and where a stream could not use it,
    ``transform``. A row of a source has ``file``, ``line`` (from 1), ``row`` (from 0) and ``how`` it is read and
    published. What a kind has no use for is None. ``value`` is the record's value or the row's text (None: a
    record without a value), of which ``cut`` says that the end is missing. ``retried`` says when and where it was
    published again.
    """

    id: str
    topic: str | None
    reason: str
    value: bytes | None
    partition: int | None = None
    offset: int | None = None
    timestamp_ms: int | None = None
    key: bytes | None = None
    headers: Headers = ()
    transform: str | None = None
    file: str | None = None
    line: int | None = None
    row: int | None = None
    how: Mapping[str, Any] = field(default_factory=dict)
    cut: bool = False
    retried: Mapping[str, Any] | None = None

    @property
    def where(self) -> str:
        """Where it came from, in words: ``AIR[0] offset 7``, ``short.csv line 3``."""
        if self.file is not None:
            return f"{self.file} line {self.line}"
        return f"{self.topic}[{self.partition}] offset {self.offset}"

    def document(self) -> dict[str, Any]:
        """The object of the line; its keys are a contract."""
        document: dict[str, Any] = {"id": self.id, "topic": self.topic}
        if self.file is not None:
            document |= {"file": self.file, "line": self.line, "row": self.row, "reason": self.reason}
        else:
            document |= {"partition": self.partition, "offset": self.offset, "timestamp_ms": self.timestamp_ms}
            document |= _told("key", self.key)
            document["headers"] = [{"name": name, **_told("value", value)} for name, value in self.headers]
            document["reason"] = self.reason
            if self.transform is not None:
                document["transform"] = self.transform
        document |= _told("value", self.value)
        if self.how:
            document["how"] = dict(self.how)
        if self.cut:
            document["cut"] = True
        if self.retried is not None:
            document["retried"] = dict(self.retried)
        return document

    def dump(self) -> bytes:
        """The line, its end included."""
        return json.dumps(self.document(), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def load(line: bytes) -> DeadLetter:
    """The dead letter of a line. Raises DecodeError, saying what is wrong with the line, and nothing of its content."""
    try:
        document: Any = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise DecodeError(f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise DecodeError(f"it is not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise DecodeError("it is not JSON that can be read") from error
    if not isinstance(document, dict):
        raise DecodeError("it is no JSON object")
    of_row = "file" in document
    identity = _taken(document, "id", str)
    if len(identity) != _ID_LETTERS or not _HEX.issuperset(identity):
        raise DecodeError(f"its id is not {_ID_LETTERS} hexadecimal digits, as it was written")
    headers = document.get("headers", [])
    how, retried = document.get("how", {}), document.get("retried")
    if not isinstance(how, dict) or not (retried is None or isinstance(retried, dict)):
        raise DecodeError("its how or retried is no JSON object")
    if not isinstance(headers, list) or not all(isinstance(header, dict) for header in headers):
        raise DecodeError("its headers are no list of objects")
    return DeadLetter(
        id=identity,
        topic=_maybe(document, "topic", str),
        reason=_taken(document, "reason", str),
        value=_bytes(document, "value"),
        partition=None if of_row else _taken(document, "partition", int),
        offset=None if of_row else _taken(document, "offset", int),
        timestamp_ms=_maybe(document, "timestamp_ms", int),
        key=None if of_row else _bytes(document, "key"),
        headers=tuple((_taken(header, "name", str), _bytes(header, "value") or b"") for header in headers),
        transform=_maybe(document, "transform", str),
        file=_taken(document, "file", str) if of_row else None,
        line=_taken(document, "line", int) if of_row else None,
        row=_taken(document, "row", int) if of_row else None,
        how=how,
        cut=document.get("cut") is not None and document["cut"] is not False,
        retried=retried,
    )


def rejected_record(record: ConsumedRecord, reason: str, transform: str | None = None) -> Rejected:
    """A consumed record that can't be used, with everything about it."""
    where: dict[str, str | int] = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    stamp = record.timestamp_ms if record.timestamp_ms >= 0 else None
    return Rejected(where, reason, record.value, stamp, record.key, record.headers, transform)


def letter_of(
    rejected: Rejected, *, topic: str | None = None, how: Mapping[str, Any] | None = None, salt: str = ""
) -> DeadLetter:
    """The dead letter of what was rejected.

    ``topic`` and ``how`` are for rows of sources: where they were to go, and how. A record's id is made of where it is
    in its log and when it was written; a row's of where it stands, its text and ``salt``, which tells one replay of a
    file from another.
    """
    where, raw = rejected.where, rejected.raw
    if "file" not in where:
        name, partition, offset = str(where["topic"]), int(where["partition"]), int(where["offset"])
        stamp = rejected.timestamp_ms
        return DeadLetter(
            record_id(name, partition, offset, stamp),
            name,
            rejected.reason,
            raw,
            partition=partition,
            offset=offset,
            timestamp_ms=stamp,
            key=rejected.key,
            headers=rejected.headers,
            transform=rejected.transform,
        )
    file, line, row = str(where["file"]), int(where["line"]), int(where["row"])
    text = hashlib.sha256(raw or b"").hexdigest()
    identity = _digest("row", topic, file, line, row, text, salt)
    return DeadLetter(
        identity, topic, rejected.reason, raw, file=file, line=line, row=row, how=how or {}, cut=rejected.cut
    )


def record_id(topic: str, partition: int, offset: int, timestamp_ms: int | None) -> str:
    """The id of the dead letter of this record, wherever and by whomever it was rejected."""
    return _digest("record", topic, partition, offset, timestamp_ms)


def _digest(*parts: str | int | None) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_ID_LETTERS]


def _told(name: str, value: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {name + "_base64": base64.b64encode(value or b"").decode()}


def _bytes(document: Mapping[str, Any], name: str) -> bytes | None:
    coded = name + "_base64"
    if name in document and coded in document:
        raise DecodeError(f"it has both {name} and {coded}")
    if coded in document:
        try:
            return base64.b64decode(_taken(document, coded, str), validate=True)
        except ValueError as error:
            raise DecodeError(f"its {coded} is not base64") from error
    if name not in document:
        raise DecodeError(f"it has no {name}")
    text = document[name]
    if text is None:
        return None
    if not isinstance(text, str):
        # Whoever mends JSON inside JSON leaves out the quotes around it easily.
        raise DecodeError(f"its {name} is not a text in quotes")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DecodeError(f"its {name} holds half a surrogate pair") from error


def _taken(document: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = _maybe(document, name, kind)
    if value is None:
        raise DecodeError(f"it has no {name}")
    return value


def _maybe(document: Mapping[str, Any], name: str, kind: type[_T]) -> _T | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DecodeError(f"its {name} is no {'text' if kind is str else 'whole number'}")
    return value
