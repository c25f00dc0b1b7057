"""Station 5 watched as a whole: brokers, partitions, groups and their offsets, in a bounded number of requests.

One look asks: one broker for the metadata, each broker for its groups, each leader for first and last stable offsets
and newest timestamps, each coordinator for members and commits of all its groups at once (one request a group before
Kafka 3.0), each leader for the records that the groups are to read next, one broker for the controller. Sizes are
asked for when they are wanted. A broker that hangs costs its timeout once; what it would have told is not known.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sensorstream.admin.asking import TIMEOUT_S, Asker, words
from sensorstream.admin.cluster import version_told
from sensorstream.admin.watched_groups import Groups, GroupSeen
from sensorstream.admin.watched_logs import Logs
from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.kafka_python.failures import broker_error
from sensorstream.clients.probe import leader_told, quorum_request
from sensorstream.clients.properties import parse_properties
from sensorstream.closing import Closing
from sensorstream.config import Settings
from sensorstream.errors import ClusterUnreachable
from sensorstream.events import Listener, ignore
from sensorstream.records import TopicPartition

FIRST_ANSWER_S: Final = 3.0
"""How long to wait for the first broker that says what the cluster is; the first time, as long as for any answer."""
_IN_FLIGHT: Final = 1000


@dataclass(frozen=True, slots=True)
class PartitionSeen:
    """One partition as the metadata tell it; ``leader`` is None while there is none."""

    leader: int | None
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a cluster has found. What could not be learnt is missing, and named in ``problems``.

    ``down`` are listed brokers at whose address nobody listens; ``silent`` those that did not answer, and for how many
    seconds. ``newest_ms`` is the timestamp of a partition's newest record, ``unread_ms`` that of the record at a
    position that was asked for.
    """

    cluster_id: str | None
    version: str | None
    controller: int | None
    brokers: Mapping[int, tuple[str, int]]
    down: frozenset[int]
    silent: Mapping[int, float]
    topic_ids: Mapping[str, str | None]
    internal: frozenset[str]
    partitions: Mapping[TopicPartition, PartitionSeen]
    first: Mapping[TopicPartition, int]
    end: Mapping[TopicPartition, int]
    newest_ms: Mapping[TopicPartition, int]
    unread_ms: Mapping[tuple[TopicPartition, int], int]
    groups: tuple[GroupSeen, ...]
    groups_whole: bool
    """Whether every broker has told its groups."""
    sizes: Mapping[int, Mapping[TopicPartition, int]] | None
    """By broker; None where sizes were not asked for."""
    problems: tuple[str, ...] = field(default=())


