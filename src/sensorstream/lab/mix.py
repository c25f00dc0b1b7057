"""The mix of a scored topic: how many posts of each label a page has, from its windows; and a picture of it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from sensorstream.sentiment.base import LABELS
from sensorstream.wording import counted

WINDOWS_OF: Final = "3h"


@dataclass(frozen=True, slots=True)
class Trend:
    """The mean of one window; None where none of its posts has a score. ``posts`` may be 0."""

    window_start: str
    posts: int
    mean: float | None


@dataclass(frozen=True, slots=True)
class PageMix:
    """What the posts of one page came to. ``unscored`` ones have no label: empty, or in a language not known.

    ``mean`` is the mean of the scores of all posts that have one, None where none has; ``trend`` has all windows of
    the topic, in order.
    """

    page: str
    posts: int
    positive: int
    neutral: int
    negative: int
    unscored: int
    mean: float | None
    trend: tuple[Trend, ...]

    @property
    def parts(self) -> tuple[int, int, int, int]:
        """Positive, neutral, negative, unscored."""
        return self.positive, self.neutral, self.negative, self.unscored


def page_mixes(windows: Sequence[Mapping[str, Any]]) -> tuple[PageMix, ...]:
    """The pages of the windows that ``aggregate --sentiment`` gives, by name."""
    starts = sorted({str(window["window_start"]) for window in windows})
    return tuple(_page(page, windows, starts) for page in sorted({str(window["page"]) for window in windows}))


def _page(page: str, windows: Sequence[Mapping[str, Any]], starts: Sequence[str]) -> PageMix:
    labels: Counter[str] = Counter()
    total, weight, posts = 0.0, 0, 0
    trend = {start: Trend(start, 0, None) for start in starts}
    for window in windows:
        if str(window["page"]) != page:
            continue
        count, missing = int(window["count"]), int(window["label_missing"])
        shares = (
            window["label_shares"] if isinstance(window["label_shares"], dict) else json.loads(window["label_shares"])
        )
        for label, share in shares.items():
            labels[label] += round(float(share) * (count - missing))
        mean = None if window["compound_mean"] is None else float(window["compound_mean"])
        if mean is not None:
            total += mean * (count - missing)
            weight += count - missing
        posts += count
        start = str(window["window_start"])
        trend[start] = Trend(start, count, None if mean is None else round(mean, 4))
    return PageMix(
        page,
        posts,
        labels["positive"],
        labels["neutral"],
        labels["negative"],
        posts - sum(labels[label] for label in LABELS),
        round(total / weight, 4) if weight else None,
        tuple(trend.values()),
    )


def cells(parts: Sequence[int], width: int) -> tuple[int, ...]:
    """How many of ``width`` cells each part takes: together all of them, none more than one off its share.

    The largest remainders get the cells that are left over (Hamilton's method).
    """
    total = sum(parts)
    if not total:
        return tuple(0 for _ in parts)
    exact = [part * width / total for part in parts]
    given = [int(share) for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda at: given[at] - exact[at])
    for at in by_remainder[: width - sum(given)]:
        given[at] += 1
    return tuple(given)


COLOURS: Final = {"positive": "#2e9e5b", "neutral": "#7b8794", "negative": "#d64545", "not scored": "#dfe3e8"}
_ROW, _LEFT, _BAR, _TOP = 30, 130, 420, 58


def as_svg(mixes: Sequence[PageMix], title: str) -> str:
    """The mix as a picture: a stacked bar a page, and the mean of each window beside it, as SVG 1.1."""
    height = _TOP + _ROW * len(mixes) + 30
    windows = len(mixes[0].trend) if mixes else 0
    trend_left = _LEFT + _BAR + 110
    width = trend_left + 26 * max(windows, 4) + 20
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#1f2933">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
        *_legend(_LEFT, 42),
        f'<text x="{_LEFT + _BAR + 50}" y="46" text-anchor="middle">mean</text>',
        f'<text x="{trend_left}" y="46">mean every {WINDOWS_OF}</text>',
    ]
    for number, mix in enumerate(mixes):
        top = _TOP + _ROW * number
        drawn.append(f'<text x="16" y="{top + 17}">{escape(mix.page)}</text>')
        at = float(_LEFT)
        for (name, colour), part in zip(COLOURS.items(), mix.parts, strict=True):
            if not part:
                continue
            length = _BAR * part / mix.posts
            drawn.append(
                f'<rect x="{at:.1f}" y="{top}" width="{length:.1f}" height="{_ROW - 8}" fill="{colour}">'
                f"<title>{escape(mix.page)}: {part} of {mix.posts} {name}</title></rect>"
            )
            if length >= 22:
                ink = "#1f2933" if name == "not scored" else "#ffffff"
                drawn.append(f'<text x="{at + 6:.1f}" y="{top + 16}" fill="{ink}" font-size="12">{part}</text>')
            at += length
        told = "-" if mix.mean is None else f"{mix.mean:+.2f}"
        drawn.append(f'<text x="{_LEFT + _BAR + 50}" y="{top + 17}" text-anchor="middle">{told}</text>')
        drawn += _trend(mix, trend_left, top)
    drawn.append("</svg>")
    return "\n".join(drawn) + "\n"


def _legend(left: float, top: int) -> list[str]:
    drawn = []
    for name, colour in COLOURS.items():
        drawn.append(f'<rect x="{left}" y="{top - 8}" width="11" height="11" fill="{colour}"/>')
        drawn.append(f'<text x="{left + 16}" y="{top + 3}" font-size="12">{name}</text>')
        left += 34 + 7 * len(name)
    return drawn


def _trend(mix: PageMix, left: int, top: int) -> list[str]:
    """A column a window, up from the middle line where the mean is positive, down where it is negative."""
    middle = top + (_ROW - 8) / 2
    right = left + 26 * len(mix.trend)
    drawn = [f'<line x1="{left}" y1="{middle}" x2="{right}" y2="{middle}" stroke="#9aa5b1" stroke-width="0.7"/>']
    for number, one in enumerate(mix.trend):
        if one.mean is None:
            continue
        # Half a row is a mean of 0.5; few windows of several posts go beyond it.
        length = min(max(abs(one.mean) * (_ROW - 8), 0.8), _ROW / 2)
        top_of_it, colour = (middle - length, "positive") if one.mean >= 0 else (middle, "negative")
        drawn.append(
            f'<rect x="{left + 26 * number + 4}" y="{top_of_it:.1f}" width="18" height="{length:.1f}" '
            f'fill="{COLOURS[colour]}">'
            f"<title>{escape(one.window_start)}: {one.mean:+.2f}, {counted(one.posts, 'post')}</title></rect>"
        )
    return drawn
