"""Station 4, publish, on the in-memory broker: with or without transactions."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

from sensorstream.clients import refusals
from sensorstream.clients.base import Reader
from sensorstream.clients.memory.broker import MemoryBroker, Transaction, check_size
from sensorstream.clients.memory.delivery import MemoryBatchDelivery, MemoryDelivery
from sensorstream.clients.memory.reader import MemoryReader
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.clients.publisher import BasePublisher, BaseTransactionalPublisher
from sensorstream.errors import ClusterUnreachable, DeliveryError, DeliveryTimeout, UsageError
from sensorstream.records import Headers, TopicPartition


class MemoryPublisher(BasePublisher[MemoryDelivery]):
    """A :class:`~sensorstream.clients.base.Publisher` on a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        broker.answer()
        self._broker = broker
        self._open: list[MemoryDelivery] = []
        self._turns = itertools.count()
        self._transaction: Transaction | None = None

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions."""
        with self._broker.changed:
            return len(self._broker.topic(topic).logs)

    def partitions_of(self, topics: Iterable[str]) -> dict[str, int]:
        """The number of partitions of each of these topics."""
        return {topic: self.partitions_for(topic) for topic in topics}

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        timestamp_ms: int | None = None,
        headers: Headers = (),
    ) -> MemoryDelivery:
        """Queue one record."""
        if self._closed or self._stage is not None:
            self._require_open()
        with self._broker.changed:
            count = self.partitions_for(topic)
            if partition is None:
                partition = next(self._turns) % count if key is None else partition_for_key(key, count)
            elif not 0 <= partition < count:
                raise refusals.unknown_partition(TopicPartition(topic, partition), count)
            check_size(topic, key, value, headers)
            where = TopicPartition(topic, partition)
            delivery = self._broker.append(where, key, value, timestamp_ms, tuple(headers), self._transaction)
            if not delivery.done():
                self._open.append(delivery)
            if self._deliveries is not None:
                self._deliveries.append(delivery)
            return delivery

    def publish_batch(self, topic: str, values: Sequence[bytes | str], *, partition: int) -> MemoryBatchDelivery:
        """Queue many records without keys for one partition, in order."""
        ready = [value.encode() if isinstance(value, str) else value for value in values]
        with self._broker.changed:
            for value in ready:
                check_size(topic, None, value, ())
            if self._closed:
                raise DeliveryError("the publisher is closed")
            self._broker.log(TopicPartition(topic, partition))
            return MemoryBatchDelivery([self.publish(topic, value, partition=partition) for value in ready])

    def flush(self, timeout_s: float) -> None:
        """Wait until every queued record has an outcome."""
        with self._broker.changed:
            waiting, self._open = self._open, []
            if not self._broker.changed.wait_for(lambda: all(one.done() for one in waiting), timeout_s):
                self._open = [one for one in waiting if not one.done()] + self._open
                raise DeliveryTimeout(f"some records are still not acknowledged after {timeout_s:.0f} s")

    def _end(self, timeout_s: float) -> None:
        try:
            self.flush(timeout_s)
        except DeliveryTimeout:
            with self._broker.changed:
                for delivery in self._open:
                    delivery.settle(None, DeliveryTimeout("it is not known whether a record was delivered: closed"))
                self._broker.changed.notify_all()


class MemoryTransactionalPublisher(BaseTransactionalPublisher[MemoryDelivery], MemoryPublisher):
    """A :class:`~sensorstream.clients.base.TransactionalPublisher` on a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, transactional_id: str) -> None:
        super().__init__(broker)
        self._begin_as(transactional_id)
        self._id = transactional_id
        self._epoch = broker.fence(transactional_id)

    def _require_open(self) -> None:
        super()._require_open()
        self._check()

    def begin(self) -> None:
        """Begin a transaction."""
        self._check()
        super().begin()

    def _ask_begin(self) -> None:
        self._transaction = self._broker.begin(self._id, self._epoch)

    def send_offsets(self, positions: Mapping[TopicPartition, int], reader: Reader, timeout_s: float = 30.0) -> None:
        """Commit these positions for the reader's group with the transaction."""
        self._stage.require_open()
        self._check()
        group = reader.group if isinstance(reader, MemoryReader) else None
        if group is None or self._transaction is None or not isinstance(reader, MemoryReader):
            raise UsageError("positions can only be sent for a reader of this client that has a group")
        # At once, as a coordinator does it: whoever takes a partition over meanwhile must find its position held.
        with self._broker.changed:
            member = reader.is_member()
            if member:
                self._transaction.positions.setdefault(group, {}).update(positions)
        if not member:
            self._settle(committed=False)
            raise refusals.no_member(group)

    def _give_up(self) -> bool:
        if self._broker.is_fenced(self._id, self._epoch):
            return True
        self._settle(committed=False)
        return False

    def _ask_commit(self, timeout_s: float) -> None:
        self._check()
        try:
            self._broker.answer()
        except ClusterUnreachable as error:
            self._settle(committed=False)
            raise DeliveryError(f"the transaction was aborted: {error.message}") from error
        self._settle(committed=True)

    def _ask_abort(self, timeout_s: float) -> None:
        self._check()
        self._settle(committed=False)

    def _settle(self, *, committed: bool) -> None:
        self._transaction = None
        self._broker.end(self._id, committed=committed)
        if committed:
            self._stage.committed()
        else:
            self._stage.spend()

    def _check(self) -> None:
        if self._broker.is_fenced(self._id, self._epoch):
            raise self._stage.fenced()
