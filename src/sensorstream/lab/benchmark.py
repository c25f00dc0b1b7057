"""Measure a cluster from this machine: publishing, reading, and the end-to-end latency of single rows.

It makes two topics of its own and deletes them, whatever happens.
"""

import csv
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from sensorstream import admin
from sensorstream.clients.base import Client
from sensorstream.config import Settings, TopicSettings, samples_folder
from sensorstream.errors import Interrupted, SensorstreamError
from sensorstream.events import Listener, Notice, Progress, ignore
from sensorstream.monitor.latency import Latency, summarise
from sensorstream.pipelines.replay.outbox import Outbox
from sensorstream.records import TopicPartition
from sensorstream.serde.json import RowEncoder
from sensorstream.wording import counted

PARTITIONS: Final = 2
WARM_UP_ROWS: Final = 50
_BATCH: Final = 500
_ANSWER_S: Final = 120.0
_SILENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """Rows through one end of the cluster; ``bytes`` are of the values alone, ``seconds`` without the start-up."""

    rows: int
    bytes: int
    seconds: float
    rows_per_s: float
    mb_per_s: float


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was measured. ``end_to_end`` is of single rows, ``rate`` a second, from publishing to being read."""

    client: str
    partitions: int
    replication_factor: int
    produce: Throughput
    consume: Throughput
    rate: float
    end_to_end: Latency


def benchmark(
    client: Client,
    single_rows: Client,
    settings: Settings,
    *,
    rows: int = 100_000,
    rate: float = 100.0,
    seconds: float = 10.0,
    replication_factor: int | None = None,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Benchmark:
    """Measure ``client`` with ``rows`` rows of the AIR sample, then ``single_rows``, a client that sends each row at
    once, for ``seconds`` with ``rate`` rows a second.

    ``replication_factor`` None means 3, or as many as there are brokers where those are fewer.
    Raises ClusterUnreachable, DeliveryError, Interrupted.
    """
    stop = stop or threading.Event()
    brokers = len(admin.describe_cluster(settings, listener=listener).brokers)
    factor = replication_factor or min(3, brokers)
    values = _sample_values()
    with _topics(settings, listener, factor, PARTITIONS, 1) as (bulk, single):
        listener(Notice(f"publishing {counted(rows, 'row')}"))
        produced = _produce(client, bulk, values, rows, stop, listener)
        listener(Notice(f"reading {counted(rows, 'row')}"))
        consumed = _consume(client, bulk, rows, stop, listener)
        listener(Notice(f"publishing single rows, {rate:g} a second for {seconds:g} s"))
        latency = _end_to_end(single_rows, single, values, rate, seconds, stop)
    return Benchmark(client.name, PARTITIONS, factor, produced, consumed, rate, latency)


@contextmanager
def _topics(settings: Settings, listener: Listener, factor: int, *partitions: int) -> Iterator[list[str]]:
    names = [f"sensorstream-bench-{uuid.uuid4().hex[:8]}" for _ in partitions]
    wanted = [
        TopicSettings(name, partitions=count, replication_factor=factor)
        for name, count in zip(names, partitions, strict=True)
    ]
    try:
        admin.create_topics(settings, wanted, listener=listener)
        yield names
    except BaseException:
        with suppress(SensorstreamError):  # it would hide what has gone wrong first
            admin.delete_topics(settings, names, listener=listener)
        raise
    admin.delete_topics(settings, names, listener=listener)


def _sample_values() -> list[bytes]:
    with (samples_folder() / "AIR2308.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        encode = RowEncoder(next(reader)).encode
        return [encode(row) for row in reader]


def _produce(
    client: Client, topic: str, values: Sequence[bytes], rows: int, stop: threading.Event, listener: Listener
) -> Throughput:
    outbox = Outbox(topic, _ANSWER_S)
    size = 0
    with client.publisher(listener=listener) as publisher:
        publisher.partitions_for(topic)
        began = time.perf_counter()
        for number in range(rows):
            value = values[number % len(values)]
            size += len(value)
            delivery = publisher.publish(topic, value, partition=number % PARTITIONS)
            outbox.add(number, 1, len(value), delivery)
            if number % _BATCH == 0:
                _check(stop)
                outbox.make_room(stop)
                listener(Progress("published", outbox.acknowledged, rows))
        while outbox.open_rows:
            _check(stop)
            outbox.wait_a_moment()
        return _throughput(rows, size, time.perf_counter() - began)


def _consume(client: Client, topic: str, rows: int, stop: threading.Event, listener: Listener) -> Throughput:
    seen = size = 0
    with client.reader(listener=listener) as reader:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        reader.assign(dict.fromkeys(partitions, 0))
        began = heard = time.perf_counter()
        while seen < rows:
            _check(stop)
            for batch in reader.poll(0.5, 10_000).values():
                seen += len(batch)
                size += sum(len(record.value or b"") for record in batch)
                heard = time.perf_counter()
            if time.perf_counter() - heard > _SILENCE_S:
                raise SensorstreamError(
                    f"{rows - seen:,} of {counted(rows, 'row')} did not come back within {_SILENCE_S:g} s"
                )
            listener(Progress("read", seen, rows))
        return _throughput(rows, size, time.perf_counter() - began)


def _end_to_end(
    client: Client, topic: str, values: Sequence[bytes], rate: float, seconds: float, stop: threading.Event
) -> Latency:
    """Publish on this thread and read on another of the same process: one clock for both ends."""
    count = WARM_UP_ROWS + max(1, round(rate * seconds))
    sent = [0.0] * count
    taken = [0.0] * count
    done = threading.Event()
    problem: list[BaseException] = []

    def read() -> None:
        try:
            with client.reader() as reader:
                reader.assign({TopicPartition(topic, 0): 0})
                reader.poll(0.0)
                ready.set()
                seen = 0
                while seen < count and not done.is_set():
                    for batch in reader.poll(0.5).values():
                        now = time.perf_counter()
                        for record in batch:
                            # One producer, one partition: the offset is the number of the row.
                            taken[record.offset] = now
                            seen += 1
        except BaseException as error:
            problem.append(error)
        finally:
            ready.set()

    ready = threading.Event()
    thread = threading.Thread(target=read, name="bench-reader", daemon=True)
    with client.publisher() as publisher:
        publisher.partitions_for(topic)
        thread.start()
        ready.wait(_SILENCE_S)
        began = time.perf_counter()
        outbox = Outbox(topic, _ANSWER_S)
        try:
            for number in range(count):
                _check(stop)
                pause = began + number / rate - time.perf_counter()
                if pause > 0:
                    stop.wait(pause)
                value = values[number % len(values)]
                sent[number] = time.perf_counter()
                outbox.add(number, 1, len(value), publisher.publish(topic, value, partition=0))
                outbox.reap()
            thread.join(_SILENCE_S)
        finally:
            done.set()
            thread.join(_SILENCE_S)
    if problem:
        raise problem[0]
    if not all(taken):
        raise SensorstreamError(f"{taken.count(0.0)} of {count} single rows did not come back within {_SILENCE_S:g} s")
    return summarise([after - before for before, after in zip(sent, taken, strict=True)][WARM_UP_ROWS:])


def _throughput(rows: int, size: int, seconds: float) -> Throughput:
    return Throughput(rows, size, round(seconds, 3), round(rows / seconds, 1), round(size / seconds / 1e6, 2))


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise Interrupted("interrupted; its topics are deleted")
