"""Station 9: records as rows of an SQLite database, each batch in one transaction with the position.

A database holds any number of partitions: a table a topic, whose key is partition, offset, and the number of the row
where a record was made into several. The position stands in the table ``sensorstream_position``, so a crash at any
moment leaves rows and position of one and the same transaction. The log is written ahead (WAL): who reads never keeps
the capture waiting, nor the other way round.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Final

from sensorstream.errors import DecodeError, SinkError
from sensorstream.events import Listener, ignore
from sensorstream.own_files import open_own
from sensorstream.records import ConsumedRecord
from sensorstream.serde.row_maker import PLAIN, RowMaker
from sensorstream.serde.typed_values import Typed, typed
from sensorstream.sinks.checkpoint import Checkpoint, sync_folder
from sensorstream.sinks.checks import no_position
from sensorstream.sinks.dead_letter import rejected_record
from sensorstream.sinks.file_lock import FileLock
from sensorstream.sinks.held import Held, new_file
from sensorstream.sinks.rejected import RejectedFile, beside
from sensorstream.sinks.sqlite_names import folded, free_name, quoted
from sensorstream.sinks.sqlite_tables import (
    BUSY_S,
    COLUMNS,
    HELD,
    OWN_COLUMNS,
    POSITION,
    SCHEMA,
    TOPICS,
    check_database,
    has_tables,
    key_of,
    position_of,
    sink_error,
    table_names,
    transaction,
)

MAX_COLUMNS: Final = 1990
"""SQLite's own limit is 2,000 columns; a record that would bring more is rejected."""
"""How long another writer of the database is waited for: its transactions take less than a second."""


