"""Station 5 managed: elect the preferred leaders of partitions again after a broker has returned."""

import threading
import time
from collections.abc import Sequence
from typing import Any

from sensorstream.admin.results import ElectedPartition, LeadersElected
from sensorstream.admin.topics import VISIBLE_S, rows_named
from sensorstream.clients.kafka_python.admin import Session, administer, answer_error, answered
from sensorstream.config import Settings
from sensorstream.errors import BrokerError
from sensorstream.events import Listener, ignore
from sensorstream.records import TopicPartition, check_topic_name

_NOT_NEEDED = "ElectionNotNeededError"


def elect_leaders(settings: Settings, names: Sequence[str] = (), *, listener: Listener = ignore) -> LeadersElected:
    """Have each partition of these topics (none named: of all, Kafka's own too) led by its preferred leader again.

    The preferred leader is the first of a partition's replicas. One that does not run or is not in sync can't be
    elected: its partitions keep their leaders, and say why. Waits until the brokers tell the new leaders. Raises
    UnknownTopic, BrokerError.
    """
    for name in names:
        check_topic_name(name)
    asked: dict[TopicPartition, Any] = {}
    reasons: dict[TopicPartition, str] = {}

    def elect(session: Session) -> LeadersElected:
        now = _partitions(session, names)
        away = {where: one for where, one in now.items() if one.replica_nodes and one.leader_id != one.replica_nodes[0]}
        for where, one in away.items():
            asked.setdefault(where, one)
        reasons.clear()
        if away:
            reasons.update(_send(session, away))
            now = _wait_led(session, names, [where for where in away if where not in reasons])
        return LeadersElected(
            len(now),
            tuple(
                ElectedPartition(
                    where.topic,
                    where.partition,
                    preferred=int(before.replica_nodes[0]),
                    leader_before=_known(before.leader_id),
                    leader=_known(now[where].leader_id) if where in now else None,
                    reason=reasons.get(where),
                )
                for where, before in sorted(asked.items())
            ),
        )

    return administer(settings, "the preferred leaders were not elected", elect, listener)


def _partitions(session: Session, names: Sequence[str]) -> dict[TopicPartition, Any]:
    rows = rows_named(session, session.metadata(None), names)
    return {TopicPartition(row.name, int(one.partition_index)): one for row in rows for one in row.partitions}


def _send(session: Session, away: Sequence[TopicPartition] | dict[TopicPartition, Any]) -> dict[TopicPartition, str]:
    """Ask the controller; what it says of those that it does not elect."""
    request: dict[str, list[int]] = {}
    for where in away:
        request.setdefault(where.topic, []).append(where.partition)
    answer = session.client.elect_leaders(0, request, raise_errors=False)
    kind = answer_error(getattr(answer, "error_code", 0) or 0).__name__
    if kind != "NoError":
        raise answered("the preferred leaders were not elected", kind)
    reasons = {}
    for row in answer.replica_election_results:
        for one in row.partition_result:
            kind = answer_error(one.error_code).__name__
            if kind not in ("NoError", _NOT_NEEDED):
                reasons[TopicPartition(row.topic, one.partition_id)] = str(one.error_message or kind)
    return reasons


def _wait_led(session: Session, names: Sequence[str], elected: Sequence[TopicPartition]) -> dict[TopicPartition, Any]:
    """Wait until these are led by their preferred leaders; all partitions as they are then."""
    deadline = time.monotonic() + VISIBLE_S
    while True:
        now = _partitions(session, names)
        late = [one for one in elected if one in now and now[one].leader_id != now[one].replica_nodes[0]]
        if not late:
            return now
        if time.monotonic() >= deadline:
            raise BrokerError(
                f"{late[0]} and {len(late) - 1} others are not led by their preferred leaders after {VISIBLE_S:.0f} s",
                hint="look at: sensorstream topics describe",
            )
        threading.Event().wait(0.05)


def _known(leader: int) -> int | None:
    return leader if leader >= 0 else None
