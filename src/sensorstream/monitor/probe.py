"""The latency of a cluster: small records, published at a steady rate and read back by this process.

Both ends are here, so one clock measures. What a probe on another host publishes into the same topic is counted apart:
the clocks of two hosts are in that.
"""

import json
import socket
import statistics
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from sensorstream import admin
from sensorstream.clients.base import Client, Delivery, Publisher
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import (
    ClusterUnreachable,
    DeliveryError,
    NotAllowed,
    SensorstreamError,
    UnknownTopic,
    UsageError,
)
from sensorstream.events import Listener, Notice, Progress, ignore
from sensorstream.monitor.histogram import LatencyHistogram
from sensorstream.monitor.latency import Latency
from sensorstream.records import ConsumedRecord, TopicPartition, check_topic_name

PREFIX: Final = "sensorstream-probe-"
MOST_BYTES: Final = 4096
"""The ``max.message.bytes`` of a probe's topic, by which a later probe knows that it holds nobody's data."""
_CONFIGS: Final = {"max.message.bytes": str(MOST_BYTES), "retention.ms": str(3_600_000)}
_MOST_PARTITIONS: Final = 30
_WARM_UP_ROUNDS: Final = 3
_BACK_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.2
_MOST_KEPT: Final = 10_000
_MOST_HOSTS: Final = 20


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """What to publish: ``rate`` records a second for ``for_s`` seconds.

    ``topic`` None makes one and deletes it; else it is made where it is missing, and stays.
    """

    topic: str | None = None
    rate: float = 10.0
    for_s: float = 10.0


@dataclass(frozen=True, slots=True)
class PartitionLatency:
    """One partition of the probe's topic; ``leader`` is the broker that led it when the probe began."""

    partition: int
    leader: int | None
    end_to_end: Latency


@dataclass(frozen=True, slots=True)
class OtherHost:
    """What probes on another host published meanwhile: their clock stands against ours in ``median_ms``."""

    host: str
    records: int
    median_ms: float


@dataclass(frozen=True, slots=True)
class Probed:
    """What a probe measured. ``lost`` records did not come back in time, ``failed`` ones were refused by the brokers.

    ``complete``: it went on for as long as was asked."""

    topic: str
    rate: float
    seconds: float
    sent: int
    lost: int
    failed: int
    end_to_end: Latency
    partitions: tuple[PartitionLatency, ...]
    other_hosts: tuple[OtherHost, ...]
    complete: bool


def probe(
    client: Client,
    settings: Settings,
    job: ProbeJob,
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Probed:
    """Measure for as long as the job says, or until ``stop`` is set; then what is measured so far is told.

    ``client`` sends each record at once. Raises UsageError for a topic that is not a probe's, ClusterUnreachable,
    NotAllowed, BrokerError.
    """
    stop = stop or threading.Event()
    total = LatencyHistogram()
    with _topic(settings, job.topic, listener) as topic:
        described = admin.describe_topics(settings, [topic], listener=listener).topics[0].partitions
        leaders = {part.partition: part.leader for part in described}
        listener(Notice(f"probing through {topic}: {job.rate:g} records a second for {job.for_s:g} s"))
        run = _Run(client, topic, total, {number: LatencyHistogram() for number in leaders}, listener)
        return run.run(job, leaders, stop)


@contextmanager
def _topic(settings: Settings, name: str | None, listener: Listener) -> Iterator[str]:
    if name is None:
        made = f"{PREFIX}{uuid.uuid4().hex[:8]}"
        try:
            _make(settings, made, listener)
            yield made
        finally:
            try:
                admin.delete_topics(settings, [made], listener=listener)
            except UnknownTopic:
                pass  # it could not be made
            except SensorstreamError as error:
                listener(Notice(f"topic {made} was not deleted: {error.message}", "warning"))
        return
    check_topic_name(name)
    try:
        admin.describe_topics(settings, [name], listener=listener)
    except UnknownTopic:
        _make(settings, name, listener)
    else:
        if admin.topic_config(settings, name, "max.message.bytes", listener=listener) != _CONFIGS["max.message.bytes"]:
            raise UsageError(
                f"topic {name} was not made by a probe, and probe records would be among its rows",
                hint="name a topic that does not exist: it is made, and kept for the next probe",
            )
    yield name


def _make(settings: Settings, name: str, listener: Listener) -> None:
    """A topic with a partition for each broker, so that each leads one."""
    brokers = len(admin.describe_cluster(settings, listener=listener).brokers)
    wanted = TopicSettings(name, min(brokers, _MOST_PARTITIONS), min(3, brokers), configs=dict(_CONFIGS))
    admin.create_topics(settings, [wanted], listener=listener)


@dataclass(slots=True)
class _Others:
    """What probes of another host took, in milliseconds."""

    records: int = 0
    took_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_KEPT))


