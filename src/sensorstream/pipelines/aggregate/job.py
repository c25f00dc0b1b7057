"""Stations 6-9: from the options of ``aggregate`` to a checked job and its target, before anything starts."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sensorstream.clients.base import Client
from sensorstream.config import Settings
from sensorstream.errors import UsageError
from sensorstream.pipelines.aggregate.spec import AggregateJob, Target
from sensorstream.pipelines.aggregate.targets import GrowingFile, Kept, Streamed, ToTopic, WholeFile, check_unclaimed
from sensorstream.pipelines.start_at import parse
from sensorstream.records import check_topic_name
from sensorstream.sinks.checks import check_captured, check_file
from sensorstream.sinks.rejected import ENDING
from sensorstream.sources.time_zone import zone_of
from sensorstream.sources.times import check_format
from sensorstream.transforms.event_time import EventTimeRule, parse_duration
from sensorstream.transforms.measures import KINDS, Kind, Measure
from sensorstream.transforms.options import column_names
from sensorstream.transforms.windows import MAX_OPEN, WindowRule

DEFAULT_LATE: Final = "10s"
"""For an endless run; one with an end holds all windows until then."""
DEFAULT_WINDOW: Final = "1m"
SENTIMENT_BY: Final = ("page",)
SENTIMENT_MEASURES: Final = (Measure("mean", "compound"), Measure("shares", "label"))
_FILE_ENDINGS: Final = (".csv", ".jsonl", ".ndjson")
_LONGEST_S: Final = 10.0**9


@dataclass(frozen=True, slots=True)
class AggregateOptions:
    """The options of ``aggregate``, as they were given.

    ``measures`` has, for each kind, the columns; a text may name several, ``A,B``. ``to`` None is a table, at the end;
    ``-``, ``topic:NAME`` or a file's name. ``sentiment`` stands for what is asked of scored posts.
    """

    topic: str
    window: str | None = None
    by: tuple[str, ...] = ()
    measures: Mapping[Kind, Sequence[str]] = field(default_factory=dict)
    sentiment: bool = False
    time_column: str | None = None
    time_format: str | None = None
    time_zone: str | None = None
    late: str | None = None
    max_open: int = MAX_OPEN
    idle: str = "10s"
    offset: str | None = None
    exit_at_end: bool = False
    timeout: float | None = None
    to: str | None = None


def make_job(settings: Settings, options: AggregateOptions) -> AggregateJob:
    """Check the options. Raises UsageError; nothing is connected yet."""
    check_topic_name(options.topic)
    by = tuple(name for text in options.by for name in column_names(text))
    measures = tuple(_measures(options.measures))
    window = options.window
    if options.sentiment:
        by = by or SENTIMENT_BY
        measures = (*SENTIMENT_MEASURES, *(one for one in measures if one not in SENTIMENT_MEASURES))
        window = window or DEFAULT_WINDOW
    if window is None:
        raise UsageError("aggregate needs the length of its windows", hint="for example: --window 10m")
    late = options.late
    if late is None and not options.exit_at_end:
        late = DEFAULT_LATE
    rule = WindowRule(
        parse_duration(window, "--window"),
        by,
        measures,
        None if late is None else parse_duration(late, "--late", least_ms=0),
        options.max_open,
    )
    _check_names(rule)
    if options.timeout is not None and not 0 < options.timeout < _LONGEST_S:
        raise UsageError(f"--timeout {options.timeout:g} is no time", hint="it is seconds, more than 0")
    if not options.exit_at_end and options.offset is not None and options.to and options.to.startswith("topic:"):
        raise UsageError("-o can't apply to a topic, which is continued where it was", hint="leave -o out, or add -e")
    return AggregateJob(
        topic=options.topic,
        rule=rule,
        event_time=_event_time(settings, options),
        start=None if options.offset is None else parse(options.offset),
        stop_at_end=options.exit_at_end,
        idle_timeout_s=options.timeout,
        idle_s=parse_duration(options.idle, "--idle") / 1000,
    )


def rejected_path(options: AggregateOptions) -> Path:
    """Where records that can't be used are kept: beside the target where that is a file, else in this folder."""
    to = Path(options.to or "")
    if to.suffix.lower() in _FILE_ENDINGS and not (options.to or "").startswith("topic:"):
        return to.with_name(f"{to.stem}.aggregate{ENDING}")
    return Path(f"{options.topic}.aggregate{ENDING}")


def make_target(client: Client, options: AggregateOptions) -> Target:
    """Where the windows are to go. Raises UsageError, and SinkError where that can't be written."""
    to = options.to
    check_file(rejected_path(options), "move it away, or run this in another folder", make_folder=False)
    if to is None and options.exit_at_end:
        return Kept()
    if to is None or to == "-":
        return Streamed(sys.stdout.buffer)
    kind, colon, name = to.partition(":")
    if colon and kind == "topic":
        check_topic_name(name)
        if name == options.topic:
            raise UsageError("the windows would be written into their source topic", hint="name another topic")
        return ToTopic(client, name, whole=options.exit_at_end)
    path = Path(to)
    if path.suffix.lower() not in _FILE_ENDINGS:
        raise UsageError(
            f"--to {to!r} is not a target", hint=f"it is topic:NAME, - or a file ending in {', '.join(_FILE_ENDINGS)}"
        )
    check_file(path, make_folder=False)
    if not options.exit_at_end:
        check_captured(path)
        return GrowingFile(path)
    check_unclaimed(path)
    return WholeFile(path)


def _measures(wanted: Mapping[Kind, Sequence[str]]) -> Iterator[Measure]:
    for kind in KINDS:
        for text in wanted.get(kind, ()):
            for column in column_names(text):
                yield Measure(kind, column)


def _check_names(rule: WindowRule) -> None:
    """Refuse two columns of the same name, of which one would be lost."""
    names = ["window_start", "window_end", *rule.by, "count", *(measure.name for measure in rule.measures), "late"]
    names += dict.fromkeys(f"{measure.column}_missing" for measure in rule.measures)
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two columns of the result would be called {name!r}", hint="ask for each figure once")


def _event_time(settings: Settings, options: AggregateOptions) -> EventTimeRule:
    known = settings.topic(options.topic)
    if options.time_column is None and known.time_column is None and options.time_format is not None:
        raise UsageError("--time-format needs a --time-column", hint="name the column that holds the time")
    # What is known belongs to the column that is known.
    same = options.time_column in (None, known.time_column)
    rule = EventTimeRule(
        options.time_column or known.time_column,
        options.time_format or (known.time_format if same else None),
        options.time_zone or (known.time_zone if same else None),
    )
    if rule.time_format is not None and rule.time_format.lower() in ("iso", "epoch"):
        rule = replace(rule, time_format=None)
    check_format(rule.time_format)
    if rule.time_zone is not None:
        zone_of(rule.time_zone)
    return rule
