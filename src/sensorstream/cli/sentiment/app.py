"""``sentiment app``: the analyser window."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.sentiment import feed_options, options

if TYPE_CHECKING:
    from sensorstream.pipelines.scored_feed.watch import Watched


@dataclass(frozen=True, slots=True)
class AppClosed:
    """What was done in a window. ``feed`` is None where there was none."""

    scorer: str
    version: str
    scored: int
    feed: "Watched | None"


def add_to(group: typer.Typer) -> None:
    """Make it a command of the group."""
    command(group, "app", "sentiment app")(app)


def app(
    session: Session,
    *,
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="Text to begin with.")] = None,
    topic: feed_options.Topic = feed_options.DEFAULT_TOPIC,
    offset: feed_options.WindowOffset = None,
    no_feed: Annotated[bool, typer.Option("--no-feed", help="Only type and score; read no topic.")] = False,
    scorer: options.Scorer = "vader",
    set_: options.Set = None,
    no_language_check: options.NoLanguageCheck = False,
    text_field: feed_options.TextField = "text",
    page_field: feed_options.PageField = "page",
    time_field: feed_options.TimeField = None,
    bucket: feed_options.Bucket = None,
    dark: Annotated[bool, typer.Option("--dark", help="Dark colours; Ctrl-D switches.")] = False,
) -> Outcome:
    """Open a window that shows the words that made a text's score, and a live feed of posts.

    The feed reads on its own, without a group, and waits for a broker or a topic that is not there yet. Needs Tk
    and a display; 'sentiment watch' and 'sentiment score' do the same in a terminal.
    """
    from sensorstream.clients import open_client
    from sensorstream.config import parse_pairs
    from sensorstream.pipelines.scored_feed.scored_feed import ScoredFeed
    from sensorstream.pipelines.scored_feed.watch import summary
    from sensorstream.sentiment.feed import Feed
    from sensorstream.sentiment.scorers import open_scorer

    opened = open_scorer(scorer, parse_pairs(set_ or (), "--set"), check_language=not no_language_check)
    chosen = feed_options.Chosen(topic, offset, text_field, page_field, time_field, bucket)
    job = chosen.job(patient=True)
    feed = Feed(bucket_ms=chosen.bucket_ms())
    client = None if no_feed else open_client(session.settings, session.listener)
    try:
        from sensorstream.sentiment.window.analyser import Analyser, WindowOptions
    except ImportError as error:
        from sensorstream.sentiment.window import no_window

        raise no_window("this Python has no Tk for a window (Debian and Ubuntu: apt install python3-tk)") from error
    with ExitStack() as stack:
        stop = stack.enter_context(session.interruptible())
        source = None if client is None else ScoredFeed(client, job)
        window = Analyser(opened, source, feed, stop, WindowOptions("" if no_feed else topic, dark, text or ""))
        if source is not None:
            stack.enter_context(source)
        window.run()
    seen = None if source is None else summary(topic, feed, source.state, "closed")
    return Outcome(AppClosed(opened.name, opened.version, window.typed.scored, seen))
