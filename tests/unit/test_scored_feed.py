"""The thread that reads scored posts for the displays: where it begins and ends, and what it waits out."""

import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from running import until
from scored_posts import BAD, GOOD, PLAIN, TOPIC, scored
from sensorstream.clients.memory import MemoryBroker, MemoryClient, MemoryReader
from sensorstream.errors import ClusterUnreachable, UnknownTopic, UsageError
from sensorstream.events import Event, Listener, Notice, ignore
from sensorstream.pipelines.scored_feed import scored_feed
from sensorstream.pipelines.scored_feed.job import FeedJob
from sensorstream.pipelines.scored_feed.scored_feed import ScoredFeed
from sensorstream.pipelines.scored_feed.watch import watch
from sensorstream.pipelines.start_at import StartAt
from sensorstream.records import TopicPartition
from sensorstream.sentiment.feed import Feed, ScoredPost

BEGINNING = StartAt("beginning")


def broker_with(*values: bytes, partitions: int = 2) -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic(TOPIC, partitions)
    put(broker, *values)
    return broker


def put(broker: MemoryBroker, *values: bytes | None) -> None:
    with MemoryClient(broker).publisher() as publisher:
        for number, value in enumerate(values):
            count = publisher.partitions_for(TOPIC)
            publisher.publish(TOPIC, value, partition=number % count, timestamp_ms=1000 * number)


class Taken(list[ScoredPost]):
    """What was taken of a source."""

    def more(self, source: ScoredFeed, most: int = 10) -> int:
        self += source.take(most)
        return len(self)


@pytest.fixture
def no_threads_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name == "scored-feed"]


pytestmark = pytest.mark.usefixtures("no_threads_left")


def test_a_topic_is_read_to_its_end_and_what_is_no_post_is_counted() -> None:
    values = [scored(GOOD, "a"), scored(BAD, "b"), b"not json", b'{"text": "unscored"}', None, scored(PLAIN, "a")]
    broker = broker_with()
    put(broker, *values)
    told: list[str] = []

    def show(feed: Feed, state: Any, posts: Any) -> None:
        told.extend(one.text for one in posts)

    seen = watch(MemoryClient(broker), FeedJob(TOPIC, BEGINNING, stop_at_end=True), show)
    assert (seen.ended, seen.posts, seen.unusable) == ("end", 3, 3)
    assert told == [GOOD, BAD, PLAIN], "in the order of their time"
    assert [(page.page, page.posts) for page in seen.pages] == [("a", 2), ("b", 1)]
    assert seen.scorers == ("vader 3.3.2",)


@pytest.mark.parametrize(
    "wrong",
    [{"compound": "x"}, {"compound": 7}, {"label": "great"}, {"compound": True}, {"compound": 1e400}],
    ids=str,
)
def test_what_only_looks_like_a_score_is_no_post(wrong: dict[str, Any]) -> None:
    value = json.dumps({**json.loads(scored(GOOD)), **wrong}).encode()
    broker = broker_with(value)
    seen = watch(MemoryClient(broker), FeedJob(TOPIC, BEGINNING, stop_at_end=True), lambda *_: None)
    assert (seen.posts, seen.unusable) == (0, 1)


def test_count_and_timeout_end_it_too() -> None:
    broker = broker_with(*[scored(GOOD)] * 10)
    seen = watch(MemoryClient(broker), FeedJob(TOPIC, BEGINNING, count=7), lambda *_: None)
    assert (seen.ended, seen.posts) == ("count", 7)
    seen = watch(MemoryClient(broker), FeedJob(TOPIC, idle_timeout_s=0.2), lambda *_: None)
    assert (seen.ended, seen.posts) == ("timeout", 0)
    seen = watch(MemoryClient(broker), FeedJob(TOPIC, StartAt("tail", 2), stop_at_end=True), lambda *_: None)
    assert (seen.ended, seen.posts) == ("end", 4)


def test_nothing_is_dropped_while_nobody_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "BATCH", 10)
    monkeypatch.setattr(scored_feed, "LAG_EVERY_S", 0.05)
    broker = broker_with(*[scored(GOOD)] * 1000)
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, BEGINNING)) as source:
        until(lambda: source.state.lag == 1000, "the lag of posts that nobody takes")
        put(broker, *[scored(BAD)] * 10)
        until(lambda: source.state.lag == 1010, "a lag that grows")
        feed = Feed()
        feed.paused = True
        assert not feed.take_from(source)
        feed.paused = False
        until(lambda: not feed.take_from(source, 100) and feed.total == 1010, "all posts")
        until(lambda: source.state.lag == 0, "no lag")
    assert feed.counts()["positive"] == 1000


