"""``sentiment stream``: score a topic of posts into another one, exactly once."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensorstream.cli import options
from sensorstream.cli import stream as stream_command
from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    from sensorstream.transforms.base import Transform

DEFAULT_FROM: Final = "POSTS"
DEFAULT_TO: Final = "POSTS_SCORED"
DEFAULT_GROUP: Final = "sentiment_group"


def add_to(group: typer.Typer) -> None:
    """Make it a command of ``sentiment``."""
    command(group, "stream", "sentiment stream")(stream)


def stream(
    session: Session,
    *,
    source: Annotated[str, typer.Option("--from", metavar="TOPIC", help="The topic of the posts.")] = DEFAULT_FROM,
    target: Annotated[
        str,
        typer.Option("--to", metavar="TOPIC", help="The topic of the scored posts; the default is made when missing."),
    ] = DEFAULT_TO,
    text_field: Annotated[str, typer.Option("--text-field", metavar="NAME", help="Where a post's text is.")] = "text",
    plain: Annotated[
        bool, typer.Option("--plain", help="A record's whole value is the text; the output has it as the text field.")
    ] = False,
    scorer: Annotated[str, typer.Option("--scorer", metavar="NAME|FILE", help="What scores the texts.")] = "vader",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the scorer (repeatable)."),
    ] = None,
    group: options.Group = None,
    dead_letters: stream_command.DeadLetters = None,
    create: Annotated[
        bool, typer.Option("--create", help="Make the target when it is missing, with the source's partitions.")
    ] = False,
    exit_at_end: stream_command.ExitAtEnd = False,
    count: stream_command.Count = None,
    timeout: stream_command.Timeout = None,
    commit_every: stream_command.CommitEvery = 0.5,
    workers: stream_command.NumberOfWorkers = 1,
    instance: stream_command.Instance = None,
) -> Outcome:
    """Score the posts of a topic as they come, each exactly once.

    Scores, dead letters and the group's position are one transaction. Goes on where the group has committed; endless
    unless -e, -c or --timeout ends it; Ctrl-C commits what is open and stops.
    """
    from sensorstream.config import parse_pairs
    from sensorstream.pipelines.stream_plan import StreamOptions

    chosen = StreamOptions(
        source,
        target,
        dead_letters,
        instance,
        plain=text_field if plain else None,
        exit_at_end=exit_at_end,
        count=count,
        timeout=timeout,
        commit_every=commit_every,
        workers=workers,
        create=create or target == DEFAULT_TO,
    )
    pairs = parse_pairs(set_ or (), "--set")

    def make() -> "Transform":
        from sensorstream.sentiment.scorers import open_scorer
        from sensorstream.sentiment.transform import ScoreTransform

        return ScoreTransform(open_scorer(scorer, pairs), text_field=text_field)

    own = ["--text-field", text_field, "--scorer", scorer, *(["--plain"] if plain else [])]
    own += [part for pair in set_ or () for part in ("--set", pair)]
    return stream_command.run(session, chosen, make, ["sentiment", "stream", *own], group or DEFAULT_GROUP)
