"""Station 6: the newest rows of a topic, read on one thread for the views; bounded in rate and in memory.

The thread has no group and commits nothing. A topic that gets more rows than are wanted a second is read in samples:
reading pauses, then continues at the end, and the rows in between are counted as skipped. Outages are waited out.

The latency of a row is from its timestamp to the moment it was read here. It is taken only of rows that were published
while this was waiting for them: of a row that lay there before, it would be the age.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from sensorstream.clients.base import Client, Reader
from sensorstream.closing import Closing
from sensorstream.config import Settings
from sensorstream.errors import (
    ClusterUnreachable,
    CredentialsRefused,
    OffsetOutOfRange,
    SensorstreamError,
    UnknownTopic,
)
from sensorstream.monitor.latency import OWN_TIME_S
from sensorstream.records import ConsumedRecord, TopicPartition

ROWS: Final = 200
"""How many of the newest rows are kept."""
SAMPLES: Final = 20_000
"""How many latencies are kept."""
VALUE_BYTES: Final = 16 * 1024
"""So much of a value is kept; what is longer is cut."""
RATE: Final = 200
"""Rows a second that are read at the most."""
_LOOK_AGAIN_S: Final = 1.0
_POLL_S: Final = 0.5
_FIRST_POLL_S: Final = 0.2
_COUNT_EVERY_S: Final = 10.0
_CLOSE_S: Final = 2.0
_LIMITS: Final = {
    "kafka-python": {"max.partition.fetch.bytes": "262144", "fetch.max.bytes": "1048576"},
    "librdkafka": {"max.partition.fetch.bytes": "262144", "fetch.max.bytes": "1048576", "queued.min.messages": "200"},
}
"""What is fetched ahead is mostly thrown away here."""


def light_settings(settings: Settings) -> Settings:
    """The settings for a client that fetches little ahead; what the user has set stays."""
    from sensorstream.clients import client_name

    return replace(settings, properties={**_LIMITS[client_name(settings)], **settings.properties})


@dataclass(frozen=True, slots=True)
class NewRow:
    """A record as it was read, its value cut to a bound (``cut``), and its latency where it has one."""

    record: ConsumedRecord
    latency_s: float | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ReadState:
    """How reading goes: ``text`` says it in a line. ``own_times`` rows carried the time of their data."""

    kind: Literal["looking", "reading", "away", "resting", "failed"]
    text: str
    read: int = 0
    skipped: int = 0
    own_times: int = 0


class NewestRows(Closing):
    """Reads the newest rows of a topic, or of one of its partitions, while it is open (``with``)."""

    def __init__(
        self,
        open_client: Callable[[], Client],
        topic: str,
        partition: int | None = None,
        *,
        most: int = ROWS,
        rate: int = RATE,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self._open_client = open_client
        self._most, self._rate = most, rate
        self._stop = threading.Event()
        self._awake = threading.Event()
        self._awake.set()
        self._lock = threading.Lock()
        self._rows: deque[NewRow] = deque(maxlen=most)
        self._latencies: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._state = ReadState("looking", f"looking for {topic}")
        self._changes = 0
        self._live_from: dict[TopicPartition, int] = {}
        self._shown: dict[TopicPartition, int] = {}
        self._thread = threading.Thread(target=self._run, name="newest-rows", daemon=True)

    def start(self) -> None:
        """Begin to read; for those whose use of it is no block of code."""
        self._thread.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def close(self, *, wait: bool = True) -> None:
        """Stop reading; ``wait`` a moment for the thread, which ends by itself when a question is still open."""
        self._stop.set()
        self._awake.set()
        if wait and self._thread.ident is not None:
            self._thread.join(_CLOSE_S)

    def rest(self) -> None:
        """Read nothing until woken; what was read stays."""
        self._awake.clear()

    def wake(self) -> None:
        """Read on, at the end of the topic."""
        self._awake.set()

    @property
    def state(self) -> ReadState:
        """How reading goes."""
        return self._state

    @property
    def changes(self) -> int:
        """A number that is another one when there is something new."""
        return self._changes

    def rows(self) -> tuple[NewRow, ...]:
        """The newest rows, the newest first."""
        with self._lock:
            return tuple(reversed(self._rows))

    def latencies(self) -> tuple[tuple[float, float], ...]:
        """When a row was read (Unix seconds), and its latency in seconds; oldest first."""
        with self._lock:
            return tuple(self._latencies)

    # The thread

    def _run(self) -> None:
        try:
            self._look()
        except SensorstreamError as error:
            self._tell("failed", str(error))
        except Exception as error:
            self._tell("failed", f"reading {self.topic} failed: {type(error).__name__}: {error}")
            raise

    def _tell(self, kind: Literal["looking", "reading", "away", "resting", "failed"], text: str) -> None:
        if (kind, text) != (self._state.kind, self._state.text):
            self._change(kind=kind, text=text)

    def _change(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        self._changes += 1

    def _look(self) -> None:
        """Read, and look again for what is gone, until it is stopped. Raises what ends it."""
        client = self._open_client()
        while not self._stop.is_set():
            try:
                with client.reader(client_id="sensorstream-monitor") as reader:
                    self._read(reader)
            except CredentialsRefused:
                raise  # asking again could lock the account
            except ClusterUnreachable as error:
                self._tell("away", f"waiting for a broker: {error.message}")
            except UnknownTopic as error:
                # What is made from now on is another log.
                self._shown = {}
                self._tell("looking", f"waiting for the topic: {error.message}")
            except OffsetOutOfRange as error:
                self._tell("looking", error.message)
            self._stop.wait(_LOOK_AGAIN_S)

    def _read(self, reader: Reader) -> None:
        parts = self._parts(reader)
        self._go_to_end(reader, parts, back=self._most)
        counted_at = time.monotonic()
        # A second's rows may come at once; after them, as many a second as the rate allows.
        allowed, allowed_at = float(self._rate), time.monotonic()
        while not self._stop.is_set():
            if not self._awake.is_set():
                self._tell("resting", f"{self.topic} is not being read")
                reader.pause(parts)
                self._awake.wait()
                reader.resume(parts)
                if not self._stop.is_set():
                    self._go_to_end(reader, parts, back=self._most)
                continue
            try:
                taken = self._take(reader.poll(_POLL_S, max(1, int(allowed))))
                now = time.monotonic()
                allowed = min(float(self._rate), allowed + self._rate * (now - allowed_at)) - taken
                allowed_at = now
                if allowed < 1:
                    self._sample(reader, parts)
                    allowed, allowed_at = float(self._rate), time.monotonic()
                elif now - counted_at >= _COUNT_EVERY_S:
                    counted_at = now
                    if len(found := self._parts(reader)) != len(parts):
                        parts = found
                        self._go_to_end(reader, parts, back=self._most)
                self._tell("reading", f"reading {self.topic}")
            except ClusterUnreachable as error:
                self._tell("away", f"waiting for a broker to come back: {error.message}")
                self._stop.wait(_POLL_S)

    def _sample(self, reader: Reader, parts: Sequence[TopicPartition]) -> None:
        """More comes than is wanted: read nothing for a second, then go on with what is newest."""
        reader.pause(parts)
        self._stop.wait(1.0)
        reader.resume(parts)
        if not self._stop.is_set():
            self._go_to_end(reader, parts, back=self._most // 4)

    def _parts(self, reader: Reader) -> list[TopicPartition]:
        numbers = range(reader.partitions_for(self.topic)) if self.partition is None else [self.partition]
        return [TopicPartition(self.topic, number) for number in numbers]

    def _go_to_end(self, reader: Reader, parts: Sequence[TopicPartition], *, back: int) -> None:
        """Read from ``back`` rows before the end on, shared by the partitions; nothing a second time."""
        firsts, ends = reader.beginning_offsets(parts), reader.end_offsets(parts)
        each = max(1, back // max(1, len(parts)))
        positions: dict[TopicPartition, int] = {}
        skipped = 0
        for tp in parts:
            known = self._shown.get(tp)
            wanted = max(firsts[tp], ends[tp] - each)
            if known is not None and firsts[tp] <= known <= ends[tp]:
                skipped += max(0, wanted - known)
                wanted = max(wanted, known)
            positions[tp] = self._shown[tp] = wanted
        if skipped:
            self._change(skipped=self._state.skipped + skipped)
        self._live_from = {}
        reader.assign(positions)
        # Until the first fetch is under way rows wait for us, which says nothing about the cluster.
        self._take(reader.poll(_FIRST_POLL_S, self._most))
        self._live_from = reader.end_offsets(parts)

    def _take(self, polled: Mapping[TopicPartition, Sequence[ConsumedRecord]]) -> int:
        """Keep the records that have come; how many of them were waited for."""
        now = time.time()
        rows: list[NewRow] = []
        waited_for = own_times = 0
        for tp, records in polled.items():
            live_from = self._live_from.get(tp)
            for record in records:
                latency = None
                if live_from is not None and record.offset >= live_from:
                    waited_for += 1
                    latency = now - record.timestamp_ms / 1000
                    if record.timestamp_ms <= 0 or abs(latency) > OWN_TIME_S:
                        own_times, latency = own_times + 1, None
                rows.append(_bounded(record, latency))
            if records:
                self._shown[tp] = records[-1].offset + 1
        if not rows:
            return 0
        rows.sort(key=lambda row: row.record.timestamp_ms)
        with self._lock:
            self._rows.extend(rows[-self._most :])
            self._latencies.extend((now, row.latency_s) for row in rows if row.latency_s is not None)
        self._change(read=self._state.read + len(rows), own_times=self._state.own_times + own_times)
        return waited_for


def _bounded(record: ConsumedRecord, latency_s: float | None) -> NewRow:
    value = record.value
    if value is None or len(value) <= VALUE_BYTES:
        return NewRow(record, latency_s)
    return NewRow(record._replace(value=value[:VALUE_BYTES]), latency_s, cut=True)
