"""Station 9, asked in SQL: which tables captured files make, and the SQL that reads each.

A table is all that was captured of a topic: each of its files, whatever they are. DuckDB reads CSV, JSON Lines and
Parquet itself; a database is first copied into a Parquet file, in bounded memory. Only what the positions speak of is
read: of a file that grows meanwhile, a copy of that.
"""

import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensorstream.errors import SourceError
from sensorstream.pipelines.query.databases import copy_of_partition, kinds_of_all
from sensorstream.pipelines.verify.captured_files import CapturedFile, find_captured
from sensorstream.serde.csv_cells import source_cell
from sensorstream.sinks import checkpoint
from sensorstream.sinks.segment_names import OPEN
from sensorstream.sinks.sqlite_names import folded, free_name, quoted

if TYPE_CHECKING:
    import duckdb

_PATTERN: Final = frozenset("*?[")
_LINE: Final = 64 << 20
_NUMBER: Final = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_INTEGER: Final = r"-?(0|[1-9][0-9]{0,17})"
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
_ZONE: Final = r"(Z|[+-][0-9]{2}:[0-9]{2})"


@dataclass(frozen=True, slots=True)
class Table:
    """What was captured of a topic: ``size`` is bytes, ``waiting`` rows are in no finished file yet."""

    table: str
    topic: str
    formats: tuple[str, ...]
    partitions: int
    files: int
    size: int
    waiting: int


def find_tables(folder: Path) -> dict[str, list[CapturedFile]]:
    """The captured files of a folder by the name of their table. Raises SourceError where there are none."""
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}", hint="name the folder of captured files")
    by_topic: dict[str, list[CapturedFile]] = {}
    for file in find_captured([folder]):
        by_topic.setdefault(file.topic, []).append(file)
    tables: dict[str, list[CapturedFile]] = {}
    for topic, files in by_topic.items():
        tables[free_name(topic, folded(tables))] = files
    return tables


def described(name: str, files: Sequence[CapturedFile]) -> Table:
    """What a table is made of."""
    paths = {path for file in files for path in paths_of(file)}
    return Table(
        name,
        files[0].topic,
        tuple(sorted({file.format for file in files})),
        len({file.partition for file in files}),
        len(paths),
        sum(path.stat().st_size for path in paths),
        sum(file.waiting for file in files),
    )


def paths_of(file: CapturedFile) -> list[Path]:
    """The files of a partition that hold rows."""
    parts = [path for run in file.parts for path in run]
    return parts if parts or file.path.suffix == OPEN or not file.path.is_file() else [file.path]


def make_view(db: "duckdb.DuckDBPyConnection", name: str, files: Sequence[CapturedFile], temporary: Path) -> None:
    """Make the table ``name``; copies that it needs go to the folder ``temporary``.

    Raises duckdb.Error, SourceError.
    """
    parts: list[str] = []
    for number, (form, group) in enumerate(_groups(files)):
        part = quoted(f"{name} part {number}")
        if form == "sqlite":
            kinds = kinds_of_all(group)
            paths = [
                copy_of_partition(file, kinds, temporary / f"{file.topic}-{file.partition}.parquet") for file in group
            ]
            source = f"read_parquet({_list(paths, temporary)}, union_by_name=true)"
        elif form == "parquet":
            paths = [path for file in group for path in paths_of(file)]
            levels = {len([each for each in path.parts if "=" in each]) for path in paths}
            hive = "true" if len(levels) == 1 else "false"
            source = f"read_parquet({_list(paths, temporary)}, union_by_name=true, hive_partitioning={hive})"
        else:
            paths = [whole for file in group for path in paths_of(file) if (whole := _whole(path, temporary))]
            source = _csv(paths, temporary) if form == "csv" else _jsonl(paths, temporary)
        if not paths:
            continue
        db.execute(f"CREATE TEMP VIEW {part} AS SELECT * FROM {source}")  # noqa: S608  # names and paths are quoted
        raw = form != "csv" or group[0].raw
        chosen = ", ".join(_columns(db, part, numbers=form == "csv", raw=raw))
        parts.append(f"SELECT {chosen} FROM {part}")  # noqa: S608  # names are quoted
    union = " UNION ALL BY NAME ".join(parts) or 'SELECT NULL AS "nothing" WHERE false'
    db.execute(f"CREATE TEMP VIEW {quoted(name)} AS {union}")


def _groups(files: Sequence[CapturedFile]) -> Iterator[tuple[str, list[CapturedFile]]]:
    """Files that are read in one way."""
    kinds = sorted({(file.format, file.raw) for file in files})
    for form, raw in kinds:
        yield form, [file for file in files if (file.format, file.raw) == (form, raw)]


