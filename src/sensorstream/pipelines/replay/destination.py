"""Station 4: where the rows of one source go, the same for those that go one by one and for whole blocks of them."""

from dataclasses import dataclass

from sensorstream.clients.base import RecordSink
from sensorstream.pipelines.replay.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Destination:
    """A topic of so many ``partitions``, who publishes into it, and the outbox that watches over what was sent."""

    topic: str
    partitions: int
    publisher: RecordSink
    outbox: Outbox
