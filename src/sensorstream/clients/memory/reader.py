"""Station 6, read, on the in-memory broker."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from sensorstream.clients import refusals
from sensorstream.clients.base import Notes, Rebalance, ValueBatch, note_of
from sensorstream.clients.memory.broker import MemoryBroker
from sensorstream.clients.reader import BaseReader
from sensorstream.errors import BrokerError, ClusterUnreachable, UsageError
from sensorstream.records import Commit, ConsumedRecord, TopicIdentity, TopicPartition

ASK_S: Final = 10.0


class MemoryReader(BaseReader):
    """A :class:`~sensorstream.clients.base.Reader` on a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, group: str | None) -> None:
        broker.answer()
        self._broker = broker
        super().__init__(group)
        self._positions: dict[TopicPartition, int] = {}
        self._given_up: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._topic_ids: dict[str, str] = {}
        self._topics: tuple[str, ...] = ()
        self._rebalance: Rebalance | None = None
        self._member: int | None = None

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
        self._need_group("subscribe")
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
            gone = [
                partition
                for partition, owner in group.owners.items()
                if owner == self._member != group.target.get(partition) and partition not in self._positions
            ]
            for partition in gone:
                del group.owners[partition]
            if gone:
                self._broker.changed.notify_all()
        with self._broker.changed:
            assigned = sorted(
                partition
                for partition, member in group.target.items()
                if member == self._member in group.members  # it may have been thrown out meanwhile
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

    def commits(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """The group's committed offsets with their notes, or None."""
        return {partition: self._committed(partition) for partition in partitions}

    def _committed(self, partition: TopicPartition) -> Commit | None:
        if self._group is None:
            return None
        with self._broker.changed:
            self._broker.answer()
            group = self._group
            if not self._broker.changed.wait_for(lambda: self._broker.is_settled(group, partition), ASK_S):
                raise ClusterUnreachable(f"{partition}: the committed offset can't be read: a transaction holds it")
            found = self._broker.group(self._group).committed.get(partition)
            return None if found is None else Commit(*found)

    def commit(self, positions: Mapping[TopicPartition, int], note: Notes = "") -> None:
        """Commit positions for the group."""
        name = self._need_group("commit")
        with self._broker.changed:
            if self._broker.stopped:
                raise BrokerError("the group's positions were not committed: no broker answers")
            group = self._broker.group(name)
            if not self.is_member():
                raise BrokerError("the group's positions were not committed: no longer a member of the group")
            group.committed.update({one: (offset, note_of(note, one)) for one, offset in positions.items()})

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch nothing from these partitions until resumed, or assigned again."""
        self._paused.update(partition for partition in partitions if partition in self._positions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these partitions again."""
        self._paused.difference_update(partitions)

    def _end(self, timeout_s: float) -> None:
        if self._group is not None and self._member is not None:
            with self._broker.changed:
                self._broker.leave(self._group, self._member)
        self._positions = {}
