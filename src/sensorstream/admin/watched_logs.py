"""Station 5 watched: offsets, timestamps and sizes of all logs, queried at their leaders."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Set
from typing import Any, Final

from sensorstream.admin.asking import Asker, words
from sensorstream.clients.kafka_python.peek import first_timestamp
from sensorstream.records import TopicPartition

_FIRST, _END, _NEWEST = "first", "end", "newest"
_SPECS: Final = {_FIRST: -2, _END: -1, _NEWEST: -3}
_READ_COMMITTED: Final = 1
_NEWEST_VERSION: Final = 7
"""The version of ListOffsets that tells the newest timestamp (KIP-734, Kafka 3.0)."""
NOT_ALLOWED: Final = 31
"""The error of those who may not describe the cluster."""
PEEKS: Final = 64
"""How many partitions of a leader are read from at once."""
_ROUNDS: Final = 3
"""How many reads of a leader that takes: groups may be at several places of a partition, or a batch may be large."""
_SMALL: Final = 16 * 1024
_WHOLE: Final = 1024 * 1024 + 1024
_PEEK_BYTES: Final = 2 * 1024 * 1024


class Logs:
    """What leaders tell of their logs; the newest timestamps are asked for where a log has grown only."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.first: dict[TopicPartition, int] = {}
        self.end: dict[TopicPartition, int] = {}
        self.newest_ms: dict[TopicPartition, int] = {}
        self.sizes: dict[int, dict[TopicPartition, int]] = {}
        self._newest_at: dict[TopicPartition, tuple[int, int | None]] = {}
        self._peeked: dict[tuple[TopicPartition, int], int | None] = {}
        self._large: set[TopicPartition] = set()
        self._refused: dict[int, str] = {}
        self.denied = False
        """Whether this user may not describe the cluster."""

    def ask(self, led: Mapping[int, Collection[TopicPartition]], sized: Collection[int], problems: list[str]) -> None:
        """Ask leaders for first and last stable offsets and newest timestamps, the brokers of ``sized`` for sizes."""
        from kafka.protocol.admin import DescribeLogDirsRequest

        requests: dict[tuple[str, int], tuple[int, Any]] = {}
        for leader, partitions in led.items():
            for what in (_FIRST, _END):
                requests[what, leader] = (leader, _offsets_request(partitions, what))
        for broker in sized:
            requests["size", broker] = (broker, DescribeLogDirsRequest(topics=None))
        answers = self._asker.all(requests)
        self.first, self.end, self.sizes = {}, {}, {}
        refused: dict[str, list[TopicPartition]] = defaultdict(list)
        for (what, broker), answer in answers.told.items():
            if what == "size":
                self._take_sizes(broker, answer)
            else:
                self._take_offsets(self.first if what == _FIRST else self.end, answer, refused)
        for (what, broker), error in answers.failed.items():
            text = "sizes of logs" if what == "size" else "offsets of partitions that it leads"
            problem = f"broker {broker} does not tell the {text}: {self._asker.why(broker, error)}"
            if problem not in problems:
                problems.append(problem)
        for text, partitions in refused.items():
            shown = ", ".join(str(one) for one in sorted(partitions)[:3])
            more = f" and {len(partitions) - 3} more" if len(partitions) > 3 else ""
            problems.append(f"{shown}{more}: no offsets: {text}")
        problems.extend(self._refused.values())  # they stay unknown, also while they are not asked for
        self._ask_newest(led)

    def _take_offsets(
        self, into: dict[TopicPartition, int], answer: Any, refused: dict[str, list[TopicPartition]]
    ) -> None:
        for topic in answer.topics:
            for one in topic.partitions:
                where = TopicPartition(topic.name, one.partition_index)
                if one.error_code:
                    refused[words(one.error_code)].append(where)
                elif one.offset >= 0:
                    into[where] = int(one.offset)

    def _take_sizes(self, broker: int, answer: Any) -> None:
        code = int(getattr(answer, "error_code", 0) or 0) or next((one.error_code for one in answer.results), 0)
        if code or not answer.results:
            # Before version 3 a missing right is an empty answer.
            code = code or NOT_ALLOWED
            self.denied = self.denied or code == NOT_ALLOWED
            self._refused[broker] = f"broker {broker} does not tell the sizes of logs: {words(code)}"
            return
        self._refused.pop(broker, None)
        self.denied = False
        sizes: dict[TopicPartition, int] = defaultdict(int)
        for folder in answer.results:
            for topic in folder.topics:
                for one in topic.partitions:
                    sizes[TopicPartition(topic.name, one.partition_index)] += int(one.partition_size)
        self.sizes[broker] = dict(sizes)

    def _ask_newest(self, led: Mapping[int, Collection[TopicPartition]]) -> None:
        from kafka.protocol.consumer import ListOffsetsRequest

        for where in [where for where in self._newest_at if where not in self.end]:
            del self._newest_at[where]
        requests = {}
        if self._asker.supports(ListOffsetsRequest, _NEWEST_VERSION):
            for leader, partitions in led.items():
                grown = [
                    where
                    for where in partitions
                    if self.end.get(where) is not None
                    and self.end[where] > self.first.get(where, 0)
                    and self._newest_at.get(where, (-1, None))[0] != self.end[where]
                ]
                if grown:
                    requests[leader] = (leader, _offsets_request(grown, _NEWEST))
        for answer in self._asker.all(requests).told.values():
            for topic in answer.topics:
                for one in topic.partitions:
                    where = TopicPartition(topic.name, one.partition_index)
                    if not one.error_code:
                        told = int(one.timestamp) if one.timestamp >= 0 else None
                        self._newest_at[where] = (self.end[where], told)
        self.newest_ms = {where: stamp for where, (_, stamp) in self._newest_at.items() if stamp is not None}

    def peek(
        self, led: Mapping[int, Collection[TopicPartition]], positions: Set[tuple[TopicPartition, int]]
    ) -> dict[tuple[TopicPartition, int], int]:
        """The timestamps of the records at these positions, as far as they could be looked at; the others next time."""
        self._peeked = {place: stamp for place, stamp in self._peeked.items() if place in positions}
        leaders = {where: leader for leader, partitions in led.items() for where in partitions}
        self._large.intersection_update(leaders)
        for _ in range(_ROUNDS):
            left = sorted(place for place in positions if place not in self._peeked and place[0] in leaders)
            wanted: dict[int, dict[TopicPartition, int]] = defaultdict(dict)
            for where, offset in left:
                if len(wanted[leaders[where]]) < PEEKS:
                    wanted[leaders[where]].setdefault(where, offset)
            if not left or not self._look_at(wanted, left):
                break
        return {place: stamp for place, stamp in self._peeked.items() if stamp is not None}

    def _look_at(
        self, wanted: Mapping[int, Mapping[TopicPartition, int]], left: Collection[tuple[TopicPartition, int]]
    ) -> bool:
        """Read at one position of each partition, which may tell of later ones, too; whether it was worth it."""
        requests = {leader: (leader, self._fetch(offsets)) for leader, offsets in wanted.items()}
        data: dict[TopicPartition, bytes] = {}
        for answer in self._asker.all(requests).told.values():
            for topic in answer.responses:
                for one in topic.partitions:
                    if not one.error_code:
                        data[TopicPartition(topic.topic, one.partition_index)] = bytes(one.records or b"")
        asked = {where: offset for offsets in wanted.values() for where, offset in offsets.items()}
        before = len(self._peeked), len(self._large)
        for where, offset in left:
            if where not in data:
                continue
            stamp = first_timestamp(data[where], offset)
            if stamp is not None:
                self._peeked[where, offset] = stamp
            elif offset == asked[where] and where not in self._large:
                self._large.add(where)
            elif offset == asked[where] and data[where]:  # nothing but the marks of transactions
                self._peeked[where, offset] = None
        return (len(self._peeked), len(self._large)) != before

    def _fetch(self, offsets: Mapping[TopicPartition, int]) -> Any:
        """A small read at each position; where the batch there is larger, a broker gives nothing, and more is asked."""
        from kafka.protocol.consumer import FetchRequest

        topics: dict[str, list[Any]] = defaultdict(list)
        for where in sorted(offsets, key=lambda one: one not in self._large):
            topics[where.topic].append(
                FetchRequest.FetchTopic.FetchPartition(
                    partition=where.partition,
                    current_leader_epoch=-1,
                    fetch_offset=offsets[where],
                    last_fetched_epoch=-1,
                    log_start_offset=-1,
                    partition_max_bytes=_WHOLE if where in self._large else _SMALL,
                )
            )
        return FetchRequest(
            replica_id=-1,
            max_wait_ms=0,
            min_bytes=0,
            max_bytes=_PEEK_BYTES,
            isolation_level=_READ_COMMITTED,
            session_id=0,
            session_epoch=-1,
            topics=[FetchRequest.FetchTopic(topic=name, partitions=parts) for name, parts in topics.items()],
            forgotten_topics_data=[],
            rack_id="",
            max_version=12,
        )


def _offsets_request(partitions: Collection[TopicPartition], what: str) -> Any:
    from kafka.protocol.consumer import ListOffsetsRequest

    topic = ListOffsetsRequest.ListOffsetsTopic
    by_topic: dict[str, list[Any]] = defaultdict(list)
    for where in partitions:
        by_topic[where.topic].append(
            topic.ListOffsetsPartition(partition_index=where.partition, timestamp=_SPECS[what])
        )
    return ListOffsetsRequest(
        replica_id=-1,
        isolation_level=_READ_COMMITTED,
        topics=[topic(name=name, partitions=parts) for name, parts in by_topic.items()],
        min_version=_NEWEST_VERSION if what == _NEWEST else 2,
    )
