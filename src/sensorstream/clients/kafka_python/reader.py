"""Station 6, read, with kafka-python: read_committed, from given positions, never skipping in silence.

Group members use the cooperative-sticky assignor alone. kafka-python joins a group inside ``poll`` and calls
its rebalance listener on its own thread, where nothing may wait. Here the listener only notes what happened;
the callbacks of :class:`~sensorstream.clients.base.Rebalance` run on the caller's own thread, still inside
``poll``, after the join and before anything is fetched. That is early enough: under the cooperative protocol
revoked partitions go to another member only when this one joins again, and it joins again only in the next
round of ``poll``. Heartbeats go on meanwhile, on the library's thread.

The mends of this file, by the fault they mend in kafka-python 3.0.12:

- ``_GroupRounds.poll``: the callbacks, as above.
- ``_GroupRounds.join``: a join that completes between two polls is thrown away, and the group joins all over
  again; one that began because a topic changed is forgotten when its poll times out, and the member waits for
  ever without partitions and without heartbeats.
- ``_GroupRounds.join``: a member that is taken out of its group while it joins again, as one that is frozen in the
  middle of a rebalance, is not told that it has lost its partitions. It comes back with them, or has them revoked,
  and goes on where it was, though others have gone on meanwhile.
- ``KafkaPythonReader.subscribe``: the first join does not wait for the topics' metadata, assigns nothing, and
  the group joins once more; metadata from before the subscription is not counted.
- ``KafkaPythonReader.membership``: a heartbeat that is refused forgets the member, and its positions are sent with
  a transaction all the same, as nobody's; one that has come back between two polls sends them as the new member's.
- ``KafkaPythonReader.poll``: a deleted topic gives empty polls for ever, a recreated one is read on as if it
  were the same.
- ``KafkaPythonReader._offsets``: where the leader of only some partitions is known, the others are left out.
- ``KafkaPythonReader.close``: leaving the group waits without a deadline.
"""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import kafka.errors as kafka_errors
from kafka.consumer.group import KafkaConsumer
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import OffsetAndMetadata
from kafka.structs import TopicPartition as KafkaPartition

from sensorstream.clients import refusals
from sensorstream.clients.base import GROUP_SESSION_MS, Notes, Rebalance, ValueBatch, note_of
from sensorstream.clients.kafka_python.denied import denied
from sensorstream.clients.kafka_python.net import (
    ASK_S,
    BrokerWatch,
    broker_error,
    connect,
    describe_topic,
    reason,
    wait_for,
)
from sensorstream.clients.kafka_python.records import Run, RunRecords, runs
from sensorstream.clients.own_thread import end_within
from sensorstream.clients.properties import ClientProperties
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


