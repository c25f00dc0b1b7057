"""Station 8 for display: how the mean score of each page changes, in a bounded number of time buckets."""

from typing import Final, NamedTuple

COLUMNS: Final = 60
"""The most buckets that a trend has."""
_DAY_S: Final = 86400
LADDER_MS: Final = tuple(
    seconds * 1000
    for seconds in (
        *(1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, _DAY_S),
        *(7 * _DAY_S, 28 * _DAY_S, 364 * _DAY_S, 3640 * _DAY_S, 36400 * _DAY_S),
    )
)
"""The widths that a bucket may grow to; each is a whole number of those before it. Any two dates fit in."""


class PageTrend(NamedTuple):
    """One page: its posts, the mean of all their compound scores, and the mean of each bucket, the oldest first.

    A bucket without scored posts is None. ``first_ms`` is where the first one begins (ms since 1970 UTC).
    """

    page: str
    posts: int
    mean: float | None
    points: tuple[float | None, ...]
    first_ms: int | None
    width_ms: int


class Trend:
    """Sums by page and bucket. ``fixed_ms`` is a bucket's width: then the newest buckets are kept.

    Without it buckets are as wide as they must be for everything to fit in.
    """

    def __init__(self, fixed_ms: int | None = None) -> None:
        self.fixed_ms = fixed_ms
        self.width_ms = fixed_ms or LADDER_MS[0]
        self._pages: dict[str, dict[int, list[float]]] = {}
        self._sums: dict[str, list[float]] = {}
        self._oldest = self._newest = 0
        self._empty = True

    def add(self, page: str, time_ms: int, compound: float) -> None:
        """Add one score; one that is older than the oldest bucket that fits in counts for the page's mean alone."""
        sums = self._sums.setdefault(page, [0, 0.0])
        sums[0] += 1
        sums[1] += compound
        at = time_ms // self.width_ms
        if self._empty:
            self._oldest = self._newest = at
            self._empty = False
        elif not self._oldest <= at <= self._newest:
            at = self._widen(time_ms)
            if at <= self._newest - COLUMNS:
                return
        bucket = self._pages.setdefault(page, {}).setdefault(at, [0, 0.0])
        bucket[0] += 1
        bucket[1] += compound

    def of(self, page: str, posts: int) -> PageTrend:
        """The trend of a page that has had so many posts."""
        buckets = self._pages.get(page, {})
        scored, sum_ = self._sums.get(page, (0, 0.0))
        mean = sum_ / scored if scored else None
        if self._empty or not buckets:
            return PageTrend(page, posts, mean, (), None, self.width_ms)
        points = []
        for at in range(self._oldest, self._newest + 1):
            count, total = buckets.get(at, (0, 0.0))
            points.append(total / count if count else None)
        return PageTrend(page, posts, mean, tuple(points), self._oldest * self.width_ms, self.width_ms)

    def _widen(self, time_ms: int) -> int:
        """Make room for a time outside of the buckets: make them wider, or let the oldest go. Its bucket."""
        while self.fixed_ms is None and self._span(time_ms) > COLUMNS and self.width_ms != LADDER_MS[-1]:
            self._coarsen()
        at = time_ms // self.width_ms
        self._newest = max(self._newest, at)
        self._oldest = max(min(self._oldest, at), self._newest - COLUMNS + 1)
        for page, buckets in list(self._pages.items()):
            for old in [index for index in buckets if index < self._oldest]:
                del buckets[old]
            if not buckets:
                del self._pages[page]
        return at

    def _span(self, time_ms: int) -> int:
        at = time_ms // self.width_ms
        return max(self._newest, at) - min(self._oldest, at) + 1

    def _coarsen(self) -> None:
        wider = LADDER_MS[LADDER_MS.index(self.width_ms) + 1]
        times = wider // self.width_ms
        for page, buckets in self._pages.items():
            merged: dict[int, list[float]] = {}
            for at, (count, total) in buckets.items():
                bucket = merged.setdefault(at // times, [0, 0.0])
                bucket[0] += count
                bucket[1] += total
            self._pages[page] = merged
        self._oldest //= times
        self._newest //= times
        self.width_ms = wider
