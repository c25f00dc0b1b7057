"""The state of a cluster at one moment: brokers, topics, partitions, groups. Pure data; unknown values are None.

Every view (the screen, the page, the metrics, the conditions) renders this and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sensorstream.admin import GroupMember
from sensorstream.monitor.lag import GroupLag, PartitionLag
from sensorstream.records import TopicPartition


@dataclass(frozen=True, slots=True)
class BrokerState:
    """One broker. ``alive`` False: the cluster does not list it though replicas are assigned to it, nobody listens at
    its address, or it has given no answer for a while.

    ``leaders``, ``replicas`` and ``in_sync`` count partitions; ``host`` and ``port`` are the last ones known.
    """

    id: int
    host: str | None
    port: int | None
    alive: bool
    controller: bool
    leaders: int
    replicas: int
    in_sync: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition. ``end_offset`` is the last stable offset: where a read_committed reader ends."""

    topic: str
    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    first_offset: int | None
    end_offset: int | None
    size_bytes: int | None

    @property
    def where(self) -> TopicPartition:
        """Its topic and number."""
        return TopicPartition(self.topic, self.partition)

    @property
    def offline(self) -> bool:
        """Whether nobody leads it."""
        return self.leader is None

    @property
    def under_replicated(self) -> bool:
        """Whether a replica is out of sync."""
        return len(self.isr) < len(self.replicas)

    @property
    def rows(self) -> int | None:
        """How many offsets it holds; with transactions or compaction, more than there are rows."""
        if self.first_offset is None or self.end_offset is None:
            return None
        return max(0, self.end_offset - self.first_offset)


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic; ``internal`` is one of Kafka's own or of this program's."""

    name: str
    internal: bool
    partitions: tuple[PartitionState, ...]
    topic_id: str | None = None
    """Another one when it was deleted and made anew; None where the brokers are too old to tell."""

    @property
    def replication_factor(self) -> int:
        """The most replicas that one of its partitions has."""
        return max((len(one.replicas) for one in self.partitions), default=0)

    @property
    def under_replicated(self) -> int:
        """How many of its partitions miss a replica."""
        return sum(one.under_replicated for one in self.partitions)

    @property
    def offline(self) -> int:
        """How many of its partitions nobody leads."""
        return sum(one.offline for one in self.partitions)

    @property
    def rows(self) -> int | None:
        """The offsets that its partitions hold; None if one is not known."""
        counts = [one.rows for one in self.partitions]
        return None if None in counts else sum(one or 0 for one in counts)

    @property
    def size_bytes(self) -> int | None:
        """The size of its leaders' logs; None if one is not known."""
        sizes = [one.size_bytes for one in self.partitions]
        return None if None in sizes else sum(one or 0 for one in sizes)


@dataclass(frozen=True, slots=True)
class GroupState:
    """One consumer group: ``lag`` has its partitions, of live, pinned and stopped consumers.

    ``members`` None: they are not known.
    """

    lag: GroupLag
    members: tuple[GroupMember, ...] | None
    coordinator: int | None

    @property
    def name(self) -> str:
        """The group's name."""
        return self.lag.group

    @property
    def state(self) -> str:
        """Kafka's word for it: Stable, Empty (no live member), ..."""
        return self.lag.state

    @property
    def partitions(self) -> tuple[PartitionLag, ...]:
        """Its partitions, those assigned to a member without a commit included (lag None)."""
        return self.lag.partitions


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A cluster at ``taken_at`` (Unix seconds); gathering it took ``took_s`` and ``requests`` requests.

    ``reachable`` False: nothing was learnt; brokers, topics and groups are those of the last answer then, all brokers
    not ``alive``. ``refusal`` says why where somebody answered all the same, and is None where nobody did.
    ``problems`` says in a line each what could not be learnt.
    """

    taken_at: float
    took_s: float
    requests: int
    reachable: bool
    cluster_id: str | None = None
    version: str | None = None
    controller: int | None = None
    brokers: tuple[BrokerState, ...] = ()
    topics: tuple[TopicState, ...] = ()
    groups: tuple[GroupState, ...] = ()
    problems: tuple[str, ...] = ()
    oldest_unread_ms: Mapping[tuple[str, TopicPartition], int] = field(default_factory=dict)
    """By group and partition: the timestamp of the oldest record that the group has not read, in ms since 1970."""
    newest_ms: Mapping[TopicPartition, int] = field(default_factory=dict)
    """The newest timestamp of a partition's records, in ms since 1970; not of empty ones."""
    refusal: str | None = None

    def topic(self, name: str) -> TopicState | None:
        """The topic of this name."""
        return next((one for one in self.topics if one.name == name), None)

    def group(self, name: str) -> GroupState | None:
        """The group of this name."""
        return next((one for one in self.groups if one.name == name), None)

    @property
    def under_replicated(self) -> int:
        """How many partitions miss a replica."""
        return sum(one.under_replicated for one in self.topics)

    @property
    def offline(self) -> int:
        """How many partitions nobody leads."""
        return sum(one.offline for one in self.topics)
