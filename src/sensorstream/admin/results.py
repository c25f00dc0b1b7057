"""Station 5 managed: the results of this package's functions; None means unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sensorstream.records import TopicPartition


@dataclass(frozen=True, slots=True)
class TopicCreation:
    """What became of one topic: ``created``, or left as it was because it exists."""

    name: str
    partitions: int
    replication_factor: int
    created: bool


@dataclass(frozen=True, slots=True)
class TopicsCreated:
    """The topics that were asked for, in order."""

    topics: tuple[TopicCreation, ...]


@dataclass(frozen=True, slots=True)
class TopicSummary:
    """One topic of a list; ``under_replicated`` counts the partitions that miss a replica."""

    name: str
    partitions: int
    replication_factor: int
    under_replicated: int


@dataclass(frozen=True, slots=True)
class TopicList:
    """All topics but Kafka's own, by name."""

    topics: tuple[TopicSummary, ...]


@dataclass(frozen=True, slots=True)
class PartitionDescription:
    """One partition. ``leader`` and offsets are None where unknown; ``next_offset`` is the last stable offset."""

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    first_offset: int | None
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """One topic; ``configs`` are those that differ from the brokers' defaults."""

    name: str
    topic_id: str | None
    partitions: tuple[PartitionDescription, ...]
    configs: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicDescriptions:
    """The topics that were asked for, in order; or all but Kafka's own."""

    topics: tuple[TopicDescription, ...]


@dataclass(frozen=True, slots=True)
class TopicsDeleted:
    """The topics that no broker knows any more."""

    deleted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TopicAltered:
    """A topic after the change; ``configs`` are those that were set."""

    name: str
    partitions_before: int
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ElectedPartition:
    """One partition that its preferred leader did not lead; ``leader`` is the one after the election, None: nobody.

    ``reason`` says why the preferred leader does not lead it still, in Kafka's words; None where it does."""

    topic: str
    partition: int
    preferred: int
    leader_before: int | None
    leader: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class LeadersElected:
    """The partitions that were led by another broker than the preferred one; ``partitions`` counts all of them."""

    partitions: int
    elected: tuple[ElectedPartition, ...]


@dataclass(frozen=True, slots=True)
class MovedPartition:
    """A partition's brokers before and after, the preferred leader first."""

    topic: str
    partition: int
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reassigned:
    """The partitions that were moved, or with ``dry_run`` would be."""

    partitions: tuple[MovedPartition, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class BrokerDescription:
    """One broker; ``leaders`` and ``replicas`` count partitions."""

    id: int
    host: str
    port: int
    controller: bool
    leaders: int
    replicas: int


@dataclass(frozen=True, slots=True)
class ClusterDescription:
    """The cluster. ``version`` is the line that the brokers' protocol tells, such as ``4.2``.

    ``controller`` is the node that leads the metadata quorum (the controller on ZooKeeper).
    """

    cluster_id: str | None
    version: str | None
    controller: int | None
    brokers: tuple[BrokerDescription, ...]


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One live member of a group and what it is assigned."""

    member_id: str
    client_id: str
    host: str
    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A group: its state as Kafka names it, its live members, and its committed offsets with their notes."""

    group: str
    state: str
    members: tuple[GroupMember, ...]
    committed: Mapping[TopicPartition, tuple[int, str]]
