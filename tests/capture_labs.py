"""Records of one topic captured on the broker in memory, and the rows of the files."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.events import Event, Listener, RowRejected, ignore
from sensorstream.pipelines.capture.capture import capture
from sensorstream.pipelines.capture.job import CaptureOptions, make_job
from sensorstream.pipelines.capture.spec import CaptureResult
from sensorstream.records import Headers

MS = 1693526340123
TIME = "2023-08-31T23:59:00.123Z"


def publish(
    broker: MemoryBroker,
    value: bytes | None,
    *,
    key: bytes | None = None,
    headers: Headers = (),
    partition: int = 0,
) -> None:
    with MemoryClient(broker).publisher() as publisher:
        publisher.publish("T", value, partition=partition, key=key, timestamp_ms=MS, headers=headers)
        publisher.flush(5)


def consume(broker: MemoryBroker, to: Path, listener: Listener = ignore, **options: Any) -> CaptureResult:
    chosen = {"topic": "T", "partitions": (0,), "exit_at_end": True, "to": str(to), **options}
    plan = make_job(load(environ={}), CaptureOptions(**chosen), listener)
    return capture(MemoryClient(broker), plan.job, plan.make_sink, listener=listener)


def reasons(broker: MemoryBroker, to: Path, **options: Any) -> list[str]:
    told: list[Event] = []
    consume(broker, to, told.append, **options)
    return [event.reason for event in told if isinstance(event, RowRejected)]


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
