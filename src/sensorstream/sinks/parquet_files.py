"""Station 9: segments as Parquet files that form one table for every reader of their folder.

Readers of a folder take the columns of one file for those of all. So all files of a topic have the same columns of the
same types at any time: what they are stands in ``_columns.json`` in the topic's folder. When a segment brings a new
column, or values of another kind, the files that are there are written anew, each in one step, before the segment's
own files are written; a crash meanwhile is made good by whoever comes next. Who writes holds the folder's lock.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensorstream.errors import SinkError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.own_files import durable, make_folder
from sensorstream.records import Value
from sensorstream.serde import json as json_serde
from sensorstream.sinks.checkpoint import sync_folder
from sensorstream.sinks.column_kinds import NULL, kind_of, wider
from sensorstream.sinks.file_lock import FileLock
from sensorstream.sinks.parquet_columns import Kinds, arrow_column, converted, kinds_of, schema_of
from sensorstream.sinks.segment_names import segments_below
from sensorstream.sinks.segments import Rows

if TYPE_CHECKING:
    import pyarrow

COLUMNS: Final = "_columns.json"
_AT_ONCE: Final = 10_000
_READ_AT_ONCE: Final = 50_000


class ParquetSegments:
    """Columns of numbers, truth values, times and texts; ``folder`` is the topic's.

    ``time_column`` is the one that is configured, and ``time_format`` its format (None: ISO 8601).
    """

    name = "parquet"

    def __init__(
        self,
        folder: Path,
        *,
        time_column: str | None = None,
        time_format: str | None = None,
        listener: Listener = ignore,
    ) -> None:
        self._folder = folder
        self._time_column = time_column
        self._time_format = time_format
        self._listener = listener

    @contextmanager
    def lock(self) -> Iterator[None]:
        """No other process writes into the topic's folder meanwhile."""
        make_folder(self._folder)
        lock = FileLock(self._folder / "_columns.lock", str(self._folder))
        lock.take(wait=True)
        try:
            yield
        finally:
            lock.release()

    def write(self, files: Sequence[tuple[Path, Rows]]) -> None:
        """Write each file, with the columns of all files of the topic."""
        known, settled = self._load()
        chunks = [self._chunks(rows, known) for _, rows in files]
        merged = dict(known)
        for chunk_list in chunks:
            for kinds, _ in chunk_list:
                _widen(merged, kinds)
        if merged != known or not settled:
            self._change(known, merged)
        for (path, _), chunk_list in zip(files, chunks, strict=True):
            _write_file(path, merged, chunk_list)

    def adopt(self, paths: Sequence[Path]) -> None:
        """Files that have got their names only now: columns may have changed since they were written."""
        known, settled = self._load()
        if not settled:
            self._rewrite_all(known)
        else:
            for path in paths:
                _rewrite(path, known)

    def _chunks(self, rows: Rows, known: Mapping[str, str]) -> "list[tuple[Kinds, pyarrow.RecordBatch]]":
        """The rows as Arrow batches, each of the kinds that its own values have."""
        import pyarrow

        made = []
        kinds: Kinds = dict(known)
        source = rows()
        while batch := [json_serde.decode(row.value) for row in islice(source, _AT_ONCE)]:
            names = list(dict.fromkeys(name for row in batch for name in row))
            own: Kinds = {}
            arrays: list[Any] = []
            for name in names:
                values: list[Value] = [row.get(name) for row in batch]
                kind = kinds.get(name, NULL)
                kind = wider(kind, kind_of(values, self._time_format if name == self._time_column else None))
                own[name] = kinds[name] = kind
                arrays.append(arrow_column(values, kind))
            made.append((own, pyarrow.RecordBatch.from_arrays(arrays, schema=schema_of(own))))
        return made

    def _load(self) -> tuple[Kinds, bool]:
        """The topic's columns, and whether all its files have them."""
        path = self._folder / COLUMNS
        try:
            document = json.loads(path.read_bytes())
            columns = document["columns"]
            if not all(isinstance(text, str) for pair in columns.items() for text in pair):
                raise TypeError
            return columns, document["settled"] is True
        except FileNotFoundError:
            return {}, next(segments_below(self._folder), None) is None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SinkError(
                f"{path} can't be read: it was changed or damaged",
                hint="remove it: it is created again from the existing files",
            ) from error

    def _store(self, kinds: Kinds, *, settled: bool) -> None:
        path = self._folder / COLUMNS
        fresh = path.with_name(f"{COLUMNS}.new")
        with durable(fresh, like=path if path.exists() else None) as out:
            out.write(json.dumps({"schema": 1, "columns": kinds, "settled": settled}).encode() + b"\n")
        fresh.replace(path)
        sync_folder(self._folder)

    def _change(self, known: Kinds, merged: Kinds) -> None:
        there = any(True for segment in segments_below(self._folder) if segment.format == "parquet")
        if there:
            # Said before it is done: a crash in between must be seen.
            self._store(merged, settled=False)
            self._rewrite_all(merged)
            changed = [f"{name} ({kind})" for name, kind in merged.items() if known.get(name) != kind]
            if changed:
                self._listener(
                    Notice(
                        f"{self._folder}: columns are new or of another type, so its files were rewritten: "
                        + ", ".join(changed),
                        "warning",
                    )
                )
        self._store(merged, settled=True)

    def _rewrite_all(self, kinds: Kinds) -> None:
        """Give every file of the topic these columns, and those that only files have."""

        paths = [segment.path for segment in segments_below(self._folder) if segment.format == "parquet"]
        for path in paths:
            _widen(kinds, _kinds_in(path))
        for path in paths:
            _rewrite(path, kinds)
        self._store(kinds, settled=True)