def _whole(path: Path, temporary: Path) -> Path | None:
    """The file itself, or a copy of what its position speaks of; None where that is nothing."""
    position = checkpoint.load(path)
    size = path.stat().st_size
    length = size if position is None else position.length
    if not length:
        return None
    if size <= length:
        return path
    copy = temporary / path.name
    with path.open("rb") as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.truncate(length)
    return copy


def _csv(paths: Sequence[Path], temporary: Path) -> str:
    return (
        f"read_csv({_list(paths, temporary)}, header=true, all_varchar=true, delim=',', quote='\"', escape='\"', "
        f"union_by_name=true, allow_quoted_nulls=false, max_line_size={_LINE}, buffer_size={2 * _LINE + 1})"
    )


def _jsonl(paths: Sequence[Path], temporary: Path) -> str:
    return (
        f"read_json({_list(paths, temporary)}, format='newline_delimited', union_by_name=true, sample_size=-1, "
        f"maximum_object_size={_LINE})"
    )


def _list(paths: Sequence[Path], temporary: Path) -> str:
    return "[" + ", ".join(sql_text(str(_unambiguous(path, temporary))) for path in paths) + "]"


def _unambiguous(path: Path, temporary: Path) -> Path:
    """The path, by way of a link where it has a letter that DuckDB takes for a pattern."""
    if not _PATTERN & {*str(path)}:
        return path
    *above, name = path.absolute().parts
    # The levels that readers take for columns stay.
    levels = [part for part in above if "=" in part and not _PATTERN & {*part}]
    folder = Path(*above[: len(above) - len(levels)])
    link = temporary / f"folder-{zlib.crc32(str(folder).encode()):08x}"
    if not link.exists():
        link.symlink_to(folder)
    place = link.joinpath(*levels, name)
    if not _PATTERN & {*name}:
        return place
    alone = temporary / f"file-{zlib.crc32(str(path).encode()):08x}{path.suffix}"
    if not alone.exists():
        alone.symlink_to(place)
    return alone


def sql_text(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _columns(db: "duckdb.DuckDBPyConnection", part: str, *, numbers: bool, raw: bool) -> list[str]:
    """The columns of a part as SQL: text that surely is a number or a time in each row becomes one.

    ``numbers``: text may stand for numbers, as in CSV; not ``raw``: the apostrophe in front of formulas is taken away.
    """
    columns: list[tuple[str, str]] = [row[:2] for row in db.execute(f"DESCRIBE {part}").fetchall()]
    texts = [name for name, kind in columns if kind == "VARCHAR"]
    checks = [check for name in texts for check in _checks(quoted(name), numbers=numbers)]
    found: Sequence[Any] = ()
    if checks:
        found = db.execute(f"SELECT {', '.join(checks)} FROM {part}").fetchone() or ()  # noqa: S608  # names are quoted
    answers = iter(found)
    chosen: list[str] = []
    for name, kind in columns:
        column, shown = quoted(name), quoted(name if raw else source_cell(name))
        if kind == "JSON":
            chosen.append(f"({column} ->> '$') AS {shown}")
        elif kind != "VARCHAR":
            chosen.append(f"{column} AS {shown}")
        else:
            chosen.append(f"{_cast(column, [next(answers) for _ in range(4)], raw=raw)} AS {shown}")
    return chosen


def _checks(column: str, *, numbers: bool) -> list[str]:
    def every(condition: str) -> str:
        return f"bool_and({condition}) FILTER ({column} IS NOT NULL)"

    no = "NULL::BOOLEAN"
    return [
        every(f"regexp_full_match({column}, '{_INTEGER}')") if numbers else no,
        every(f"regexp_full_match({column}, '{_NUMBER}') AND isfinite(TRY_CAST({column} AS DOUBLE))")
        if numbers
        else no,
        every(f"regexp_full_match({column}, '{_TIME}') AND TRY_CAST({column} AS TIMESTAMP) IS NOT NULL"),
        every(f"regexp_full_match({column}, '{_TIME}{_ZONE}') AND TRY_CAST({column} AS TIMESTAMPTZ) IS NOT NULL"),
    ]


def _cast(column: str, answers: Sequence[bool | None], *, raw: bool) -> str:
    for is_it, kind in zip(answers, ("BIGINT", "DOUBLE", "TIMESTAMP", "TIMESTAMPTZ"), strict=True):
        if is_it:
            return f"CAST({column} AS {kind})"
    return column if raw else f"regexp_replace({column}, '^''(''*[=+\\-@\\t\\r])', '\\1')"


def columns_of(db: "duckdb.DuckDBPyConnection", sql: str) -> list[tuple[str, str]]:
    """The names and types of a query's columns. Raises duckdb.Error."""
    return [(row[0], row[1]) for row in db.execute(f"DESCRIBE {sql}").fetchall()]


def as_json(value: object) -> str:
    """A nested value as JSON."""
    return json.dumps(value, default=str, ensure_ascii=False)
