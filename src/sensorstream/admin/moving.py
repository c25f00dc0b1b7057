"""Station 5 managed: carry out replica moves: start them, wait for them, and cancel those that can't finish."""

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from sensorstream.admin.leaders import elect_leaders
from sensorstream.admin.results import MovedPartition
from sensorstream.clients.kafka_python.admin import Session, administer, answered
from sensorstream.config import Settings
from sensorstream.errors import BrokerError, ClusterUnreachable, Interrupted, SensorstreamError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import TopicPartition
from sensorstream.wording import counted, numbered

TIMEOUT_S: Final = 60.0
"""How long a broker that the move needs may be away: long enough to be restarted."""
STILL_S: Final = 120.0
"""How long nothing may be copied while every broker is there."""
_POLL_S: Final = 0.2
_SHORT_S: Final = 5.0
_LONG_POLL_S: Final = 1.0
"""How often it is asked after ``_SHORT_S``: what is not done by then takes its time."""
_TELL_S: Final = 10.0
_WHAT: Final = "the replicas were not moved"


@dataclass(frozen=True, slots=True)
class _Look:
    """What is still on its way: for each partition the brokers that are to hold it anew.

    ``away`` are those of them that don't run, ``headless`` the partitions that nobody can copy from; ``copied`` is how
    many bytes the new replicas have, None where that is not known.
    """

    adding: Mapping[TopicPartition, tuple[int, ...]]
    away: tuple[int, ...] = ()
    headless: tuple[TopicPartition, ...] = ()
    copied: int | None = None

    @property
    def hindrance(self) -> str:
        """What keeps it from going on; empty when nothing does."""
        if self.away:
            return f"{numbered('broker', self.away)} {'does' if len(self.away) == 1 else 'do'} not run"
        return f"{_named(self.headless)} without a leader to copy from" if self.headless else ""


