"""Stations 6-8: a topic of scored posts, read on a thread for the views; it waits during outages and reports them.

The thread has no group and commits nothing. What it has read waits in a bounded queue: when nobody takes it, reading
waits too, and nothing is dropped.
"""

import queue
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, Self

from sensorstream.clients.base import Client, Reader
from sensorstream.clients.causes import Waited
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.closing import Closing
from sensorstream.errors import (
    ClusterUnreachable,
    CredentialsRefused,
    DecodeError,
    OffsetOutOfRange,
    SensorstreamError,
    UnknownTopic,
    UsageError,
)
from sensorstream.events import Event, Listener, Notice, ignore
from sensorstream.pipelines.read_timeouts import Ended, ReadTimeouts
from sensorstream.pipelines.scored_feed.job import FeedJob
from sensorstream.pipelines.start_at import StartAt, resolve
from sensorstream.records import ConsumedRecord, TopicPartition
from sensorstream.sentiment.feed import ScoredPost, SourceState
from sensorstream.serde import json as json_serde

BATCH: Final = 250
BATCHES: Final = 40
LOOK_AGAIN_S: Final = 1.0
LAG_EVERY_S: Final = 1.0
COUNT_EVERY_S: Final = 10.0
"""How often it is looked whether the topic has got more partitions."""
CLOSE_S: Final = 20.0
"""Longer than any question to a cluster stays open: 10 s."""
_POLL_S: Final = 0.2


