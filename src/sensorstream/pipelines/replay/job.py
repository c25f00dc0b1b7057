"""Stations 1-4: from what the user asked for to a replay job, checked before anything starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from sensorstream.config import Settings, parse_pairs
from sensorstream.errors import UsageError
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.replay.lane import Rules
from sensorstream.pipelines.replay.replay import ReplayJob, ReplaySource
from sensorstream.records import check_topic_name
from sensorstream.sources.base import Source
from sensorstream.sources.formats import SourceForm
from sensorstream.sources.schedule import Schedule, make_schedule

LOGGED_ROWS_PER_S: Final = 20.0
"""A replay that is slower than this tells every row; a faster one tells its progress."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The options of ``produce``, as they were given; times in seconds. Empty ``sources``: the configured ones."""

    sources: tuple[str, ...] = ()
    rate: float | None = None
    speed: float | None = None
    max_gap: float | None = None
    delay_given: bool = False
    limit: int | None = None
    loop: bool = False
    partition_by: str | None = None
    key: str | None = None
    format: str = "json"
    timestamps: str = "now"
    time_column: str | None = None
    time_format: str | None = None
    from_row: tuple[str, ...] = ()
    form: SourceForm = field(default_factory=SourceForm)
    max_rejects: int | None = None
    rejects_folder: Path = Path()


def make_job(settings: Settings, options: ReplayOptions, listener: Listener = ignore) -> ReplayJob:
    """Check the options and plan the replay. Raises UsageError; no file has been opened yet."""
    _check(options)
    pairs = source_files(settings, options.sources)
    if options.loop and any(path == "-" for _, path in pairs):
        raise UsageError("--loop can't begin stdin anew", hint="give it a file")
    form = options.form
    if (form.delimiter or form.quote or form.columns) and all(form.of(path) in ("jsonl", "text") for _, path in pairs):
        raise UsageError("--delimiter, --quote and --columns are for CSV and TSV sources", hint="leave them out")
    first_rows = _first_rows(options.from_row, [topic for topic, _ in pairs])
    sources = []
    for topic, path in pairs:
        known = settings.topic(topic)
        time_column = options.time_column or known.time_column
        # The format that is known belongs to the column that is known.
        time_format = options.time_format or (known.time_format if time_column == known.time_column else None)
        pace = partial(
            make_schedule,
            delay=settings.delay,
            rate=options.rate,
            speed=options.speed,
            max_gap=options.max_gap,
            name=path,
            time_format=time_format,
            listener=listener,
        )
        key = options.key or known.key
        if options.partition_by == "key" and key is None:
            raise UsageError(f"--partition-by key needs a key for {topic}", hint="name its column with --key")
        rules = Rules(
            make_schedule=_schedule_for(pace),
            paced_by_time=options.speed is not None,
            partition_by=options.partition_by or ("key" if key else "row"),
            key=key,
            time_column=time_column,
            time_format=time_format,
            original_timestamps=options.timestamps == "original",
            limit=options.limit,
            max_rejects=options.max_rejects,
            make_encoder=options.form.encoder(path),
        )
        # The same checks for every source, before the first one is opened.
        rules.make_schedule(0)
        stem = "stdin" if path == "-" else Path(path).stem
        sources.append(
            ReplaySource(
                topic,
                _source(path, options.form, rules, listener, bulk=_in_bulk(rules, settings, options)),
                first_rows.get(topic, 0),
                rules,
                options.rejects_folder / f"{stem}.rejected.jsonl",
            )
        )
    slow = options.rate if options.rate is not None else 1 / settings.delay if settings.delay else float("inf")
    log_rows = options.speed is None and slow * len(sources) <= LOGGED_ROWS_PER_S
    return ReplayJob(sources, settings.thread, options.loop, log_rows)


def source_files(settings: Settings, given: Sequence[str]) -> list[tuple[str, str]]:
    """Topics and their files: those of ``TOPIC=FILE`` texts, else those of the configuration. Raises UsageError."""
    if not given:
        found = [(topic.name, str(topic.source)) for topic in settings.topics if topic.source is not None]
        if not found:
            raise UsageError("no topic of the configuration has a source", hint="give one: --source TOPIC=FILE")
        return found
    pairs = []
    for text in given:
        topic, equals, path = text.partition("=")
        if not equals or not topic or not path:
            raise UsageError(f"--source {text!r} is not TOPIC=FILE", hint="for example --source AIR=AIR2308.csv")
        pairs.append((check_topic_name(topic), path))
    if sum(path == "-" for _, path in pairs) > 1:
        raise UsageError("stdin can feed one topic only", hint="give the other --source a file")
    return pairs


def is_paced(settings: Settings, options: ReplayOptions) -> bool:
    """Whether rows have moments of their own at which they are due."""
    return settings.delay > 0 or options.rate is not None or options.speed is not None


def for_single_rows(settings: Settings) -> Settings:
    """The settings for a client that sends rows one by one: none waits for company, unless the user wants it to."""
    return replace(settings, properties={"linger.ms": "0", **settings.properties})


def client_settings(settings: Settings, options: ReplayOptions) -> Settings:
    """The settings for the client of a replay: rows that have a moment of their own are sent at that moment."""
    return for_single_rows(settings) if is_paced(settings, options) else settings


def _in_bulk(rules: Rules, settings: Settings, options: ReplayOptions) -> bool:
    """Whether no row of the source must be looked at by itself: for its moment, its key, its partition or its log."""
    by_row = rules.partition_by == "row" and rules.key is None and not rules.original_timestamps
    return by_row and not is_paced(settings, options) and rules.limit is None


def _source(path: str, form: SourceForm, rules: Rules, listener: Listener, *, bulk: bool) -> Callable[[int], Source]:
    by_time = rules.original_timestamps or rules.paced_by_time
    looked_at = (rules.key, rules.time_column if by_time else None, rules.partition_by.partition(":")[2])
    fields = tuple(name for name in looked_at if name)

    def make(first_row: int) -> Source:
        return form.source(path, fields=fields, start_row=first_row, bulk=bulk, listener=listener)

    return make


def _schedule_for(pace: Callable[..., Schedule]) -> Callable[[int | None], Schedule]:
    return lambda column: pace(column=column)


def _check(options: ReplayOptions) -> None:
    options.form.check()
    if options.format != "json":
        raise UsageError(f"--format {options.format!r} is not known", hint="it is json")
    if options.timestamps not in ("now", "original"):
        raise UsageError(f"--timestamps {options.timestamps!r} is not known", hint="it is now or original")
    if options.delay_given and (options.rate is not None or options.speed is not None):
        raise UsageError("--delay can't be used with --rate or --speed", hint="take one of them")
    rule = options.partition_by
    if rule is not None and rule not in ("row", "key") and not (rule.startswith("column:") and rule[7:]):
        raise UsageError(f"--partition-by {rule!r} is not known", hint="it is row, key or column:NAME")


def _first_rows(given: Sequence[str], topics: Sequence[str]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for topic, number in parse_pairs(given, "--from-row").items():
        if topics.count(topic) != 1:
            why = "is not among the sources" if topic not in topics else "has several sources"
            raise UsageError(f"--from-row {topic}={number}: topic {topic} {why}")
        if not (number.isascii() and number.isdecimal()):
            raise UsageError(f"--from-row {topic}={number}: {number!r} is no row number", hint="rows count from 0")
        rows[topic] = int(number)
    return rows