class _Run:
    """One probe: published on the calling thread, read on another."""

    def __init__(
        self,
        client: Client,
        topic: str,
        total: LatencyHistogram,
        parts: dict[int, LatencyHistogram],
        listener: Listener,
    ) -> None:
        self._client = client
        self._topic = topic
        self._total = total
        self._parts = parts
        self._listener = listener
        self._id = uuid.uuid4().hex
        self._host = socket.gethostname()
        self._lock = threading.Lock()
        self._open: dict[int, float] = {}
        self._warm = 0
        self._others: dict[str, _Others] = {}
        self._came = threading.Event()
        self._ready = threading.Event()
        self._done = threading.Event()
        self._problem: BaseException | None = None
        self._deliveries: deque[Delivery] = deque()
        self._failed = 0

    def run(self, job: ProbeJob, leaders: dict[int, int | None], stop: threading.Event) -> Probed:
        reading = threading.Thread(target=self._read, name="probe-reader", daemon=True)
        numbers = sorted(leaders)
        with self._client.publisher(listener=self._listener) as publisher:
            publisher.partitions_for(self._topic)
            reading.start()
            try:
                self._wait(self._ready, _BACK_WITHIN_S, stop)
                self._warm_up(publisher, numbers, stop)
                began = time.perf_counter()
                sent = self._send(publisher, numbers, job, stop)
                seconds = time.perf_counter() - began
                self._await_open(2.0 if stop.is_set() else _BACK_WITHIN_S, stop)
            finally:
                self._done.set()
                reading.join(_BACK_WITHIN_S)
            self._reap(wait_s=0.0)
        if self._problem is not None:
            raise self._problem
        # After an interruption, what is still on its way is not lost.
        now = time.perf_counter()
        silent = sum(now - since >= _BACK_WITHIN_S for since in self._open.values())
        lost = max(0, silent - self._failed)
        return Probed(
            self._topic,
            job.rate,
            round(seconds, 3),
            sent,
            lost,
            self._failed,
            self._total.latency(),
            tuple(PartitionLatency(number, leaders[number], self._parts[number].latency()) for number in numbers),
            tuple(
                OtherHost(host, one.records, round(statistics.median(one.took_ms), 3))
                for host, one in sorted(self._others.items())
            ),
            complete=not stop.is_set(),
        )

    # The thread that publishes

    def _warm_up(self, publisher: Publisher, numbers: Sequence[int], stop: threading.Event) -> None:
        """First records open connections and are slow: some are sent to each partition and not counted."""
        for _ in range(_WARM_UP_ROUNDS):
            for number in numbers:
                self._publish(publisher, number, -1 - self._warm, time.perf_counter())
                self._warm += 1
            self._await_open(_BACK_WITHIN_S, stop)
            if self._open:
                break
        self._reap(wait_s=0.0)
        with self._lock:
            if self._open and not stop.is_set() and self._problem is None:
                raise SensorstreamError(
                    f"records of {self._topic} did not come back within {_BACK_WITHIN_S:g} s",
                    hint="look at the brokers: sensorstream brokers",
                )
            self._open.clear()
        self._failed = 0

    def _send(self, publisher: Publisher, numbers: Sequence[int], job: ProbeJob, stop: threading.Event) -> int:
        count = max(1, round(job.rate * job.for_s))
        began = time.perf_counter()
        for number in range(count):
            due = began + number / job.rate
            pause = due - time.perf_counter()
            if pause > 0:
                stop.wait(pause)
            if stop.is_set() or self._problem is not None:
                return number
            now = time.perf_counter()
            # Where publishing was held up, the record waited too: it counts from when it was due.
            self._publish(publisher, numbers[number % len(numbers)], number, due if now - due > 1 / job.rate else now)
            self._reap(wait_s=None)
            self._listener(Progress("probe", number + 1, count))
        return count

    def _publish(self, publisher: Publisher, partition: int, number: int, since: float) -> None:
        value = {"probe": self._id, "n": number, "host": self._host, "at": round(time.time() * 1000, 3)}
        with self._lock:
            self._open[number] = since
        self._deliveries.append(publisher.publish(self._topic, json.dumps(value).encode(), partition=partition))

    def _reap(self, *, wait_s: float | None) -> None:
        """Look at deliveries whose outcome is known; with ``wait_s`` at all of them, so long each.

        Raises NotAllowed: who may not write measures nothing.
        """
        while self._deliveries and (wait_s is not None or self._deliveries[0].done()):
            delivery = self._deliveries.popleft()
            try:
                delivery.wait(wait_s or 0.0)
            except NotAllowed:
                raise
            except DeliveryError:
                self._failed += delivery.done()

    def _await_open(self, within_s: float, stop: threading.Event) -> None:
        """Wait until all that was sent has come back, or ``within_s`` have passed without a record."""
        while self._problem is None and self._open:
            self._came.clear()
            if not self._wait(self._came, within_s, stop):
                return

    def _wait(self, event: threading.Event, within_s: float, stop: threading.Event) -> bool:
        deadline, stopped = time.monotonic() + within_s, stop.is_set()
        while not event.wait(0.05):
            self._reap(wait_s=None)
            if not self._open and event is self._came:
                return True
            if time.monotonic() >= deadline or self._problem is not None or (stop.is_set() and not stopped):
                return False
        return True

    # The thread that reads

    def _read(self) -> None:
        try:
            with self._client.reader(listener=self._listener) as reader:
                parts = [TopicPartition(self._topic, number) for number in self._parts]
                reader.assign(reader.end_offsets(parts))
                reader.poll(0.0)
                self._ready.set()
                while not self._done.is_set():
                    try:
                        batches = reader.poll(_POLL_S)
                    except ClusterUnreachable:
                        self._done.wait(_POLL_S)  # what is open then takes longer, which is what is measured
                        continue
                    now, wall_ms = time.perf_counter(), time.time() * 1000
                    for where, records in batches.items():
                        for record in records:
                            self._take(where.partition, record, now, wall_ms)
                    if batches:
                        self._came.set()
        except BaseException as error:
            self._problem = error
        finally:
            self._ready.set()
            self._came.set()

    def _take(self, partition: int, record: ConsumedRecord, now: float, wall_ms: float) -> None:
        try:
            value = json.loads(record.value or b"")
            owner, number, host, at = str(value["probe"]), int(value["n"]), str(value["host"]), float(value["at"])
        except (ValueError, TypeError, KeyError):
            return  # somebody's record that is no probe
        if owner == self._id:
            with self._lock:
                since = self._open.pop(number, None)
            if since is not None and number >= 0:
                self._total.add(now - since)
                self._parts[partition].add(now - since)
        elif host != self._host and (host in self._others or len(self._others) < _MOST_HOSTS):
            others = self._others.setdefault(host, _Others())
            others.records += 1
            others.took_ms.append(wall_ms - at)
