"""Station 6: a member of a consumer group with kafka-python: how it joins, and what happens when its partitions change.

Group members use the cooperative-sticky assignor alone. kafka-python joins a group inside ``poll`` and calls
its rebalance listener on its own thread, where nothing may wait. Here the listener only notes what happened;
the callbacks of :class:`~sensorstream.clients.base.Rebalance` run on the caller's own thread, still inside
``poll``, after the join and before anything is fetched. That is early enough: under the cooperative protocol
revoked partitions go to another member only when this one joins again, and it joins again only in the next
round of ``poll``. Heartbeats go on meanwhile, on the library's thread.

The mends of this file, by the fault they mend in kafka-python 3.0.12:

- ``GroupRounds.poll``: the callbacks, as above.
- ``GroupRounds.join``: a join that completes between two polls is thrown away, and the group joins all over
  again; one that began because a topic changed is forgotten when its poll times out, and the member waits for
  ever without partitions and without heartbeats.
- ``GroupRounds.join``: a member that is taken out of its group while it joins again, as one that is frozen in the
  middle of a rebalance, is not told that it has lost its partitions. It comes back with them, or has them revoked,
  and goes on where it was, though others have gone on meanwhile.
- ``GroupRounds.join``: a member that has lost its partitions claims them when it joins again. Whoever leads the group
  believes it: so a partition is given to it that another member still has, and rows are read twice; or is kept for it
  until it lets go of what it does not have, and nobody reads it.
- ``find_without_haste``: while the group's coordinator can't be reached, it is looked up as fast as another broker
  answers.
- ``GroupRounds.until_next_poll``: while a heartbeat is late, because its broker is silent, a poll does not wait at all,
  and the caller takes a whole core.
"""

from typing import Any, Final

from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import TopicPartition as KafkaPartition

from sensorstream.clients.base import Rebalance
from sensorstream.records import TopicPartition

LOOK_AGAIN_S: Final = 0.1
"""How long a poll waits for rows before it looks again whether the group wants anything of this member."""


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


def find_without_haste(consumer: Any) -> None:
    """Let a consumer look its group's coordinator up no more often than it may try to reach that."""
    coordinator, client = consumer._coordinator, consumer._client
    library_find = coordinator._send_group_coordinator_request

    async def find() -> Any:
        found = await library_find()
        delay_s = client.connection_delay(found)
        if delay_s > 0 and client.is_disconnected(found):
            await client._net.sleep(delay_s)
        return found

    coordinator._send_group_coordinator_request = find


class GroupRounds:
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
        self._library_next_poll = self._coordinator.time_to_next_poll
        self._owed: set[TopicPartition] = set()
        self._unclaimed: tuple[Any, Any] | None = None
        self._coordinator.poll = self.poll
        self._coordinator._do_join_and_sync_async = self.join
        self._coordinator._on_join_complete_async = self.joined
        self._coordinator.time_to_next_poll = self.until_next_poll

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

    def until_next_poll(self) -> float:
        """For how long, in seconds, the library's poll may wait for rows. Heartbeats are sent by its own thread."""
        return max(LOOK_AGAIN_S, float(self._library_next_poll()))

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
        held = sorted(self._consumer._subscription.assigned_partitions())
        for assignor in self._coordinator._assignors.values():
            assignor.member_assignment = held  # what it is going to claim
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
