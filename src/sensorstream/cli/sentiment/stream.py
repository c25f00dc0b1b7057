"""``sentiment stream``: score a topic of posts into another one, exactly once."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensorstream.cli import stream as stream_command
from sensorstream.cli.command import Outcome, Session, command

if TYPE_CHECKING:
    from sensorstream.transforms.base import Transform

DEFAULT_FROM: Final = "POSTS"
DEFAULT_TO: Final = "POSTS_SCORED"
FILES_GROUP: Final = "sentiment_group"
"""Into files: there it is for the lag display alone, the position lies with each file."""


def add_to(group: typer.Typer) -> None:
    """Make it a command of ``sentiment``."""
    command(group, "stream", "sentiment stream")(stream)


def stream(
    session: Session,
    *,
    source: Annotated[str, typer.Option("--from", metavar="TOPIC", help="The topic of the posts.")] = DEFAULT_FROM,
    target: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TOPIC|FOLDER/",
            help="The topic of the scored posts (the default is made when missing), or a folder for their files.",
        ),
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
    group: stream_command.Group = None,
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
    from sensorstream.pipelines.stream.job import COMMIT_EVERY_S
    from sensorstream.pipelines.stream.plan import StreamOptions

    if _is_path(target):
        return _into_files(
            session,
            source=source,
            to=target,
            settings=[f"scorer={scorer}", f"text_field={text_field}", *(set_ or ())],
            group=group,
            exit_at_end=exit_at_end,
            count=count,
            timeout=timeout,
            topics_only={
                "--plain": plain, "--workers": workers > 1, "--dead-letters": dead_letters, "--create": create,
                "--instance": instance, "--commit-every": commit_every != COMMIT_EVERY_S,
            },
        )  # fmt: skip
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
    return stream_command.run(session, chosen, make, ["sentiment", "stream", *own], group)


def _is_path(target: str) -> bool:
    """Whether a target is a file or folder: it has a slash, or ends as a captured file does."""
    return "/" in target or target.lower().endswith((".csv", ".jsonl", ".ndjson"))


def _into_files(
    session: Session,
    *,
    source: str,
    to: str,
    settings: list[str],
    group: str | None,
    exit_at_end: bool,
    count: int | None,
    timeout: float | None,
    topics_only: dict[str, object],
) -> Outcome:
    """Scored posts into files: a capture whose records go through the scorer on their way."""
    from sensorstream.cli.consume import capture_with
    from sensorstream.errors import UsageError
    from sensorstream.pipelines.capture.job import CaptureOptions

    for option, given in topics_only.items():
        if given:
            hint = f"leave {option} out"
            if option == "--plain":
                hint = "score into a topic first, then store that with: sensorstream consume -t TOPIC --to " + to
            raise UsageError(f"{option} is for a topic, and --to {to} is a file or folder", hint=hint)
    chosen = CaptureOptions(
        topic=source,
        group_given=True,
        exit_at_end=exit_at_end,
        count=count,
        timeout=timeout,
        to=to,
        transforms=("score",),
        transform_settings=tuple(settings),
    )
    return capture_with(session, chosen, group or FILES_GROUP)
