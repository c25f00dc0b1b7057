"""The terminal view of a feed: latest posts, the mix of labels, each page's trend, rate and lag."""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from sensorstream.cli.colours import LABELS
from sensorstream.cli.terminal import visible
from sensorstream.sentiment.feed import Feed, Kind, ScoredPost, SourceState
from sensorstream.transforms.event_time import duration_text, iso
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

_STEPS: Final = "▁▂▃▄▅▆▇█"
_BAR: Final = 40
_LEAST_BAR: Final = 15
_PAGES: Final = 6
_LEAST: Final = 3


class Screen:
    """A live display on stdout while it is open (``with``). ``page`` and ``kind`` choose the posts of the list."""

    def __init__(self, topic: str, page: str | None, kind: Kind | None) -> None:
        from rich.live import Live

        from sensorstream.cli.render import console

        self._topic = topic
        self._page = page
        self._kind = kind
        self._console = console()
        self._live = Live(console=self._console, auto_refresh=False, screen=True, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, feed: Feed, state: SourceState, posts: Sequence[ScoredPost]) -> None:
        """Show how the feed is now."""
        size = self._console.size
        shown = view(feed, state, self._topic, size.height, self._page, self._kind, width=size.width)
        self._live.update(shown, refresh=True)


def view(
    feed: Feed,
    state: SourceState,
    topic: str,
    height: int,
    page: str | None = None,
    kind: Kind | None = None,
    *,
    width: int = 120,
) -> "RenderableType":
    """The screen as something rich can show, of at most ``height`` lines of ``width`` characters."""
    from rich.console import Group
    from rich.text import Text

    # Two lines of head, three around the mix, and each table has four besides its rows.
    trends = _trends(feed, page, max(1, min(_PAGES, height - 13 - _LEAST)))
    room = max(1, height - 13 - trends.row_count)
    below: list[Any] = [Text(), _mix(feed, page, width), Text(), trends]
    return Group(_head(feed, state, topic, page, kind), _latest(feed, room, page, kind), *below)


def _head(feed: Feed, state: SourceState, topic: str, page: str | None, kind: Kind | None) -> Any:
    from rich.text import Text

    rate = feed.rate()
    parts = [
        counted(feed.total, "post"),
        "rate unknown" if rate is None else f"{rate:,.1f} posts/s",
        "lag unknown" if state.lag is None else f"lag {state.lag:,}",
    ]
    if state.unusable:
        parts.append(f"{state.unusable:,} unusable")
    if state.missed:
        parts.append(f"{state.missed:,} missed")
    chosen = [visible(page)] if page else []
    chosen += [kind] if kind else []
    if chosen:
        parts.append("only " + ", ".join(chosen))
    scorers = ", ".join(visible(name) for name in list(feed.scorers)[:3] if name)
    if scorers:
        parts.append(f"by {scorers}")
    line = Text(visible(topic), style="bold", no_wrap=True, overflow="ellipsis")
    line.append("  " + "  ".join(parts), style="not bold")
    style = {"reading": "green", "ended": "green", "failed": "red"}.get(state.kind, "yellow")
    line.append(f"\n{visible(state.text)}", style=f"not bold {style}")
    return line


def _latest(feed: Feed, most: int, page: str | None, kind: Kind | None) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", expand=True)
    rows.add_column("time (UTC)", no_wrap=True)
    rows.add_column("page", no_wrap=True, max_width=18, overflow="ellipsis")
    rows.add_column("label", no_wrap=True)
    rows.add_column("score", justify="right", no_wrap=True)
    rows.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for post in feed.latest(most, page, kind):
        style = LABELS[post.kind]
        rows.add_row(
            iso(post.time_ms)[:19].replace("T", " "),
            Text(visible(post.page)),
            Text(visible(post.said), style=style),
            Text("-" if post.compound is None else f"{post.compound:+.3f}", style=style),
            Text(visible(post.text)),
        )
    return rows


def _mix(feed: Feed, page: str | None, width: int) -> Any:
    from rich.text import Text

    counts = feed.counts(page)
    total = sum(counts.values())
    line = Text(no_wrap=True, overflow="ellipsis")
    if not total:
        return line.append("no posts yet", style="dim")
    said: dict[Kind, str] = {kind: f"  {kind} {n:,} ({n / total:.0%})" for kind, n in counts.items() if n}
    if width - len("".join(said.values())) < _LEAST_BAR:
        said = {kind: f" {kind} {n / total:.0%}" for kind, n in counts.items() if n}
    bar = max(0, min(_BAR, width - len("".join(said.values()))))
    for kind, count in counts.items():
        line.append(("█" if kind != "unscored" else "░") * int(bar * count / total), style=LABELS[kind])
    for kind, text in said.items():
        line.append(text, style=LABELS[kind])
    return line


def _trends(feed: Feed, page: str | None, most: int) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    rows.add_column("page", no_wrap=True, max_width=18, overflow="ellipsis")
    rows.add_column("posts", justify="right", no_wrap=True)
    rows.add_column("mean", justify="right", no_wrap=True)
    rows.add_column(f"mean score by {duration_text(feed.bucket_ms)}, ▁ -1 to █ +1", no_wrap=True)
    for trend in feed.trends(most, page):
        mean = trend.mean
        rows.add_row(
            Text(visible(trend.page)),
            f"{trend.posts:,}",
            "-" if mean is None else f"{mean:+.3f}",
            Text("".join(_step(point) for point in trend.points)),
        )
    return rows


def _step(mean: float | None) -> str:
    return " " if mean is None else _STEPS[min(int((mean + 1) / 2 * len(_STEPS)), len(_STEPS) - 1)]
