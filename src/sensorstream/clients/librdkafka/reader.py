"""Station 6, read, with librdkafka: read_committed, from given positions, never skipping in silence.

librdkafka calls the rebalance callbacks inside ``consume``, on the caller's thread. Messages may have been gathered
by then that the caller has not seen, so positions are kept here: what was handed out, and the ends of partitions
(which lie past control records and aborted ones). A callback that fails is called again in the next poll: an
exception inside ``consume`` would throw the gathered messages away.

No callback may be left for ``Consumer.close`` (librdkafka 2.16, its issue 4884): a group that ends loses the answer
to one now and then, and the binding waits for that without an end, holding the interpreter's lock. So a reader
unsubscribes first, with which a static member (``group.instance.id``) leaves its group, too.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from sensorstream.clients import refusals
from sensorstream.clients.base import GROUP_SESSION_MS, Notes, Rebalance, ValueBatch, note_of
from sensorstream.clients.librdkafka.net import (
    ASK_S,
    COMMON,
    BrokerWatch,
    broker_error,
    connect,
    count_partitions,
    denied,
    error_of,
    metadata,
    passes,
    reason,
)
from sensorstream.clients.librdkafka.topics import GONE, TopicWatch
from sensorstream.clients.own_thread import end_within, on_own_thread
from sensorstream.clients.properties import ClientProperties
from sensorstream.errors import BrokerError, ClusterUnreachable, SensorstreamError, UnknownTopic, UsageError
from sensorstream.events import Listener
from sensorstream.records import Commit, ConsumedRecord, TopicIdentity, TopicPartition, note_in

DEFAULTS: Final = {
    "max.partition.fetch.bytes": 4 * 1024 * 1024,
    "queued.min.messages": 100000,
    "queued.max.messages.kbytes": 32768,
    "fetch.queue.backoff.ms": 5,
    "fetch.error.backoff.ms": 200,
    "fetch.wait.max.ms": 200,  # how late the end behind control records is told
    "session.timeout.ms": GROUP_SESSION_MS,
}
PROMISED: Final = {
    "auto.offset.reset": "error",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "partition.assignment.strategy": "cooperative-sticky",
    "allow.auto.create.topics": False,
    "enable.partition.eof": True,
}
NO_GROUP: Final = "sensorstream-no-group"
"""librdkafka wants a group's name even where there is no group; nothing is asked or told under it."""
COMMIT_S: Final = 5.0
_COMMITTED_S: Final = 2.0
"""So long one question for committed offsets may take, until it is asked whether this user may know them at all."""
_NOT_COMMITTED: Final = "the group's positions were not committed"
_SETTLE_S: Final = 3.0
_QUIET_S: Final = 0.05
"""After such a silence no callback is on its way any more to a reader that has unsubscribed."""
_LOOK_AT_TOPICS_S: Final = 1.0
_LOOK_WHILE_BUSY_S: Final = 5.0
_MOST_AT_ONCE: Final = 1_000_000
_UNKNOWN_S: Final = 1.0
"""How long librdkafka may not know a topic before the brokers are asked whether it is gone."""
_LATEST: Final = -1
_EARLIEST: Final = -2
_OUT_OF_RANGE: Final = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._NO_OFFSET)


