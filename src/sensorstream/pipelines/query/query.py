"""Station 9, asked in SQL: one SELECT over the captured files of a folder, read only and in bounded memory."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from sensorstream.errors import DataError, Interrupted, SensorstreamError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.query.tables import Table, columns_of, described, find_tables, make_view, sql_text
from sensorstream.wording import counted

if TYPE_CHECKING:
    import duckdb

MEMORY: Final = "1GB"
"""How much memory a query may take; beyond it goes to a temporary folder."""
_ROWS: Final = 5000
_UNKNOWN: Final = re.compile(r'Table with name "?(.+?)"? does not exist')


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer, with its type as DuckDB calls it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The columns of an answer, and its rows, which are read as they are taken."""

    columns: tuple[Column, ...]
    rows: Iterator[tuple[Any, ...]]


def list_tables(folder: Path) -> tuple[Table, ...]:
    """The tables that the captured files of a folder make. Raises SourceError."""
    return tuple(described(name, files) for name, files in find_tables(folder).items())


@contextmanager
def query(
    sql: str,
    folder: Path,
    *,
    memory: str = MEMORY,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> Iterator[Answer]:
    """Ask the captured files of ``folder``; each topic is a table of its name.

    Raises UsageError (an extra is missing, the SQL is none or no SELECT, a table or column is not there), SourceError,
    DataError (a value can't be what the query makes of it), SensorstreamError (not enough memory), Interrupted.
    """
    duckdb = need_duckdb()
    tables = find_tables(folder)
    stop = stop or threading.Event()
    with TemporaryDirectory(prefix="sensorstream-query-") as place, duckdb.connect() as db, _translated(stop, tables):
        _check(duckdb, sql)
        # An answer is made once, and asked for piece by piece.
        _prepare(db, folder, Path(place), memory)
        done = threading.Event()
        watch = threading.Thread(target=_interrupt, args=(db, stop, done), daemon=True)
        watch.start()
        try:
            columns = _bind(db, sql, tables, Path(place), listener)
            relation = db.sql(sql)
            reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
            yield Answer(tuple(Column(*column) for column in columns), _rows(reader(_ROWS)))
        finally:
            done.set()
            watch.join()


def need_duckdb() -> Any:
    """The module duckdb. Raises UsageError, saying what to install, where it or pyarrow is missing."""
    try:
        import duckdb
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "query needs DuckDB and pyarrow, which are not installed", hint="pip install 'sensorstream[storage]'"
        ) from error
    return duckdb


def _check(duckdb: Any, sql: str) -> None:
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("the query is not one SELECT", hint="captured files are only read; give one statement")


def _prepare(db: "duckdb.DuckDBPyConnection", folder: Path, place: Path, memory: str) -> None:
    import duckdb

    (place / "spill").mkdir()
    try:
        db.execute("SET memory_limit = ?", [memory])
    except duckdb.Error as error:
        raise UsageError(f"--memory {memory!r} is no size", hint="write it as 500MB or 2GB") from error
    folders = ", ".join(sql_text(str(each)) for each in (folder, folder.absolute(), place))
    for setting in (
        f"temp_directory = {sql_text(str(place / 'spill'))}",
        "TimeZone = 'UTC'",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "enable_progress_bar = false",
        f"allowed_directories = [{folders}]",
        "enable_external_access = false",
    ):
        db.execute(f"SET {setting}")
    db.execute("SET lock_configuration = true")


def _bind(
    db: "duckdb.DuckDBPyConnection", sql: str, tables: dict[str, Any], place: Path, listener: Listener
) -> list[tuple[str, str]]:
    """Make the tables that the query names, as it asks for them, and tell its columns."""
    import duckdb

    names = {name.lower(): name for name in tables}
    made: set[str] = set()
    while True:
        try:
            return columns_of(db, sql)
        except duckdb.CatalogException as error:
            unknown = _UNKNOWN.search(str(error))
            name = names.get(unknown[1].lower()) if unknown else None
            if name is None or name in made:
                raise
        folder = place / str(len(made))
        folder.mkdir()
        make_view(db, name, tables[name], folder)
        made.add(name)
        waiting = sum(file.waiting for file in tables[name])
        if waiting:
            listener(
                Notice(f"{name}: left out {counted(waiting, 'row')} that are not in a finished file yet", "warning")
            )


def _rows(reader: Any) -> Iterator[tuple[Any, ...]]:
    for batch in reader:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _interrupt(db: "duckdb.DuckDBPyConnection", stop: threading.Event, done: threading.Event) -> None:
    while not done.wait(0.1):
        if stop.is_set():
            db.interrupt()


@contextmanager
def _translated(stop: threading.Event, tables: dict[str, Any]) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if stop.is_set():
            raise Interrupted("interrupted before the answer was complete") from error
        raise _error(error, tables) from error
    except OSError as error:
        if stop.is_set():
            raise Interrupted("interrupted before the answer was complete") from error
        if error.errno is not None:
            raise
        # What goes wrong while the answer is read comes by way of Arrow.
        raise DataError(_line(str(error))) from error


def _error(error: Exception, tables: Sequence[str] | dict[str, Any]) -> SensorstreamError:
    import duckdb

    message = _line(str(error))
    if isinstance(error, duckdb.OutOfMemoryException):
        return SensorstreamError(f"not enough memory for the query: {message}", hint="give more with --memory 4GB")
    if isinstance(error, duckdb.CatalogException) and _UNKNOWN.search(str(error)):
        return UsageError(message, hint=f"there are {', '.join(tables)}" if tables else "nothing was captured here")
    wrong = (
        duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException,
        duckdb.NotImplementedException, duckdb.SyntaxException,
    )  # fmt: skip
    return UsageError(message) if isinstance(error, wrong) else DataError(message)


def _line(text: str) -> str:
    """DuckDB's message on one line, without the query, which it repeats."""
    return " ".join(text.split("\n\nLINE ", maxsplit=1)[0].split())
