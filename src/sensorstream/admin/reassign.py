"""Station 5 managed: replicas moved to other brokers, for when one is added or is to go."""

import threading
from collections.abc import Collection, Sequence
from typing import Any, Final

from sensorstream.admin.leaders import elect_leaders
from sensorstream.admin.results import MovedPartition, Reassigned
from sensorstream.admin.spreading import rebalance
from sensorstream.admin.topics import rows_named
from sensorstream.clients.kafka_python.admin import Session, administer
from sensorstream.config import Settings
from sensorstream.errors import BrokerError, Interrupted, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import TopicPartition, check_topic_name

_POLL_S: Final = 0.2
_TELL_S: Final = 2.0


def plan_reassignment(
    settings: Settings, names: Sequence[str] = (), brokers: Collection[int] = (), *, listener: Listener = ignore
) -> tuple[MovedPartition, ...]:
    """The partitions of these topics (none named: of all, Kafka's own too) that have to move to be even over brokers.

    ``brokers`` are those that are to hold them; none: all that there are. Changes nothing. Raises UnknownTopic,
    UsageError for a broker that is not there, or for fewer brokers than a partition has replicas.
    """
    for name in names:
        check_topic_name(name)

    def read(session: Session) -> tuple[MovedPartition, ...]:
        answer = session.metadata(None)
        there = sorted(int(broker.node_id) for broker in answer.brokers)
        missing = sorted(set(brokers) - set(there))
        if missing:
            raise UsageError(
                f"broker {missing[0]} is not in the cluster", hint=f"there are: {', '.join(map(str, there))}"
            )
        rows = rows_named(answer, list(dict.fromkeys(names)))
        onto = sorted(brokers) or there
        places = [
            (TopicPartition(row.name, int(one.partition_index)), tuple(map(int, one.replica_nodes)))
            for row in rows
            for one in sorted(row.partitions, key=lambda one: int(one.partition_index))
        ]
        for where, before in places:
            if len(before) > len(onto):
                raise UsageError(
                    f"{where} has {len(before)} replicas and would be left with {len(onto)} brokers",
                    hint="name as many brokers as it has replicas, or leave the topic out",
                )
        after = rebalance(onto, [before for _, before in places])
        return tuple(
            MovedPartition(where.topic, where.partition, before, new)
            for (where, before), new in zip(places, after, strict=True)
            if before != new
        )

    return administer(settings, "the replicas can't be planned", read, listener)


def reassign(
    settings: Settings,
    names: Sequence[str] = (),
    brokers: Collection[int] = (),
    *,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Reassigned:
    """Move replicas so that these topics are even over brokers, wait for the end, and elect the preferred leaders.

    See :func:`plan_reassignment`; with ``dry_run`` nothing is done but that. When ``stop`` is set, what has not moved
    yet stays where it was. Raises also Interrupted, BrokerError.
    """
    stop = stop or threading.Event()
    plan = plan_reassignment(settings, names, brokers, listener=listener)
    if dry_run or not plan:
        return Reassigned(plan, dry_run)
    wanted = {TopicPartition(one.topic, one.partition): one.after for one in plan}

    def begin(session: Session) -> None:
        _alter(session, {where: list(after) for where, after in wanted.items()})

    def pending(session: Session) -> set[TopicPartition]:
        from kafka.structs import TopicPartition as KafkaPartition

        asked = [KafkaPartition(*where) for where in wanted]
        return {TopicPartition(*where) for where in session.client.list_partition_reassignments(asked)}

    def cancel(session: Session) -> None:
        _alter(session, dict.fromkeys(pending(session)))

    what = "the replicas were not moved"
    administer(settings, what, begin, listener)
    left, told = len(wanted) + 1, 0.0
    while True:
        still = len(administer(settings, what, pending, listener))
        if not still:
            break
        if still < left or told >= _TELL_S:
            listener(Notice(f"moving: {len(wanted) - still} of {len(wanted)} partitions are where they are to be"))
            left, told = still, 0.0
        told += _POLL_S
        if stop.wait(_POLL_S):
            administer(settings, "the move was not cancelled", cancel, listener)
            raise Interrupted(
                f"cancelled: {len(wanted) - still} of {len(wanted)} partitions have moved, the others stay",
                hint="run it again to go on",
            )
    elect_leaders(settings, sorted({one.topic for one in plan}), listener=listener)
    return Reassigned(plan, dry_run)


def _alter(session: Session, replicas: dict[TopicPartition, Any]) -> None:
    """Ask for these replicas, or with None for the end of a move."""
    from kafka.structs import TopicPartition as KafkaPartition

    if not replicas:
        return
    asked = {KafkaPartition(*where): brokers for where, brokers in replicas.items()}
    for where, kind in session.client.alter_partition_reassignments(asked).items():
        if kind is not None and kind.__name__ != "NoReassignmentInProgressError":
            raise BrokerError(f"{TopicPartition(*where)} was not moved: {kind.__name__}")
