"""Station 5 managed: plan moves of replicas, for a broker that was added or will be removed."""

import threading
from collections.abc import Collection, Sequence
from typing import Any

from sensorstream.admin.moving import TIMEOUT_S, carry_out, moving_now, wait_moved
from sensorstream.admin.results import MovedPartition, Reassigned
from sensorstream.admin.spreading import rebalance, relieve
from sensorstream.admin.topics import rows_named
from sensorstream.clients.kafka_python.admin import Session, administer
from sensorstream.config import Settings
from sensorstream.errors import BrokerError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import TopicPartition, check_topic_name
from sensorstream.wording import counted


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
        onto = _onto(answer, brokers)
        places = _places(session, answer, names)
        for where, before in places.items():
            if len(before) > len(onto):
                raise UsageError(
                    f"{where} has {counted(len(before), 'replica')} and would be left with "
                    f"{counted(len(onto), 'broker')}",
                    hint="name as many brokers as it has replicas, or leave the topic out",
                )
        return _moved(places, rebalance(onto, list(places.values())))

    return administer(settings, "the replicas can't be planned", read, listener)


def reassign(
    settings: Settings,
    names: Sequence[str] = (),
    brokers: Collection[int] = (),
    *,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    timeout_s: float = TIMEOUT_S,
) -> Reassigned:
    """Move replicas so that these topics are even over brokers, wait for the end, and elect the preferred leaders.

    See :func:`plan_reassignment`; with ``dry_run`` nothing is done but that. What somebody else has begun to move is
    waited for first. When ``stop`` is set, or a broker that it takes is away for longer than ``timeout_s``, what has
    not moved yet stays where it was. Raises also Interrupted, BrokerError.
    """
    stop = stop or threading.Event()
    if not dry_run:
        _wait_for_others(settings, names, stop, listener, timeout_s)
    plan = plan_reassignment(settings, names, brokers, listener=listener)
    if plan and not dry_run:
        carry_out(settings, plan, stop=stop, listener=listener, timeout_s=timeout_s)
    return Reassigned(plan, dry_run)


def move_off(
    settings: Settings,
    broker: int,
    onto: Collection[int],
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    timeout_s: float = TIMEOUT_S,
) -> tuple[MovedPartition, ...]:
    """Move what ``broker`` holds to the emptiest of the brokers ``onto``; nothing else moves. What was moved.

    Waits as :func:`reassign` does. Raises UsageError where a partition has more replicas than brokers are left or
    one of ``onto`` is not there, BrokerError where a partition has no leader to copy from, Interrupted.
    """
    stop = stop or threading.Event()

    def read(session: Session) -> tuple[MovedPartition, ...]:
        answer = session.metadata(None)
        _onto(answer, onto)
        places = _places(session, answer, ())
        leaders = {
            TopicPartition(row.name, int(one.partition_index)): int(one.leader_id)
            for row in answer.topics
            for one in row.partitions
        }
        for where, before in places.items():
            if broker not in before:
                continue
            if len(before) > len(onto):
                raise UsageError(
                    f"{where} has {counted(len(before), 'replica')}, and without broker {broker} there would be "
                    f"{counted(len(onto), 'broker')}",
                    hint="add another broker first, or delete the topic",
                )
            if leaders[where] < 0:
                raise BrokerError(
                    f"{where} has no leader, so what broker {broker} holds of it can't be copied",
                    hint="start all brokers that have it; look at: sensorstream topics describe",
                )
        return _moved(places, relieve(broker, onto, list(places.values())))

    _wait_for_others(settings, (), stop, listener, timeout_s)
    plan = administer(settings, f"what broker {broker} holds can't be planned", read, listener)
    if plan:
        carry_out(settings, plan, stop=stop, listener=listener, timeout_s=timeout_s)
    return plan


def _onto(answer: Any, brokers: Collection[int]) -> list[int]:
    """These brokers, or all where none is named. Raises UsageError for one that is not there."""
    there = sorted(int(broker.node_id) for broker in answer.brokers)
    missing = sorted(set(brokers) - set(there))
    if missing:
        raise UsageError(f"broker {missing[0]} is not in the cluster", hint=f"there are: {', '.join(map(str, there))}")
    return sorted(brokers) or there


def _places(session: Session, answer: Any, names: Sequence[str]) -> dict[TopicPartition, tuple[int, ...]]:
    """The replicas of each partition of these topics; of one that is being moved, those it is to have."""
    rows = rows_named(session, answer, list(dict.fromkeys(names)))
    places = {
        TopicPartition(row.name, int(one.partition_index)): tuple(map(int, one.replica_nodes))
        for row in rows
        for one in sorted(row.partitions, key=lambda one: int(one.partition_index))
    }
    for where, how in moving_now(session, places).items():
        places[where] = tuple(one for one in how["replicas"] if one not in how["removing_replicas"])
    return places


def _moved(
    places: dict[TopicPartition, tuple[int, ...]], after: Sequence[tuple[int, ...]]
) -> tuple[MovedPartition, ...]:
    return tuple(
        MovedPartition(where.topic, where.partition, before, new)
        for (where, before), new in zip(places.items(), after, strict=True)
        if before != new
    )


def _wait_for_others(
    settings: Settings, names: Sequence[str], stop: threading.Event, listener: Listener, timeout_s: float
) -> None:
    """Wait for what an earlier command, or somebody else, has begun to move."""
    for name in names:
        check_topic_name(name)

    def read(session: Session) -> set[TopicPartition]:
        answer = session.metadata(None)
        rows = rows_named(session, answer, list(dict.fromkeys(names)))
        there = [TopicPartition(row.name, int(one.partition_index)) for row in rows for one in row.partitions]
        return set(moving_now(session, there))

    begun = administer(settings, "the replicas can't be planned", read, listener)
    if begun:
        listener(Notice(f"{len(begun)} of the partitions are being moved already: waiting for these first"))
        wait_moved(settings, begun, stop=stop, listener=listener, timeout_s=timeout_s)