def carry_out(
    settings: Settings,
    plan: Sequence[MovedPartition],
    *,
    stop: threading.Event,
    listener: Listener = ignore,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Move replicas as planned, wait until all have moved, and elect the preferred leaders.

    What has not moved is taken back when ``stop`` is set (Interrupted), when a broker that it takes is away for longer
    than ``timeout_s``, or when nothing is copied for long although all are there (BrokerError).
    """
    wanted = {TopicPartition(one.topic, one.partition): one.after for one in plan}

    def begin(session: Session) -> None:
        _alter(session, {where: list(after) for where, after in wanted.items()})

    try:
        administer(settings, _WHAT, begin, listener)
    except SensorstreamError as error:
        raise _refused(settings, wanted, error, listener) from error
    wait_moved(settings, wanted, stop=stop, listener=listener, timeout_s=timeout_s)
    elect_leaders(settings, sorted({one.topic for one in plan}), listener=listener)


def moving_now(session: Session, partitions: Collection[TopicPartition]) -> dict[TopicPartition, dict[str, list[int]]]:
    """Those of these partitions that are being moved, with ``replicas``, ``adding_replicas``, ``removing_replicas``."""
    from kafka.structs import TopicPartition as KafkaPartition

    if not partitions:
        return {}
    told = session.client.list_partition_reassignments([KafkaPartition(*one) for one in partitions])
    return {TopicPartition(*where): how for where, how in told.items()}


def wait_moved(
    settings: Settings,
    partitions: Collection[TopicPartition],
    *,
    stop: threading.Event,
    listener: Listener = ignore,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Wait until none of these is being moved any more; see :func:`carry_out`."""
    total, progress, said = len(partitions), None, ""
    began = well_at = moved_at = time.monotonic()
    told_at = 0.0
    while True:
        look = _ask(settings, partitions, listener)
        left = len(look.adding)
        if not left:
            return
        now, hindrance = time.monotonic(), look.hindrance
        if not hindrance:
            well_at = now
        if hindrance or look.copied is None or (left, look.copied) != progress:
            moved_at, progress = now, (left, look.copied)
        text = f"moving: {total - left:,} of {counted(total, 'partition')} in place"
        if hindrance:
            text += f"; {hindrance}: the others wait for that, {timeout_s:g} s at the most"
        elif now - moved_at >= _TELL_S:
            text += f"; nothing is copied to {_brokers(look)} just now, {_named(sorted(look.adding))} to come"
        if text != said or now - told_at >= _TELL_S:
            listener(Notice(text))
            said, told_at = text, now
        if hindrance and now - well_at >= timeout_s:
            _give_up(settings, partitions, look, hindrance, listener)
        if now - moved_at >= STILL_S:
            _give_up(settings, partitions, look, f"nothing was copied to {_brokers(look)} for {STILL_S:g} s", listener)
        if stop.wait(_POLL_S if now - began < _SHORT_S else _LONG_POLL_S):
            left = _cancel(settings, partitions, listener)
            raise Interrupted(
                f"cancelled: moved {total - left:,} of {counted(total, 'partition')}, the others stay",
                hint="run it again to continue",
            )


def _ask(settings: Settings, partitions: Collection[TopicPartition], listener: Listener) -> _Look:
    def look(session: Session) -> _Look:
        moving = moving_now(session, partitions)
        adding = {where: tuple(map(int, how["adding_replicas"])) for where, how in moving.items()}
        if not adding:
            return _Look({})
        answer = session.metadata(sorted({where.topic for where in adding}))
        there = {int(broker.node_id) for broker in answer.brokers}
        takers = {broker for brokers in adding.values() for broker in brokers}
        headless = [
            where
            for row in answer.topics
            for one in row.partitions
            if (where := TopicPartition(row.name, int(one.partition_index))) in adding and one.leader_id < 0
        ]
        return _Look(
            adding, tuple(sorted(takers - there)), tuple(sorted(headless)), _copied(session, adding, takers & there)
        )

    try:
        return administer(settings, _WHAT, look, listener)
    except (BrokerError, ClusterUnreachable) as error:
        hint = "the brokers continue with it when they are back; run it again to wait for that"
        raise type(error)(error.message, hint=hint) from error


def _copied(session: Session, adding: Mapping[TopicPartition, tuple[int, ...]], takers: Collection[int]) -> int | None:
    """How many bytes the new replicas have so far; None where a broker does not tell."""
    from kafka.errors import KafkaError

    asked: dict[str, list[int]] = {}
    for where in adding:
        asked.setdefault(where.topic, []).append(where.partition)
    try:
        answers = session.client.describe_log_dirs(asked, sorted(takers))
        return sum(
            int(one["partition_size"])
            for answer in answers
            for folder in answer["log_dirs"]
            for topic in folder["topics"]
            for one in topic["partitions"]
            if answer["broker"] in adding.get(TopicPartition(topic["name"], one["partition_index"]), ())
        )
    except (KafkaError, RuntimeError, KeyError):  # just gone, or this user has no right to ask
        return None


def _give_up(
    settings: Settings, partitions: Collection[TopicPartition], look: _Look, why: str, listener: Listener
) -> NoReturn:
    total, left = len(partitions), _cancel(settings, partitions, listener)
    hint = "start it, then run it again" if len(look.away) == 1 else "start them, then run it again"
    if not look.away:
        hint = "look at the brokers (sensorstream brokers, topics describe), then run it again"
    raise BrokerError(f"{why}: moved {total - left:,} of {counted(total, 'partition')}, the others stay", hint=hint)


def _refused(
    settings: Settings, partitions: Collection[TopicPartition], error: SensorstreamError, listener: Listener
) -> SensorstreamError:
    """The error of a move that did not begin as a whole, when what did begin is taken back: nobody would watch it."""
    try:
        _cancel(settings, partitions, listener)
    except SensorstreamError:  # it is in the way of this, too: the first error says more
        hint = error.hint or "what has begun continues in the background; look at: sensorstream topics describe"
        return type(error)(error.message, hint=hint)
    return error


def _cancel(settings: Settings, partitions: Collection[TopicPartition], listener: Listener) -> int:
    """Take back what has not moved; how many partitions that were."""

    def cancel(session: Session) -> int:
        left = moving_now(session, partitions)
        _alter(session, dict.fromkeys(left))
        return len(left)

    return administer(settings, "the move was not cancelled", cancel, listener)


def _alter(session: Session, replicas: Mapping[TopicPartition, Any]) -> None:
    """Ask for these replicas, or with None for the end of a move."""
    from kafka.structs import TopicPartition as KafkaPartition

    if not replicas:
        return
    asked = {KafkaPartition(*where): brokers for where, brokers in replicas.items()}
    for where, kind in session.client.alter_partition_reassignments(asked).items():
        if kind is not None and kind.__name__ != "NoReassignmentInProgressError":
            raise answered(f"{TopicPartition(*where)} was not moved", kind.__name__)


def _brokers(look: _Look) -> str:
    takers = sorted({broker for brokers in look.adding.values() for broker in brokers})
    return numbered("broker", takers)


def _named(partitions: Sequence[TopicPartition]) -> str:
    if len(partitions) == 1:
        return f"{partitions[0]} is"
    return f"{partitions[0]} and {len(partitions) - 1} more are"
