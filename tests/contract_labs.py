"""What the contract cases share: the clusters that they run on, and the usual steps."""

import itertools
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from running import until
from sensorstream.clients.base import Client, Reader, Rebalance
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.records import ConsumedRecord, TopicPartition

WAIT_S = 30.0
FROM_THE_START = Rebalance(lambda given: dict.fromkeys(given, 0), lambda _: None, lambda _: None)
_numbers = itertools.count()


class Lab(Protocol):
    """What a contract case may do to the cluster besides using the client under test."""

    @property
    def client(self) -> Client: ...

    @property
    def limit(self) -> int: ...

    def topic(self, partitions: int = 2) -> str: ...

    def delete_records(self, topic: str, partition: int, before: int) -> None: ...

    def recreate(self, topic: str) -> None: ...

    def delete(self, topic: str) -> None: ...

    def note(self, group: str, topic: str, partition: int) -> str: ...

    def evict(self, group: str) -> None: ...

    def with_options(self, properties: Mapping[str, str]) -> Client: ...

    def clients(self) -> Sequence[Client]: ...


class MemoryLab:
    limit = 1048576

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.client: Client = MemoryClient(self.broker)

    def topic(self, partitions: int = 2) -> str:
        name = f"contract-{next(_numbers)}"
        self.broker.create_topic(name, partitions)
        return name

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        self.broker.delete_records(topic, partition, before)

    def delete(self, topic: str) -> None:
        self.broker.delete_topic(topic)

    def recreate(self, topic: str) -> None:
        self.broker.delete_topic(topic)
        self.broker.create_topic(topic)

    def note(self, group: str, topic: str, partition: int) -> str:
        return next(note for where, (_, note) in self.broker.committed(group).items() if where == (topic, partition))

    def evict(self, group: str) -> None:
        self.broker.evict(group)

    def with_options(self, properties: Mapping[str, str]) -> Client:
        return self.client

    def clients(self) -> Sequence[Client]:
        return [self.client]


class KafkaLab:
    limit = 1048576

    def __init__(self, bootstrap: tuple[str, ...], client: str) -> None:
        from sensorstream.clients import open_client
        from sensorstream.config import Settings

        self.settings = Settings(bootstrap=bootstrap, client=client)
        self.client: Client = open_client(self.settings)
        self.made: set[str] = set()

    def topic(self, partitions: int = 2, configs: Mapping[str, str] | None = None) -> str:
        from sensorstream import admin
        from sensorstream.config import TopicSettings

        name = f"contract-{os.getpid()}-{next(_numbers)}"
        admin.create_topics(self.settings, [TopicSettings(name, partitions=partitions, configs=configs or {})])
        self.made.add(name)
        return name

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        from kafka import KafkaAdminClient, TopicPartition

        client: Any = KafkaAdminClient(bootstrap_servers=list(self.settings.bootstrap))
        try:
            client.delete_records({TopicPartition(topic, partition): before})
        finally:
            client.close()

    def delete(self, topic: str) -> None:
        from sensorstream import admin

        admin.delete_topics(self.settings, [topic])
        self.made.discard(topic)

    def recreate(self, topic: str) -> None:
        from sensorstream import admin
        from sensorstream.config import TopicSettings

        self.delete(topic)
        admin.create_topics(self.settings, [TopicSettings(topic)])
        self.made.add(topic)

    def note(self, group: str, topic: str, partition: int) -> str:
        from sensorstream import admin
        from sensorstream.records import TopicPartition

        return admin.describe_group(self.settings, group).committed[TopicPartition(topic, partition)][1]

    def evict(self, group: str) -> None:
        from kafka import KafkaAdminClient
        from kafka.admin import MemberToRemove

        client: Any = KafkaAdminClient(bootstrap_servers=list(self.settings.bootstrap))
        try:
            members = client.describe_groups([group])[group]["members"]
            client.remove_group_members(group, [MemberToRemove(member_id=one["member_id"]) for one in members])
        finally:
            client.close()

    def with_options(self, properties: Mapping[str, str]) -> Client:
        """The client under test with options of its own."""
        from sensorstream.clients import open_client

        return open_client(replace(self.settings, properties=properties))

    def clients(self) -> Sequence[Client]:
        """Both clients, to read with each what one has written."""
        from sensorstream.clients import open_client

        return [open_client(replace(self.settings, client=name)) for name in ("kafka-python", "librdkafka")]

    def clean(self) -> None:
        from sensorstream import admin

        if self.made:
            admin.delete_topics(self.settings, sorted(self.made))


_groups = itertools.count()


def group_name() -> str:
    return f"contract-group-{os.getpid()}-{next(_groups)}"


def read(reader: Reader, count: int) -> list[ConsumedRecord]:
    """Exactly this many records, in the order in which they came."""
    records: list[ConsumedRecord] = []

    def enough() -> bool:
        for batch in reader.poll(0.2).values():
            records.extend(batch)
        return len(records) >= count

    until(enough, f"{count} records have come")
    assert len(records) == count
    return records


def publish(lab: Lab, topic: str, values: Sequence[bytes], partition: int = 0) -> list[int]:
    with lab.client.publisher() as publisher:
        open_ = [publisher.publish(topic, value, partition=partition) for value in values]
        publisher.flush(WAIT_S)
        return [delivery.wait(0) for delivery in open_]


def numbered(count: int) -> list[bytes]:
    return [b"value %d" % number for number in range(count)]


class Member:
    """A group member that keeps its positions itself and notes what it is told, and on which thread."""

    def __init__(self, lab: Lab, group: str, topic: str, stored: dict[TopicPartition, int]) -> None:
        self.reader = lab.client.reader(group=group)
        self.stored = stored
        self.owned: set[TopicPartition] = set()
        self.told: list[tuple[str, list[TopicPartition]]] = []
        self.records: list[ConsumedRecord] = []
        self.polling = False
        self.reader.subscribe([topic], Rebalance(self._assigned, self._revoked, self._lost))

    def _note(self, what: str, partitions: Sequence[TopicPartition]) -> None:
        assert self.polling, "called while the member was handling records"
        assert threading.current_thread() is threading.main_thread()
        self.told.append((what, list(partitions)))

    def _assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._note("assigned", partitions)
        self.owned.update(partitions)
        return {partition: self.stored.get(partition, 0) for partition in partitions}

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self._note("revoked", partitions)
        positions = {partition: self.reader.position(partition) for partition in partitions}
        self.reader.commit(positions, note="revoked")
        self.stored.update(positions)
        self.owned.difference_update(partitions)

    def _lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._note("lost", partitions)
        self.owned.difference_update(partitions)

    def poll(self) -> None:
        self.polling = True
        batches = self.reader.poll(0.1)
        self.polling = False
        assert set(batches) <= self.owned
        for partition, batch in batches.items():
            self.records.extend(batch)
            assert self.reader.position(partition) == batch[-1].offset + 1
