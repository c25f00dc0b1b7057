"""``sentiment stream``: score a topic of posts into another one, exactly once."""

from functools import cache
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sensorstream.cli import stream as stream_command
from sensorstream.cli import time_options
from sensorstream.cli.command import Outcome, Session, command
from sensorstream.cli.sentiment import options
from sensorstream.errors import UsageError

if TYPE_CHECKING:
    from sensorstream.transforms.base import Transform

DEFAULT_FROM: Final = "POSTS"
DEFAULT_TO: Final = "POSTS_SCORED"
TimeZone = Annotated[
    str | None,
    typer.Option(
        "--time-zone", metavar="ZONE", help="Time zone of times that name none: Europe/Berlin, +07:00. Default: UTC."
    ),
]
FILES_GROUP: Final = "sentiment_group"
"""Into files: there it is for the lag display alone, the position lies with each file."""


def add_to(group: typer.Typer) -> None:
    """Make it a command of ``sentiment``."""
    command(group, "stream", "sentiment stream", sends="exactly once")(stream)


def stream(
    session: Session,
    *,
    source: Annotated[str, typer.Option("--from", metavar="TOPIC", help="Topic with the posts.")] = DEFAULT_FROM,
    target: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TOPIC|FOLDER/",
            help="Topic for the scored posts (the default one is created if missing), or a folder for their files.",
        ),
    ] = DEFAULT_TO,
    text_field: Annotated[
        str, typer.Option("--text-field", metavar="NAME", help="Field with the text of a post.")
    ] = "text",
    id_field: Annotated[
        str | None,
        typer.Option("--id-field", metavar="NAME", help="Field with the id of a post; the output has it as id, too."),
    ] = None,
    page_field: Annotated[
        str | None,
        typer.Option(
            "--page-field", metavar="NAME", help="Field with the page of a post; the output has it as page, too."
        ),
    ] = None,
    time_field: Annotated[
        str | None,
        typer.Option(
            "--time-field",
            metavar="NAME",
            help="Field with the time of a post, or several: Date,Time; the output has it as time, ISO 8601, in UTC.",
        ),
    ] = None,
    time_format: time_options.TimeFormat = None,
    time_zone: TimeZone = None,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="The whole value of a record is the text; the output has it as the text field."),
    ] = False,
    scorer: options.Scorer = "vader",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Option of the scorer (repeatable)."),
    ] = None,
    group: stream_command.Group = None,
    dead_letters: stream_command.DeadLetters = None,
    create: stream_command.Create = False,
    exit_at_end: stream_command.ExitAtEnd = False,
    count: stream_command.Count = None,
    timeout: stream_command.Timeout = None,
    commit_every: stream_command.CommitEvery = 0.5,
    workers: stream_command.NumberOfWorkers = 1,
    instance: stream_command.Instance = None,
) -> Outcome:
    """Score the posts of a topic as they come, each exactly once.

    Scores, dead letters and the group's position are committed in one transaction. It goes on where the group has
    committed, and runs until Ctrl-C unless -e, -c or --timeout ends it.
    """
    from sensorstream.config import parse_pairs
    from sensorstream.pipelines.stream.job import COMMIT_EVERY_S
    from sensorstream.transforms.base import get_ready

    known = session.settings.topic(source)
    if time_field is not None and time_field == known.time_column:
        time_format, time_zone = time_format or known.time_format, time_zone or known.time_zone
    fields = {
        "text_field": text_field,
        "id_field": id_field,
        "page_field": page_field,
        "time_field": time_field,
        "time_format": time_format,
        "time_zone": time_zone,
    }
    fields_given = {name: value for name, value in fields.items() if value is not None}
    if _is_path(target):
        return _into_files(
            session,
            source=source,
            to=target,
            settings=[f"scorer={scorer}", *(f"{name}={value}" for name, value in fields_given.items()), *(set_ or ())],
            group=group,
            exit_at_end=exit_at_end,
            count=count,
            timeout=timeout,
            topics_only={
                "--plain": plain, "--workers": workers > 1, "--dead-letters": dead_letters, "--create": create,
                "--instance": instance, "--commit-every": commit_every != COMMIT_EVERY_S,
            },
        )  # fmt: skip
    if plain and len(fields_given) > 1:
        other = next(name for name in fields_given if name != "text_field").replace("_", "-")
        raise UsageError(f"--plain records have no fields, so there is no --{other}", hint="leave one of them out")
    pairs = parse_pairs(set_ or (), "--set")

    @cache
    def make() -> "Transform":
        from sensorstream.sentiment.carried import names_of
        from sensorstream.sentiment.scorers import open_scorer
        from sensorstream.sentiment.transform import ScoreTransform

        names = names_of(dict(fields_given))
        return ScoreTransform(open_scorer(scorer, pairs), names)

    if workers == 1:
        get_ready(make())  # it has the time until all that a stream needs is imported
    from sensorstream.pipelines.stream.plan import StreamOptions

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
    own = [part for name, value in fields_given.items() for part in (f"--{name.replace('_', '-')}", value)]
    own += ["--scorer", scorer, *(["--plain"] if plain else [])]
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