def _widen(kinds: Kinds, other: Mapping[str, str]) -> None:
    for name, kind in other.items():
        kinds[name] = wider(kinds.get(name, NULL), kind)


def _kinds_in(path: Path) -> Kinds:
    import pyarrow
    import pyarrow.parquet

    try:
        return kinds_of(pyarrow.parquet.read_schema(path))
    except (pyarrow.ArrowException, KeyError, TypeError) as error:
        raise SinkError(f"{path} was not made by a capture, or is damaged", hint="move it away") from error


def _write_file(path: Path, kinds: Kinds, chunks: "Sequence[tuple[Kinds, pyarrow.RecordBatch]]") -> None:
    from pyarrow.parquet import ParquetWriter

    schema = schema_of(kinds)
    with durable(path) as out, ParquetWriter(out, schema, compression="zstd") as writer:
        for own, batch in chunks:
            writer.write_batch(_fitted(batch, own, kinds, schema))


def _rewrite(path: Path, kinds: Kinds) -> None:
    """Write a file anew with these columns, in one step, where it has others."""
    from pyarrow.parquet import ParquetFile, ParquetWriter

    own = _kinds_in(path)
    if list(own.items()) == list(kinds.items()):
        return
    schema = schema_of(kinds)
    fresh = path.with_name(f"_{path.name}.rewrite")
    with (
        ParquetFile(path) as old,
        durable(fresh, like=path) as out,
        ParquetWriter(out, schema, compression="zstd") as writer,
    ):
        for batch in old.iter_batches(_READ_AT_ONCE):
            writer.write_batch(_fitted(batch, own, kinds, schema))
    fresh.replace(path)
    sync_folder(path.parent)


def _fitted(batch: "pyarrow.RecordBatch", own: Kinds, kinds: Kinds, schema: "pyarrow.Schema") -> "pyarrow.RecordBatch":
    """A batch with the columns of ``kinds``, each of its kind."""
    import pyarrow

    places = {name: at for at, name in enumerate(own)}
    arrays: list[Any] = []
    for name, kind in kinds.items():
        if name in places:
            arrays.append(converted(batch.column(places[name]), own[name], kind))
        else:
            arrays.append(pyarrow.nulls(batch.num_rows, schema.field(len(arrays)).type))
    return pyarrow.RecordBatch.from_arrays(arrays, schema=schema)
