"""Stations 6 and 7 for eyes: a bounded number of a topic's rows, within a bounded time, without a group.

One reader is kept for all that ask; it reads on one thread, and nothing is assigned to it between two questions.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from sensorstream.clients.base import Client, Reader
from sensorstream.config import Settings
from sensorstream.errors import DecodeError, OffsetOutOfRange, SensorstreamError, UnknownPartition, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.schemas import decoder_settings
from sensorstream.pipelines.start_at import StartAt, parse, resolve
from sensorstream.records import ConsumedRecord, Number, Row, TopicPartition, check_topic_name
from sensorstream.serde.decoders import Decoder, as_base64, as_text, open_decoder

MOST_ROWS: Final = 2000
"""The most that is handed out at once."""
MOST_READ: Final = 10_000
"""The most records that are read to find them."""
MOST_PARTITIONS: Final = 200
WITHIN_S: Final = 5.0
"""So long records are waited for; with the questions before them it can take three times as long."""
MOST_TEXT: Final = 2000
"""Characters of one value that are handed out."""
MOST_COLUMNS: Final = 100
_MOST_BYTES: Final = 32_000_000
_AVRO: Final = (b"\x00", b"\xc3\x01")
"""How values begin that name their schema: by the id of a registry, or as single objects."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Which rows: the ``newest`` ones (newest first), or those from ``start`` on. ``partition`` None: of all."""

    topic: str
    start: StartAt | Literal["newest"] = "newest"
    partition: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A record and its columns; ``reason`` says in a line why its value has none of its own."""

    record: ConsumedRecord
    row: Row
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The rows, and the first and next offset of each partition that was looked at. ``whole`` False: time was up."""

    rows: tuple[ReadRow, ...]
    bounds: Mapping[int, tuple[int, int]]
    partitions: int
    whole: bool


def ask_of(topic: str, start: str, value: str, partition: str, limit: str) -> Ask:
    """What the page asks for, as it stands in an address. Raises UsageError."""
    check_topic_name(topic)
    begin: StartAt | Literal["newest"]
    if start == "newest":
        begin = "newest"
    elif start == "offset" and value.isascii() and value.isdecimal():
        begin = parse(value)
    elif start == "time":
        begin = parse(f"@{value}")
    else:
        raise UsageError("the rows are asked for as newest, by an offset or by a time", hint="an offset is a number")
    return Ask(topic, begin, _number(partition, "partition"), min(_number(limit, "limit") or 50, MOST_ROWS))


def _number(text: str, what: str) -> int | None:
    if text in ("", "all"):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{what} {text[:20]!r} is no number", hint="it is a whole number of 0 or more")
    return int(text)


