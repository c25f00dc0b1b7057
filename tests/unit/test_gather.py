"""From what one look has found to a snapshot; and the one timestamp out of a fetch."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from kafka.record import MemoryRecordsBuilder

from sensorstream.admin import GroupMember
from sensorstream.admin.watched_groups import GroupSeen
from sensorstream.admin.watching import PartitionSeen, Seen
from sensorstream.clients.kafka_python.peek import first_timestamp
from sensorstream.config import Settings
from sensorstream.errors import BrokerError
from sensorstream.monitor import gather
from sensorstream.monitor.gather import Gatherer
from sensorstream.monitor.prometheus import Collector, text_of
from sensorstream.monitor.rates import History
from sensorstream.monitor.report import report
from sensorstream.monitor.web import payload
from sensorstream.records import TopicPartition, commit_note

AIR0, AIR1 = TopicPartition("AIR", 0), TopicPartition("AIR", 1)
MEMBER = GroupMember("m-1", "m", "h", (AIR0, AIR1))
SEEN = Seen(
    cluster_id="c",
    version="4.2",
    controller=1,
    brokers={1: ("one", 9092), 2: ("two", 9092)},
    down=frozenset(),
    silent={},
    topic_ids={"AIR": "a", "__consumer_offsets": "b", "_sensorstream_jobs": "c", "EMPTY": None},
    internal=frozenset({"__consumer_offsets"}),
    partitions={AIR0: PartitionSeen(1, (1, 2), (1, 2)), AIR1: PartitionSeen(2, (2, 1), (1, 2))},
    first={AIR0: 0, AIR1: 8},
    end={AIR0: 10, AIR1: 20},
    newest_ms={AIR0: 5},
    unread_ms={(AIR0, 4): 1000, (AIR1, 8): 2000},
    groups=(GroupSeen("g", "Empty", 2, (), {AIR0: (4, commit_note("AIR_0", "laptop")), AIR1: (3, "")}),),
    groups_whole=True,
    sizes={1: {AIR0: 100, AIR1: 90}, 2: {AIR0: 80, AIR1: 70}},
)


class Watching:
    """Finds what a test says."""

    seen = SEEN
    requests = 7
    io_thread = None

    def __init__(self, *_: object) -> None:
        pass

    def look(self, *, sizes: bool) -> Seen:
        return self.seen if sizes else replace(self.seen, sizes=None)

    def close(self) -> None:
        pass


@pytest.fixture
def gatherer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gatherer]:
    monkeypatch.setattr(gather, "Watcher", Watching)
    Watching.seen = SEEN
    with Gatherer(Settings(bootstrap=("one:9092",))) as made:
        yield made


def test_a_snapshot_has_brokers_topics_and_groups(gatherer: Gatherer) -> None:
    snapshot = gatherer.take()
    assert [(one.id, one.alive, one.controller, one.leaders, one.in_sync) for one in snapshot.brokers] == [
        (1, True, True, 1, 2),
        (2, True, False, 1, 2),
    ]
    assert [one.size_bytes for one in snapshot.brokers] == [190, 150]
    assert {one.name: one.internal for one in snapshot.topics} == {
        **{"AIR": False, "EMPTY": False},
        **{"__consumer_offsets": True, "_sensorstream_jobs": True},
    }
    air = snapshot.topic("AIR")
    assert air is not None
    assert (air.rows, air.size_bytes, air.under_replicated) == (22, 170, 0)
    group = snapshot.group("g")
    assert group is not None
    assert [(one.lag, one.consumer_id) for one in group.partitions] == [(6, "AIR_0"), (17, None)]
    assert snapshot.oldest_unread_ms == {("g", AIR0): 1000, ("g", AIR1): 2000}, "3 is gone, 8 is the oldest there is"


def test_sizes_are_kept_until_they_are_asked_for_again(gatherer: Gatherer) -> None:
    gatherer.take()
    assert [one.size_bytes for one in gatherer.take().brokers] == [190, 150]


def test_a_broker_that_is_gone_is_not_alive_but_still_known(gatherer: Gatherer) -> None:
    gatherer.take()
    Watching.seen = replace(SEEN, down=frozenset({2}))
    assert [one.alive for one in gatherer.take().brokers] == [True, False]
    Watching.seen = replace(SEEN, silent={2: 1.0})
    assert [one.alive for one in gatherer.take().brokers] == [True, True], "one late answer is not death"
    Watching.seen = replace(SEEN, silent={2: 4.0})
    assert [one.alive for one in gatherer.take().brokers] == [True, False]
    Watching.seen = replace(
        SEEN,
        brokers={1: ("one", 9092)},
        partitions={AIR0: PartitionSeen(1, (1, 2), (1,)), AIR1: PartitionSeen(None, (2,), ())},
    )
    snapshot = gatherer.take()
    assert [(one.id, one.host, one.alive, one.replicas) for one in snapshot.brokers] == [
        (1, "one", True, 1),
        (2, "two", False, 2),
    ]
    assert (snapshot.under_replicated, snapshot.offline) == (2, 1)


def test_groups_of_a_coordinator_that_is_silent_are_unknown_and_not_gone(gatherer: Gatherer) -> None:
    gatherer.take()
    Watching.seen = replace(SEEN, groups=(), groups_whole=False, end={AIR0: 12})
    group = gatherer.take().group("g")
    assert group is not None
    assert (group.state, group.lag.total_lag, group.coordinator) == ("Unknown", None, None)
    assert [(one.lag, one.current_offset, one.end_offset) for one in group.partitions] == [
        (None, None, 12),
        (None, None, None),
    ]
    Watching.seen = replace(SEEN, groups=())
    assert gatherer.take().group("g") is None, "now everybody has told its groups"


def test_members_without_commits_and_commits_that_were_not_told(gatherer: Gatherer) -> None:
    Watching.seen = replace(SEEN, groups=(GroupSeen("g", "Stable", 1, (MEMBER,), {AIR0: (10, "")}),))
    group = gatherer.take().group("g")
    assert group is not None
    assert [(one.lag, one.current_offset) for one in group.partitions] == [(0, 10), (None, None)]
    assert group.lag.total_lag is None
    Watching.seen = replace(SEEN, groups=(GroupSeen("g", "Empty", 1, None, None),))
    group = gatherer.take().group("g")
    assert group is not None
    assert (group.lag.total_lag, group.partitions) == (None, ())


def test_members_that_were_not_told_are_unknown_and_not_nobody(gatherer: Gatherer) -> None:
    seen = replace(SEEN, groups=(GroupSeen("g", "Stable", 1, None, {AIR0: (4, commit_note("AIR_0", "laptop"))}),))
    Watching.seen = seen
    history = History()
    for at in range(0, 40, 4):
        view = history.add(replace(gatherer.take(), taken_at=1000.0 + at))
    group = view.snapshot.group("g")
    assert group is not None
    assert group.members is None
    assert view.group_progress["g"].status == "UNKNOWN", "without its members, STOP can't be told from STALL"
    assert report(view).groups[0].members is None
    told = payload.group(view, "g")
    assert told is not None
    assert told["live"] is None
    assert payload.overview(view)["groups"][0]["members"] is None
    text = text_of(Collector(lambda: view))
    assert "kafka_consumergroup_members{" not in text
    assert 'sensorstream_capture_next_offset{consumergroup="g",partition="0",topic="AIR"} 4.0' in text
    assert "sensorstream_capture_info{" not in text, "the host in a note is not the host of a member"
    Watching.seen = replace(SEEN, groups=(), groups_whole=False)
    group = gatherer.take().group("g")
    assert group is not None
    assert group.members is None


def test_a_look_that_fails_is_followed_by_a_new_connection(gatherer: Gatherer, monkeypatch: pytest.MonkeyPatch) -> None:
    gatherer.take()
    made: list[object] = []
    monkeypatch.setattr(Watching, "__init__", lambda one, *_: made.append(one))

    def fail(*_: object, **__: object) -> Seen:
        raise BrokerError("the client's thread has ended")

    with monkeypatch.context() as failing:
        failing.setattr(Watching, "look", fail)
        with pytest.raises(BrokerError):
            gatherer.take()
    assert gatherer.take().reachable
    assert len(made) == 1


def batch(offset: int, stamps: Mapping[int, int], compression: int = 0) -> bytes:
    """A record batch that begins at an offset; the records' timestamps by their place in it."""
    builder = MemoryRecordsBuilder(2, compression, 100_000, offset=offset)
    for stamp in stamps.values():
        builder.append(timestamp=stamp, key=None, value=b"x" * 300, headers=[])
    builder.close()
    return bytes(builder.buffer())


def test_the_timestamp_at_an_offset() -> None:
    data = batch(0, {0: 1000, 1: 1010, 2: 5}) + batch(3, {0: 2000, 1: 2010})
    assert [first_timestamp(data, offset) for offset in range(6)] == [1000, 1010, 5, 2000, 2010, None]
    assert first_timestamp(data[: len(data) // 3], 0) is None, "not even one whole batch"
    assert first_timestamp(data[:-1], 1) == 1010, "the second one is cut"
    assert first_timestamp(b"", 0) is None
    squeezed = batch(0, {0: 1000, 1: 1003, 2: 1010}, compression=1)
    assert [first_timestamp(squeezed, offset) for offset in range(4)] == [1000, 1005, 1010, None]
