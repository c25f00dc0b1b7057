"""Station 8 for display: scored posts as they arrive, counted by page and label, with trend and rate; no screen.

The window and the terminal view show a :class:`Feed`; a :class:`PostSource` fills it. Nothing here waits, and nothing
runs on a thread of its own: whoever shows a feed calls :meth:`Feed.take_from` now and then.
"""

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from sensorstream.errors import DecodeError
from sensorstream.records import ConsumedRecord, Json, Number, Row
from sensorstream.sentiment.base import LABELS, Label
from sensorstream.sentiment.trend import PageTrend, Trend
from sensorstream.transforms.event_time import EventTimeRule

KEPT: Final = 5000
"""How many posts a feed keeps to show and to export; what is counted is counted for good."""
MOST_PAGES: Final = 1000
"""Pages that are counted one by one; those that come later share :data:`OTHERS`."""
OTHERS: Final = "(other pages)"
NO_PAGE: Final = "(no page)"
RATE_OVER_S: Final = 10.0
USUAL_TIME: Final = "time"

Kind: TypeAlias = Literal["positive", "neutral", "negative", "unscored"]
KINDS: Final[tuple[Kind, ...]] = ("positive", "neutral", "negative", "unscored")
"""What a post counts as: its label, or ``unscored`` where it has none."""


class ScoredPost(NamedTuple):
    """One post of a scored topic. ``time_ms`` is ms since 1970 UTC; ``row`` is everything that its record had."""

    page: str
    text: str
    compound: float | None
    label: Label | None
    status: str
    scorer: str
    time_ms: int
    row: Row

    @property
    def kind(self) -> Kind:
        """What it counts as."""
        return self.label or "unscored"

    @property
    def said(self) -> str:
        """The label, or in one word why it has none."""
        return self.label or {"unsupported_language": "foreign", "": "unscored"}.get(self.status, self.status)


