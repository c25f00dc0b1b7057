"""Station 6, read, with librdkafka: read_committed, from given positions, never skipping in silence.

librdkafka calls the rebalance callbacks inside ``consume`` (``group_member.py``). Messages may have been gathered by
then that the caller has not seen, so positions are kept here: what was handed out, and the ends of partitions (which
lie past control records and aborted ones).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from sensorstream.clients import refusals
from sensorstream.clients.base import Notes, Rebalance, ValueBatch, note_of
from sensorstream.clients.kafka_python.group_rights import GroupRights
from sensorstream.clients.librdkafka.asking import ask
from sensorstream.clients.librdkafka.consumer_options import consumer_options
from sensorstream.clients.librdkafka.failures import broker_error, passes
from sensorstream.clients.librdkafka.group_member import Assignment, GroupMember
from sensorstream.clients.librdkafka.group_offsets import commit, commits
from sensorstream.clients.librdkafka.heartbeat import Heartbeat, abandon, questioned
from sensorstream.clients.librdkafka.messages import by_partition, records, values
from sensorstream.clients.librdkafka.net import COMMON, BrokerWatch, connect, count_partitions, create, metadata
from sensorstream.clients.librdkafka.topics import GONE, TopicWatch
from sensorstream.clients.own_thread import end_within
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.reader import BaseReader
from sensorstream.errors import ClusterUnreachable, UsageError
from sensorstream.events import Listener, Notice
from sensorstream.records import Commit, ConsumedRecord, TopicIdentity, TopicPartition

_LOOK_AT_TOPICS_S: Final = 1.0
_LOOK_WHILE_BUSY_S: Final = 5.0
_MOST_AT_ONCE: Final = 1_000_000
_ANSWER_S: Final = 1.0
_LATEST: Final = -1
_EARLIEST: Final = -2
_OUT_OF_RANGE: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._NO_OFFSET)


class LibrdkafkaReader(BaseReader):
    """A :class:`~sensorstream.clients.base.Reader` on librdkafka's consumer."""

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        properties: ClientProperties,
        group: str | None,
        client_id: str,
        listener: Listener,
        fetch_wait_ms: int | None = None,
    ) -> None:
        self._heartbeat = Heartbeat(in_group=group is not None)
        options = consumer_options(properties, group, client_id, fetch_wait_ms)
        self._admin_options = {
            **COMMON,
            **properties.for_librdkafka("admin"),
            "bootstrap.servers": ",".join(bootstrap),
            "client.id": client_id,
        }
        self._most_records: int = properties.values.get("max.poll.records", _MOST_AT_ONCE)
        self.watch = BrokerWatch(listener)
        self._consumer: Any = connect(Consumer, bootstrap, self.watch, options)
        self._another: Callable[[], Any] = partial(create, Consumer, bootstrap, self.watch, options)
        super().__init__(group)
        self._assignment = Assignment()
        self._paused: set[TopicPartition] = set()
        self._member: GroupMember | None = None
        self._failure: Exception | None = None
        self._held: list[Any] = []
        self._topics = TopicWatch(self._admin_options)
        self._rights = GroupRights(bootstrap, properties, options["group.id"])
        self._has_committed = False
        self._cluster_id: str | None = None

    def membership(self) -> Any:
        """librdkafka's token for the group's member, for a transaction.

        Raises BrokerError when this reader has fallen out of its group: brokers take positions of a member that is not
        named unchecked. Raises ClusterUnreachable when librdkafka does not answer.
        """
        if not self._answers():
            raise ClusterUnreachable("the consumer does not answer")
        member = self._consumer.consumer_group_metadata()
        # Asked after it: without a poll it can't have become a member again in between.
        if self._member is not None and not self._consumer.memberid():
            raise refusals.no_member(str(self._group))
        return member

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions."""
        with questioned(self._answers):
            return count_partitions(self._asker(), topic)

    def _answers(self) -> bool:
        """Whether the consumer may be called; if not, the next poll replaces it."""
        return self._heartbeat.answers(self._consumer, in_callback=self._in_callback)

    def _asker(self) -> Any:
        """Whom to ask for metadata: inside a callback the admin client, or the next callback ends the process.

        The binding (confluent-kafka 2.16, ``CallState_begin``) keeps the call in progress by thread and handle, and a
        ``list_topics`` of the same handle inside of it forgets that call.
        """
        return self._topics.admin() if self._in_callback else self._consumer

    @property
    def _in_callback(self) -> bool:
        return self._member is not None and self._member.in_callback

    def identity(self, topic: str) -> TopicIdentity:
        """Which cluster and which topic id this name stands for now; ids as Kafka's own tools show them."""
        # Not through the consumer after the first time: there a question waits for the fetch ahead of it.
        if self._cluster_id is None:
            self._cluster_id = metadata(self._asker()).cluster_id
            self.partitions_for(topic)
        return TopicIdentity(self._cluster_id, self._topics.topic_id(topic))

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these offsets on."""
        if self._member is not None:
            raise UsageError("a reader that has joined a group can't be assigned partitions")
        self._check_partitions(positions)
        self.resume(self._paused)
        self._topics.watch({partition.topic for partition in positions})
        self._assignment.positions = dict(positions)
        self._assign()

    def _assign(self) -> None:
        try:
            self._consumer.assign([KafkaPartition(*one, offset) for one, offset in self._assignment.positions.items()])
        except (KafkaException, RuntimeError) as error:
            raise broker_error("partitions can't be read", error) from error

    def subscribe(self, topics: Sequence[str], rebalance: Rebalance) -> None:
        """Join the group and share these topics' partitions with its other members."""
        self._need_group("subscribe")
        for topic in topics:
            self.partitions_for(topic)
        self._topics.watch(topics)
        self._member = GroupMember(
            self._consumer,
            rebalance,
            self._assignment,
            answers=self._answers,
            forget_pause=self._forget_pause,
            fail=self._fail,
        )
        self._member.join(topics)

    def _forget_pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.resume(self._paused.intersection(partitions))

    def _fail(self, error: Exception) -> None:
        """To be raised by a poll, when nothing can be handed out before it."""
        self._failure = error

    def _check_partitions(self, partitions: Iterable[TopicPartition]) -> None:
        counts: dict[str, int] = {}
        for partition in partitions:
            count = counts.get(partition.topic)
            if count is None:
                count = counts[partition.topic] = self.partitions_for(partition.topic)
            if not 0 <= partition.partition < count:
                raise refusals.unknown_partition(partition, count)

    def poll(self, timeout_s: float, max_records: int = 5000) -> Mapping[TopicPartition, Sequence[ConsumedRecord]]:
        """Records that have come; empty when none came within ``timeout_s``."""
        return {partition: records(partition, run) for partition, run in self._fetch(timeout_s, max_records)}

    def poll_values(self, timeout_s: float, max_records: int = 10000) -> Mapping[TopicPartition, ValueBatch]:
        """As :meth:`poll`, without making a record of each."""
        return {partition: values(partition, run) for partition, run in self._fetch(timeout_s, max_records)}

    def _fetch(self, timeout_s: float, most: int) -> Iterable[tuple[TopicPartition, list[Any]]]:
        """What has come, in runs of one partition; the positions are past it."""
        if self._heartbeat.has_stopped(self._consumer):
            self._replace_consumer()
        if self._member is not None:
            self._member.claim()
        failed = self._failure is not None
        most = min(most, self._most_records)
        messages = self._consume(0 if failed or self._held else timeout_s, most - len(self._held))
        if failed or self._held:
            self._held += messages
            if failed:
                # It was right to go on: the group may want to be answered. But nothing is handed out past a failure.
                self._raise_failure()
            messages, self._held = self._held[:most], self._held[most:]
        taken_back = set() if self._member is None else self._member.taken_back
        positions = self._assignment.positions
        if taken_back:
            # A partition that went and came back in one call is read from its new position alone.
            messages, self._held = (
                [one for one in some if (one.topic(), one.partition()) not in taken_back]
                for some in (messages, self._held)
            )
            for partition in taken_back & positions.keys() if self._answers() else ():
                self._consumer.seek(KafkaPartition(*partition, positions[partition]))
            taken_back.clear()
        fetched: dict[TopicPartition, list[Any]] = {}
        problem: Exception | None = None
        if messages:
            if any(map(Message.error, messages)):
                events = [one for one in messages if one.error() is not None]
                messages = [one for one in messages if one.error() is None]
            else:
                events = []
            for partition, run in by_partition(messages, self._assignment.only):
                position = positions.get(partition)
                if position is None:
                    continue  # no longer ours
                new = run if run[0].offset() >= position else [one for one in run if one.offset() >= position]
                if new:
                    positions[partition] = new[-1].offset() + 1
                    fetched[partition] = fetched[partition] + new if partition in fetched else new
            for event in events:
                problem = self._note(event) or problem
        if problem is not None:
            self._failure = self._failure or problem
        if not fetched:
            self._raise_failure()
        gone = self._topics.problem(_LOOK_WHILE_BUSY_S if fetched else _LOOK_AT_TOPICS_S)
        if gone is not None:
            raise gone
        return fetched.items()

    def _replace_consumer(self) -> None:
        """Go on with another consumer where this one is; in a group, as a member that has lost its partitions."""
        told = "the consumer has blocked itself (librdkafka's issue 5476); continuing with a new one"
        self.watch.listener(Notice(told, "warning"))
        try:
            stopped, self._consumer = [self._consumer], self._another()
        except KafkaException as error:
            raise broker_error("there can't be another consumer", error) from error
        self._heartbeat.begin()
        self._held = []
        paused, self._paused = self._paused, set()
        try:
            if self._member is not None:
                self._member.join_anew(self._consumer)
            else:
                self._assign()
                self.pause(paused)
        finally:
            abandon(stopped)

    def _consume(self, timeout_s: float, most: int) -> list[Any]:
        messages: list[Any] = []
        if most <= 0:
            return messages
        try:
            # Waits until it has as many as it may bring: so first what is there, then one, then what came with it.
            messages += self._consumer.consume(most, 0)
            if not messages and timeout_s > 0 and self._failure is None:
                messages += self._consumer.consume(1, timeout_s)
                if messages and most > 1:
                    messages += self._consumer.consume(most - 1, 0)
        except KafkaException as error:
            # In the next poll, if there are messages: they are not brought again.
            self._failure = broker_error("reading failed", error)
        return messages

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _note(self, event: Any) -> Exception | None:
        """What an event that came in place of a record means: the end of a partition, or an error."""
        error = event.error()
        code = error.code()
        partition = TopicPartition(event.topic(), event.partition())
        if code == KafkaError._PARTITION_EOF:
            if self._assignment.positions.get(partition, event.offset()) < event.offset():
                self._assignment.positions[partition] = event.offset()
            return None
        if code in _OUT_OF_RANGE:
            return self._out_of_range(partition) if partition in self._assignment.positions else None
        if code in GONE:
            self._topics.look_now()
            return None
        if code == KafkaError._MAX_POLL_EXCEEDED:
            return None  # it joins again, and tells what it has lost
        if error.fatal():
            return broker_error("reading failed", KafkaException(error))
        if self._group is None and "GROUP" in error.name():
            return None
        if passes(error):
            return None
        name = self._group or "" if "GROUP" in error.name() else partition.topic or ""
        return broker_error("reading failed", KafkaException(error), "Read", name)

    def _out_of_range(self, partition: TopicPartition) -> Exception:
        wanted = self._assignment.positions[partition]
        try:
            gone = self._topics.look()
            if gone is not None:
                return gone
            first: int | None = self.beginning_offsets([partition])[partition]
            end: int | None = self.end_offsets([partition])[partition]
        except Exception:
            first = end = None
        return refusals.out_of_range(partition, wanted, first, end)

    def position(self, partition: TopicPartition) -> int:
        """The next offset that ``poll`` will look at."""
        return self._assignment.position(partition)

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still in each log."""
        return self._offsets(partitions, _EARLIEST)

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offset of each log."""
        return self._offsets(partitions, _LATEST)

    def _offsets(self, partitions: Iterable[TopicPartition], which: int) -> dict[TopicPartition, int]:
        """The protocol's ListOffsets, under the reader's own isolation level."""
        wanted = list(partitions)
        if not wanted:
            return {}
        self._check_partitions(wanted)
        found = self._ask_offsets("offsets can't be read", [KafkaPartition(*one, which) for one in wanted])
        return {TopicPartition(one.topic, one.partition): one.offset for one in found}

    def _ask_offsets(self, what: str, wanted: list[Any]) -> list[Any]:
        with questioned(self._answers):
            return ask(
                what,
                lambda left: self._consumer.offsets_for_times(wanted, timeout=left),
                wanted[0].topic,
                self.partitions_for,
            )

    def offset_for_time(self, partition: TopicPartition, timestamp_ms: int) -> int | None:
        """The first offset whose record has this timestamp or a later one."""
        self._check_partitions([partition])
        wanted = [KafkaPartition(*partition, max(0, timestamp_ms))]
        found = self._ask_offsets(f"{partition}: the offset for a time can't be read", wanted)[0].offset
        return None if found < 0 else int(found)

    def commits(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """The group's committed offsets with their notes, or None."""
        offsets: dict[TopicPartition, Commit | None] = dict.fromkeys(partitions)
        if self._group is None or not offsets:
            return offsets
        return offsets | commits(self._consumer, list(offsets), self._rights.refusal, self.partitions_for)

    def commit(self, positions: Mapping[TopicPartition, int], note: Notes = "") -> None:
        """Commit positions for the group."""
        group = self._need_group("commit")
        if positions:
            offsets = [KafkaPartition(*one, offset, note_of(note, one)) for one, offset in positions.items()]
            # Where one was accepted before, silence is no refusal.
            refusal = None if self._has_committed else self._rights.refusal
            commit(self._consumer, group, offsets, in_callback=self._in_callback, refusal=refusal)
            self._has_committed = True

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch nothing from these partitions until resumed, or assigned again."""
        self._paused.update(self._switch(self._consumer.pause, partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these partitions again."""
        self._paused.difference_update(self._switch(self._consumer.resume, partitions))

    def _switch(
        self, action: Callable[[list[Any]], None], partitions: Iterable[TopicPartition]
    ) -> list[TopicPartition]:
        ours = [partition for partition in partitions if partition in self._assignment.positions]
        if ours and self._answers():
            try:
                action([KafkaPartition(*partition) for partition in ours])
            except KafkaException as error:
                raise broker_error("partitions can't be paused or resumed", error) from error
        return ours

    def _end(self, timeout_s: float) -> None:
        if self._member is not None:
            self._member.closed = True
        self.watch.close()
        self._topics.close()
        end_within(timeout_s, "sensorstream-reader-close", self._let_go)

    def _let_go(self) -> None:
        try:
            settled = self._heartbeat.settle(_ANSWER_S)
            if settled and self._member is not None:
                settled = self._heartbeat.answers(self._consumer, _ANSWER_S) and self._member.leave()
        except Exception:  # after a fatal error it can't even unsubscribe
            settled = False
        if settled:
            self._consumer.close()
        else:
            if self._member is not None:
                self._member.let_go()
            self._consumer = None  # without callbacks, and without a word to the group