class Watcher(Closing):
    """One connection for many looks at one cluster; used from one thread. Raises as the admin functions do."""

    def __init__(self, settings: Settings, listener: Listener = ignore) -> None:
        properties = parse_properties(settings.properties, settings.origins)
        self._session = Session(settings.bootstrap, properties, in_flight=_IN_FLIGHT, listener=listener)
        self._asker = Asker(self._session)
        self._groups = Groups(self._asker)
        self._logs = Logs(self._asker)

    @property
    def requests(self) -> int:
        """How many requests have been sent."""
        return self._asker.requests

    @property
    def io_thread(self) -> int | None:
        """The thread that sends and receives, as ``threading.get_ident`` names it."""
        thread = getattr(self._session.manager._net, "_io_thread", None)
        return int(thread.ident) if thread is not None and thread.is_alive() else None

    def look(self, *, sizes: bool = True, peek: bool = True) -> Seen:
        """Look at everything once. Raises ClusterUnreachable when no broker answers.

        ``sizes`` asks for the sizes of logs, ``peek`` for the timestamps of the records that groups read next.
        """
        from kafka.errors import KafkaError

        try:
            seen = self._look(sizes, peek)
            self._asker.timeout_s = TIMEOUT_S
            return seen
        except (KafkaError, RuntimeError, OSError) as error:
            raise broker_error("the cluster can't be looked at", error) from error

    def _look(self, sizes: bool, peek: bool) -> Seen:
        asker = self._asker
        problems: list[str] = []
        answer = asker.any(_metadata_request, asker.known(), max(FIRST_ANSWER_S, asker.timeout_s))
        if answer is None:
            raise ClusterUnreachable("no broker answers", hint="look at the cluster with: sensorstream cluster status")
        brokers = {int(one.node_id): (str(one.host), int(one.port)) for one in answer.brokers}
        asker.learn_brokers(brokers)
        partitions = _partitions(answer)
        listed = self._groups.listed(brokers, problems)
        answering = [one for one in brokers if one not in listed.silent]
        led: dict[int, list[TopicPartition]] = defaultdict(list)
        for where, one in partitions.items():
            if one.leader in brokers and one.leader in answering:
                led[one.leader].append(where)
        self._logs.ask(led, answering if sizes else [], problems)
        groups = self._groups.describe(listed, problems)
        unread: dict[tuple[TopicPartition, int], int] = {}
        if peek:
            unread = self._logs.peek(led, _positions(groups, self._logs.first, self._logs.end))
        missing = [where for where, one in partitions.items() if one.leader in brokers and where not in self._logs.end]
        if missing and not problems:
            problems.append(f"{_named(missing)}: the leader did not report its offsets")
        controller = self._controller(int(answer.controller_id), answering, problems)
        if self._logs.denied:
            problems.append("this user may not describe the cluster: topics and groups are those it has a right to see")
        return Seen(
            answer.cluster_id,
            version_told(self._session.manager.broker_version),
            controller,
            brokers,
            frozenset(asker.refusing & brokers.keys()),
            {one: time.monotonic() - since for one, since in asker.silent_since.items() if one in brokers},
            {row.name: None if row.topic_id is None else str(row.topic_id) for row in answer.topics},
            frozenset(row.name for row in answer.topics if row.is_internal),
            partitions,
            self._logs.first,
            self._logs.end,
            self._logs.newest_ms,
            unread,
            groups,
            not listed.failed,
            self._logs.sizes if sizes else None,
            tuple(problems),
        )

    def _controller(self, told: int, brokers: Collection[int], problems: list[str]) -> int | None:
        """The leader of the quorum; with ZooKeeper, which has none, what the metadata name.

        Asked last: a broker hands the question on to the controller, and answers nothing else of ours meanwhile.
        """
        if not self._asker.supports(quorum_request(), 0):
            return told if told >= 0 else None
        for broker in sorted(brokers, key=lambda one: one in self._asker.silent_since)[:1]:
            answer = self._asker.ask(broker, quorum_request(), self._asker.timeout_s / 2)
            leader = None if answer is None else leader_told(answer)
            if leader is not None:
                return leader
            code = 0 if answer is None else int(answer.error_code)
            problems.append("the controller is not known" + (f": {words(code)}" if code else ""))
        return None

    def close(self) -> None:
        """Let go of the connection; never raises."""
        self._session.close()


def _metadata_request() -> Any:
    from kafka.protocol.metadata import MetadataRequest

    return MetadataRequest(
        topics=None,
        allow_auto_topic_creation=False,
        include_cluster_authorized_operations=False,
        include_topic_authorized_operations=False,
    )


def _partitions(answer: Any) -> dict[TopicPartition, PartitionSeen]:
    return {
        TopicPartition(row.name, one.partition_index): PartitionSeen(
            one.leader_id if one.leader_id >= 0 else None, tuple(one.replica_nodes), tuple(sorted(one.isr_nodes))
        )
        for row in sorted(answer.topics, key=lambda row: str(row.name))
        for one in sorted(row.partitions, key=lambda one: int(one.partition_index))
    }


def _positions(
    groups: Iterable[GroupSeen], first: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]
) -> set[tuple[TopicPartition, int]]:
    """The positions at which a group has something to read."""
    found = set()
    for group in groups:
        for where, (offset, _) in (group.committed or {}).items():
            last = end.get(where)
            if last is not None and offset < last:
                place = max(offset, first.get(where, 0))
                if place < last:
                    found.add((where, place))
    return found


def _named(partitions: Collection[TopicPartition], most: int = 3) -> str:
    names = ", ".join(str(one) for one in sorted(partitions)[:most])
    return names + (f" and {len(partitions) - most} more" if len(partitions) > most else "")