class SqliteFileSink:
    """Captures the records of one partition, of which ``rows`` makes the rows, into a table of an SQLite database.

    ``log`` says which partition of which topic and cluster is to be stored. Numbers are stored as INTEGER or REAL where
    that keeps their value, truth values as 1 and 0, text and all else as TEXT.
    """

    def __init__(self, path: Path, log: Checkpoint, listener: Listener = ignore, rows: RowMaker = PLAIN) -> None:
        self._path = path
        self._log = log
        self._maker = rows
        self._letters = RejectedFile(beside(path), listener, once=True)
        self._lock = FileLock(
            path.with_name(f"{path.name}.{log.topic}-{log.partition}.lock"), f"{log.topic}[{log.partition}] in {path}"
        )
        self._db: sqlite3.Connection | None = None
        self._table = ""
        self._names: dict[str, str] = {}
        self._rows: list[tuple[tuple[str, ...], tuple[Typed, ...]]] = []
        self._new: set[str] = set()
        self._position = 0
        self._end: int | None = None
        self._held: Held | None = None
        self.rows = 0

    @property
    def name(self) -> str:
        """The database's path."""
        return str(self._path)

    @property
    def rejected(self) -> int:
        """Records that went to the rejected file instead."""
        return self._letters.count

    def open(self) -> int | None:
        """Open the database, which takes back what a crash left half; see :class:`sensorstream.sinks.base.Sink`."""
        check_database(self._path)
        if not self._path.exists():
            return None
        self._lock.take()
        with self._translated():
            db = self._connect()
            stored = position_of(db, self._log.topic, self._log.partition) if has_tables(db, self._path) else None
        if stored is None:
            return None
        stored.check_same_log(self._log, self._path)
        self._position, self._end, self._held = stored.next_offset, stored.range_end, stored.held
        with self._translated():
            self._read_names(db)
        return stored.next_offset

    @property
    def end(self) -> int | None:
        """Where its range ends."""
        return self._end

    def start(self, offset: int, end: int | None = None) -> None:
        """Begin the partition at ``offset``, in a new database or beside the other partitions in this one."""
        self._lock.take()
        log = self._log
        with self._translated():
            is_new = not self._path.exists()
            db = self._db or self._connect()
            if not is_new and not has_tables(db, self._path):
                is_new = True
            letters = beside(self._path)
            if is_new and letters.exists() and letters.stat().st_size:
                raise no_position(letters, self._path)
            with transaction(db):
                for statement in SCHEMA:
                    db.execute(statement)
                self._make_table(db)
                db.execute(
                    f"INSERT INTO {POSITION} VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # a name of ours
                    (log.topic, log.partition, log.cluster_id, log.topic_id, log.transform, offset, log.range, end),
                )
                held = new_file(offset)
                self._store_held(db, held)
            sync_folder(self._path.parent)
            self._read_names(db)
        self._position, self._end, self._held = offset, end, held

    @property
    def held(self) -> Held | None:
        """Which offsets of the partition are in the database."""
        return self._held

    def skip(self, position: int) -> None:
        """Go on at ``position``."""
        db = self._db
        if db is None:
            raise SinkError(f"{self._path} was not started")
        before = self._held
        held = new_file(position) if before is None else before.behind(self._position, position)
        with self._translated(), transaction(db):
            for statement in SCHEMA:
                db.execute(statement)
            self._store_held(db, held)
            self._move(db, position)
        self._position, self._held = position, held

    def write(self, records: Sequence[ConsumedRecord]) -> Collection[int]:
        """Add records; what gives no row goes to the rejected file. Returns the offsets of that."""
        rejected: set[int] = set()
        offset, same = -1, 0
        for record in records:
            if record.offset != offset:
                offset, same = record.offset, 0
            try:
                row = self._maker.row(record)
                columns = tuple(row)
                self._check(columns)
            except DecodeError as error:
                self.reject(record, error.message)
                rejected.add(record.offset)
                continue
            self._rows.append((columns, (record.partition, offset, same, *map(typed, row.values()))))
            self.rows += 1
            same += 1
        return rejected

    def write_values(
        self, values: Sequence[bytes | None], make_records: Callable[[], Sequence[ConsumedRecord]]
    ) -> Collection[int]:
        """Add the records that ``make_records`` gives."""
        return self.write(make_records())

    def reject(self, record: ConsumedRecord, reason: str) -> None:
        """Put a record into the rejected file, whole."""
        try:
            self._letters.add(rejected_record(record, reason))
        except OSError as error:
            raise SinkError(f"{self._letters.path} can't be written: {error.strerror}") from error

    def commit(self, position: int) -> None:
        """Store everything written and ``position`` in one transaction."""
        if position == self._position and not self._rows:
            return
        db = self._db
        if db is None:
            raise SinkError(f"{self._path} was not started")
        with self._translated():
            self._letters.sync()
            with transaction(db):
                if self._new:
                    self._add_columns(db)
                for columns, rows in groupby(self._rows, key=lambda row: row[0]):
                    db.executemany(self._insert(columns), (values for _, values in rows))
                self._move(db, position)
        self._position = position
        self._rows.clear()
        self._new.clear()

    def _move(self, db: sqlite3.Connection, position: int) -> None:
        moved = db.execute(
            f"UPDATE {POSITION} SET next_offset = ? "  # noqa: S608  # a name of ours
            "WHERE topic = ? AND partition = ? AND next_offset = ?",
            (position, self._log.topic, self._log.partition, self._position),
        )
        if moved.rowcount != 1:
            raise SinkError(
                f"{self._path}: the position of {self._log.topic}[{self._log.partition}] was changed by "
                "another program during the capture",
                hint="nothing was stored since; start again to continue from there",
            )

    def _store_held(self, db: sqlite3.Connection, held: Held) -> None:
        db.execute(
            f"INSERT OR REPLACE INTO {HELD} VALUES (?, ?, ?, ?, ?)",  # noqa: S608  # a name of ours
            (self._log.topic, self._log.partition, held.file, held.since, json.dumps(held.spans)),
        )

    def settle(self, *, last: bool = False) -> None:
        """Nothing to do: the database is whole as it is."""

    def close(self) -> None:
        """Let go of the database; what was not committed is dropped."""
        self._rows.clear()
        if self._db is not None:
            with suppress(sqlite3.Error):
                # The last one to close leaves one file, which can be read where nothing can be written.
                self._db.execute("PRAGMA busy_timeout = 0")
                self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.close()
            self._db = None
        self._lock.release()

    def _connect(self) -> sqlite3.Connection:
        # Made and held by us first: the library makes files that others may read, and follows links. What it has
        # opened then is the file that we hold, or it is not written to. Its journals get the mode of the database.
        held = open_own(self._path, os.O_RDWR)
        try:
            db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._db = db
            if not os.path.samestat(os.fstat(held), self._path.lstat()):
                raise SinkError(f"{self._path} was replaced while it was opened", hint="start again")
        finally:
            os.close(held)
        # A file that is no database shows at the first statement.
        mode = db.execute("PRAGMA journal_mode").fetchone()[0]
        if mode != "wal":
            with suppress(sqlite3.OperationalError):  # somebody reads it at this moment: it goes on without
                mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        # A position that was stored must be there after a power failure, too.
        db.execute(f"PRAGMA synchronous = {'FULL' if mode == 'wal' else 'EXTRA'}")
        return db

    def _make_table(self, db: sqlite3.Connection) -> None:
        topic = self._log.topic
        if db.execute(f"SELECT 1 FROM {TOPICS} WHERE topic = ?", (topic,)).fetchone():  # noqa: S608  # names of ours
            return
        taken = folded([name for (name,) in db.execute("SELECT name FROM sqlite_master")])
        name = free_name(topic, taken)
        db.execute(f"INSERT INTO {TOPICS} VALUES (?, ?)", (topic, name))  # noqa: S608  # names of ours
        own = ", ".join(f"{column} INTEGER NOT NULL" for column in OWN_COLUMNS)
        db.execute(f"CREATE TABLE {quoted(name)} ({own}, PRIMARY KEY ({', '.join(OWN_COLUMNS)})) WITHOUT ROWID")

    def _read_names(self, db: sqlite3.Connection) -> None:
        self._table, self._names = table_names(db, self._log.topic)

    def _check(self, columns: tuple[str, ...]) -> None:
        """Raise DecodeError for what can't be a row; remember new columns."""
        if not columns:
            raise DecodeError("an object without columns")
        new = [column for column in columns if column not in self._names and column not in self._new]
        if new:
            if (count := len(self._names) + len(self._new) + len(new)) > MAX_COLUMNS:
                raise DecodeError(f"its new columns would make {count}, over {MAX_COLUMNS}")
            self._new.update(new)

    def _add_columns(self, db: sqlite3.Connection) -> None:
        # Another partition's capture may have added some meanwhile.
        self._read_names(db)
        wanted = dict.fromkeys(column for columns, _ in self._rows for column in columns if column in self._new)
        for column in wanted:
            if column in self._names:
                continue
            name = free_name(column, folded([*OWN_COLUMNS, *self._names.values()]))
            db.execute(f"ALTER TABLE {quoted(self._table)} ADD COLUMN {quoted(name)}")
            db.execute(
                f"INSERT INTO {COLUMNS} VALUES (?, ?, ?, ?)",  # noqa: S608  # a name of ours
                (self._log.topic, key_of(column), name, len(self._names)),
            )
            self._names[column] = name

    def _insert(self, columns: tuple[str, ...]) -> str:
        names = ", ".join([*OWN_COLUMNS, *(quoted(self._names[column]) for column in columns)])
        places = ", ".join("?" * (len(OWN_COLUMNS) + len(columns)))
        return f"INSERT INTO {quoted(self._table)} ({names}) VALUES ({places})"  # noqa: S608  # names are quoted

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise sink_error(self._path, error) from error
        except OSError as error:
            raise SinkError(f"{self._path} can't be written: {error.strerror or error}") from error
