"""Stations 4 and 6: the interface that every Kafka client implements for the pipelines.

A :class:`Client` makes publishers and readers. Times are seconds unless a name ends in ``_ms``; a position is
always the next offset to be read. Errors are those of :mod:`sensorstream.errors` and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from sensorstream.clients.causes import Cause, Waited
from sensorstream.events import Listener, ignore
from sensorstream.records import Commit, ConsumedRecord, Headers, TopicIdentity, TopicPartition


class Delivery(Protocol):
    """The fate of one published record."""

    def done(self) -> bool:
        """Whether the outcome is known."""

    def wait(self, timeout_s: float) -> int:
        """Wait for the outcome and return the record's offset (-1 where the broker gave none).

        Raises DeliveryTimeout when it is still open after ``timeout_s``, RecordTooLarge or another
        DeliveryError when the record was refused.
        """


class PlacedDelivery(Delivery, Protocol):
    """A delivery that knows its partition, as those of a transaction do."""

    @property
    def where(self) -> TopicPartition:
        """The partition of its records, of which there is one at least."""


class BatchDelivery(Delivery, Protocol):
    """The fate of the records that were queued by one call of :meth:`Publisher.publish_batch`.

    ``done`` is true when every record has an outcome. ``wait`` waits for all of them, raises the first error when
    any record failed, and returns the last record's offset (-1 where the broker gave none).
    """

    @property
    def count(self) -> int:
        """How many records the batch has."""

    @property
    def failed(self) -> int:
        """How many of them have failed so far; with an open outcome they are not counted."""


class RecordSink(Protocol):
    """Takes records, to be delivered in the order of the calls per partition."""

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
        """Queue one record; records of one partition are delivered in the order of the calls.

        ``partition`` None lets the key's murmur2 hash choose (as Kafka's own clients do), or, without a key,
        any partition. Raises RecordTooLarge (nothing was queued), UnknownTopic, UnknownPartition.
        The queue is not bounded here: the caller bounds its open deliveries.
        """

    def publish_batch(self, topic: str, values: Sequence[bytes | str], *, partition: int) -> BatchDelivery:
        """Queue many records without keys for one partition, in order; text is sent as UTF-8.

        Raises RecordTooLarge when one of them is over the limit, UnknownTopic or UnknownPartition: then none of
        them was queued. The queue is not bounded here: the caller bounds its open deliveries.
        """


class Publisher(RecordSink, Protocol):
    """Sends records; idempotent, acknowledged by all in-sync replicas. May be used from several threads."""

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions. Raises UnknownTopic, ClusterUnreachable."""

    def partitions_of(self, topics: Iterable[str]) -> dict[str, int]:
        """The number of partitions of each of these topics, asked for together.

        Raises UnknownTopic, ClusterUnreachable.
        """

    def flush(self, timeout_s: float) -> None:
        """Wait until every queued record has an outcome, good or bad. Raises DeliveryTimeout."""

    def close(self, timeout_s: float = 10.0) -> None:
        """Flush for at most ``timeout_s``, then let go of everything; never raises, never hangs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TransactionalPublisher(Publisher, Protocol):
    """A publisher whose records are seen together or not at all: begin, publish, commit.

    Opening one fences any older one of the same transactional id and aborts what that had not committed. It is spent
    after an abort and after an error from one of its own methods: close it, and open another. A record published
    outside a transaction is a UsageError.
    """

    @property
    def ends(self) -> Mapping[TopicPartition, int]:
        """The offset behind the last record that it has committed in each partition."""

    def begin(self) -> None:
        """Begin a transaction. Raises Fenced."""

    def send_offsets(self, positions: Mapping[TopicPartition, int], reader: "Reader", timeout_s: float = 30.0) -> None:
        """Commit these positions for the reader's group with the transaction, or not at all.

        Raises Fenced, BrokerError, DeliveryTimeout.
        """

    def commit(self, timeout_s: float = 30.0) -> None:
        """Wait until every record is delivered, then make them seen; readers may see them some milliseconds later.

        Raises Fenced; DeliveryError when a record was not delivered (the transaction is aborted); DeliveryTimeout when
        it is not known whether the transaction was committed: whoever opens the next publisher of this id can tell
        from what is in the topic.
        """

    def abort(self, timeout_s: float = 30.0) -> None:
        """Make sure that none of the transaction's records is ever seen. Raises Fenced, DeliveryTimeout."""


GROUP_SESSION_MS: Final = 10_000
"""After such a silence a group gives a member's partitions to the others (``session.timeout.ms``)."""


@dataclass(frozen=True, slots=True)
class Rebalance:
    """What a group member does when its partitions change. Never called while ``poll`` hands out records.

    ``assigned`` gives the next offset to read for each new partition. ``revoked`` is called before the partitions
    go to another member: store, commit. ``lost`` is called when they have already gone: drop, write nothing.
    """

    assigned: Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]
    revoked: Callable[[Sequence[TopicPartition]], None]
    lost: Callable[[Sequence[TopicPartition]], None]


