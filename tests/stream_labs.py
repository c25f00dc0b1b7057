"""A stream from one topic to another on the broker in memory."""

import json
import threading
from collections.abc import Sequence
from typing import Any

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.stream.job import StreamJob, StreamResult
from sensorstream.pipelines.stream.stream import stream
from sensorstream.records import ConsumedRecord, Number
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable


class Doubled:
    """``n`` becomes ``n`` and ``twice``; a row without ``n`` can't be used; ``times`` rows for each."""

    name, version = "doubled", "1"

    def __init__(self, times: int = 1, **output: Any) -> None:
        self._times = times
        self._output = output

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        return [self._one(one) for one in rows]

    def _one(self, one: InputRow) -> Transformed:
        n = one.row.get("n")
        if not isinstance(n, Number):
            return Unusable("it has no n")
        return [OutputRow({"n": n, "twice": Number(int(n) * 2)}, **self._output)] * self._times


def filled(rows: int = 20, partitions: int = 2, out: int = 2) -> MemoryBroker:
    broker = MemoryBroker({"IN": partitions, "OUT": out, "OUT_DEAD": 1})
    put(broker, range(rows))
    return broker


def put(broker: MemoryBroker, numbers: Sequence[int]) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for n in numbers:
            publisher.publish(
                "IN", b'{"n":%d}' % n, partition=n % publisher.partitions_for("IN"), timestamp_ms=1000 + n
            )


def run(
    broker: MemoryBroker,
    transform: Any = None,
    *,
    client: MemoryClient | None = None,
    listener: Listener = ignore,
    stop: threading.Event | None = None,
    worker: str = "a",
    **options: Any,
) -> StreamResult:
    options = {"stop_at_end": True, **options}
    job = StreamJob("IN", "OUT", "OUT_DEAD", "g", f"g-{worker}", **options)
    return stream(client or MemoryClient(broker), job, lambda: transform or Doubled(), stop=stop, listener=listener)


def seen(broker: MemoryBroker, topic: str = "OUT") -> list[ConsumedRecord]:
    partitions = len(broker.topic(topic).logs)
    return [record for number in range(partitions) for record in broker.records(topic, number)]


def numbers(broker: MemoryBroker) -> list[int]:
    return sorted(json.loads(record.value or b"")["n"] for record in seen(broker))


def committed(broker: MemoryBroker) -> dict[int, int]:
    return {tp.partition: offset for tp, (offset, _) in broker.committed("g").items()}