class _Notes(ConsumerRebalanceListener):  # type: ignore[misc]  # the library is untyped
    """Notes what the library's thread tells about partitions, in order."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, list[TopicPartition]]] = []

    def _note(self, what: str, partitions: Any) -> None:
        self.changes.append((what, sorted(TopicPartition(*partition) for partition in partitions)))

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._note("revoked", revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._note("assigned", assigned)

    def on_partitions_lost(self, lost: Any) -> None:
        self._note("lost", lost)


class _GroupRounds:
    """One group member's rounds: what happens to its partitions before each fetch."""

    def __init__(self, consumer: Any, rebalance: Rebalance) -> None:
        self.notes = _Notes()
        self.last_positions: dict[TopicPartition, int] = {}
        self._consumer = consumer
        self._rebalance = rebalance
        self._coordinator = consumer._coordinator
        self._library_poll = self._coordinator.poll
        self._library_join = self._coordinator._do_join_and_sync_async
        self._library_joined = self._coordinator._on_join_complete_async
        self._owed: set[TopicPartition] = set()
        self._unclaimed: tuple[Any, Any] | None = None
        self._coordinator.poll = self.poll
        self._coordinator._do_join_and_sync_async = self.join
        self._coordinator._on_join_complete_async = self.joined

    def poll(self, timeout_ms: float | None = None) -> bool:
        """Called by the consumer's ``poll`` on the caller's thread, before each fetch."""
        self._sort_out()
        for partition, state in list(self._consumer._subscription.assignment.items()):
            if state.position is not None:
                self.last_positions[TopicPartition(*partition)] = state.position.offset
        ready = bool(self._library_poll(timeout_ms))
        self._sort_out()
        # Last, since it may fail: the group is to be answered whether the caller can begin or not.
        self._claim()
        return ready

    async def join(self) -> Any:
        """Join and sync once, unless an earlier round has done so and nobody has taken its result."""
        self._coordinator.rejoin_needed = True  # until the result is taken
        if self._unclaimed is not None:
            generation, assignment = self._unclaimed
            self._unclaimed = None
            if generation == self._coordinator._generation:
                return assignment
        if self._coordinator._generation.is_lost() and self._consumer._subscription.assigned_partitions():
            await self._coordinator._on_join_prepare_async(-1, "")  # tells that they are lost, and lets go of them
        assignment = await self._library_join()
        self._unclaimed = (self._coordinator._generation, assignment)
        return assignment

    async def joined(self, *arguments: Any) -> Any:
        """The result of the join has been taken."""
        self._unclaimed = None
        return await self._library_joined(*arguments)

    @property
    def loss_untold(self) -> bool:
        """Whether the member has lost partitions that the caller still takes for its own."""
        return any(what == "lost" for what, _ in list(self.notes.changes))

    def _sort_out(self) -> None:
        """Tell the caller, on its own thread, which of its partitions are gone, and note those that are new."""
        while self.notes.changes:
            what, partitions = self.notes.changes.pop(0)
            if what == "assigned":
                self._owed.update(partitions)
                continue
            held = [partition for partition in partitions if partition not in self._owed]
            self._owed.difference_update(partitions)
            if held:
                (self._rebalance.revoked if what == "revoked" else self._rebalance.lost)(held)
            for partition in held:
                self.last_positions.pop(partition, None)

    def _claim(self) -> None:
        """Ask the caller where to begin in new partitions. When it can't say, the next poll asks again."""
        if not self._owed:
            return
        partitions = sorted(self._owed)
        positions = self._rebalance.assigned(partitions)
        self._owed.clear()
        for partition in partitions:
            if KafkaPartition(*partition) in self._consumer.assignment():
                self._consumer.seek(KafkaPartition(*partition), positions[partition])
            self.last_positions[partition] = positions[partition]


class KafkaPythonReader:
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
        self._manager = self._consumer._client._manager
        self._cluster = self._manager.cluster
        self._group = group
        self._rounds: _GroupRounds | None = None
        self._topic_ids: dict[str, Any] = {}
        self._partitions: dict[Any, TopicPartition] = {}
        self._closed = False

    @property
    def group(self) -> str | None:
        """The name of its group, if it has one."""
        return self._group

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
        if self._group is None:
            raise UsageError("a reader without a group can't subscribe", hint="name a group with -g")
        self._watch_topics(set(topics), ())
        self._rounds = _GroupRounds(self._consumer, rebalance)
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
                return {TopicPartition(*partition): offset for partition, offset in found.items()}

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

    def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed offset, or None."""
        return self.committed_offsets([partition])[partition]

    def committed_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The group's committed offsets, or None."""
        return {one: None if known is None else known.offset for one, known in self.commits(partitions).items()}

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
        if self._group is None:
            raise UsageError("a reader without a group can't commit", hint="name a group with -g")
        what = "the group's positions were not committed"
        if self._rounds is not None and self._rounds.loss_untold:
            raise refusals.no_member(self._group, what)
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

    def close(self, timeout_s: float = 10.0) -> None:
        """Leave the group without committing and without callbacks, and let go of everything."""
        if self._closed:
            return
        self._closed = True
        self.watch.closing = True

        def leave() -> None:
            try:
                self._consumer._subscription.rebalance_listener = None
                self._consumer.close(autocommit=False, timeout_ms=max(1, int(timeout_s * 1000)))
            except Exception:
                self._consumer._client._manager.closed = True

        # The library's close waits on its loop without a deadline in places.
        end_within(timeout_s, "sensorstream-reader-close", leave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
