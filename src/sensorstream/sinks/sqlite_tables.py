"""Station 9: what a SQLite file of captured rows holds beside them: its positions, and the names of its tables."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sensorstream.errors import SinkError
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.checks import check_file, no_position
from sensorstream.sinks.held import Held
from sensorstream.sinks.rejected import beside

OWN_COLUMNS: Final = ("_partition", "_offset", "_row")
"""What the key of each table is made of."""
POSITION: Final = "sensorstream_position"
TOPICS: Final = "sensorstream_topics"
COLUMNS: Final = "sensorstream_columns"
HELD: Final = "sensorstream_held"
"""Which offsets of each partition are there; earlier versions had no such table."""
SCHEMA: Final = (
    f"CREATE TABLE IF NOT EXISTS {TOPICS} (topic TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID",
    f"CREATE TABLE IF NOT EXISTS {COLUMNS} (topic TEXT, column TEXT, name TEXT NOT NULL, place INTEGER NOT NULL, "
    "PRIMARY KEY (topic, column)) WITHOUT ROWID",
    f"CREATE TABLE IF NOT EXISTS {POSITION} (topic TEXT, partition INTEGER, cluster_id TEXT, topic_id TEXT, "
    "transform TEXT NOT NULL, next_offset INTEGER NOT NULL, range TEXT NOT NULL, range_end INTEGER, "
    "PRIMARY KEY (topic, partition)) WITHOUT ROWID",
    f"CREATE TABLE IF NOT EXISTS {HELD} (topic TEXT, partition INTEGER, file TEXT NOT NULL, since INTEGER NOT NULL, "
    "spans TEXT NOT NULL, PRIMARY KEY (topic, partition)) WITHOUT ROWID",
)  # fmt: skip
BUSY_S: Final = 60.0
HALF: Final = (
    sqlite3.SQLITE_READONLY_ROLLBACK,
    sqlite3.SQLITE_READONLY_RECOVERY,
    sqlite3.SQLITE_READONLY_CANTINIT,
)
"""What a connection that may not write meets where a process was killed within a write."""


def check_database(path: Path) -> None:
    """Refuse a database that can't be written, is none or is somebody else's. Raises SinkError."""
    check_file(path)
    check_file(beside(path))
    if not path.exists():
        letters = beside(path)
        if letters.exists() and letters.stat().st_size:
            raise no_position(letters, path)
        return
    try:
        db = read_only(path)
        try:
            has_tables(db, path)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise sink_error(path, error) from error


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, but for taking back what a crash left half. Raises sqlite3.Error."""
    db = connection(path, "ro")
    try:
        db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        db.close()
        if error.sqlite_errorcode not in HALF:
            raise
        db = connection(path, "rw")
        db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        db.execute("PRAGMA query_only = 1")
    except BaseException:
        db.close()
        raise
    return db


def connection(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in a mode of SQLite's: ``ro``, ``rw`` or ``rwc``. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None)


def positions(db: sqlite3.Connection) -> list[Checkpoint]:
    """The positions of all partitions in a database. Raises sqlite3.Error where it is none of ours."""
    found = db.execute(
        f"SELECT topic, partition, cluster_id, topic_id, transform, next_offset, range, range_end FROM {POSITION}"  # noqa: S608  # names of ours
    )
    held = _held(db)
    return [
        Checkpoint(
            topic,
            partition,
            cluster,
            log,
            "sqlite",
            raw=False,
            next_offset=offset,
            transform=transform,
            range=range_,
            range_end=end,
            held=held.get((topic, partition)),
        )
        for topic, partition, cluster, log, transform, offset, range_, end in found
    ]


def _held(db: sqlite3.Connection) -> dict[tuple[str, int], Held]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (HELD,)).fetchone():
        return {}
    found = db.execute(f"SELECT topic, partition, file, since, spans FROM {HELD}")  # noqa: S608  # a name of ours
    return {
        (topic, partition): Held(file, since, tuple((first, end) for first, end in json.loads(spans)))
        for topic, partition, file, since, spans in found
    }


def table_names(db: sqlite3.Connection, topic: str) -> tuple[str, dict[str, str]]:
    """The name of a topic's table, and of its columns by the names they have in the records, in their order."""
    (table,) = db.execute(f"SELECT name FROM {TOPICS} WHERE topic = ?", (topic,)).fetchone()  # noqa: S608  # names of ours
    found = db.execute(f"SELECT column, name FROM {COLUMNS} WHERE topic = ? ORDER BY place", (topic,))  # noqa: S608  # names of ours
    return table, {column_of(key): name for key, name in found}


def position_of(db: sqlite3.Connection, topic: str, partition: int) -> Checkpoint | None:
    """The position of one partition, where the file has it."""
    return next((one for one in positions(db) if (one.topic, one.partition) == (topic, partition)), None)


def has_tables(db: sqlite3.Connection, path: Path) -> bool:
    """Whether a capture has begun in the database; False for an empty one. Raises SinkError for somebody else's."""
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if names and not names >= {POSITION, TOPICS, COLUMNS}:
        raise SinkError(
            f"{path} is a database that was not made by a capture", hint="move it away or give another --to"
        )
    return bool(names)


def key_of(column: str) -> str:
    """A column's name as it is stored."""
    # Any name a JSON object may have, exactly, as text that SQLite can hold.
    return column.encode("utf-8", "surrogatepass").hex() if column != storable(column) else f"={column}"


def column_of(key: str) -> str:
    """The name of a column that is stored as ``key``."""
    return key[1:] if key.startswith("=") else bytes.fromhex(key).decode("utf-8", "surrogatepass")


def storable(column: str) -> str:
    """The nearest to a column's name that SQLite can hold as text."""
    return column.encode("utf-8", "replace").decode().replace("\0", "?")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done within, or take it back where that raises."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def sink_error(path: Path, error: sqlite3.Error) -> SinkError:
    """An error of SQLite, as ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return SinkError(
            f"no space left for {path}; it is whole up to its last position",
            hint="make room and start the same command again",
        )
    if code == sqlite3.SQLITE_NOTADB:
        return SinkError(f"{path} is no SQLite database", hint="move it away or give another --to")
    if code == sqlite3.SQLITE_CORRUPT:
        return SinkError(f"{path} is damaged: {error}", hint="move it away to start a new capture")
    if code == sqlite3.SQLITE_BUSY:
        return SinkError(f"{path} is locked by another program", hint="close that program, then start again")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return SinkError(f"{path} holds rows that are not covered by its position: {error}", hint="move it away")
    return SinkError(f"{path} can't be written: {error}", hint="give another --to")
