"""A producer and one consumer process per partition, together, stopped together.

The producer runs in this process; the consumers are processes of their own, as they would be on machines of their own.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensorstream import admin
from sensorstream.clients.base import Client
from sensorstream.config import Settings
from sensorstream.errors import SensorstreamError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.lab.consumers import ConsumerEnd, Consumers
from sensorstream.monitor.lag import GroupLag, group_lag
from sensorstream.pipelines.replay.local_checks import check_local
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.spec import ReplayJob, ReplayResult
from sensorstream.records import TopicPartition
from sensorstream.sinks.checks import check_folder
from sensorstream.wording import counted

CAPTURED_WITHIN_S: Final = 120.0
"""How long the consumers may take, after the last row was published, without making any progress."""
_LOOK_EVERY_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class LabRun:
    """What a lab run came to. ``captured`` says that every published row was seen to be stored; ``lag`` is the group's
    at the end, None where it was not asked for."""

    replay: ReplayResult
    consumers: tuple[ConsumerEnd, ...]
    captured: bool
    lag: GroupLag | None
    seconds: float


@dataclass(frozen=True, slots=True)
class LabJob:
    """What to run. ``arguments`` and ``environment`` are added to every consumer; ``stop_when_captured`` ends the lab
    when all that was published is stored; ``quiet`` consumers tell only their warnings."""

    replay: ReplayJob
    folder: Path
    group: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    stop_when_captured: bool = False
    quiet: bool = False


def run(
    client: Client,
    settings: Settings,
    job: LabJob,
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> LabRun:
    """Run until ``stop`` is set or, where the job says so, until everything published is captured.

    Raises UnknownTopic and the other errors of replay before anything has started, and SensorstreamError when a
    consumer ends by itself. No process is left behind in any case.
    """
    stop = stop or threading.Event()
    began = time.monotonic()
    check_local(job.replay)
    check_folder(job.folder)
    names = list(dict.fromkeys(source.topic for source in job.replay.sources))
    described = admin.describe_topics(settings, names, listener=listener).topics
    partitions = [TopicPartition(topic.name, part.partition) for topic in described for part in topic.partitions]
    arguments = ["--group", job.group, *job.arguments]
    producer_stop = threading.Event()
    with (
        Consumers(
            partitions, job.folder, arguments, listener, quiet=job.quiet, environment=job.environment or {}
        ) as consumers,
        ThreadPoolExecutor(1, "producer") as pool,
    ):
        producing = pool.submit(replay, client, job.replay, stop=producer_stop, listener=listener)
        try:
            _watch(producing, consumers, stop)
        finally:
            producer_stop.set()
        replayed = producing.result()
        captured, lag = False, None
        if not stop.is_set() and replayed.problem is None:
            if job.stop_when_captured:
                captured, lag = _wait_until_captured(settings, job.group, partitions, consumers, stop)
            else:
                listener(Notice("every source is published; the capture continues until Ctrl-C"))
                while not stop.wait(_LOOK_EVERY_S):
                    consumers.check()
        ends = consumers.stop()
    return LabRun(replayed, tuple(ends), captured, lag, time.monotonic() - began)


def _watch(producing: "Future[ReplayResult]", consumers: Consumers, stop: threading.Event) -> None:
    """Wait for the producer's end or for ``stop``. Raises when a consumer ends by itself."""
    while not producing.done() and not stop.wait(_LOOK_EVERY_S):
        consumers.check()


def _wait_until_captured(
    settings: Settings,
    group: str,
    partitions: Sequence[TopicPartition],
    consumers: Consumers,
    stop: threading.Event,
) -> tuple[bool, GroupLag | None]:
    """Wait until the group's committed offsets, which follow the stored ones, have reached the end of every log.

    Raises SensorstreamError when nothing moves any more for too long.
    """
    seen: int | None = None
    moved_at = time.monotonic()
    while not stop.wait(_LOOK_EVERY_S):
        consumers.check()
        try:
            lag = group_lag(settings, group)
        except SensorstreamError:
            # The group is not known before the first consumer has committed.
            lag = None
        if lag is not None:
            rows = [row for row in lag.partitions if TopicPartition(row.topic, row.partition) in partitions]
            if len(rows) == len(partitions) and all(row.lag == 0 for row in rows):
                return True, lag
            left = sum(row.lag for row in rows if row.lag is not None)
            if left != seen:
                seen, moved_at = left, time.monotonic()
        if time.monotonic() - moved_at > CAPTURED_WITHIN_S:
            raise SensorstreamError(
                f"the consumers have not moved for {CAPTURED_WITHIN_S:g} s and are "
                f"{'an unknown number of rows' if seen is None else counted(seen, 'row')} behind",
                hint="look at the brokers: sensorstream cluster status",
            )
    return False, None
