"""Stations 8-9: where a capture stores: the format, the place, and the sink for it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from sensorstream.config import Settings
from sensorstream.errors import UsageError
from sensorstream.events import Listener
from sensorstream.records import TopicPartition
from sensorstream.serde.row_maker import RowMaker
from sensorstream.sinks.base import Sink
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.checks import check_captured, check_folder
from sensorstream.storage_rules import (
    FORMATS,
    SEGMENT_BYTES,
    SEGMENT_ROWS,
    SEGMENT_S,
    StorageRules,
    formats_hint,
    is_format,
)

ENDINGS: Final = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
    ".parquet": "parquet",
}
"""What the name of a target ends with, and the format that it says."""
STREAMED: Final = ("csv", "jsonl")
"""The formats that can go to stdout."""
SHARED: Final = ("sqlite",)
"""The formats of which one file can hold several partitions."""


def capture_name(tp: TopicPartition, form: str) -> str:
    """The file name of a captured partition, as the seed lab has it: ``AIR_Consumer_0.csv``."""
    return f"{tp.topic}_Consumer_{tp.partition}.{form}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where records go: one file (``path``), or files in ``folder``; with ``rules`` they are finished ones (segments).

    ``time_column`` and ``time_format`` are those configured for the topic.
    """

    form: str
    path: Path | None
    folder: Path
    rules: StorageRules | None
    time_column: str | None = None
    time_format: str | None = None

    @property
    def is_one_file(self) -> bool:
        """Whether it is a file that can hold just one partition."""
        return self.path is not None and self.form not in SHARED

    def check(self, topic: str, partitions: Iterable[int]) -> None:
        """Refuse what can't be written or is somebody else's. Raises SinkError, UsageError; nothing is made."""
        check_folder(self.folder)
        if self.form == "parquet":
            from sensorstream.sinks.parquet_columns import need_pyarrow

            need_pyarrow()
        if self.rules is not None:
            from sensorstream.sinks.segment_names import open_name

            paths = [self.folder / open_name(topic, number, self.form) for number in partitions]
        elif self.path is not None:
            paths = [self.path]
        else:
            paths = [self.folder / capture_name(TopicPartition(topic, number), self.form) for number in partitions]
        for path in paths:
            if self.form == "sqlite":
                from sensorstream.sinks.sqlite_tables import check_database

                check_database(path)
            else:
                check_captured(path)

    def sink(self, log: Checkpoint, listener: Listener, rows: RowMaker) -> Sink:
        """The sink that stores what ``rows`` makes of the partition of ``log``."""
        if self.rules is not None:
            return self._segments(log, self.rules, listener, rows)
        path = self.path or self.folder / capture_name(TopicPartition(log.topic, log.partition), self.form)
        if self.form == "sqlite":
            from sensorstream.sinks.sqlite_file import SqliteFileSink

            return SqliteFileSink(path, log, listener, rows)
        if self.form == "csv":
            from sensorstream.sinks.csv_file import CsvFileSink

            return CsvFileSink(path, log, listener, rows)
        if self.form == "jsonl":
            from sensorstream.sinks.jsonl_file import JsonlFileSink

            return JsonlFileSink(path, log, listener, rows)
        from sensorstream.sinks.plug_in import open_plug_in

        return open_plug_in(self.form, path, log, listener, rows)

    def _segments(self, log: Checkpoint, rules: StorageRules, listener: Listener, rows: RowMaker) -> Sink:
        from sensorstream.sinks.segments import SegmentFormat, SegmentSink

        form: SegmentFormat
        if self.form == "parquet":
            from sensorstream.sinks.parquet_files import ParquetSegments

            form = ParquetSegments(
                self.folder / log.topic,
                time_column=self.time_column,
                time_format=self.time_format,
                listener=listener,
            )
        else:
            from sensorstream.sinks.segment_text import CsvSegments, JsonlSegments

            form = CsvSegments(raw=log.raw) if self.form == "csv" else JsonlSegments()
        parse = None
        if rules.date_column is not None and rules.date_column == self.time_column and self.time_format is not None:
            from sensorstream.sources.times import parse_time

            parse = partial(parse_time, time_format=self.time_format)
        return SegmentSink(self.folder, log, rules, form, listener, rows, parse_time=parse)


def target_of(settings: Settings, topic: str, to: str, asked: StorageRules) -> Target:
    """Where ``to`` is, and how records are stored there: as asked, else as the topic's table says.

    Raises UsageError.
    """
    known = settings.topic(topic)
    path = Path(to)
    named = None if path.is_dir() or to.endswith(os.sep) else _format_of(path)
    if path.suffix.lower() == ".parquet" and named is None and path.is_dir():
        named = "parquet"
    # What was asked for on the command line comes first, then what the target says, then the file.
    rules = asked.over(StorageRules(format=named)).over(known.capture)
    form = rules.format or "csv"
    if not is_format(form):
        raise UsageError(f"--format {form!r} is not known", hint=formats_hint())
    if rules.date_column is not None and "date" not in rules.folders:
        raise UsageError("--date-column is for folders by date", hint="add --folders date, or leave it out")
    is_file = named not in (None, "parquet")
    if form != "parquet" and (not rules.makes_segments or (is_file and not asked.makes_segments)):
        return Target(form, path if is_file else None, path.parent if is_file else path, None)
    if form == "sqlite":
        raise UsageError(
            "an SQLite database is not rotated or put into folders by date", hint="leave --rotate-... and --folders out"
        )
    if form not in FORMATS:
        raise UsageError(
            f"files of the plug-in {form} are not rotated or put into folders by date",
            hint="leave --rotate-... and --folders out",
        )
    if is_file:
        raise UsageError(f"--to {to} is one file, but several are to be made", hint="give a folder")
    return Target(form, None, path, _with_limits(rules, form), known.time_column, known.time_format)


def _format_of(path: Path) -> str | None:
    """The format that a file's ending says: one that is built in, or a plug-in's name."""
    ending = path.suffix.lower()
    built_in = ENDINGS.get(ending)
    return built_in or (ending[1:] if len(ending) > 1 and is_format(ending[1:]) else None)


def _with_limits(rules: StorageRules, form: str) -> StorageRules:
    """When segments are finished where nothing was asked for. Parquet is made in memory, so all limits hold there."""
    limits = StorageRules(rotate_rows=SEGMENT_ROWS, rotate_size=SEGMENT_BYTES, rotate_time=SEGMENT_S)
    asked = any(limit is not None for limit in (rules.rotate_rows, rules.rotate_size, rules.rotate_time))
    return replace(rules.over(limits) if form == "parquet" or not asked else rules, format=form)
