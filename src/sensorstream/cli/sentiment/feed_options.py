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


Topic = Annotated[str, typer.Option("--topic", "-t", metavar="TOPIC", help="Topic with the scored posts.")]
Offset = Annotated[
    str | None,
    typer.Option(
        "--offset",
        "-o",
        metavar="OFFSET",
        help="Where to begin: end, beginning, N, -N (N before the end), @TIME or @-1h. Default: end; with -e "
        "beginning.",
        show_default=False,
    ),
]
WindowOffset = Annotated[
    str | None,
    typer.Option(
        "--offset",
        "-o",
        metavar="OFFSET",
        help="Where to begin: end, beginning, N, -N (N before the end), @TIME or @-1h. Default: end.",
        show_default=False,
    ),
]
Page = Annotated[
    str | None, typer.Option("--page", metavar="NAME", help="Show only posts of this page.", show_default=False)
]
LabelOption = Annotated[
    Label | None,
    typer.Option(
        "--label",
        metavar="positive|neutral|negative|unscored",
        help="Show only posts with this label.",
        show_default=False,
    ),
]
TextField = Annotated[str, typer.Option("--text-field", metavar="NAME", help="Field with the text of a post.")]
PageField = Annotated[str, typer.Option("--page-field", metavar="NAME", help="Field with the page of a post.")]
TimeField = Annotated[
    str | None,
    typer.Option(
        "--time-field",
        metavar="NAME",
        help="Field with the time of a post: ISO 8601, or a number since 1970. Default: time, where it holds "
        "one, else the record's timestamp.",
        show_default=False,
    ),
]
Bucket = Annotated[
    str | None,
    typer.Option(
        "--bucket",
        metavar="TIME",
        help="Step of the trend, such as 10s or 1m; the last 60 are shown. Default: as needed to show everything.",
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
