"""Station 4, exactly once: a publisher whose first record begins a transaction."""

import time
from collections.abc import Sequence

from sensorstream.clients.base import BatchDelivery, Delivery, TransactionalPublisher
from sensorstream.records import Headers


class InTransaction:
    """The publisher of a source's replay: what it is given begins a transaction where none is open."""

    def __init__(self, publisher: TransactionalPublisher) -> None:
        self._publisher = publisher
        self.began_at: float | None = None

    def begin(self) -> TransactionalPublisher:
        """The publisher, in a transaction."""
        if self.began_at is None:
            self._publisher.begin()
            self.began_at = time.monotonic()
        return self._publisher

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Headers = (),
    ) -> Delivery:
        """As :meth:`~sensorstream.clients.base.Publisher.publish`."""
        publisher = self.begin()
        return publisher.publish(topic, value, partition=partition, key=key, timestamp_ms=timestamp_ms, headers=headers)

    def publish_batch(self, topic: str, values: Sequence[bytes | str], *, partition: int) -> BatchDelivery:
        """As :meth:`~sensorstream.clients.base.Publisher.publish_batch`."""
        return self.begin().publish_batch(topic, values, partition=partition)
