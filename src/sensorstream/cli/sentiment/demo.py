"""``demo --sentiment``: the whole way of a post, ending by itself with a picture and a verdict."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensorstream.cli.command import Outcome, Session
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from sensorstream.cli.story import Story
    from sensorstream.lab.mix import PageMix
    from sensorstream.lab.sentiment_demo import Compared, RankedPost, SentimentDemonstration
    from sensorstream.pipelines.aggregate.spec import AggregateResult

BAR: Final = 40
_SHOWN: Final = 60
# Each part of a bar: its name, its sign where nothing but letters can be shown, and its colour where colours can.
PARTS: Final = (("positive", "+", "green"), ("neutral", ".", "bright_black"), ("negative", "-", "red"))
UNSCORED: Final = ("not scored", "?", "yellow")
_STEPS: Final = "▁▂▃▄▅▆▇█"


def demo(session: Session, *, keep: bool, to: Path | None, kafka_version: str | None, offline: bool) -> Outcome:
    """Show the whole lab: start Kafka, publish, capture, and prove that nothing was lost.

    Three brokers, three topics, three threads and six consumers. With --sentiment posts are published, scored
    exactly once by two processes, and put into windows. It uses free ports and a folder of its own, and leaves
    nothing behind.
    """
    from sensorstream.lab.sentiment_demo import demonstrate_sentiment

    with session.interruptible() as stop:
        result = demonstrate_sentiment(
            keep=keep,
            to=to,
            kafka_version=kafka_version,
            offline=offline,
            stop=stop,
            listener=session.listener,
            show=_story(session),
        )
    errors = [] if result.passed else [_what_failed(result)]
    code = ExitCode.DONE if result.passed else ExitCode.WRONG_DATA
    return Outcome(
        result,
        lambda console: _show(console, result),
        status="ok" if result.passed else "partial",
        exit_code=code,
        errors=errors,
    )


def _what_failed(result: "SentimentDemonstration") -> str:
    failed = "the demonstration failed: not every post was scored exactly once"
    found = result.verification.differences
    return f"{failed}; {found[0]}" if found else failed


def _story(session: Session) -> "Story":
    from sensorstream.admin import TopicsCreated
    from sensorstream.cli.produce import show_replay
    from sensorstream.cli.story import Story, show_topics
    from sensorstream.cli.stream import show_stream
    from sensorstream.lab.sentiment_demo import Compared
    from sensorstream.pipelines.aggregate.spec import AggregateResult
    from sensorstream.pipelines.replay.spec import ReplayResult
    from sensorstream.pipelines.stream.job import StreamResult

    return Story(
        session,
        {
            TopicsCreated: show_topics,
            ReplayResult: show_replay,
            StreamResult: show_stream,
            AggregateResult: _show_windows,
            Compared: _show_compared,
        },
    )


def _show_windows(console: "Console", result: "AggregateResult") -> None:
    from sensorstream.lab.mix import page_mixes
    from sensorstream.transforms.event_time import duration_text

    show_mix(console, page_mixes(result.rows or ()), every=duration_text(result.window_ms))


def _show_compared(console: "Console", compared: "Compared") -> None:
    for name, post in (("highest", compared.highest), ("lowest", compared.lowest)):
        if post is not None:
            console.print(f"{name:<7} {post.compound:+.4f} {_post(post)}")
    statuses = ", ".join(f"{count:,} {name}" for name, count in compared.statuses.items())
    found = compared.verification
    published = f"{counted(found.posts, 'post')}, {found.published:,} published"
    console.print(f"{published}, {found.scored:,} scored: {statuses}")
    console.print(
        f"{counted(found.dead_letters, 'dead letter')}, {found.lost:,} lost, {found.doubled:,} doubled, "
        f"{found.changed:,} changed, {found.moved:,} out of order, {found.foreign:,} foreign"
    )


def _show(console: "Console", result: "SentimentDemonstration") -> None:
    """What is left to tell at the end: the steps have been shown when they were done."""
    from sensorstream.cli.render import shown_path
    from sensorstream.cli.story import show_verdict

    exactly = "each post was scored exactly once" if result.verification.exactly_once else "NOT exactly once"
    ended = f"demo: {'passed' if result.passed else 'FAILED'} after {result.seconds:.1f} s"
    show_verdict(console, [f"verdict: {exactly}", ended], passed=result.passed)
    for file in result.files:
        console.print(f"saved {shown_path(file)}")
    if result.cluster_name is not None:
        console.print(f"The cluster runs on, at {','.join(result.cluster.bootstrap)}; its folder is {result.folder}.")
        console.print(f"Take it down with: sensorstream cluster down --name {result.cluster_name} --delete-data")


def show_mix(console: "Console", mixes: "tuple[PageMix, ...]", *, every: str) -> None:
    """A stacked bar for each page, and the mean of each of its windows: with colours on a terminal, else in ASCII."""
    from rich.text import Text

    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible
    from sensorstream.lab.mix import cells

    drawn = console.is_terminal and not console.options.ascii_only
    trend = f"every {every}"
    names = max((len(visible(mix.page)) for mix in mixes), default=4)
    # What the other columns and the gaps take; a narrow terminal gets shorter bars.
    width = min(BAR, max(10, console.width - names - len(trend) - 24)) if console.is_terminal else BAR
    rows = table("page", "posts", "mix", "mean", trend, right=("posts", "mean"))
    parts = (*PARTS, UNSCORED)
    for mix in mixes:
        bar = Text()
        for (_, sign, colour), length in zip(parts, cells(mix.parts, width), strict=True):
            bar.append(("█" if drawn else sign) * length, colour if drawn else "")
        mean = "-" if mix.mean is None else f"{mix.mean:+.2f}"
        rows.add_row(visible(mix.page), f"{mix.posts:,}", bar, mean, _trend(mix, drawn=drawn))
    console.print(rows)
    legend = Text("mix: ")
    for name, sign, colour in parts:
        legend.append("█ " if drawn else f"{sign} ", colour if drawn else "")
        legend.append(f"{name}  ")
    console.print(legend)


def _trend(mix: "PageMix", *, drawn: bool) -> "Text":
    from rich.text import Text

    from sensorstream.sentiment.base import Thresholds

    cut = Thresholds()
    signs = {name: (sign, colour) for name, sign, colour in PARTS}
    trend = Text()
    for one in mix.trend:
        if one.mean is None:
            trend.append(" ")
            continue
        sign, colour = signs[cut.label(one.mean)]
        # Means of many posts are seldom beyond +-0.7.
        step = _STEPS[min(7, max(0, int((one.mean + 0.7) / 1.4 * 8)))]
        trend.append(step if drawn else sign, colour if drawn else "")
    return trend


def _post(post: "RankedPost") -> str:
    from sensorstream.cli.terminal import visible

    text = post.text if len(post.text) <= _SHOWN else post.text[: _SHOWN - 3] + "..."
    return visible(f"{post.id} {post.page}: {text}")