class LibrdkafkaReader:
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
        options = {**DEFAULTS, "client.id": client_id, **properties.for_librdkafka("consumer"), **PROMISED}
        if fetch_wait_ms is not None:
            options["fetch.wait.max.ms"] = fetch_wait_ms
        options["group.id"] = group or NO_GROUP
        if group is None:
            options.pop("group.instance.id", None)
        self._admin_options = {
            **COMMON,
            **properties.for_librdkafka("admin"),
            "bootstrap.servers": ",".join(bootstrap),
            "client.id": client_id,
        }
        self._most_records: int = properties.values.get("max.poll.records", _MOST_AT_ONCE)
        self.watch = BrokerWatch(listener)
        self._consumer: Any = connect(Consumer, bootstrap, self.watch, options)
        self._group = group
        self._positions: dict[TopicPartition, int] = {}
        self._given_up: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._rebalance: Rebalance | None = None
        self._owed: list[TopicPartition] = []
        self._taken_back: set[TopicPartition] = set()
        self._failure: Exception | None = None
        self._held: list[Any] = []
        self._in_callback = False
        self._callbacks = 0
        self._topics = TopicWatch(self._admin_options)
        self._cluster_id: str | None = None
        self._only: TopicPartition | None = None
        self._closed = False

    @property
    def group(self) -> str | None:
        """The name of its group, if it has one."""
        return self._group

    def membership(self) -> Any:
        """librdkafka's token for the group's member, for a transaction.

        Raises BrokerError when this reader has fallen out of its group: brokers take positions of a member that is not
        named unchecked.
        """
        member = self._consumer.consumer_group_metadata()
        # Asked after it: without a poll it can't have become a member again in between.
        if self._rebalance is not None and not self._consumer.memberid():
            raise refusals.no_member(str(self._group))
        return member

    def partitions_for(self, topic: str) -> int:
        """The topic's number of partitions."""
        return count_partitions(self._asker(), topic)

    def _asker(self) -> Any:
        """Whom to ask for metadata: inside a callback the admin client, or the next callback ends the process.

        The binding (confluent-kafka 2.16, ``CallState_begin``) keeps the call in progress by thread and handle, and a
        ``list_topics`` of the same handle inside of it forgets that call.
        """
        return self._topics.admin() if self._in_callback else self._consumer

    def identity(self, topic: str) -> TopicIdentity:
        """Which cluster and which topic id this name stands for now; ids as Kafka's own tools show them."""
        # Not through the consumer after the first time: there a question waits for the fetch ahead of it.
        if self._cluster_id is None:
            self._cluster_id = metadata(self._asker()).cluster_id
            self.partitions_for(topic)
        return TopicIdentity(self._cluster_id, self._topics.topic_id(topic))

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these offsets on."""
        if self._rebalance is not None:
            raise UsageError("a reader that has joined a group can't be assigned partitions")
        self._check_partitions(positions)
        self.resume(self._paused)
        self._topics.watch({partition.topic for partition in positions})
        self._positions = dict(positions)
        self._note_assignment()
        try:
            self._consumer.assign([KafkaPartition(*one, offset) for one, offset in positions.items()])
        except (KafkaException, RuntimeError) as error:
            raise broker_error("partitions can't be read", error) from error

    def subscribe(self, topics: Sequence[str], rebalance: Rebalance) -> None:
        """Join the group and share these topics' partitions with its other members."""
        if self._group is None:
            raise UsageError("a reader without a group can't subscribe", hint="name a group with -g")
        for topic in topics:
            self.partitions_for(topic)
        self._topics.watch(topics)
        self._rebalance = rebalance
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    # The next three are called by librdkafka inside consume, and must not raise.

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        self._callbacks += 1
        consumer.incremental_assign([])  # we do it ourselves, with positions
        self._owed += sorted(TopicPartition(one.topic, one.partition) for one in partitions)
        self._in_callback = True
        self._claim()
        self._in_callback = False

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        held = self._give_up(partitions, lost=False)
        consumer.incremental_unassign([KafkaPartition(*one) for one in held])

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        held = self._give_up(partitions, lost=True)
        consumer.incremental_unassign([KafkaPartition(*one) for one in held])

    def _claim(self) -> None:
        """Ask the caller where to begin in the new partitions, and begin there."""
        if not self._owed or self._closed or self._rebalance is None:
            return
        try:
            positions = self._rebalance.assigned(list(self._owed))
            self._consumer.incremental_assign([KafkaPartition(*one, positions[one]) for one in self._owed])
        except Exception as error:
            self._failure = error  # they are still owed: the next poll asks again
            return
        self._positions.update({partition: positions[partition] for partition in self._owed})
        self._owed = []
        self._note_assignment()

    def _give_up(self, partitions: list[Any], *, lost: bool) -> list[TopicPartition]:
        """Tell the caller; the partitions that are to be unassigned: not those that are still owed."""
        self._callbacks += 1
        gone = sorted(TopicPartition(one.topic, one.partition) for one in partitions)
        self._taken_back.update(gone)
        self._owed = [partition for partition in self._owed if partition not in gone]
        try:
            # librdkafka would remember it, and never fetch them when they come back.
            self.resume(self._paused.intersection(gone))
        except SensorstreamError as error:
            self._failure = error
        told = [partition for partition in gone if partition in self._positions]
        self._given_up = {partition: self._positions.pop(partition) for partition in told}
        self._note_assignment()
        self._in_callback = True
        try:
            if told and not self._closed and self._rebalance is not None:
                (self._rebalance.lost if lost else self._rebalance.revoked)(told)
        except Exception as error:
            self._failure = error
        finally:
            self._in_callback = False
            self._given_up = {}
        return told

    def _note_assignment(self) -> None:
        self._only = next(iter(self._positions)) if len(self._positions) == 1 else None

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
        return {partition: _records(partition, run) for partition, run in self._fetch(timeout_s, max_records)}

    def poll_values(self, timeout_s: float, max_records: int = 10000) -> Mapping[TopicPartition, ValueBatch]:
        """As :meth:`poll`, without making a record of each."""
        return {partition: _values(partition, run) for partition, run in self._fetch(timeout_s, max_records)}

    def _fetch(self, timeout_s: float, most: int) -> Iterable[tuple[TopicPartition, list[Any]]]:
        """What has come, in runs of one partition; the positions are past it."""
        if self._owed:
            self._claim()
        failed = self._failure is not None
        most = min(most, self._most_records)
        messages = self._consume(0 if failed or self._held else timeout_s, most - len(self._held))
        if failed or self._held:
            self._held += messages
            if failed:
                # It was right to go on: the group may want to be answered. But nothing is handed out past a failure.
                self._raise_failure()
            messages, self._held = self._held[:most], self._held[most:]
        if self._taken_back:
            # A partition that went and came back in one call is read from its new position alone.
            messages, self._held = (
                [one for one in some if (one.topic(), one.partition()) not in self._taken_back]
                for some in (messages, self._held)
            )
            for partition in self._taken_back & self._positions.keys():
                self._consumer.seek(KafkaPartition(*partition, self._positions[partition]))
            self._taken_back.clear()
        fetched: dict[TopicPartition, list[Any]] = {}
        problem: Exception | None = None
        if messages:
            if any(map(Message.error, messages)):
                events = [one for one in messages if one.error() is not None]
                messages = [one for one in messages if one.error() is None]
            else:
                events = []
            for partition, run in self._by_partition(messages):
                position = self._positions.get(partition)
                if position is None:
                    continue  # no longer ours
                new = run if run[0].offset() >= position else [one for one in run if one.offset() >= position]
                if new:
                    self._positions[partition] = new[-1].offset() + 1
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

    def _by_partition(self, messages: list[Any]) -> Iterator[tuple[TopicPartition, list[Any]]]:
        if not messages:
            return
        if self._only is not None and all(
            (one.topic(), one.partition()) == self._only for one in messages[:: len(messages) - 1 or 1]
        ):
            yield self._only, messages
            return
        for (topic, number), run in groupby(messages, lambda one: (one.topic(), one.partition())):
            yield TopicPartition(topic, number), list(run)

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
            if self._positions.get(partition, event.offset()) < event.offset():
                self._positions[partition] = event.offset()
            return None
        if code in _OUT_OF_RANGE:
            return self._out_of_range(partition) if partition in self._positions else None
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
        wanted = self._positions[partition]
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
        for positions in (self._positions, self._given_up):
            if partition in positions:
                return positions[partition]
        raise UsageError(f"{partition} is not assigned to this reader")

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
        topic = wanted[0].topic
        return _ask(
            what, lambda left: self._consumer.offsets_for_times(wanted, timeout=left), topic, self.partitions_for
        )

    def offset_for_time(self, partition: TopicPartition, timestamp_ms: int) -> int | None:
        """The first offset whose record has this timestamp or a later one."""
        self._check_partitions([partition])
        wanted = [KafkaPartition(*partition, max(0, timestamp_ms))]
        found = self._ask_offsets(f"{partition}: the offset for a time can't be read", wanted)[0].offset
        return None if found < 0 else int(found)

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
        what, wanted = f"{refusals.whose(offsets)} can't be read", [KafkaPartition(*partition) for partition in offsets]
        topic = wanted[0].topic

        def ask(left: float) -> list[Any]:
            try:
                return list(self._consumer.committed(wanted, timeout=min(left, _COMMITTED_S)))
            except KafkaException as error:
                inner = error_of(error)
                if inner is not None and inner.code() == KafkaError._TIMED_OUT:
                    self._check_group(what)
                raise

        found = _ask(what, ask, topic, self.partitions_for)
        known = {
            TopicPartition(one.topic, one.partition): Commit(int(one.offset), note_in(one.metadata))
            for one in found
            if one.offset >= 0
        }
        return offsets | known

    def _check_group(self, what: str) -> None:
        """Raise NotAllowed where this user has no right to the group: librdkafka asks on, and says nothing."""
        asked = self._topics.admin().list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(str(self._group))], request_timeout=_COMMITTED_S
        )
        try:
            asked[self._group].result(_COMMITTED_S + 1)
        except (KafkaException, TimeoutError) as error:
            inner = error_of(error)
            refused = None if inner is None else denied(inner, str(self._group))
            if refused is not None:
                raise refused.error(what) from error

    def commit(self, positions: Mapping[TopicPartition, int], note: Notes = "") -> None:
        """Commit positions for the group."""
        if self._group is None:
            raise UsageError("a reader without a group can't commit", hint="name a group with -g")
        if not positions:
            return
        offsets = [KafkaPartition(*one, offset, note_of(note, one)) for one, offset in positions.items()]

        def commit() -> list[Any]:
            return list(self._consumer.commit(offsets=offsets, asynchronous=False) or ())

        answers: list[Any] = []
        try:
            if self._in_callback:
                answers = commit()  # another thread would have to wait for the end of consume
            else:
                with suppress(TimeoutError):
                    answers = on_own_thread("sensorstream-commit", commit).result(COMMIT_S)
        except (KafkaException, RuntimeError) as error:
            raise self._not_committed(error) from error
        if not answers:
            raise BrokerError(f"{_NOT_COMMITTED}: no answer within {COMMIT_S:.0f} s")
        for answer in answers:
            if answer.error is not None:
                raise self._not_committed(KafkaException(answer.error))

    def _not_committed(self, error: BaseException) -> SensorstreamError:
        inner = error_of(error)
        refused = None if inner is None else denied(inner, self._group or "")
        if refused is not None:
            return refused.error(_NOT_COMMITTED, "Read")
        return BrokerError(f"{_NOT_COMMITTED}: {reason(error)}")

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch nothing from these partitions until resumed, or assigned again."""
        self._paused.update(self._switch(self._consumer.pause, partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these partitions again."""
        self._paused.difference_update(self._switch(self._consumer.resume, partitions))

    def _switch(
        self, action: Callable[[list[Any]], None], partitions: Iterable[TopicPartition]
    ) -> list[TopicPartition]:
        ours = [partition for partition in partitions if partition in self._positions]
        if ours:
            try:
                action([KafkaPartition(*partition) for partition in ours])
            except KafkaException as error:
                raise broker_error("partitions can't be paused or resumed", error) from error
        return ours

    def close(self, timeout_s: float = 10.0) -> None:
        """Leave the group without committing and without callbacks, and let go of everything."""
        if self._closed:
            return
        self._closed = True
        self.watch.close()
        self._topics.close()
        end_within(timeout_s, "sensorstream-reader-close", self._let_go)

    def _let_go(self) -> None:
        try:
            settled = self._rebalance is None or self._settle()
        except Exception:  # after a fatal error it can't even unsubscribe
            settled = False
        if settled:
            self._consumer.close()
        else:
            self._consumer = None  # without callbacks, and without a word to the group

    def _settle(self) -> bool:
        """Leave the group while callbacks can still be answered; whether none is left."""
        deadline = time.monotonic() + _SETTLE_S
        self._consumer.unsubscribe()
        while time.monotonic() < deadline:
            before = self._callbacks
            self._consumer.consume(_MOST_AT_ONCE, _QUIET_S)
            if self._callbacks == before and not self._owed and not self._consumer.assignment():
                return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ask(
    what: str, question: Callable[[float], Iterable[Any] | None], topic: str, still_there: Callable[[str], object]
) -> list[Any]:
    """Put a question about partitions of ``topic`` until all are answered; again, for ASK_S, while brokers come and go.

    librdkafka says that it knows no such partition also when it has lost its brokers (_UNKNOWN_PARTITION). So they are
    asked: ``still_there`` raises UnknownTopic when it is gone, ClusterUnreachable when nobody answers.
    """
    began = time.monotonic()
    while True:
        try:
            found = list(question(max(0.1, began + ASK_S - time.monotonic())) or ())
            failed = next((one.error for one in found if one.error is not None), None)
            if failed is None:
                return found
            error = KafkaException(failed)
        except KafkaException as failure:
            error = failure
        inner, waited = error.args[0], time.monotonic() - began
        if inner.code() in GONE:
            if waited >= _UNKNOWN_S:
                try:
                    still_there(topic)
                except UnknownTopic as gone:
                    raise refusals.topic_gone(topic) from gone
                if time.monotonic() - began >= ASK_S:
                    raise ClusterUnreachable(
                        f"{what}: no leader of {topic!r} is known for {ASK_S:.0f} s",
                        hint="look at: sensorstream cluster status",
                    ) from error
        elif waited >= ASK_S or not passes(inner):
            raise broker_error(what, error) from error
        threading.Event().wait(0.1)


def _values(partition: TopicPartition, messages: list[Any]) -> ValueBatch:
    first, last = messages[0].offset(), messages[-1].offset()
    without_gaps = last - first + 1 == len(messages)
    return ValueBatch(
        range(first, last + 1) if without_gaps else [message.offset() for message in messages],
        list(map(Message.value, messages)),
        lambda: _records(partition, messages),
    )


def _records(partition: TopicPartition, messages: list[Any]) -> list[ConsumedRecord]:
    topic, number = partition
    return [
        ConsumedRecord(
            topic,
            number,
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            tuple((name, value or b"") for name, value in message.headers() or ()),
        )
        for message in messages
    ]
