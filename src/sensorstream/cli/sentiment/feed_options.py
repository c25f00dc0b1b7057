"""The options of the commands that show a topic of scored posts, each declared once."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from sensorstream.pipelines.scored_feed.job import FeedJob
    from sensorstream.sentiment.feed import Kind

DEFAULT_TOPIC: Final = "POSTS_SCORED"


class Label(StrEnum):
    """What a post counts as."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"
    UNSCORED = "unscored"

    @property
    def kind(self) -> "Kind":
        """The same for the library."""
        kind: Kind = self.value
        return kind


Topic = Annotated[str, typer.Option("--topic", "-t", metavar="TOPIC", help="The topic of the scored posts.")]
Offset = Annotated[
    str | None,
    typer.Option(
        "--offset",
        "-o",
        metavar="OFFSET",
        help="Where to begin: end (the default; with -e beginning), beginning, N, -N (before the end), @TIME or @-1h.",
        show_default=False,
    ),
]
WindowOffset = Annotated[
    str | None,
    typer.Option(
        "--offset",
        "-o",
        metavar="OFFSET",
        help="Where to begin: end (the default), beginning, N, -N (N before the end), @TIME or @-1h.",
        show_default=False,
    ),
]
Page = Annotated[
    str | None, typer.Option("--page", metavar="NAME", help="Show posts of this page alone.", show_default=False)
]
LabelOption = Annotated[
    Label | None, typer.Option("--label", help="Show posts with this label alone.", show_default=False)
]
TextField = Annotated[str, typer.Option("--text-field", metavar="NAME", help="Where a post's text is.")]
PageField = Annotated[str, typer.Option("--page-field", metavar="NAME", help="Where a post's page is.")]
TimeField = Annotated[
    str | None,
    typer.Option(
        "--time-field",
        metavar="NAME",
        help="Where a post's time is: ISO 8601, or a number since 1970. Default: time, where it holds one, else the "
        "record's timestamp.",
        show_default=False,
    ),
]
Bucket = Annotated[
    str | None,
    typer.Option(
        "--bucket",
        metavar="TIME",
        help="The step of the trend, e.g. 10s or 1m; it shows the last 60. Default: as needed to show everything.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options as they were given."""

    topic: str
    offset: str | None
    text_field: str
    page_field: str
    time_field: str | None
    bucket: str | None

    def job(
        self,
        *,
        exit_at_end: bool = False,
        count: int | None = None,
        timeout: float | None = None,
        patient: bool = False,
    ) -> "FeedJob":
        """What to read. Raises UsageError."""
        from sensorstream.errors import UsageError
        from sensorstream.pipelines.scored_feed.job import FeedJob
        from sensorstream.pipelines.start_at import StartAt, parse
        from sensorstream.records import check_topic_name
        from sensorstream.sentiment.feed import PostFields

        if timeout is not None and not 0 < timeout < float("inf"):
            raise UsageError(f"--timeout {timeout:g} is no time", hint="it is seconds, more than 0")
        start = StartAt("beginning" if exit_at_end else "end") if self.offset is None else parse(self.offset)
        return FeedJob(
            check_topic_name(self.topic),
            start,
            PostFields(self.text_field, self.page_field, self.time_field),
            stop_at_end=exit_at_end,
            count=count,
            idle_timeout_s=timeout,
            patient=patient,
        )

    def bucket_ms(self) -> int | None:
        """The width of a trend's buckets. Raises UsageError."""
        from sensorstream.transforms.event_time import parse_duration

        return None if self.bucket is None else parse_duration(self.bucket, "--bucket", least_ms=1000)
