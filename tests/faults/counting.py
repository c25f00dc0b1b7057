"""The one place that counts. It reads a topic with a reader that is none of the program's, and compares.

The source is a file of rows numbered from 0, row n in partition n modulo the number of partitions. What is counted:

- lost: rows of the source that a committed reader does not see at all
- doubled: how often a row is there once more than it should be
- reordered: how often a row stands before one of its partition that the source has earlier, or in a wrong partition
- aborted: rows that the watching reader was given although their transaction was aborted
"""

import csv
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from sensorstream.clients.librdkafka.heartbeat import Heartbeat, abandon

OPEN_TRANSACTION_S = 90.0
"""How long an open transaction may hide the end of a partition: it times out after 60 s, and 10 s more."""
Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the rows of a source: ``rows`` are those it should be, the rest is what is wrong."""

    rows: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    aborted: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.rows + other.rows,
            self.lost + other.lost,
            self.doubled + other.doubled,
            self.reordered + other.reordered,
            self.aborted + other.aborted,
        )

    @property
    def is_zero(self) -> bool:
        """Nothing lost, nothing doubled, nothing out of order, nothing aborted seen."""
        return not (self.lost or self.doubled or self.reordered or self.aborted)


def write_source(path: Path, rows: int) -> Path:
    """A source of so many rows; each has a quoted field with a line end in it."""
    path.write_text("n,text\n" + "".join(f'{n},"row {n}\nof many"\n' for n in range(rows)))
    return path


def compare(found: Mapping[int, Sequence[int]], wanted: Iterable[int], partitions: int, aborted: int = 0) -> Count:
    """Compare the numbers that stand in each partition, in their order, with those of the source."""
    rest = set(wanted)
    rows, doubled, reordered = len(rest), 0, 0
    for partition, numbers in found.items():
        highest = -1
        for number in numbers:
            if number not in rest:
                doubled += 1  # or a row that the source does not have
                continue
            rest.discard(number)
            if number < highest or number % partitions != partition:
                reordered += 1
            highest = max(highest, number)
    return Count(rows, len(rest), doubled, reordered, aborted)


def _consumer(bootstrap: Sequence[str], isolation: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": ",".join(bootstrap),
            "group.id": "the-reader-that-counts",
            "isolation.level": isolation,
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "reconnect.backoff.max.ms": 500,
            "topic.metadata.refresh.interval.ms": 1000,
            "log_level": 0,
        }
    )


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    return sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions)


def _number(message: Message) -> int:
    return int(json.loads(message.value() or b"{}")["n"])


def read(bootstrap: Sequence[str], topic: str, isolation: str = "read_committed") -> dict[Place, int]:
    """All rows of a topic by their place, in the order of the log. No transaction may stay open.

    The topic may grow meanwhile: the end of the log is then never met, the row before it is.
    """
    consumer = _consumer(bootstrap, isolation)
    rows: dict[Place, int] = {}
    try:
        partitions = _partitions(consumer, topic)
        raw = _consumer(bootstrap, "read_uncommitted")
        ends = {one: raw.get_watermark_offsets(TopicPartition(topic, one), timeout=30)[1] for one in partitions}
        raw.close()
        consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
        open_ones = {one for one in partitions if ends[one] > 0}
        deadline = time.monotonic() + OPEN_TRANSACTION_S
        while open_ones:
            assert time.monotonic() < deadline, f"an open transaction hides the end of {topic}, partitions {open_ones}"
            for message in consumer.consume(5000, 0.2):
                error = message.error()
                partition, offset = message.partition() or 0, message.offset() or 0
                if error is None:
                    rows[partition, offset] = _number(message)
                    if offset + 1 >= ends[partition]:
                        open_ones.discard(partition)
                elif error.code() == KafkaError._PARTITION_EOF and offset >= ends[partition]:
                    open_ones.discard(partition)
    finally:
        consumer.close()
    return dict(sorted(rows.items()))


def by_partition(rows: Mapping[Place, int]) -> dict[int, list[int]]:
    """The numbers of each partition in the order of the log."""
    found: dict[int, list[int]] = defaultdict(list)
    for (partition, _), number in sorted(rows.items()):
        found[partition].append(number)
    return found


def count_topic(
    bootstrap: Sequence[str],
    topic: str,
    wanted: Iterable[int],
    partitions: int,
    seen: Mapping[Place, int] | None = None,
) -> Count:
    """Count what a committed reader finds in a topic; ``seen`` is what another one was given while it came about."""
    committed = read(bootstrap, topic)
    seen = seen or {}
    aborted = 0
    if any(place not in committed for place in seen):
        there = read(bootstrap, topic, "read_uncommitted")
        assert all(place in there for place in seen), "a committed reader was given what is no longer in the log"
        aborted = sum(place not in committed for place in seen)
    return compare(by_partition(committed), wanted, partitions, aborted)


def captured_numbers(path: Path) -> list[int]:
    """The numbers of the rows in a captured file; each row must be whole."""
    if path.suffix == ".jsonl":
        rows: Iterable[Mapping[str, Any]] = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    else:
        rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines(keepends=True))
    numbers = []
    for row in rows:
        assert row["text"] == f"row {row['n']}\nof many", f"{path}: a row is not whole: {row}"
        numbers.append(int(row["n"]))
    return numbers


def count_files(folder: Path, wanted: Iterable[int], partitions: int) -> Count:
    """Count what the captured files of a folder hold, ``NAME_PARTITION.csv`` or ``.jsonl``."""
    found = {}
    for path in [*folder.glob("*.csv"), *folder.glob("*.jsonl")]:
        if not path.name.endswith(".rejected.jsonl"):
            found[int(path.stem.rpartition("_")[2])] = captured_numbers(path)
    return compare(found, wanted, partitions)


class Watch:
    """Reads a topic while it is written: what a committed reader is given, and how long it was given nothing."""

    def __init__(self, bootstrap: Sequence[str], topic: str) -> None:
        self._heartbeat = Heartbeat(in_group=False)
        self._another = partial(_consumer, bootstrap, "read_committed")
        self._consumer = self._another()
        self._topic = topic
        self._partitions = _partitions(self._consumer, topic)
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._heard: dict[int, float] = {}
        self._counts = dict.fromkeys(self._partitions, 0)
        self._longest = 0.0
        self._thread = threading.Thread(target=self._run, name=f"watch-{topic}")
        self.seen: dict[Place, int] = {}

    def _run(self) -> None:
        self._begin()
        while not self._end.is_set():
            if self._heartbeat.has_stopped(self._consumer):
                stopped, self._consumer = [self._consumer], self._another()
                self._heartbeat.begin()
                self._begin()
                abandon(stopped)
            for message in self._consumer.consume(5000, 0.1):
                if message.error() is None:
                    self._take(message.partition() or 0, message.offset() or 0, _number(message))
        if self._heartbeat.settle(5):
            self._consumer.close()

    def _begin(self) -> None:
        self._consumer.assign([TopicPartition(self._topic, one, OFFSET_BEGINNING) for one in self._partitions])

    def _take(self, partition: int, offset: int, number: int) -> None:
        now = time.monotonic()
        with self._lock:
            if (partition, offset) in self.seen:
                return  # another consumer has begun anew
            self._counts[partition] += 1
            self.seen[partition, offset] = number
            if partition in self._heard:
                self._longest = max(self._longest, now - self._heard[partition])
                self._heard[partition] = now

    @contextmanager
    def running(self) -> Iterator["Watch"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._end.set()
            self._thread.join()

    def counts(self) -> dict[int, int]:
        """How many rows of each partition have been seen."""
        with self._lock:
            return dict(self._counts)

    def numbers(self) -> list[int]:
        """The numbers of the rows that have been seen."""
        with self._lock:
            return list(self.seen.values())

    @contextmanager
    def stall(self, longest: list[float]) -> Iterator[None]:
        """Add to ``longest`` the longest time, in seconds, for which a partition brought nothing within the block."""
        with self._lock:
            self._longest = 0.0
            self._heard = dict.fromkeys(self._partitions, time.monotonic())
        yield
        with self._lock:
            now = time.monotonic()
            longest.append(max([self._longest, *(now - heard for heard in self._heard.values())]))
            self._heard = {}