Notes = str | Mapping[TopicPartition, str]
"""The note of all positions that are committed, or that of each."""


def note_of(note: Notes, partition: TopicPartition) -> str:
    """The note of one partition."""
    return note if isinstance(note, str) else note[partition]


@dataclass(frozen=True, slots=True)
class ValueBatch:
    """Consecutive records of one partition, read for their values alone.

    ``offsets`` and ``values`` are of the same length, in offset order; offsets may have gaps where control records
    and aborted records are. ``make_records`` makes the whole records.
    """

    offsets: Sequence[int]
    values: list[bytes | None]
    make_records: Callable[[], list[ConsumedRecord]]

    def records(self) -> list[ConsumedRecord]:
        """The same records with everything about them."""
        return self.make_records()

    def first(self, count: int) -> "ValueBatch":
        """The first ``count`` of them, or all where there are no more."""
        if count >= len(self.offsets):
            return self
        return ValueBatch(self.offsets[:count], self.values[:count], lambda: self.make_records()[:count])


class Reader(Protocol):
    """Reads records, read_committed, never skipping an offset in silence. Used from one thread."""

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions. Raises UnknownTopic, ClusterUnreachable."""

    def identity(self, topic: str) -> TopicIdentity:
        """Which cluster and which topic id this name stands for now. Raises UnknownTopic."""

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these offsets on."""

    def subscribe(self, topics: Sequence[str], rebalance: Rebalance) -> None:
        """Join the group and share these topics' partitions with its other members (cooperative-sticky)."""

    def poll(self, timeout_s: float, max_records: int = 5000) -> Mapping[TopicPartition, Sequence[ConsumedRecord]]:
        """Records that have come, in offset order per partition; empty when none came within ``timeout_s``.

        Raises OffsetOutOfRange when an offset asked for is not in the log, UnknownTopic when the topic is gone.
        """

    def poll_values(self, timeout_s: float, max_records: int = 10000) -> Mapping[TopicPartition, ValueBatch]:
        """As :meth:`poll`, without making a record of each: for those who need the values alone."""

    def position(self, partition: TopicPartition) -> int:
        """The next offset that ``poll`` will look at; past control records and aborted ones."""

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still in each log."""

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last one a read_committed reader can see (the last stable offset)."""

    def offset_for_time(self, partition: TopicPartition, timestamp_ms: int) -> int | None:
        """The first offset whose record has this timestamp or a later one; None where there is none."""

    def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed offset, or None."""

    def committed_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The group's committed offset of each of these partitions, or None, with one question for all of them."""

    def commits(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """As :meth:`committed_offsets`, with the notes that came with them."""

    def commit(self, positions: Mapping[TopicPartition, int], note: Notes = "") -> None:
        """Commit positions for the group; ``note``, one for all or one for each, is stored with them.

        Raises BrokerError when the commit was not accepted, and the capture goes on all the same; NotAllowed.
        """

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch nothing from these partitions until resumed, or assigned again."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these partitions again."""

    def close(self, timeout_s: float = 10.0) -> None:
        """Leave the group (without committing) and let go of everything; never raises, never hangs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Client(Protocol):
    """One way to talk to Kafka: kafka-python, librdkafka, or a broker in memory."""

    @property
    def name(self) -> str:
        """The name that ``--client`` takes."""

    def publisher(self, *, client_id: str = "sensorstream", listener: Listener = ignore) -> Publisher:
        """A connected publisher. Raises ClusterUnreachable or CredentialsRefused within 10 s.

        ``listener`` gets a Notice when brokers go and come back.
        """

    def transactional_publisher(
        self, transactional_id: str, *, client_id: str = "sensorstream", listener: Listener = ignore
    ) -> TransactionalPublisher:
        """A connected publisher of transactions; older ones of the same id are fenced by now.

        Raises ClusterUnreachable or CredentialsRefused within 10 s, BrokerError when the id can't be had within 30 s.
        """

    def reader(
        self,
        *,
        group: str | None = None,
        client_id: str = "sensorstream",
        listener: Listener = ignore,
        fetch_wait_ms: int | None = None,
    ) -> Reader:
        """A connected reader. Raises ClusterUnreachable or CredentialsRefused within 10 s.

        ``fetch_wait_ms``: so long at the most a broker keeps a fetch that finds nothing, and questions behind it wait.
        """

    def causes(self, waited: Waited) -> Sequence[Cause]:
        """Why what is waited for does not come: partitions, coordinators, brokers, quotas; none: not known.

        Asks the cluster by connections of its own, from any thread; answers within a few seconds, and never raises.
        """
