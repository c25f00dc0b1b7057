"""Station 6: a member of a consumer group with librdkafka: how it joins and leaves, and its partitions in between.

librdkafka calls the rebalance callbacks inside ``consume``, on the caller's thread. A callback that fails is called
again in the next poll: an exception inside ``consume`` would throw the gathered messages away.

No callback may be left for ``Consumer.close`` (librdkafka 2.16, its issue 4884): a group that ends loses the answer
to one now and then, and the binding waits for that without an end, holding the interpreter's lock. So a member
unsubscribes first, with which a static member (``group.instance.id``) leaves its group, too.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import TopicPartition as KafkaPartition

from sensorstream.clients.base import Rebalance
from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.records import TopicPartition

_SETTLE_S: Final = 3.0
_QUIET_S: Final = 0.05
"""After such a silence no callback is on its way any more to a member that has unsubscribed."""
_MOST_AT_ONCE: Final = 1_000_000


class Assignment:
    """The partitions that a reader has, with the next offset of each, and those that it is just giving up."""

    def __init__(self) -> None:
        self.positions: dict[TopicPartition, int] = {}
        self.given_up: dict[TopicPartition, int] = {}

    @property
    def only(self) -> TopicPartition | None:
        """The one partition, where there is just one."""
        return next(iter(self.positions)) if len(self.positions) == 1 else None

    def position(self, partition: TopicPartition) -> int:
        """The next offset of a partition, also while it is given up. Raises UsageError where it is not assigned."""
        for positions in (self.positions, self.given_up):
            if partition in positions:
                return positions[partition]
        raise UsageError(f"{partition} is not assigned to this reader")


class GroupMember:
    """A reader's part in its group; ``assignment`` is kept up to date.

    ``answers``: whether the consumer may be called. ``forget_pause`` has partitions fetched again that were paused;
    ``fail`` is given what a callback failed with.
    ``taken_back`` are partitions that have gone since it was last cleared: what has been fetched of them is stale.
    Once it is ``closed`` the caller hears nothing more.
    """

    def __init__(
        self,
        consumer: Any,
        rebalance: Rebalance,
        assignment: Assignment,
        *,
        answers: Callable[[], bool],
        forget_pause: Callable[[Iterable[TopicPartition]], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self.taken_back: set[TopicPartition] = set()
        self.in_callback = False
        self.closed = False
        self._consumer = consumer
        self._rebalance = rebalance
        self._assignment = assignment
        self._answers = answers
        self._forget_pause = forget_pause
        self._fail = fail
        self._owed: list[TopicPartition] = []
        self._callbacks = 0
        self._topics: list[str] = []

    def join(self, topics: Sequence[str]) -> None:
        """Share these topics' partitions with the group's other members."""
        self._topics = list(topics)
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def join_anew(self, consumer: Any) -> None:
        """Give up all partitions as lost, and join with another consumer; the old one must not call back any more."""
        self._consumer = consumer
        self._owed = []
        with self._called():
            self._give_up([KafkaPartition(*one) for one in self._assignment.positions], lost=True)
        self.taken_back.clear()
        self.join(self._topics)

    # The next three are called by librdkafka inside consume, and must not raise.

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        with self._called():
            consumer.incremental_assign([])  # we do it ourselves, with positions
            self._owed += sorted(TopicPartition(one.topic, one.partition) for one in partitions)
            self.claim()

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        with self._called():
            self._unassign(consumer, self._give_up(partitions, lost=False))

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        with self._called():
            self._unassign(consumer, self._give_up(partitions, lost=True))

    def _unassign(self, consumer: Any, held: Iterable[TopicPartition]) -> None:
        if self._answers():
            consumer.incremental_unassign([KafkaPartition(*one) for one in held])

    @contextmanager
    def _called(self) -> Iterator[None]:
        self._callbacks += 1
        self.in_callback = True
        try:
            yield
        finally:
            self.in_callback = False

    def claim(self) -> None:
        """Ask the caller where to begin in partitions that are new and not begun yet, and begin there."""
        if not self._owed or self.closed or not self._answers():
            return
        try:
            positions = self._rebalance.assigned(list(self._owed))
            self._consumer.incremental_assign([KafkaPartition(*one, positions[one]) for one in self._owed])
        except Exception as error:
            self._fail(error)  # they are still owed: the next poll asks again
            return
        self._assignment.positions.update({partition: positions[partition] for partition in self._owed})
        self._owed = []

    def _give_up(self, partitions: list[Any], *, lost: bool) -> list[TopicPartition]:
        """Tell the caller; the partitions that are to be unassigned: not those that are still owed."""
        gone = sorted(TopicPartition(one.topic, one.partition) for one in partitions)
        self.taken_back.update(gone)
        self._owed = [partition for partition in self._owed if partition not in gone]
        try:
            # librdkafka would remember it, and never fetch them when they come back.
            self._forget_pause(gone)
        except SensorstreamError as error:
            self._fail(error)
        held = self._assignment
        told = [partition for partition in gone if partition in held.positions]
        held.given_up = {partition: held.positions.pop(partition) for partition in told}
        try:
            if told and not self.closed:
                (self._rebalance.lost if lost else self._rebalance.revoked)(told)
        except Exception as error:
            self._fail(error)
        finally:
            held.given_up = {}
        return told

    def leave(self) -> bool:
        """Leave the group while callbacks can still be answered; whether none is left. It is ``closed`` by then."""
        deadline = time.monotonic() + _SETTLE_S
        self._consumer.unsubscribe()
        while time.monotonic() < deadline:
            before = self._callbacks
            self._consumer.consume(_MOST_AT_ONCE, _QUIET_S)
            if self._callbacks == before and not self._owed and not self._consumer.assignment():
                return True
        return False

    def let_go(self) -> None:
        """Hold the consumer no longer, so that it ends without a word to the group when nobody else does."""
        self._consumer = None
