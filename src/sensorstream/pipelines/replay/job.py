"""Stations 1-4: from the user's options to a checked replay job, before anything starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from sensorstream.config import Settings, parse_pairs
from sensorstream.errors import UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.replay.following import check_timeout, follow_of, own_delay
from sensorstream.pipelines.replay.job_identity import OnceRules, check_regular, job_names
from sensorstream.pipelines.replay.job_records import JOBS_PARTITIONS, JOBS_TOPIC
from sensorstream.pipelines.replay.spec import ReplayJob, ReplaySource, Rules
from sensorstream.pipelines.replay.time_options import check_zones, common_clock, on_clock, time_rule
from sensorstream.pipelines.replay.value_options import encoder_of, schema_file, value_format
from sensorstream.records import check_topic_name
from sensorstream.serde.value_rules import ValueRule
from sensorstream.sources.base import Source
from sensorstream.sources.followed import FollowedSource
from sensorstream.sources.formats import SourceForm, has_cells
from sensorstream.sources.row_times import FirstTimes, RowTimes
from sensorstream.sources.schedule import Schedule, make_schedule
from sensorstream.sources.several import is_pattern
from sensorstream.sources.times import TimeRule

LOGGED_ROWS_PER_S: Final = 20.0
"""A replay that is slower than this tells every row; a faster one tells its progress."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """The options of ``produce``, as they were given; times in seconds. Empty ``sources``: the configured ones;
    ``follow`` and ``timeout`` None: as the configuration of the topic says.

    ``format`` is that of the values (None: as configured, else JSON); ``values`` are the rules that
    :func:`sensorstream.pipelines.replay.values.with_values` made of it, one for each source.
    """

    sources: tuple[str, ...] = ()
    rate: float | None = None
    speed: float | None = None
    max_gap: float | None = None
    clock: str | None = None
    delay_given: bool = False
    limit: int | None = None
    loop: bool = False
    follow: bool | None = None
    timeout: float | None = None
    partition_by: str | None = None
    key: str | None = None
    format: str | None = None
    schema: str | None = None
    schema_registry: str | None = None
    values: tuple[ValueRule | None, ...] = ()
    timestamps: str = "now"
    time_column: str | None = None
    time_format: str | None = None
    time_zone: tuple[str, ...] = ()
    from_row: tuple[str, ...] = ()
    form: SourceForm = field(default_factory=SourceForm)
    max_rejects: int | None = None
    rejects_folder: Path = Path()
    job: str | None = None
    restart: bool = False


def make_job(settings: Settings, options: ReplayOptions, listener: Listener = ignore) -> ReplayJob:
    """Check the options and plan the replay. Raises UsageError; no file has been opened yet."""
    _check(settings, options)
    pairs = source_files(settings, options.sources)
    if options.loop and any(path == "-" for _, path in pairs):
        raise UsageError("--loop can't read stdin again", hint="give it a file")
    names = job_names(options.job, [topic for topic, _ in pairs])
    if settings.exactly_once:
        for _, path in pairs:
            check_regular(path)
    form = options.form
    if form.of_tables and all(not has_cells(form.of(path)) for _, path in pairs):
        raise UsageError(f"{', '.join(form.of_tables)}: only for CSV and TSV sources", hint="leave it out")
    first_rows = _first_rows(options.from_row, [topic for topic, _ in pairs])
    check_zones(options.time_zone, [topic for topic, _ in pairs])
    clock, places = common_clock(settings, options, pairs, listener)
    sources = []
    values = options.values or (None,) * len(pairs)
    for at, ((topic, path), name, value) in enumerate(zip(pairs, names, values, strict=True)):
        known = settings.topic(topic)
        form = options.form.over(known.description)
        form.check()
        if not options.values and (value_format(options, known) != "json" or schema_file(options, known) is not None):
            raise UsageError(f"{topic} has values with a schema, which is not for this command", hint="use produce")
        time = time_rule(known, options.time_column, options.time_format, options.time_zone)
        follow = follow_of(
            path,
            known,
            follow=options.follow,
            timeout=options.timeout,
            loop=options.loop,
            encoding=form.encoding,
            kind=form.of(path),
        )
        pace = partial(
            make_schedule,
            delay=settings.delay if follow is None else own_delay(settings),
            rate=options.rate,
            speed=options.speed,
            max_gap=options.max_gap,
            name=path,
            listener=listener,
        )
        key = options.key or known.key
        if options.partition_by == "key" and key is None:
            raise UsageError(f"--partition-by key needs a key for {topic}", hint="name its column with --key")
        # The same checks for every source, before the first one is opened.
        pace(times=RowTimes(FirstTimes(TimeRule("")), (0,)))
        place = places.get(at)
        rules = Rules(
            make_schedule=_schedule_for(pace)
            if clock is None or place is None
            else on_clock(clock, place, path, listener),
            paced_by_time=options.speed is not None,
            partition_by=options.partition_by or ("key" if key else "row"),
            key=key,
            time=time,
            original_timestamps=options.timestamps == "original",
            limit=options.limit,
            max_rejects=options.max_rejects,
            make_encoder=encoder_of(value, form, path),
            value=value,
            follow=follow,
            on_clock=place is not None,
            leave_clock=_nothing if clock is None or place is None else partial(clock.leave, place),
        )
        stem = "stdin" if path == "-" else topic if is_pattern(path) else Path(path).stem
        sources.append(
            ReplaySource(
                topic,
                _source(path, form, rules, listener, bulk=_in_bulk(rules, settings, options)),
                first_rows.get(topic, 0),
                rules,
                options.rejects_folder / f"{stem}.rejected.jsonl",
                once=OnceRules(path, name, _rule(rules, options, form, first_rows.get(topic, 0), path), form.order),
            )
        )
    delay = own_delay(settings) if all(source.rules.follow for source in sources) else settings.delay
    slow = options.rate if options.rate is not None else 1 / delay if delay else float("inf")
    log_rows = options.speed is None and slow * len(sources) <= LOGGED_ROWS_PER_S
    if options.timeout is not None and not any(source.rules.follow for source in sources):
        raise UsageError("--timeout is for sources that are followed", hint="add --follow, or leave it out")
    return ReplayJob(
        sources,
        settings.thread,
        options.loop,
        log_rows,
        settings.exactly_once,
        options.restart,
        partial(_make_jobs_topic, settings, listener),
        clock,
    )


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


def _rule(rules: Rules, options: ReplayOptions, form: SourceForm, first_row: int, path: str) -> dict[str, str]:
    """What makes records of a file's rows, by option: with another one, a job can't go on."""
    time = rules.time if rules.original_timestamps else None
    given = {
        "partition_by": rules.partition_by,
        "key": rules.key,
        "format": "json" if rules.value is None else rules.value.format,
        "schema": None if rules.value is None else rules.value.identity,
        "timestamps": options.timestamps,
        "time_column": None if time is None else time.column,
        "time_format": None if time is None else time.format,
        "time_zone": None if time is None else time.zone,
        "from_row": str(first_row) if first_row else None,
        **form.as_rule(),
        "source_format": form.of(path),
        "encoding": form.encoding,
        "loop": "yes" if options.loop else None,
        "follow": "yes" if rules.follow else None,
    }
    return {option: value for option, value in given.items() if value is not None}


def _make_jobs_topic(settings: Settings, listener: Listener) -> None:
    """Create the topic of jobs, with as many replicas as the cluster has brokers, three at the most."""
    from sensorstream.pipelines.own_topics import make_compacted

    make_compacted(settings, JOBS_TOPIC, JOBS_PARTITIONS, replicated_configs={"min.insync.replicas": "2"})
    listener(Notice(f"created topic {JOBS_TOPIC}, which holds the progress of exactly-once replays", "debug"))


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
    by_row = rules.partition_by == "row" and rules.key is None and not rules.original_timestamps and rules.value is None
    paced = is_paced(settings, options)
    if rules.follow is not None and options.rate is None and options.speed is None:
        paced = own_delay(settings) > 0
    return by_row and not paced and rules.limit is None


def _source(path: str, form: SourceForm, rules: Rules, listener: Listener, *, bulk: bool) -> Callable[[int], Source]:
    by_time = rules.original_timestamps or rules.paced_by_time
    times = rules.time.names if by_time and rules.time is not None else ()
    looked_at = (rules.key, *times, rules.partition_by.partition(":")[2])
    fields = tuple(name for name in looked_at if name)

    def make(first_row: int) -> Source:
        return form.source(path, fields=fields, start_row=first_row, bulk=bulk, listener=listener)

    def follow(first_row: int) -> Source:
        return FollowedSource(path, make, first_row, listener=listener)

    return make if rules.follow is None else follow


def _nothing() -> None:
    """What a source without a common clock does to leave it."""


def _schedule_for(pace: Callable[..., Schedule]) -> Callable[[RowTimes | None], Schedule]:
    return lambda times: pace(times=times)


def _check(settings: Settings, options: ReplayOptions) -> None:
    options.form.check()
    check_timeout(options.timeout)
    if options.timestamps not in ("now", "original"):
        raise UsageError(f"--timestamps {options.timestamps!r} is not known", hint="it is now or original")
    if options.delay_given and (options.rate is not None or options.speed is not None):
        raise UsageError("--delay can't be used with --rate or --speed", hint="take one of them")
    for option, given in (("--job", options.job is not None), ("--restart", options.restart)):
        if given and not settings.exactly_once:
            raise UsageError(f"{option} is for exactly-once replays", hint="add --exactly-once, or leave it out")
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
