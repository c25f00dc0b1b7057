"""Stations 4-6 in memory: a broker for tests and dry runs that keeps the promises of a real one.

Topics have partitions with real offsets and timestamps, groups have committed offsets and share partitions
cooperatively. Everything is deterministic: a record is in the log when ``publish`` returns, keys choose the
same partitions as on Kafka, partitions are shared in the order in which members joined. Faults are asked for
by name: :meth:`MemoryBroker.hold`, :meth:`~MemoryBroker.refuse`, :meth:`~MemoryBroker.delete_records`,
:meth:`~MemoryBroker.evict`, :meth:`~MemoryBroker.stop` and the deletion of a topic.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

from sensorstream.clients import refusals
from sensorstream.clients.base import Reader, Rebalance, ValueBatch
from sensorstream.clients.memory_broker import (
    MemoryBatchDelivery,
    MemoryBroker,
    MemoryDelivery,
    Transaction,
    check_size,
)
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.clients.transaction import Stage
from sensorstream.errors import BrokerError, ClusterUnreachable, DeliveryError, DeliveryTimeout, UsageError
from sensorstream.events import Listener, ignore
from sensorstream.records import ConsumedRecord, Headers, TopicIdentity, TopicPartition

ASK_S: Final = 10.0

__all__ = ["MemoryBroker", "MemoryClient", "MemoryPublisher", "MemoryReader"]


class MemoryPublisher:
    """A :class:`~sensorstream.clients.base.Publisher` on a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        broker.answer()
        self._broker = broker
        self._open: list[MemoryDelivery] = []
        self._turns = itertools.count()
        self._transaction: Transaction | None = None
        self._closed = False

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions."""
        with self._broker.changed:
            return len(self._broker.topic(topic).logs)

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
        if self._closed:
            raise DeliveryError("the publisher is closed")
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

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush for at most ``timeout_s``, then let go."""
        if self._closed:
            return
        self._closed = True
        try:
            self.flush(timeout_s)
        except DeliveryTimeout:
            with self._broker.changed:
                for delivery in self._open:
                    delivery.settle(None, DeliveryTimeout("it is not known whether a record was delivered: closed"))
                self._broker.changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemoryTransactionalPublisher(MemoryPublisher):
    """A :class:`~sensorstream.clients.base.TransactionalPublisher` on a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, transactional_id: str) -> None:
        super().__init__(broker)
        self._stage = Stage(transactional_id)
        self._id = transactional_id
        self._epoch = broker.fence(transactional_id)
        self._deliveries: list[MemoryDelivery] = []

    def begin(self) -> None:
        """Begin a transaction."""
        self._check()
        self._stage.begin()
        self._transaction = self._broker.begin(self._id, self._epoch)
        self._deliveries = []

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
        """Queue one record of the transaction."""
        if not self._closed:
            self._stage.require_open()
            self._check()
        delivery = super().publish(
            topic, value, partition=partition, key=key, timestamp_ms=timestamp_ms, headers=headers
        )
        self._deliveries.append(delivery)
        return delivery

    def send_offsets(self, positions: Mapping[TopicPartition, int], reader: Reader, timeout_s: float = 30.0) -> None:
        """Commit these positions for the reader's group with the transaction."""
        self._stage.require_open()
        self._check()
        group = reader.group if isinstance(reader, MemoryReader) else None
        if group is None or self._transaction is None or not isinstance(reader, MemoryReader):
            raise UsageError("positions can only be sent for a reader of this client that has a group")
        if not reader.is_member():
            self._end(committed=False)
            raise BrokerError("the positions can't be sent with the transaction: no longer a member of the group")
        self._transaction.positions.setdefault(group, {}).update(positions)

    def commit(self, timeout_s: float = 30.0) -> None:
        """Wait until every record is delivered, then make them seen."""
        self._stage.require_open()
        self._check()
        try:
            self.flush(timeout_s)
            for delivery in self._deliveries:
                delivery.wait(0)
            self._broker.answer()
        except (DeliveryError, ClusterUnreachable) as error:
            self._end(committed=False)
            raise DeliveryError(f"the transaction was aborted: {error.message}") from error
        self._end(committed=True)

    def abort(self, timeout_s: float = 30.0) -> None:
        """Make sure that none of the transaction's records is ever seen."""
        self._stage.require_open()
        self._check()
        self._end(committed=False)

    def close(self, timeout_s: float = 10.0) -> None:
        """Abort what is open, and let go."""
        if self._stage.is_open and not self._broker.is_fenced(self._id, self._epoch):
            self._end(committed=False)
        super().close(timeout_s)

    def _end(self, *, committed: bool) -> None:
        self._transaction = None
        self._broker.end(self._id, committed=committed)
        if committed:
            self._stage.committed()
        else:
            self._stage.spend()

    def _check(self) -> None:
        if self._broker.is_fenced(self._id, self._epoch):
            raise self._stage.fenced()


