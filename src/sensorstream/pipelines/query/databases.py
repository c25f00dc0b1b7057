"""Station 9, asked in SQL: a partition out of a captured database as a Parquet file, in bounded memory.

DuckDB has a reader of its own for SQLite, which must be fetched from the network first.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sensorstream.errors import SourceError
from sensorstream.pipelines.verify.captured_files import CapturedFile
from sensorstream.serde.typed_values import plain_cell
from sensorstream.sinks.sqlite_names import quoted
from sensorstream.sinks.sqlite_tables import OWN_COLUMNS, read_only, table_names

_AT_ONCE: Final = 10_000
_COLUMNS_AT_ONCE: Final = 100


Kinds = dict[str, frozenset[str]]
"""Column to the types that its values have, nulls apart."""


def kinds_of_all(files: Sequence[CapturedFile]) -> Kinds:
    """The types of the values in all databases of a topic, so that a column has one type over all.

    Raises SourceError.
    """
    kinds: Kinds = {}
    for path, topic in sorted({(file.path, file.topic) for file in files}):
        with _reading(path) as db:
            table, names = table_names(db, topic)
            shown = list(names.values())
            for begin in range(0, len(shown), _COLUMNS_AT_ONCE):
                some = shown[begin : begin + _COLUMNS_AT_ONCE]
                asked = ", ".join(f"group_concat(DISTINCT typeof({quoted(name)}))" for name in some)
                row = db.execute(f"SELECT {asked} FROM {quoted(table)}").fetchone()  # noqa: S608  # names are quoted
                for name, text in zip(some, row, strict=True):
                    kinds[name] = kinds.get(name, frozenset()) | (frozenset((text or "").split(",")) - {"null", ""})
    return kinds


def copy_of_partition(file: CapturedFile, kinds: Kinds, path: Path) -> Path:
    """Write a partition of a database to ``path``; a column with values of several types becomes text.

    Raises SourceError.
    """
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    with _reading(file.path) as db:
        table, names = table_names(db, file.topic)
        shown = [name for name in names.values() if name in kinds]
        types = [_type(kinds[name]) for name in shown]
        schema = pyarrow.schema(list(zip(shown, types, strict=True)))
        chosen = ", ".join(map(quoted, shown)) or "1"
        found = db.execute(
            f"SELECT {chosen} FROM {quoted(table)} "  # noqa: S608  # names are quoted
            f"WHERE _partition = ? ORDER BY {', '.join(OWN_COLUMNS)}",
            (file.partition,),
        )
        with ParquetWriter(path, schema) as writer:
            while rows := found.fetchmany(_AT_ONCE):
                arrays = [
                    pyarrow.array(_fitting(values, kinds[name], arrow), arrow)
                    for values, name, arrow in zip(zip(*rows, strict=True), shown, types, strict=False)
                ]
                writer.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))
    return path


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(read_only(path)) as db:
            db.execute("BEGIN")  # one state of it from the first statement to the last
            yield db
    except sqlite3.Error as error:
        raise SourceError(f"{path} can't be read: {error}") from error


def _type(kinds: frozenset[str]) -> Any:
    import pyarrow

    if kinds == {"integer"}:
        return pyarrow.int64()
    return pyarrow.float64() if kinds and kinds <= {"integer", "real"} else pyarrow.string()


def _fitting(values: Sequence[Any], kinds: frozenset[str], arrow: Any) -> Sequence[Any]:
    """Values as the column's type has them; those that came since the types were looked up, too."""
    import pyarrow

    if arrow == pyarrow.float64():
        return [None if value is None else float(value) for value in values]
    if arrow == pyarrow.string() and not kinds <= {"text"}:
        return [None if value is None else plain_cell(value) for value in values]
    return values
