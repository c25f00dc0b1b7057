"""Stations 6-8: watch a topic of scored posts until its end, or until it is stopped."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sensorstream.clients.base import Client
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.read_timeouts import Ended
from sensorstream.pipelines.scored_feed.job import FeedJob
from sensorstream.pipelines.scored_feed.scored_feed import ScoredFeed
from sensorstream.sentiment.feed import Feed, Kind, ScoredPost, SourceState

EVERY_S: Final = 0.25
MOST: Final = 2000


@dataclass(frozen=True, slots=True)
class PageCounts:
    """One page: its posts, how many of each kind, and the mean of the compound scores in its trend."""

    page: str
    posts: int
    counts: dict[Kind, int]
    mean: float | None


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen. ``unusable`` records were no scored posts, ``missed`` ones were gone before they could be read.

    ``pages`` are those with the most posts.
    """

    topic: str
    ended: Ended | Literal["closed"]
    posts: int
    unusable: int
    missed: int
    counts: dict[Kind, int]
    scorers: tuple[str, ...]
    pages: tuple[PageCounts, ...]


def watch(
    client: Client,
    job: FeedJob,
    show: Callable[[Feed, SourceState, Sequence[ScoredPost]], None],
    *,
    bucket_ms: int | None = None,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Watched:
    """Call ``show`` with the feed, how its source fares and the posts that are new, several times a second.

    Raises UnknownTopic, ClusterUnreachable, UsageError, OffsetOutOfRange.
    """
    stop = stop or threading.Event()
    feed = Feed(bucket_ms=bucket_ms)
    with ScoredFeed(client, job, listener) as source:
        while not stop.is_set():
            done = source.done
            state = source.state
            posts = source.take(MOST)
            feed.add(posts)
            show(feed, state, posts)
            if done:
                break
            if len(posts) < MOST:
                stop.wait(EVERY_S)
    if source.error is not None:
        raise source.error
    return summary(job.topic, feed, source.state, source.ended or "stopped")


def summary(topic: str, feed: Feed, state: SourceState, ended: Ended | Literal["closed"]) -> Watched:
    """What a feed has come to."""
    pages = tuple(
        PageCounts(trend.page, trend.posts, dict(feed.counts(trend.page)), trend.mean) for trend in feed.trends(20)
    )
    scorers = tuple(name for name in feed.scorers if name)
    return Watched(topic, ended, feed.total, state.unusable, state.missed, dict(feed.counts()), scorers, pages)
