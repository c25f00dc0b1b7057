"""Station 6, read, with kafka-python: read_committed, from given positions, never skipping in silence.

The mends of this file, by the fault they mend in kafka-python 3.0.12:

- ``KafkaPythonReader.subscribe``: the first join does not wait for the topics' metadata, assigns nothing, and
  the group joins once more; metadata from before the subscription is not counted.
- ``KafkaPythonReader.membership``: a heartbeat that is refused forgets the member, and its positions are sent with
  a transaction all the same, as nobody's; one that has come back between two polls sends them as the new member's.
- ``KafkaPythonReader.poll``: a deleted topic gives empty polls for ever, a recreated one is read on as if it
  were the same.
- ``KafkaPythonReader._offsets``: where the leader of only some partitions is known, the others are left out.
- ``KafkaPythonReader._end``: leaving the group waits without a deadline.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import kafka.errors as kafka_errors
from kafka.consumer.group import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaPartition

from sensorstream.clients import refusals
from sensorstream.clients.base import GROUP_SESSION_MS, Notes, Rebalance, ValueBatch, note_of
from sensorstream.clients.kafka_python.broker_watch import BrokerWatch
from sensorstream.clients.kafka_python.denied import denied
from sensorstream.clients.kafka_python.failures import broker_error, reason
from sensorstream.clients.kafka_python.group_member import GroupRounds, find_without_haste
from sensorstream.clients.kafka_python.net import ASK_S, connect, describe_topic, wait_for
from sensorstream.clients.kafka_python.records import Run, RunRecords, runs
from sensorstream.clients.own_thread import end_within
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.reader import BaseReader
from sensorstream.errors import BrokerError, ClusterUnreachable, UnknownTopic, UsageError
from sensorstream.events import Listener
from sensorstream.records import Commit, ConsumedRecord, TopicIdentity, TopicPartition, metadata_of, note_in

DEFAULTS: Final = {
    "metadata_max_age_ms": 5000,  # how late a topic that was deleted and made again is noticed
    "max_partition_fetch_bytes": 4 * 1024 * 1024,
    "reconnect_backoff_max_ms": 1000,
    "session_timeout_ms": GROUP_SESSION_MS,
    "metrics_enabled": False,
}
PROMISED: Final = {
    "auto_offset_reset": "none",
    "enable_auto_commit": False,
    "isolation_level": "read_committed",
    "partition_assignment_strategy": [CooperativeStickyAssignor],
}
_ASK_MS: Final = int(ASK_S * 1000)
_COMMIT_MS: Final = 5000
_AGAIN_S: Final = 0.02
_MOST_AT_ONCE: Final = 1_000_000


class KafkaPythonReader(BaseReader):
    """A :class:`~sensorstream.clients.base.Reader` on kafka-python's consumer."""

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        properties: ClientProperties,
        group: str | None,
        client_id: str,
        listener: Listener,
        fetch_wait_ms: int | None = None,
    ) -> None:
        given = {**DEFAULTS, "client_id": client_id, **properties.for_kafka_python("consumer")}
        if fetch_wait_ms is not None:
            given["fetch_max_wait_ms"] = fetch_wait_ms
        if group is None:
            given.pop("group_instance_id", None)
        self._most_records: int = given.get("max_poll_records", _MOST_AT_ONCE)
        self.watch = BrokerWatch(listener)
        self._consumer = connect(KafkaConsumer, bootstrap, self.watch, **given, **PROMISED, group_id=group)
        self._consumer._fetcher.PartitionRecords = RunRecords
        if group is not None:
            find_without_haste(self._consumer)
        self._manager = self._consumer._client._manager
        self._cluster = self._manager.cluster
        super().__init__(group)
        self._rounds: GroupRounds | None = None
        self._topic_ids: dict[str, Any] = {}
        self._partitions: dict[Any, TopicPartition] = {}

    def membership(self) -> Any:
        """The library's token for the group's member, for a transaction.

        Raises BrokerError when this reader has fallen out of its group: the library's heartbeat forgets the member
        then, and brokers take positions of a member that is not named unchecked. It may be back by now, but not with
        what the caller has.
        """
        member = self._consumer.group_metadata()
        if self._rounds is not None and (member.generation_id < 0 or not member.member_id or self._rounds.loss_untold):
            raise refusals.no_member(str(self._group))
        return member

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions."""
        return len(describe_topic(self._manager, topic)[1].partitions)

    def identity(self, topic: str) -> TopicIdentity:
        """Which cluster and which topic id this name stands for now; ids as Kafka's own tools show them."""
        answer, row = describe_topic(self._manager, topic)
        return TopicIdentity(answer.cluster_id, topic_id_text(row.topic_id))

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these offsets on."""
        self._watch_topics({partition.topic for partition in positions}, positions)
        self._consumer.resume(*self._consumer.paused())
        try:
            self._consumer.assign([self._known(partition) for partition in positions])
        except kafka_errors.IllegalStateError as error:
            raise UsageError("a reader that has joined a group can't be assigned partitions") from error
        for partition, offset in positions.items():
            self._consumer.seek(self._known(partition), offset)

    def subscribe(self, topics: Sequence[str], rebalance: Rebalance) -> None:
        """Join the group and share these topics' partitions with its other members."""
        self._need_group("subscribe")
        self._watch_topics(set(topics), ())
        self._rounds = GroupRounds(self._consumer, rebalance)
        self._consumer.subscribe(list(topics), listener=self._rounds.notes)
        # Even where the partitions are known: the library joins with what it has heard since it subscribed, and joins
        # once more when that changes.
        deadline = time.monotonic() + ASK_S
        while wait_for(self._cluster.request_update(), max(0.0, deadline - time.monotonic())):
            if all(self._cluster.partitions_for_topic(topic) is not None for topic in topics):
                break

    def _watch_topics(self, topics: set[str], partitions: Iterable[TopicPartition]) -> None:
        counts = {}
        for topic in topics:
            row = describe_topic(self._manager, topic)[1]
            counts[topic] = len(row.partitions)
            self._topic_ids[topic] = row.topic_id
        for partition in partitions:
            if not 0 <= partition.partition < counts[partition.topic]:
                raise refusals.unknown_partition(partition, counts[partition.topic])

    def _known(self, partition: TopicPartition) -> Any:
        kafka_partition = KafkaPartition(*partition)
        self._partitions[kafka_partition] = partition
        return kafka_partition

    def poll(self, timeout_s: float, max_records: int = 5000) -> Mapping[TopicPartition, Sequence[ConsumedRecord]]:
        """Records that have come; empty when none came within ``timeout_s``."""
        return {
            partition: [record for run in given for record in run.records()]
            for partition, given in self._fetch(timeout_s, max_records).items()
        }

    def poll_values(self, timeout_s: float, max_records: int = 10000) -> Mapping[TopicPartition, ValueBatch]:
        """As :meth:`poll`, without making a record of each."""
        return {partition: _values(given) for partition, given in self._fetch(timeout_s, max_records).items()}

    def _fetch(self, timeout_s: float, most: int) -> dict[TopicPartition, list[Run]]:
        try:
            fetched = self._consumer.poll(
                timeout_ms=max(0, int(timeout_s * 1000)), max_records=min(most, self._most_records)
            )
        except (kafka_errors.OffsetOutOfRangeError, kafka_errors.NoOffsetForPartitionError) as error:
            raise self._out_of_range(error) from error
        except kafka_errors.LogTruncationError as error:
            # A topic that was made anew is met so when its leader is asked before the metadata is.
            self._check_topics(ask=True)
            raise self._truncated(error) from error
        except kafka_errors.KafkaError as error:
            raise broker_error("reading failed", error, "Read") from error
        self._check_topics()
        return {
            self._partitions.get(partition) or TopicPartition(*partition): runs(given)
            for partition, given in fetched.items()
        }

    def _check_topics(self, *, ask: bool = False) -> None:
        """Raise UnknownTopic when a topic that is being read is gone or is another one now.

        ``ask``: the brokers are asked, also where the metadata that is there shows no change.
        """
        for topic, expected in self._topic_ids.items():
            current = self._cluster.topic_id(topic)
            if (
                not ask
                and self._cluster.partitions_for_topic(topic) is not None
                and (expected is None or current == expected)
            ):
                continue
            try:
                row = describe_topic(self._manager, topic, timeout_s=2.0)[1]
            except UnknownTopic as error:
                raise refusals.topic_gone(topic) from error
            except BrokerError:
                continue
            except Exception:  # brokers away: not known, so not said
                return
            if expected is not None and row.topic_id is not None and row.topic_id != expected:
                raise refusals.topic_replaced(topic)

    def _truncated(self, error: Any) -> Exception:
        """The log has lost its tail: a broker that lacked it was made leader, as Kafka can be told to do."""
        for partition, there in error.divergent_offsets.items():
            ours = TopicPartition(*partition)
            return refusals.out_of_range(ours, self.position(ours), None, None if there is None else there.offset)
        return broker_error("reading failed", error)

    def _out_of_range(self, error: Any) -> Exception:
        asked = error.args[0] if error.args else {}
        partition, wanted = None, 0
        if isinstance(asked, Mapping) and asked:
            partition, offset = next(iter(asked.items()))
            wanted = offset if isinstance(offset, int) else getattr(offset, "offset", 0)
        if partition is None:
            return broker_error("reading failed", error)
        ours = TopicPartition(*partition)
        try:
            first: int | None = self.beginning_offsets([ours])[ours]
            end: int | None = self.end_offsets([ours])[ours]
        except Exception:
            first = end = None
        return refusals.out_of_range(ours, wanted, first, end)

    def position(self, partition: TopicPartition) -> int:
        """The next offset that ``poll`` will look at."""
        state = self._consumer._subscription.assignment.get(KafkaPartition(*partition))
        if state is not None and state.position is not None:
            return int(state.position.offset)
        if self._rounds is not None and partition in self._rounds.last_positions:
            return self._rounds.last_positions[partition]
        raise UsageError(f"{partition} is not assigned to this reader")

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still in each log."""
        return self._offsets(self._consumer.beginning_offsets, partitions)

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offset of each log."""
        return self._offsets(self._consumer.end_offsets, partitions)

    def _offsets(self, ask: Any, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        wanted = [KafkaPartition(*partition) for partition in partitions]
        if not wanted:
            return {}
        self._check_partitions(wanted)
        deadline = time.monotonic() + _ASK_MS / 1000
        while True:
            try:
                found = ask(wanted, timeout_ms=_ASK_MS)
            except kafka_errors.KafkaError as error:
                raise broker_error("offsets can't be read", error, "Describe") from error
            except KeyError as error:
                # It leaves out partitions whose leaders it does not know, and asks for them behind our back.
                if time.monotonic() >= deadline:
                    raise ClusterUnreachable(
                        f"offsets can't be read: no leader is known of some of {len(wanted)} partitions",
                        hint="look at: sensorstream topics describe",
                    ) from error
                threading.Event().wait(_AGAIN_S)
            else:
                # In the order that was asked for: the library's is that in which the leaders have answered.
                return {TopicPartition(*partition): found[partition] for partition in wanted}

    def _check_partitions(self, partitions: Iterable[Any]) -> None:
        """The library waits its whole timeout for a partition that does not exist."""
        for partition in partitions:
            known = self._cluster.partitions_for_topic(partition.topic)
            if known is None or partition.partition not in known:
                count = self.partitions_for(partition.topic)
                if not 0 <= partition.partition < count:
                    raise refusals.unknown_partition(TopicPartition(*partition), count)

    def offset_for_time(self, partition: TopicPartition, timestamp_ms: int) -> int | None:
        """The first offset whose record has this timestamp or a later one."""
        wanted = KafkaPartition(*partition)
        self._check_partitions([wanted])
        try:
            found = self._consumer.offsets_for_times({wanted: max(0, timestamp_ms)}, timeout_ms=_ASK_MS)[wanted]
        except kafka_errors.KafkaError as error:
            raise broker_error(f"{partition}: the offset for a time can't be read", error) from error
        return None if found is None or found.offset < 0 else int(found.offset)

    def commits(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """The group's committed offsets with their notes, or None."""
        offsets: dict[TopicPartition, Commit | None] = dict.fromkeys(partitions)
        if self._group is None or not offsets:
            return offsets
        wanted = [KafkaPartition(*partition) for partition in offsets]
        try:
            found = self._consumer._coordinator.fetch_committed_offsets(wanted, timeout_ms=_ASK_MS)
        except kafka_errors.KafkaError as error:
            raise broker_error(f"{refusals.whose(offsets)} can't be read", error) from error
        known = {
            TopicPartition(*one): Commit(int(stored.offset), note_in(stored.metadata))
            for one, stored in found.items()
            if stored.offset >= 0
        }
        return offsets | known

    def commit(self, positions: Mapping[TopicPartition, int], note: Notes = "") -> None:
        """Commit positions for the group."""
        group = self._need_group("commit")
        what = "the group's positions were not committed"
        if self._rounds is not None and self._rounds.loss_untold:
            raise refusals.no_member(group, what)
        offsets = {
            KafkaPartition(*one): OffsetAndMetadata(offset, metadata_of(note_of(note, one)), -1)
            for one, offset in positions.items()
        }
        try:
            self._consumer.commit(offsets, timeout_ms=_COMMIT_MS)
        except (kafka_errors.KafkaError, RuntimeError) as error:
            refused = denied(error)
            if refused is not None:
                raise refused.error(what, "Read") from error
            raise BrokerError(f"{what}: {reason(error)}") from error

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch nothing from these partitions until resumed, or assigned again."""
        self._consumer.pause(*self._assigned(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these partitions again."""
        self._consumer.resume(*self._assigned(partitions))

    def _assigned(self, partitions: Iterable[TopicPartition]) -> list[Any]:
        assigned = self._consumer.assignment()
        return [one for one in (KafkaPartition(*partition) for partition in partitions) if one in assigned]

    def _end(self, timeout_s: float) -> None:
        self.watch.closing = True

        def leave() -> None:
            try:
                self._consumer._subscription.rebalance_listener = None
                self._consumer.close(autocommit=False, timeout_ms=max(1, int(timeout_s * 1000)))
            except Exception:
                self._consumer._client._manager.closed = True

        # The library's close waits on its loop without a deadline in places.
        end_within(timeout_s, "sensorstream-reader-close", leave)


def topic_id_text(topic_id: Any) -> str | None:
    """A topic id in the 22 letters that Kafka's own tools show, or None where the broker gave none."""
    if topic_id is None or not getattr(topic_id, "int", 0):
        return None
    import base64

    return base64.urlsafe_b64encode(topic_id.bytes).rstrip(b"=").decode("ascii")


def _values(given: list[Run]) -> ValueBatch:
    offsets: Sequence[int] = given[0].offsets()
    values = given[0].values()
    if len(given) > 1:
        values = [value for run in given for value in run.values()]
        last = given[-1].offsets()[-1]
        if last - offsets[0] + 1 == len(values):
            offsets = range(offsets[0], last + 1)
        else:
            offsets = [offset for run in given for offset in run.offsets()]
    return ValueBatch(offsets, values, lambda: [record for run in given for record in run.records()])
