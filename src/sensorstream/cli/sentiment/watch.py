"""``sentiment watch``: scored posts as they come, in the terminal."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.sentiment import feed_options
from sensorstream.errors import ExitCode
from sensorstream.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from sensorstream.events import Listener
    from sensorstream.pipelines.scored_feed.watch import Watched
    from sensorstream.sentiment.feed import Feed, ScoredPost, SourceState


def add_to(group: typer.Typer) -> None:
    """Make it a command of the group."""
    command(group, "watch", "sentiment watch")(watch)


def watch(
    session: Session,
    *,
    topic: feed_options.Topic = feed_options.DEFAULT_TOPIC,
    offset: feed_options.Offset = None,
    page: feed_options.Page = None,
    label: feed_options.LabelOption = None,
    text_field: feed_options.TextField = "text",
    page_field: feed_options.PageField = "page",
    time_field: feed_options.TimeField = None,
    bucket: feed_options.Bucket = None,
    exit_at_end: Annotated[
        bool, typer.Option("--exit", "-e", help="Stop when all that was there at the start has been read.")
    ] = False,
    count: Annotated[int | None, typer.Option("--count", "-c", metavar="N", min=1, help="Stop after N posts.")] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", help="Stop after S seconds without a record.")
    ] = None,
) -> Outcome:
    """Watch scored posts as they come: the latest, the labels, each page's trend, the lag.

    Where stdout is no terminal each post is a line. It reads on its own, without a group, and runs until Ctrl-C
    unless -e, -c or --timeout ends it.
    """
    from sensorstream.clients import open_client
    from sensorstream.pipelines.scored_feed.watch import watch as run

    chosen = feed_options.Chosen(topic, offset, text_field, page_field, time_field, bucket)
    job = chosen.job(exit_at_end=exit_at_end, count=count, timeout=timeout)
    client = open_client(session.settings, session.listener)
    kind = label.kind if label else None
    with ExitStack() as stack:
        stop = stack.enter_context(session.interruptible())
        terminal = not session.json and sys.stdout.isatty()
        listener: Listener = session.listener
        if terminal:
            from sensorstream.cli.sentiment.watch_screen import Screen
            from sensorstream.events import ignore

            listener = ignore  # the screen tells what happens; lines on stderr would stand across it
            show = stack.enter_context(Screen(topic, page, kind)).show
        elif session.json:

            def show(feed: "Feed", state: "SourceState", posts: "Sequence[ScoredPost]") -> None:
                """The result tells everything."""
        else:

            def show(feed: "Feed", state: "SourceState", posts: "Sequence[ScoredPost]") -> None:
                lines = [_line(post) for post in posts if page in (None, post.page) and kind in (None, post.kind)]
                if lines:
                    sys.stdout.write("".join(lines))
                    sys.stdout.flush()

        result = run(client, job, show, bucket_ms=chosen.bucket_ms(), stop=stop, listener=listener)
    if not terminal and not session.json:
        from sensorstream.events import Notice

        session.listener(Notice(_total(result)))
    return _outcome(result, bounded=exit_at_end or count is not None, terminal=terminal)


def _outcome(result: "Watched", *, bounded: bool, terminal: bool) -> Outcome:
    errors: list[str] = []
    code = ExitCode.DONE
    if bounded and result.ended == "timeout":
        code = ExitCode.FAILED
        errors.append(f"no record came within the --timeout; {counted(result.posts, 'post')} seen")
    if bounded and result.ended == "stopped":
        code = ExitCode.INTERRUPTED
        errors.append("interrupted before the end")
    text = (lambda console: _show(console, result)) if terminal else None
    return Outcome(result, text, status="partial" if errors else "ok", exit_code=code, errors=errors)


def _line(post: "ScoredPost") -> str:
    from sensorstream.cli.terminal import visible
    from sensorstream.transforms.event_time import iso

    figure = "      -" if post.compound is None else f"{post.compound:+.4f}"
    said = post.label or post.status or "unscored"
    line = f"{iso(post.time_ms)}  {visible(post.page):<12}  {said:<8}  {figure}  {visible(post.text)}\n"
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _total(result: "Watched") -> str:
    told = ", ".join(f"{count:,} {kind}" for kind, count in result.counts.items() if count)
    parts = [f"{result.topic}: {counted(result.posts, 'post')}" + (f" ({told})" if told else "")]
    if result.unusable:
        parts.append(f"{counted(result.unusable, 'record')} without a scored post")
    if result.missed:
        parts.append(f"{result.missed:,} were gone before they could be read")
    return ", ".join(parts)


def _show(console: "Console", result: "Watched") -> None:
    from sensorstream.cli.render import table
    from sensorstream.cli.terminal import visible

    if result.pages:
        kinds = [kind for kind, count in result.counts.items() if count]
        rows = table("page", "posts", *kinds, "mean", right=("posts", *kinds, "mean"))
        for page in result.pages:
            mean = "-" if page.mean is None else f"{page.mean:+.3f}"
            rows.add_row(visible(page.page), f"{page.posts:,}", *(f"{page.counts[kind]:,}" for kind in kinds), mean)
        console.print(rows)
    console.print(visible(_total(result)))