class MemoryReader:
    """A :class:`~sensorstream.clients.base.Reader` on a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, group: str | None) -> None:
        broker.answer()
        self._broker = broker
        self._group = group
        self._positions: dict[TopicPartition, int] = {}
        self._given_up: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._topic_ids: dict[str, str] = {}
        self._topics: tuple[str, ...] = ()
        self._rebalance: Rebalance | None = None
        self._member: int | None = None
        self._closed = False

    @property
    def group(self) -> str | None:
        """The name of its group, if it has one."""
        return self._group

    def is_member(self) -> bool:
        """Whether the group still knows it; true for one that has not joined."""
        with self._broker.changed:
            return (
                self._group is None
                or self._rebalance is None
                or self._member in self._broker.group(self._group).members
            )

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions."""
        with self._broker.changed:
            return len(self._broker.topic(topic).logs)

    def identity(self, topic: str) -> TopicIdentity:
        """Which cluster and which topic id this name stands for now."""
        with self._broker.changed:
            return TopicIdentity(self._broker.cluster_id, self._broker.topic(topic).topic_id)

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these offsets on."""
        if self._rebalance is not None:
            raise UsageError("a reader that has joined a group can't be assigned partitions")
        with self._broker.changed:
            for partition in positions:
                self._broker.log(partition)
            self._topic_ids = {one.topic: self._broker.topic(one.topic).topic_id for one in positions}
            self._positions = dict(positions)
            self._paused.clear()

    def subscribe(self, topics: Sequence[str], rebalance: Rebalance) -> None:
        """Join the group and share these topics' partitions with its other members."""
        if self._group is None:
            raise UsageError("a reader without a group can't subscribe", hint="name a group with -g")
        with self._broker.changed:
            self._topic_ids = {topic: self._broker.topic(topic).topic_id for topic in topics}
            self._topics = tuple(topics)
            self._rebalance = rebalance

    def poll(self, timeout_s: float, max_records: int = 5000) -> Mapping[TopicPartition, Sequence[ConsumedRecord]]:
        """Records that have come; empty when none came within ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while True:
            if self._rebalance is not None:
                self._take_part(self._rebalance)
            with self._broker.changed:
                fetched = {} if self._broker.stopped else self._fetch(max_records)
                left = deadline - time.monotonic()
                if fetched or left <= 0:
                    return fetched
                self._broker.changed.wait(left)

    def poll_values(self, timeout_s: float, max_records: int = 10000) -> Mapping[TopicPartition, ValueBatch]:
        """As :meth:`poll`, without making a record of each."""
        return {
            partition: ValueBatch(
                [record.offset for record in records], [record.value for record in records], partial(list, records)
            )
            for partition, records in self.poll(timeout_s, max_records).items()
        }

    def _fetch(self, most: int) -> dict[TopicPartition, Sequence[ConsumedRecord]]:
        for topic, expected in self._topic_ids.items():
            found = self._broker._topics.get(topic)
            if found is None:
                raise refusals.topic_gone(topic)
            if found.topic_id != expected:
                raise refusals.topic_replaced(topic)
        fetched: dict[TopicPartition, Sequence[ConsumedRecord]] = {}
        reached: dict[TopicPartition, int] = {}
        for partition, position in self._positions.items():
            if partition in self._paused or most <= 0:
                continue
            log = self._broker.log(partition)
            if not log.start <= position <= log.end:
                raise refusals.out_of_range(partition, position, log.start, log.end)
            records, reached[partition] = log.read(position, most)
            if records:
                fetched[partition] = records
                most -= len(records)
        self._positions.update(reached)
        for partition in fetched:
            # Whoever was read goes to the end, so that a busy partition does not starve the others.
            self._positions[partition] = self._positions.pop(partition)
        return fetched

    def _take_part(self, rebalance: Rebalance) -> None:
        """One round of the cooperative protocol: give up first, then take what nobody owns any more."""
        if self._group is None:
            return
        with self._broker.changed:
            if self._broker.stopped:
                return
            group = self._broker.group(self._group)
            lost = sorted(self._positions) if self._member is not None and self._member not in group.members else []
            if self._member is None or lost or self._member not in group.members:
                self._member = self._broker.join(self._group, self._topics)
        if lost:
            self._give_up(lost, rebalance.lost)
        with self._broker.changed:
            revoked = sorted(one for one in self._positions if group.target.get(one) != self._member)
        if revoked:
            self._give_up(revoked, rebalance.revoked)
        with self._broker.changed:
            # Those, too, for which the caller could not say where to begin.
            gone = [one for one, owner in group.owners.items() if owner == self._member != group.target.get(one)]
            for partition in gone:
                del group.owners[partition]
            if gone:
                self._broker.changed.notify_all()
        with self._broker.changed:
            assigned = sorted(
                partition
                for partition, member in group.target.items()
                if member == self._member
                and partition not in self._positions
                and group.owners.get(partition, member) == member
            )
            for partition in assigned:
                group.owners[partition] = self._member
        if assigned:
            positions = rebalance.assigned(assigned)
            self._positions.update({partition: positions[partition] for partition in assigned})

    def _give_up(self, partitions: Sequence[TopicPartition], tell: Callable[[Sequence[TopicPartition]], None]) -> None:
        self._given_up = {partition: self._positions.pop(partition) for partition in partitions}
        self._paused.difference_update(partitions)
        try:
            tell(partitions)
        finally:
            self._given_up = {}

    def position(self, partition: TopicPartition) -> int:
        """The next offset that ``poll`` will look at."""
        for positions in (self._positions, self._given_up):
            if partition in positions:
                return positions[partition]
        raise UsageError(f"{partition} is not assigned to this reader")

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still in each log."""
        with self._broker.changed:
            return {partition: self._broker.log(partition).start for partition in partitions}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offset of each log."""
        with self._broker.changed:
            return {partition: self._broker.log(partition).stable for partition in partitions}

    def offset_for_time(self, partition: TopicPartition, timestamp_ms: int) -> int | None:
        """The first offset whose record has this timestamp or a later one."""
        with self._broker.changed:
            records = self._broker.log(partition).seen()
            return next((record.offset for record in records if record.timestamp_ms >= timestamp_ms), None)

    def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed offset, or None."""
        if self._group is None:
            return None
        with self._broker.changed:
            self._broker.answer()
            group = self._group
            if not self._broker.changed.wait_for(lambda: self._broker.is_settled(group, partition), ASK_S):
                raise ClusterUnreachable(f"{partition}: the committed offset can't be read: a transaction holds it")
            found = self._broker.group(self._group).committed.get(partition)
            return None if found is None else found[0]

    def commit(self, positions: Mapping[TopicPartition, int], note: str = "") -> None:
        """Commit positions for the group."""
        if self._group is None:
            raise UsageError("a reader without a group can't commit", hint="name a group with -g")
        with self._broker.changed:
            if self._broker.stopped:
                raise BrokerError("the group's positions were not committed: no broker answers")
            group = self._broker.group(self._group)
            if not self.is_member():
                raise BrokerError("the group's positions were not committed: no longer a member of the group")
            group.committed.update({partition: (offset, note) for partition, offset in positions.items()})

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch nothing from these partitions until resumed."""
        self._paused.update(partition for partition in partitions if partition in self._positions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these partitions again."""
        self._paused.difference_update(partitions)

    def close(self, timeout_s: float = 10.0) -> None:
        """Leave the group without committing, and let go."""
        if self._closed:
            return
        self._closed = True
        if self._group is not None and self._member is not None:
            with self._broker.changed:
                self._broker.leave(self._group, self._member)
        self._positions = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemoryClient:
    """A :class:`~sensorstream.clients.base.Client` on a :class:`MemoryBroker`."""

    name: Final = "memory"

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def publisher(self, *, client_id: str = "sensorstream", listener: Listener = ignore) -> MemoryPublisher:
        """A publisher. Raises ClusterUnreachable while the broker is stopped."""
        return MemoryPublisher(self._broker)

    def transactional_publisher(
        self, transactional_id: str, *, client_id: str = "sensorstream", listener: Listener = ignore
    ) -> MemoryTransactionalPublisher:
        """A publisher of transactions. Raises ClusterUnreachable while the broker is stopped."""
        return MemoryTransactionalPublisher(self._broker, transactional_id)

    def reader(
        self, *, group: str | None = None, client_id: str = "sensorstream", listener: Listener = ignore
    ) -> MemoryReader:
        """A reader. Raises ClusterUnreachable while the broker is stopped."""
        return MemoryReader(self._broker, group)
