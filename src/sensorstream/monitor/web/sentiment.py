"""Scored posts by page for the browser: a feed that runs while a browser shows it."""

import threading
from collections.abc import Callable
from typing import Any, Final

from sensorstream.clients.base import Client
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.scored_feed.job import FeedJob
from sensorstream.pipelines.scored_feed.scored_feed import CLOSE_S, ScoredFeed
from sensorstream.pipelines.start_at import StartAt
from sensorstream.sentiment.feed import KINDS, Feed

BEFORE: Final = 2000
"""So many posts of each partition are shown that were there before."""
MOST_PAGES: Final = 12
MOST_POSTS: Final = 50
_MOST_TEXT: Final = 1000
_TAKEN: Final = 4000


class SentimentFeed:
    """A topic of scored posts, counted."""

    def __init__(self, make_client: Callable[[], Client], topic: str, listener: Listener = ignore) -> None:
        self._topic = topic
        self._lock = threading.Lock()
        self._feed = Feed(keep=1000)
        job = FeedJob(topic, StartAt("tail", BEFORE), patient=True)
        self._source = ScoredFeed(make_client(), job, listener)
        self._source.__enter__()

    def stop(self) -> None:
        """Have it stop reading; does not wait."""
        self._source.stop()

    def close(self, within_s: float = CLOSE_S) -> None:
        """Stop reading, and wait until the thread has ended, so long at the most."""
        self._source.close(within_s)

    def payload(self) -> dict[str, Any]:
        """The counts, each page's trend and the newest posts."""
        with self._lock:
            feed = self._feed
            state = self._source.state
            feed.take_from(self._source, _TAKEN)
            return {
                "topic": self._topic,
                "state": state.kind,
                "text": _clean(state.text),
                "lag": state.lag,
                "unusable": state.unusable,
                "reason": _clean(state.reason),
                "missed": state.missed,
                "posts": feed.total,
                "rate": feed.rate(),
                "kinds": list(KINDS),
                "counts": dict(feed.counts()),
                "scorers": [_clean(name) for name in feed.scorers if name],
                "pages": [
                    {
                        "page": _clean(trend.page),
                        "posts": trend.posts,
                        "mean": trend.mean,
                        "counts": dict(feed.counts(trend.page)),
                        "first": None if trend.first_ms is None else trend.first_ms / 1000,
                        "width_s": trend.width_ms / 1000,
                        "points": list(trend.points),
                    }
                    for trend in feed.trends(MOST_PAGES)
                ],
                "latest": [
                    {
                        "page": _clean(post.page),
                        "text": _clean(post.text[:_MOST_TEXT]),
                        "compound": post.compound,
                        "said": _clean(post.said),
                        "kind": post.kind,
                        "time_ms": post.time_ms,
                    }
                    for post in feed.latest(MOST_POSTS)
                ],
            }


def _clean(text: str) -> str:
    """The text without halves of pairs, which UTF-8 can't have."""
    return text.encode("utf-8", "backslashreplace").decode()
