"""Stations 4-6 in memory: a broker for tests and dry runs with the guarantees of a real one.

Topics have partitions with real offsets and timestamps, groups have committed offsets and share partitions
cooperatively. Everything is deterministic: a record is in the log when ``publish`` returns, keys choose the
same partitions as on Kafka, partitions are shared in the order in which members joined. Faults are asked for
by name: :meth:`MemoryBroker.hold`, :meth:`~MemoryBroker.refuse`, :meth:`~MemoryBroker.delete_records`,
:meth:`~MemoryBroker.evict`, :meth:`~MemoryBroker.stop` and the deletion of a topic; :meth:`~MemoryBroker.blame` says
what clients are told to be the cause.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sensorstream.clients import refusals
from sensorstream.clients.causes import Cause, NoBroker
from sensorstream.clients.memory.delivery import MemoryDelivery
from sensorstream.clients.sizes import RECORD_LIMIT, batch_of_one
from sensorstream.errors import BrokerError, ClusterUnreachable, DeliveryError
from sensorstream.records import ConsumedRecord, Headers, TopicPartition


@dataclass(slots=True)
class Transaction:
    """Records of one transaction, by where they are, and the positions that are committed with them."""

    epoch: int
    records: dict[TopicPartition, list[int]] = field(default_factory=dict)
    positions: dict[str, dict[TopicPartition, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Log:
    """A partition; None stands for a control record, or for a record of an aborted transaction."""

    records: list[ConsumedRecord | None] = field(default_factory=list)
    start: int = 0
    unsettled: dict[int, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + len(self.records)

    @property
    def stable(self) -> int:
        """The last stable offset: the first of a transaction that is still open, else the end."""
        return min(self.unsettled.values(), default=self.end)

    def seen(self) -> Iterator[ConsumedRecord]:
        """The records that a read_committed reader sees."""
        return (record for record in self.records[: self.stable - self.start] if record is not None)

    def read(self, offset: int, most: int) -> tuple[list[ConsumedRecord], int]:
        """Records from ``offset`` on, and the next offset to look at."""
        stop = self.stable
        taken: list[ConsumedRecord] = []
        while offset < stop:
            record = self.records[offset - self.start]
            if record is not None:
                if len(taken) == most:
                    break
                taken.append(record)
            offset += 1
        return taken, offset


@dataclass(slots=True)
class _Topic:
    topic_id: str
    logs: list[_Log]


@dataclass(slots=True)
class _Group:
    """A consumer group: what it has committed, who is in it and who owns what."""

    committed: dict[TopicPartition, tuple[int, str]] = field(default_factory=dict)
    members: dict[int, tuple[str, ...]] = field(default_factory=dict)
    owners: dict[TopicPartition, int] = field(default_factory=dict)
    target: dict[TopicPartition, int] = field(default_factory=dict)

    def share(self, partitions: Mapping[str, int]) -> None:
        """Decide anew who is to own what: each member its even share, keeping what it has where it can."""
        wanted = sorted(
            TopicPartition(topic, number)
            for topic in {topic for topics in self.members.values() for topic in topics}
            for number in range(partitions.get(topic, 0))
        )
        self.target = {}
        if not self.members:
            return
        least, extra = divmod(len(wanted), len(self.members))
        load = dict.fromkeys(self.members, 0)
        with_extra = 0
        for partition in wanted:
            owner = self.owners.get(partition)
            if owner not in load or partition.topic not in self.members[owner]:
                continue
            if load[owner] < least or (load[owner] == least and with_extra < extra):
                with_extra += load[owner] == least
                load[owner] += 1
                self.target[partition] = owner
        for partition in wanted:
            if partition not in self.target:
                able = [member for member, topics in self.members.items() if partition.topic in topics]
                owner = min(able, key=load.__getitem__)
                load[owner] += 1
                self.target[partition] = owner


class MemoryBroker:
    """A cluster in memory, shared by the clients made on it; safe to use from several threads."""

    def __init__(
        self,
        topics: Mapping[str, int] | None = None,
        *,
        clock_ms: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.cluster_id = "memory"
        self._clock_ms = clock_ms
        self._topics: dict[str, _Topic] = {}
        self._groups: dict[str, _Group] = {}
        self._numbers = itertools.count(1)
        self._epochs: dict[str, int] = {}
        self._transactions: dict[str, Transaction] = {}
        self._held: list[tuple[MemoryDelivery, TopicPartition, ConsumedRecord, Transaction | None]] | None = None
        self._refusal: str | None = None
        self._stopped = False
        self._blamed: tuple[Cause, ...] = ()
        for name, partitions in (topics or {}).items():
            self.create_topic(name, partitions)

    def create_topic(self, name: str, partitions: int = 2) -> None:
        """Add a topic. Raises BrokerError when it exists."""
        with self.changed:
            if name in self._topics:
                raise BrokerError(f"topic {name!r} exists already")
            self._topics[name] = _Topic(f"memory-{next(self._numbers)}", [_Log() for _ in range(partitions)])
            self._share()

    def delete_topic(self, name: str) -> None:
        """Remove a topic and its records; created again, it is another topic. Raises UnknownTopic."""
        with self.changed:
            self.topic(name)
            del self._topics[name]
            self._share()

    def add_partitions(self, name: str, partitions: int) -> None:
        """Let a topic have this many partitions, which is not fewer than it has."""
        with self.changed:
            logs = self.topic(name).logs
            logs.extend(_Log() for _ in range(partitions - len(logs)))
            self._share()

    def records(self, topic: str, partition: int) -> list[ConsumedRecord]:
        """All records of a partition that a read_committed reader sees."""
        with self.changed:
            return list(self.log(TopicPartition(topic, partition)).seen())

    def committed(self, group: str) -> dict[TopicPartition, tuple[int, str]]:
        """A group's committed offsets and the notes committed with them."""
        with self.changed:
            return dict(self.group(group).committed)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Let retention eat all records of a partition before an offset."""
        with self.changed:
            log = self.log(TopicPartition(topic, partition))
            cut = max(0, min(before, log.end) - log.start)
            del log.records[:cut]
            log.start += cut

    def hold(self) -> None:
        """Leave the deliveries from now on open, until :meth:`release`."""
        with self.changed:
            self._held = []

    @property
    def held(self) -> int:
        """How many records are held."""
        with self.changed:
            return len(self._held or [])

    def release(self) -> None:
        """Write the held records and settle their deliveries, in order."""
        with self.changed:
            held, self._held = self._held or [], None
            for delivery, where, record, transaction in held:
                self._write(delivery, where, record, transaction)
            self.changed.notify_all()

    def refuse(self, reason: str) -> None:
        """Refuse all records from now on, until :meth:`accept`."""
        with self.changed:
            self._refusal = reason

    def accept(self) -> None:
        """Take records again."""
        with self.changed:
            self._refusal = None

    def stop(self) -> None:
        """Answer nobody, until :meth:`start`; polls stay empty, all else raises ClusterUnreachable."""
        with self.changed:
            self._stopped = True

    def start(self) -> None:
        """Answer again."""
        with self.changed:
            self._stopped = False
            self.changed.notify_all()

    def blame(self, *causes: Cause) -> None:
        """Give these for the causes of whatever is waited for; none: of nothing."""
        self._blamed = causes

    def evict(self, group: str) -> None:
        """Throw all members out of a group, as after a silence longer than the session timeout."""
        with self.changed:
            self.group(group).members.clear()
            self.group(group).owners.clear()
            self.changed.notify_all()

    # What follows is for the publishers and readers of this module.

    def answer(self) -> None:
        """Raise ClusterUnreachable while the broker is stopped."""
        if self._stopped:
            raise ClusterUnreachable("no broker can be reached (memory: stopped)")

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Why it keeps its clients waiting."""
        return (NoBroker((("memory", "stopped"),)),) if self._stopped else self._blamed

    @property
    def stopped(self) -> bool:
        """Whether the broker answers nobody."""
        return self._stopped

    def topic(self, name: str) -> _Topic:
        """A topic that exists. Raises UnknownTopic, ClusterUnreachable."""
        self.answer()
        try:
            return self._topics[name]
        except KeyError:
            raise refusals.unknown_topic(name, self._topics) from None

    def log(self, partition: TopicPartition) -> _Log:
        """The log of a partition that exists. Raises UnknownTopic, UnknownPartition."""
        logs = self.topic(partition.topic).logs
        if not 0 <= partition.partition < len(logs):
            raise refusals.unknown_partition(partition, len(logs))
        return logs[partition.partition]

    def group(self, name: str) -> _Group:
        """A group, made when first asked for."""
        return self._groups.setdefault(name, _Group())

    def join(self, group: str, topics: tuple[str, ...]) -> int:
        """Add a member to a group; its number."""
        member = next(self._numbers)
        self.group(group).members[member] = topics
        self._share()
        return member

    def leave(self, group: str, member: int) -> None:
        """Take a member out of a group."""
        state = self.group(group)
        state.members.pop(member, None)
        state.owners = {partition: owner for partition, owner in state.owners.items() if owner != member}
        self._share()

    def _share(self) -> None:
        for group in self._groups.values():
            group.share({name: len(topic.logs) for name, topic in self._topics.items()})
        self.changed.notify_all()

    def append(
        self,
        where: TopicPartition,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int | None,
        headers: Headers,
        transaction: Transaction | None = None,
    ) -> MemoryDelivery:
        """Take a record into a log that exists, or hold or refuse it."""
        delivery = MemoryDelivery(self, where)
        stamp = self._clock_ms() if timestamp_ms is None else timestamp_ms
        record = ConsumedRecord(*where, -1, stamp, key, value, headers)
        with self.changed:
            if self._refusal is not None:
                delivery.settle(None, DeliveryError(f"{where}: a record was not delivered: {self._refusal}"))
            elif self._held is not None:
                self._held.append((delivery, where, record, transaction))
            else:
                self._write(delivery, where, record, transaction)
            self.changed.notify_all()
        return delivery

    def _write(
        self, delivery: MemoryDelivery, where: TopicPartition, record: ConsumedRecord, transaction: Transaction | None
    ) -> None:
        topic = self._topics.get(where.topic)
        if topic is None:
            delivery.settle(None, DeliveryError(f"{where}: a record was not delivered: the topic is gone"))
            return
        log = topic.logs[where.partition]
        if transaction is not None:
            log.unsettled.setdefault(transaction.epoch, log.end)
            transaction.records.setdefault(where, []).append(log.end)
        delivery.settle(log.end, None)
        log.records.append(record._replace(offset=log.end))

    def fence(self, transactional_id: str) -> int:
        """Abort what an older publisher of this id has left open; the epoch of the new one."""
        with self.changed:
            self.answer()
            left = self._transactions.pop(transactional_id, None)
            if left is not None:
                self._settle(left, committed=False)
            self._epochs[transactional_id] = next(self._numbers)
            return self._epochs[transactional_id]

    def is_fenced(self, transactional_id: str, epoch: int) -> bool:
        """Whether a newer publisher has taken this id."""
        return self._epochs.get(transactional_id) != epoch

    def begin(self, transactional_id: str, epoch: int) -> Transaction:
        """A new transaction."""
        with self.changed:
            self._transactions[transactional_id] = Transaction(epoch)
            return self._transactions[transactional_id]

    def is_settled(self, group: str, partition: TopicPartition) -> bool:
        """Whether no open transaction holds a position of the group for this partition."""
        return not any(partition in one.positions.get(group, {}) for one in self._transactions.values())

    def end(self, transactional_id: str, *, committed: bool) -> None:
        """Commit or abort the open transaction."""
        with self.changed:
            self._settle(self._transactions.pop(transactional_id), committed=committed)

    def _settle(self, transaction: Transaction, *, committed: bool) -> None:
        for where, offsets in transaction.records.items():
            topic = self._topics.get(where.topic)
            log = topic.logs[where.partition] if topic is not None else None
            if log is None or log.unsettled.pop(transaction.epoch, None) is None:
                continue
            for offset in offsets if not committed else ():
                if offset >= log.start:
                    log.records[offset - log.start] = None
            log.records.append(None)
        for name, positions in transaction.positions.items() if committed else ():
            self.group(name).committed.update({where: (offset, "") for where, offset in positions.items()})
        self.changed.notify_all()


def check_size(topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> None:
    """Raise RecordTooLarge for a record over the limit."""
    size = batch_of_one(len(key or b"") + len(value or b""), headers)
    if size > RECORD_LIMIT:
        raise refusals.record_too_large(topic, size, RECORD_LIMIT)