def test_it_waits_for_a_cluster_and_a_topic_that_are_not_there_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "LOOK_AGAIN_S", 0.05)
    broker = MemoryBroker()
    broker.stop()
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, patient=True)) as source:
        until(lambda: "looking for a broker" in source.state.text, "no broker")
        assert source.state.lag is None
        broker.start()
        until(lambda: "waiting for the topic" in source.state.text, "no topic")
        broker.create_topic(TOPIC, 1)
        put(broker, scored(GOOD))
        taken = Taken()
        until(lambda: taken.more(source), "what the new topic holds from its beginning")
        until(lambda: source.state.kind == "reading", "reading")
        broker.delete_topic(TOPIC)
        until(lambda: source.state.kind == "looking", "the topic is gone")
        broker.create_topic(TOPIC, 1)
        put(broker, scored(BAD))
        until(lambda: taken.more(source) == 2, "another topic of that name")
    assert (source.ended, source.error) == ("stopped", None)


def test_what_is_not_there_is_an_error_for_those_who_do_not_wait() -> None:
    broker = MemoryBroker()
    with pytest.raises(UnknownTopic):
        watch(MemoryClient(broker), FeedJob(TOPIC), lambda *_: None)
    broker.stop()
    with pytest.raises(ClusterUnreachable):
        watch(MemoryClient(broker), FeedJob(TOPIC), lambda *_: None)
    with pytest.raises(UsageError, match="has no offset 7"):
        watch(MemoryClient(broker_with()), FeedJob(TOPIC, StartAt("offset", 7)), lambda *_: None)


def test_what_retention_has_eaten_is_counted_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr(scored_feed, "BATCH", 1)
    monkeypatch.setattr(scored_feed, "BATCHES", 1)
    broker = broker_with(*[scored(GOOD)] * 20, partitions=1)
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, BEGINNING)) as source:
        until(source._queue.full, "it waits")
        broker.delete_records(TOPIC, 0, 15)
        taken = Taken()
        until(lambda: taken.more(source, 1) and source.state.missed, "posts that are gone")
        until(lambda: taken.more(source, 1) + source.state.missed == 20, "all others")


def test_a_reader_that_takes_its_time_is_no_quiet_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "BATCH", 1)
    monkeypatch.setattr(scored_feed, "BATCHES", 1)
    broker = broker_with(*[scored(GOOD)] * 6, partitions=1)
    tries: list[float] = []
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC, BEGINNING, idle_timeout_s=0.3)) as source:
        until(source._queue.full, "it waits")
        put_once = source._queue.put

        def put(posts: list[ScoredPost], timeout: float) -> None:
            tries.append(timeout)
            put_once(posts, timeout=timeout)

        monkeypatch.setattr(source._queue, "put", put)
        until(lambda: sum(tries) > 0.6, "it has waited for longer than the timeout")
        taken = Taken()
        until(lambda: taken.more(source, 1) == 6, "all posts")
    assert source.ended in ("timeout", "stopped")


def test_partitions_that_are_added_are_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scored_feed, "COUNT_EVERY_S", 0.05)
    broker = broker_with(scored(GOOD), partitions=1)
    with ScoredFeed(MemoryClient(broker), FeedJob(TOPIC)) as source:
        until(lambda: source.state.kind == "reading", "reading")
        broker.add_partitions(TOPIC, 3)
        put(broker, *[scored(BAD)] * 3)
        taken = Taken()
        until(lambda: taken.more(source) == 3, "posts of all three partitions")


def test_an_outage_is_told_and_waited_out() -> None:
    class Away(MemoryReader):
        """Brokers that are away are asked for their ends in vain, as a real client says it."""

        def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
            if broker.stopped:
                raise ClusterUnreachable("no broker has answered for 10 s")
            return super().end_offsets(partitions)

    class Client(MemoryClient):
        def reader(self, *, group: str | None = None, listener: Listener = ignore, **options: Any) -> MemoryReader:
            tellers.append(listener)
            return Away(broker, group)

    tellers: list[Listener] = []
    heard: list[Event] = []
    broker = broker_with(scored(GOOD), partitions=1)
    with ScoredFeed(Client(broker), FeedJob(TOPIC, BEGINNING), heard.append) as source:
        taken = Taken()
        until(lambda: taken.more(source) and source.state.lag == 0, "a post")
        gone = Notice("broker 1 can't be reached", "warning")
        tellers[0](gone)
        assert (source.state.text, heard) == ("broker 1 can't be reached", [gone])
        broker.stop()
        until(lambda: source.state.kind == "away", "the outage")
        assert source.state.lag is None
        broker.start()
        put(broker, scored(BAD))
        until(lambda: taken.more(source) == 2 and source.state.kind == "reading", "the broker is back")
    assert (source.ended, source.error) == ("stopped", None)