@dataclass(frozen=True, slots=True)
class PostFields:
    """Which fields of a scored record are shown. ``time`` None: ``time`` where it holds one, else its timestamp."""

    text: str = "text"
    page: str = "page"
    time: str | None = None

    def reader(self) -> "Callable[[ConsumedRecord, Row], ScoredPost]":
        """What makes a post of a record and its row. It raises DecodeError, with the reason in one line."""
        read_time = _usual_time() if self.time is None else EventTimeRule(self.time).reader()

        def read(record: ConsumedRecord, row: Row) -> ScoredPost:
            if "compound" not in row or "label" not in row:
                raise DecodeError("it has no score; is this a topic of scored posts?")
            text = row.get(self.text)
            return ScoredPost(
                _page(row.get(self.page)),
                text if isinstance(text, str) else "",
                _compound(row["compound"]),
                _label(row["label"]),
                str(row.get("status") or ""),
                _scorer_name(row.get("scorer")),
                read_time(row, record),
                row,
            )

        return read


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source of posts fares, in one line for people.

    ``looking`` for a broker or topic, ``reading``, ``away`` (brokers are, for now), ``failed`` for good, or ``ended``.
    ``lag`` is how many records are still to be shown, None where it is not known; ``unusable`` records were no scored
    posts (``reason`` says why the last one was not), ``missed`` ones were gone before they could be read.
    """

    kind: Literal["looking", "reading", "away", "failed", "ended"]
    text: str
    lag: int | None = None
    unusable: int = 0
    reason: str = ""
    missed: int = 0


class PostSource(Protocol):
    """Where posts come from. It may fill itself on a thread of its own; these two never wait."""

    @property
    def state(self) -> SourceState:
        """How it fares now."""

    def take(self, most: int) -> Sequence[ScoredPost]:
        """Posts that have come and were not taken yet, oldest first: about ``most`` of them."""


class Feed:
    """Scored posts that have come so far. Used from one thread.

    ``keep`` posts are kept to be shown; counts, means and trends are of all that came. ``bucket_ms`` is the width of
    a trend's buckets (None: as wide as needed to show everything).
    """

    def __init__(
        self, *, keep: int = KEPT, bucket_ms: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.paused = False
        self.total = 0
        self._clock = clock
        self._posts: deque[ScoredPost] = deque(maxlen=keep)
        self._counts: dict[str, Counter[Kind]] = {}
        self._trend = Trend(bucket_ms)
        self._arrivals: deque[tuple[float, int]] = deque()
        self._since: float | None = None
        self.scorers: dict[str, int] = {}

    def take_from(self, source: PostSource, most: int = 2000) -> Sequence[ScoredPost]:
        """Take what has come, unless paused: then it waits in the source."""
        if self.paused:
            return ()
        posts = source.take(most)
        self.add(posts)
        return posts

    def add(self, posts: Sequence[ScoredPost]) -> None:
        """Add posts, oldest first."""
        if not posts:
            return
        now = self._clock()
        self._since = now if self._since is None else self._since
        self._arrivals.append((now, len(posts)))
        self.total += len(posts)
        for post in posts:
            page = post.page
            counts = self._counts.get(page)
            if counts is None:
                if len(self._counts) >= MOST_PAGES:
                    page = OTHERS
                counts = self._counts.setdefault(page, Counter())
            counts[post.kind] += 1
            if post.compound is not None:
                self._trend.add(page, post.time_ms, post.compound)
            if post.scorer in self.scorers or len(self.scorers) < MOST_PAGES:
                self.scorers[post.scorer] = self.scorers.get(post.scorer, 0) + 1
        self._posts.extend(posts)

    @property
    def kept(self) -> int:
        """How many posts are kept."""
        return len(self._posts)

    def pages(self) -> list[str]:
        """All pages seen, those with the most posts first."""
        return sorted(self._counts, key=lambda page: (-self._counts[page].total(), page))

    def posts(self, page: str | None = None, kind: Kind | None = None) -> Iterator[ScoredPost]:
        """The posts that are kept, newest first; of one page or of one kind where that is asked for."""
        return (post for post in reversed(self._posts) if self.shows(post, page, kind))

    def shows(self, post: ScoredPost, page: str | None, kind: Kind | None) -> bool:
        """Whether a post that was added is of this page and kind (None: any)."""
        counted_as = post.page if post.page in self._counts else OTHERS
        return page in (None, counted_as) and kind in (None, post.kind)

    def latest(self, most: int, page: str | None = None, kind: Kind | None = None) -> list[ScoredPost]:
        """The newest of them."""
        return list(islice(self.posts(page, kind), most))

    def counts(self, page: str | None = None) -> Mapping[Kind, int]:
        """How many posts there were of each kind: of all pages, or of one."""
        chosen = self._counts.values() if page is None else [self._counts.get(page, Counter())]
        return {kind: sum(counts[kind] for counts in chosen) for kind in KINDS}

    def rate(self) -> float | None:
        """Posts a second over the last seconds; None before the first came."""
        if self._since is None:
            return None
        now = self._clock()
        while self._arrivals and self._arrivals[0][0] < now - RATE_OVER_S:
            self._arrivals.popleft()
        # Of a feed that has just begun it is not known what came before: a whole second is the least to divide by.
        over = min(RATE_OVER_S, max(now - self._since, 1.0))
        return sum(count for _, count in self._arrivals) / over

    @property
    def bucket_ms(self) -> int:
        """The width of a trend's buckets now."""
        return self._trend.width_ms

    def trends(self, most: int, page: str | None = None) -> list[PageTrend]:
        """How pages have changed, those with the most posts first; or how one has."""
        pages = self.pages() if page is None else [page]
        return [self._trend.of(name, sum(self.counts(name).values())) for name in pages[:most]]


def _usual_time() -> Callable[[Row, ConsumedRecord], int]:
    """What tells a post's time where nobody said where it is: by its field ``time``, else by its timestamp."""
    stamp = EventTimeRule().reader()
    by_field = EventTimeRule(USUAL_TIME).reader()

    def read(row: Row, record: ConsumedRecord) -> int:
        if isinstance(row.get(USUAL_TIME), str):
            with suppress(DecodeError):
                return by_field(row, record)
        return stamp(row, record)

    return read


def _page(value: object) -> str:
    return value if isinstance(value, str) and value else NO_PAGE


def _compound(value: object) -> float | None:
    if value is None:
        return None
    compound = float(value) if isinstance(value, Number) else float("nan")
    if not -1 <= compound <= 1:
        raise DecodeError("its compound is no number from -1 to 1")
    return compound


def _label(value: object) -> Label | None:
    if value is None:
        return None
    for label in LABELS:
        if value == label:
            return label
    raise DecodeError("its label is none of positive, neutral and negative")


def _scorer_name(value: object) -> str:
    return _signature(value) if isinstance(value, Json) else ""


@lru_cache(maxsize=256)
def _signature(text: Json) -> str:
    """``vader 3.3.2``: what a scored record says of its scorer."""
    found = json.loads(text)
    return f"{found.get('name', '')} {found.get('version', '')}".strip() if isinstance(found, dict) else ""
