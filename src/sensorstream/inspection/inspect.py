"""Stations 1-2, inspected instead of sent: what a file is, and a table for ``sensorstream.toml`` to replay it."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from sensorstream.description import Description
from sensorstream.errors import UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.inspection.columns import ColumnCounter, ColumnFound, station_column
from sensorstream.inspection.dialect import guess
from sensorstream.inspection.table import toml_table, topic_name
from sensorstream.inspection.times import TimeFound, find_rule, times_of
from sensorstream.records import SourceRow
from sensorstream.serde.json import decode
from sensorstream.sources.base import Source
from sensorstream.sources.formats import SourceForm, has_objects

ROWS: Final = 1_000_000
"""So many rows of a file are looked at, unless more are asked for."""
_HEAD: Final = 1000
_BATCH: Final = 5000


@dataclass(frozen=True, slots=True)
class FileFound:
    """What a file is. ``described`` is what differs from the defaults of a source, ``rows`` were looked at (``whole``:
    these are all), ``rejected`` of them can't be read. ``stations`` counts the values of ``station_column``. ``table``
    is the one of ``sensorstream.toml`` that replays the file into ``topic``."""

    path: str
    topic: str
    format: str
    described: dict[str, object]
    columns: tuple[ColumnFound, ...]
    time: TimeFound | None
    station_column: str | None
    stations: int | None
    rows: int
    rejected: int
    whole: bool
    table: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What several files are."""

    files: tuple[FileFound, ...]


def inspect(path: str, *, rows: int = ROWS, listener: Listener = ignore) -> FileFound:
    """Look at a file, more than once: a pipe is refused. Raises SourceError, UsageError."""
    _refuse_pipe(path)
    form = guess(path)
    kind = form.of(path)
    names = _fields(form, path) if has_objects(kind) else ()
    units = _units(form, path)
    with form.source(path, fields=names, listener=listener) as source:
        columns = names or source.columns
        counters = [ColumnCounter(name, units.get(at)) for at, name in enumerate(columns)]
        head, rejected, whole = _take(source, min(_HEAD, rows))
        rule = find_rule(columns, [_filled(row.cells) for row in head])
        times = None if rule is None else times_of(rule[0], columns, ambiguous=rule[1])
        time_names = () if rule is None else (rule[0].column, *rule[0].names)
        looked, station, batch = 0, None, head
        while batch:
            for row in batch:
                for counter, cell in zip(counters, row.cells, strict=False):
                    counter.add(cell)
            looked += len(batch)
            if looked <= _HEAD:
                station = station_column(counters, [counter.found(is_time=False) for counter in counters])
            if times is not None:
                for row in batch:
                    times.add(row.cells, "" if station is None else row.cells[station])
            if looked >= rows:
                break
            batch, more, whole = _take(source, min(_BATCH, rows - looked))
            rejected += more
    found = tuple(counter.found(is_time=counter.name in time_names) for counter in counters)
    if not has_objects(kind):
        form = _with_missing(form, found)
    values = None if station is None else counters[station].values
    topic = topic_name(path)
    time = None if times is None else times.found()
    key = None if station is None else columns[station]
    return FileFound(
        path,
        topic,
        kind,
        {name: list(value) if isinstance(value, tuple) else value for name, value in form.said.items()},
        found,
        time,
        key,
        None if values is None else len(values),
        looked + rejected,
        rejected,
        whole,
        toml_table(topic, path, form, time, key),
    )


def config_tables(paths: Sequence[str], target: Path, *, listener: Listener = ignore) -> str:
    """The tables of the topics that these files feed, for a configuration file at ``target``.

    Sources are found from that file's folder. Two files whose topics would have one name get a number behind it. Raises
    SourceError, UsageError.
    """
    tables, names = [], set[str]()
    for path in paths:
        found = inspect(path, listener=listener)
        topic, count = found.topic, 2
        while topic in names:
            topic, count = f"{found.topic}_{count}", count + 1
        names.add(topic)
        source = os.path.relpath(path, target.resolve().parent)
        if found.time is not None and found.time.ambiguous:
            listener(Notice(f'{path}: no row tells day from month: say time_format = "dmy" or "mdy"', "warning"))
        tables.append(toml_table(topic, source, described(found), found.time, found.station_column))
    return "\n".join(tables)


def _take(source: Source, limit: int) -> tuple[list[SourceRow], int, bool]:
    """The next rows, how many were rejected, and whether the source has ended."""
    taken: list[SourceRow] = []
    rejected = 0
    while len(taken) < limit:
        batch = source.read(limit - len(taken))
        if not batch:
            return taken, rejected, True
        taken += batch.rows
        rejected += len(batch.rejected)
    return taken, rejected, False


def _filled(cells: list[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _fields(form: SourceForm, path: str) -> tuple[str, ...]:
    """The names of the fields of the first objects, in their order."""
    with form.source(path) as source:
        rows, _, _ = _take(source, 100)
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(islice(decode(row.cells[-1].encode()), 1000)))
    return tuple(names)


def _units(form: SourceForm, path: str) -> dict[int, str]:
    """The cells of the first line of units, by column."""
    if not form.units_line:
        return {}
    # Read as the header of a file that begins with it.
    ahead = replace(form, skip_lines=form.units_line[0] - 1, units_line=(), repeated_header=False)
    with ahead.source(path) as source:
        return {at: name.strip() for at, name in enumerate(source.columns) if name.strip() and "column_" not in name}


def _with_missing(form: SourceForm, found: tuple[ColumnFound, ...]) -> SourceForm:
    """The marks of missing values, column by column: what stands for nothing in one is a value in another, such as the
    NA of Namibia."""
    marks = tuple(f"{column.name}={mark}" for column in found for mark in column.missing)
    return replace(form, missing=marks) if marks else form


def _refuse_pipe(path: str) -> None:
    try:
        pipe = path == "-" or stat.S_ISFIFO(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return  # told where it is opened
    if pipe:
        name = "stdin" if path == "-" else path
        raise UsageError(f"{name} can be read only once, but must be read twice", hint="write it to a file first")


def described(found: FileFound) -> Description:
    """The description of a file that was found, as a replay takes it."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in found.described.items()}
    return SourceForm(**values)  # type: ignore[arg-type]