class ScoredFeed(Closing):
    """A :class:`~sensorstream.sentiment.feed.PostSource` that fills itself while it is open (``with``)."""

    def __init__(self, client: Client, job: FeedJob, listener: Listener = ignore) -> None:
        self._client = client
        self._job = job
        self._listener = listener
        self._stop = threading.Event()
        self._queue: queue.Queue[list[ScoredPost]] = queue.Queue(BATCHES)
        self._waiting = 0
        self._lock = threading.Lock()
        self._state = SourceState("looking", f"looking for {job.topic}")
        self._read_post = job.fields.reader()
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._start = job.start
        self._assigned: Reader | None = None
        self._posts = 0
        self._measured_at = self._counted_at = 0.0
        self._timeouts = ReadTimeouts(
            self._stop,
            idle_timeout_s=job.idle_timeout_s,
            has_end=job.stop_at_end or job.count is not None,
            poll_s=_POLL_S,
        )
        self.ended: Ended | None = None
        self.error: SensorstreamError | None = None
        self._thread = threading.Thread(target=self._run, name="scored-feed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Have it stop reading; does not wait."""
        self._stop.set()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Stop reading, and wait until the thread has ended, so long at the most."""
        self.stop()
        self._thread.join(within_s)

    @property
    def state(self) -> SourceState:
        """How it fares; the lag counts what has been read and not been taken, too."""
        with self._lock:
            state, waiting = self._state, self._waiting
        return state if state.lag is None else replace(state, lag=state.lag + waiting)

    @property
    def done(self) -> bool:
        """Whether nothing more comes, and all that came has been taken."""
        return self._state.kind in ("ended", "failed") and self._queue.empty()

    def take(self, most: int) -> Sequence[ScoredPost]:
        """Posts that have come, oldest first: ``most`` of them, or a few more."""
        taken: list[ScoredPost] = []
        while len(taken) < most:
            try:
                taken += self._queue.get_nowait()
            except queue.Empty:
                break
        with self._lock:
            self._waiting -= len(taken)
        return taken

    # The thread

    def _run(self) -> None:
        try:
            self.ended = self._look() or "stopped"
        except SensorstreamError as error:
            self.error = error
            self._tell("failed", str(error))
        except Exception as error:
            self.error = SensorstreamError(f"reading {self._job.topic} failed: {type(error).__name__}: {error}")
            self._tell("failed", self.error.message)
            raise
        else:
            self._tell("ended", f"{self._job.topic} is read")

    def _tell(self, kind: Literal["looking", "reading", "away", "failed", "ended"], text: str) -> None:
        self._change(kind=kind, text=text, lag=None if kind == "away" else self._state.lag)

    def _change(self, **changes: Any) -> None:
        with self._lock:
            self._state = replace(self._state, **changes)

    def _heard_of(self, event: Event) -> None:
        """Called on whatever thread the client has: a broker that has gone is told before anybody has to ask it."""
        if isinstance(event, Notice) and event.level == "warning" and self._state.kind == "reading":
            self._change(text=event.text)
        self._listener(event)

    def _look(self) -> Ended | None:
        """Read, and look again for what is gone, until the end. Raises what ends it."""
        topic = self._job.topic
        while not self._stop.is_set():
            try:
                with self._client.reader(listener=self._heard_of) as reader, self._watched():
                    return self._read(reader)
            except CredentialsRefused:
                raise  # asking again could lock the account
            except ClusterUnreachable as error:
                if not self._job.patient:
                    raise
                self._tell("looking", f"looking for a broker: {error.message}")
            except UnknownTopic as error:
                if not self._job.patient:
                    raise
                self._tell("looking", f"waiting for the topic {topic}: {error.message}")
                # What is made from now on is new, and is shown from its beginning.
                self._positions, self._start = {}, StartAt("beginning")
            except OffsetOutOfRange as error:
                if not self._positions:
                    raise
                self._tell("looking", error.message)
            self._stop.wait(LOOK_AGAIN_S)
        return None

    def _watched(self) -> Waiting:
        """Tells what is waited for while records are read."""

        def open_things() -> list[Open]:
            topic, positions = self._job.topic, self._positions
            if not positions:
                return [Open(f"topic {topic}", None, Waited((topic,)))]
            return [
                Open(f"records of {topic}", position, Waited(partitions=(tp,)), surely=tp in self._ends, key=tp)
                for tp, position in positions.items()
                if position < self._ends.get(tp, 1 << 63)
            ]

        return Waiting(self._client.causes, open_things, self._heard_of)

    def _read(self, reader: Reader) -> Ended | None:
        job = self._job
        self._begin(reader)
        self._timeouts.heard()
        while not self._stop.is_set():
            try:
                polled = reader.poll(self._timeouts.poll_s, BATCH)
                if polled:
                    self._timeouts.heard()
                    if not self._hand_over(reader, polled):
                        return "count" if self._posts == job.count else None
                self._positions = {tp: reader.position(tp) for tp in self._positions}
                self._measure(reader)
                if time.monotonic() - self._counted_at >= COUNT_EVERY_S:
                    self._begin(reader)
            except ClusterUnreachable as error:
                self._tell("away", f"waiting for a broker to come back: {error.message}")
                self._timeouts.sit_out(error)
                continue
            if job.stop_at_end and all(self._positions[tp] >= end for tp, end in self._ends.items()):
                return "end"
            if self._timeouts.idle:
                return "timeout"
        return None

    def _begin(self, reader: Reader) -> None:
        """Assign all partitions: where it was, where retention has left it, or where the job begins."""
        topic = self._job.topic
        self._counted_at = time.monotonic()
        parts = [TopicPartition(topic, number) for number in range(reader.partitions_for(topic))]
        if self._assigned is reader and len(parts) == len(self._positions):
            return
        firsts, ends = reader.beginning_offsets(parts), reader.end_offsets(parts)
        positions: dict[TopicPartition, int] = {}
        for tp in parts:
            known = self._positions.get(tp)
            if known is None:
                # A partition that is added later is shown from its beginning.
                start = StartAt("beginning") if self._positions else self._start
                positions[tp] = resolve(start, reader, tp, firsts[tp], ends[tp])
                if not firsts[tp] <= positions[tp] <= ends[tp]:
                    raise UsageError(f"{tp} has no offset {positions[tp]}", hint=f"it holds {firsts[tp]} to {ends[tp]}")
                continue
            positions[tp] = known if firsts[tp] <= known <= ends[tp] else firsts[tp]
            if known < firsts[tp]:
                self._change(missed=self._state.missed + firsts[tp] - known)
        if self._job.stop_at_end and not self._ends:
            self._ends = ends
        self._positions = positions
        reader.assign(positions)
        self._assigned = reader

    def _hand_over(self, reader: Reader, polled: Mapping[TopicPartition, Sequence[ConsumedRecord]]) -> bool:
        """Queue the posts of some records, in the order of their time; false when nothing more is wanted."""
        posts: list[ScoredPost] = []
        for tp, records in polled.items():
            taken = records
            if tp in self._ends:
                taken = records[: bisect_left(records, self._ends[tp], key=lambda record: record.offset)]
            posts += filter(None, map(self._post, taken))
        posts.sort(key=lambda post: post.time_ms)
        count = self._job.count
        if count is not None:
            posts = posts[: count - self._posts]
        self._posts += len(posts)
        return self._put(reader, posts) and (count is None or self._posts < count)

    def _post(self, record: ConsumedRecord) -> ScoredPost | None:
        try:
            if record.value is None:
                raise DecodeError("a record without a value (tombstone)")
            return self._read_post(record, json_serde.decode(record.value))
        except DecodeError as error:
            reason = f"{record.topic}[{record.partition}] offset {record.offset}: {error.message}"
            self._change(unusable=self._state.unusable + 1, reason=reason)
            return None

    def _put(self, reader: Reader, posts: list[ScoredPost]) -> bool:
        """Queue posts, as soon as there is room; false when it is time to stop."""
        if not posts:
            return True
        with self._lock:
            self._waiting += len(posts)
        while not self._stop.is_set():
            try:
                self._queue.put(posts, timeout=_POLL_S)
            except queue.Full:
                self._measure(reader)
                self._timeouts.heard()
                continue
            return True
        return False

    def _measure(self, reader: Reader) -> None:
        """Find out the lag, now and then."""
        now = time.monotonic()
        if now - self._measured_at < LAG_EVERY_S:
            return
        self._measured_at = now
        self._positions = {tp: reader.position(tp) for tp in self._positions}
        ends = reader.end_offsets(self._positions)
        lag = sum(max(0, ends[tp] - position) for tp, position in self._positions.items())
        self._change(kind="reading", text=f"reading {self._job.topic}", lag=lag)
        self._timeouts.answered()