class RowReader:
    """Reads rows; used from one thread."""

    def __init__(self, make_client: Callable[[], Client], settings: Settings, listener: Listener = ignore) -> None:
        self._make_client = make_client
        self._settings = settings
        self._listener = listener
        self._reader: Reader | None = None
        self._decoders: dict[str, Decoder] = {}
        self._stopped = threading.Event()

    def read(self, ask: Ask) -> Found:
        """Read what is asked for.

        Raises UnknownTopic, UnknownPartition, ClusterUnreachable, OffsetOutOfRange and what a client raises else.
        """
        try:
            return self._read(ask)
        except UsageError:
            raise
        except SensorstreamError:
            # What has failed is not trusted with the next question.
            self.close()
            raise

    def stop(self) -> None:
        """Have what is being read end soon, with what was found; from any thread, and does not wait."""
        self._stopped.set()

    def close(self) -> None:
        """Let go of the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _read(self, ask: Ask) -> Found:
        if self._reader is None:
            self._reader = self._make_client().reader(listener=self._listener)
        reader = self._reader
        count = reader.partitions_for(ask.topic)
        if ask.partition is not None and ask.partition >= count:
            raise UnknownPartition(f"{ask.topic} has no partition {ask.partition}", hint=f"it has 0 to {count - 1}")
        numbers = range(count) if ask.partition is None else (ask.partition,)
        parts = [TopicPartition(ask.topic, number) for number in numbers[:MOST_PARTITIONS]]
        # Each of these questions may wait for a broker that is away.
        if self._stopped.is_set():
            return Found((), {}, count, False)
        firsts = reader.beginning_offsets(parts)
        if self._stopped.is_set():
            return Found((), {}, count, False)
        ends = reader.end_offsets(parts)
        each = max(1, min(ask.limit, MOST_READ // len(parts)))
        starts = {}
        for tp in parts:
            if ask.start == "newest":
                starts[tp] = max(firsts[tp], ends[tp] - each)
            else:
                starts[tp] = min(max(resolve(ask.start, reader, tp, firsts[tp], ends[tp]), firsts[tp]), ends[tp])
        records, whole = _gather(reader, starts, ends, each, self._stopped)
        if ask.start == "newest":
            records.sort(key=lambda one: (-one.timestamp_ms, one.partition, -one.offset))
            if ask.partition is not None:
                records.sort(key=lambda one: -one.offset)
        else:
            records.sort(key=lambda one: (one.timestamp_ms, one.partition, one.offset))
            if ask.partition is not None:
                records.sort(key=lambda one: one.offset)
        rows = self._decoded(ask.topic, records[: ask.limit])
        return Found(tuple(rows), {tp.partition: (firsts[tp], ends[tp]) for tp in parts}, count, whole)

    def _decoded(self, topic: str, records: Sequence[ConsumedRecord]) -> list[ReadRow]:
        said = self._settings.topic(topic).value_format
        rows = []
        for record in records:
            value = record.value
            if value is None:
                rows.append(ReadRow(record, {}, "a record without a value (tombstone)"))
                continue
            name = said or ("avro" if value.startswith(_AVRO) else "json")
            try:
                decoder = self._decoder(topic, name)
                if decoder.prepare is not None:
                    decoder.prepare([value])
                rows.append(ReadRow(record, decoder.decode(value)))
            except SensorstreamError as error:
                reason = error.message
                text: str | None = None
                with suppress(DecodeError):
                    text = as_text(value[: 4 * MOST_TEXT])
                rows.append(ReadRow(record, {"value": as_base64(value[:MOST_TEXT]) if text is None else text}, reason))
        return rows

    def _decoder(self, topic: str, name: str) -> Decoder:
        key = f"{name} {topic}" if name == "avro" else name
        if key not in self._decoders:
            if len(self._decoders) > 100:
                self._decoders.clear()
            self._decoders[key] = open_decoder(name, decoder_settings(self._settings, topic, None, self._listener))
        return self._decoders[key]


def _gather(
    reader: Reader,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    each: int,
    stopped: threading.Event,
) -> tuple[list[ConsumedRecord], bool]:
    """``each`` records of each partition, or those before its end; and whether that was all of them."""
    open_ = {tp for tp, start in starts.items() if start < ends[tp]}
    counts = dict.fromkeys(starts, 0)
    found: list[ConsumedRecord] = []
    size = 0
    deadline = time.monotonic() + WITHIN_S
    if not open_:
        return found, True
    reader.assign({tp: starts[tp] for tp in open_})
    try:
        while open_ and size < _MOST_BYTES and not stopped.is_set() and (left := deadline - time.monotonic()) > 0:
            for tp, records in reader.poll(min(0.5, left), 1000).items():
                for record in records:
                    if counts[tp] >= each or record.offset >= ends[tp]:
                        break
                    found.append(record)
                    counts[tp] += 1
                    size += len(record.value or b"")
            # Behind what was read may stand markers of transactions: the position is past them.
            open_ = {tp for tp in open_ if counts[tp] < each and reader.position(tp) < ends[tp]}
    except OffsetOutOfRange:
        # Retention has taken rows away meanwhile; what was read is true.
        return found, False
    finally:
        reader.assign({})
    return found, not open_


def payload(ask: Ask, found: Found) -> dict[str, Any]:
    """Rows for the page: each column once, and each row's cells in its order, in their own letters; null: missing."""
    names: dict[str, None] = {}
    for one in found.rows:
        for name in one.row:
            if len(names) < MOST_COLUMNS:
                names.setdefault(name)
    numeric = {
        name: any(isinstance(one.row.get(name), Number) for one in found.rows)
        and all(isinstance(one.row.get(name), Number | None) for one in found.rows)
        for name in names
    }
    return {
        "topic": ask.topic,
        "partitions": found.partitions,
        "whole": found.whole,
        "bounds": [{"partition": number, "first": first, "end": end} for number, (first, end) in found.bounds.items()],
        "columns": [{"name": name, "numeric": numeric[name]} for name in names],
        "rows": [
            {
                "partition": one.record.partition,
                "offset": one.record.offset,
                "timestamp_ms": one.record.timestamp_ms,
                "key": None if one.record.key is None else _cut(one.record.key.decode("utf-8", "backslashreplace")),
                "size": None if one.record.value is None else len(one.record.value),
                "reason": one.reason or None,
                "cells": [_cell(one.row.get(name)) for name in names],
            }
            for one in found.rows
        ],
    }


def _cell(value: str | bool | None) -> str | None:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    return _cut(value)


def _cut(text: str) -> str:
    # A half of a pair, out of a JSON escape, is not to be had in UTF-8.
    shown = text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"
    return shown.encode("utf-8", "backslashreplace").decode()
