"""Station 9: targets of closed windows: a table, a stream, a replaced or an appended file, a topic."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from sensorstream.clients.base import Client, TransactionalPublisher
from sensorstream.clients.transaction import wait_until_seen
from sensorstream.errors import SensorstreamError, SinkError
from sensorstream.own_files import open_own
from sensorstream.pipelines.aggregate.spec import JobMark
from sensorstream.records import Json, Number, Row, TopicPartition, Value
from sensorstream.serde import json as json_serde
from sensorstream.serde.csv_cells import csv_text, to_cell
from sensorstream.sinks.checkpoint import Checkpoint, sidecar, sync_folder, write_all
from sensorstream.sinks.positioned_file import PositionedFile

STATE_HEADER: Final = "sensorstream.aggregate"
"""On the last record of each transaction: the job, and the state to go on from, as JSON."""
_ALL_PARTITIONS: Final = -1
_AT_ONCE: Final = 1000


class Kept:
    """Keeps the windows for whoever started the run."""

    name = "the screen"

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def open(self, mark: JobMark, columns: Sequence[str]) -> str | None:
        """Nothing is remembered."""
        self.columns = tuple(columns)
        return None

    def write(self, rows: Sequence[Row], state: str) -> None:
        """Keep them."""
        self.rows += rows

    def finish(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class Streamed:
    """Writes each window as one line of JSON to a stream, as soon as it is closed."""

    name = "stdout"

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def open(self, mark: JobMark, columns: Sequence[str]) -> str | None:
        """Nothing is remembered."""
        return None

    def write(self, rows: Sequence[Row], state: str) -> None:
        """Write them."""
        left = memoryview(_json_lines(rows))
        while left:
            left = left[self._stream.write(left) :]
        if rows:
            self._stream.flush()

    def finish(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """The stream belongs to the caller."""


def check_unclaimed(path: Path) -> None:
    """Refuse a file that belongs to a capture, or to a run that goes on. Raises SinkError."""
    if sidecar(path).exists():
        raise SinkError(f"{path} belongs to a capture or to an aggregate without -e", hint="give another --to")


class WholeFile:
    """A file that takes its name only when all windows are in it; one that was there before is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fresh = path.with_name(path.name + ".tmp")
        self._csv = path.suffix.lower() == ".csv"
        self._descriptor = -1

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    def open(self, mark: JobMark, columns: Sequence[str]) -> str | None:
        """Begin it anew; a file that belongs to a capture, or to a run that goes on, is left alone."""
        self._columns = tuple(columns)
        check_unclaimed(self._path)
        with _Translated(self._path):
            there = self._path if self._path.exists() else None
            self._descriptor = open_own(self._fresh, os.O_WRONLY | os.O_TRUNC, like=there)
            if self._csv:
                write_all(self._descriptor, _csv_lines([dict(zip(columns, columns, strict=True))], columns))
        return None

    def write(self, rows: Sequence[Row], state: str) -> None:
        """Add windows."""
        data = _csv_lines(rows, self._columns) if self._csv else _json_lines(rows)
        with _Translated(self._path):
            write_all(self._descriptor, data)

    def finish(self) -> None:
        """Give the file its name, durably."""
        with _Translated(self._path):
            os.fsync(self._descriptor)
            self._fresh.replace(self._path)
            sync_folder(self._path.parent)

    def close(self) -> None:
        """Drop what has no name yet."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._fresh.unlink(missing_ok=True)


class GrowingFile:
    """A file that grows window by window; what was written and the state beside it are durable together."""

    def __init__(self, path: Path) -> None:
        self._file = PositionedFile(path)
        self._form = "csv" if path.suffix.lower() == ".csv" else "jsonl"

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._file.path)

    def open(self, mark: JobMark, columns: Sequence[str]) -> str | None:
        """Lock the file and cut it to its state; see :class:`~sensorstream.sinks.positioned_file.PositionedFile`."""
        self._columns = tuple(columns)
        log = Checkpoint(
            mark.topic,
            _ALL_PARTITIONS,
            mark.identity.cluster_id,
            mark.identity.topic_id,
            self._form,
            raw=False,
            next_offset=0,
            transform=json.dumps({"aggregate": mark.described()}),
        )
        stored = self._file.open(log)
        if stored is None:
            self._file.start(log)
        if (stored is None or not stored.length) and self._form == "csv":
            self._file.append(_csv_lines([dict(zip(columns, columns, strict=True))], columns))
        return None if stored is None else stored.state or None

    def write(self, rows: Sequence[Row], state: str) -> None:
        """Add windows, durably, with the state."""
        if rows:
            self._file.append(_csv_lines(rows, self._columns) if self._form == "csv" else _json_lines(rows))
        self._file.commit(0, self._columns, state)

    def finish(self) -> None:
        """All is durable already."""

    def close(self) -> None:
        """Release the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class _Found:
    """The newest state in the output topic."""

    number: int
    state: str


class ToTopic:
    """Publishes windows as JSON records, each batch in one transaction together with the state.

    With ``whole`` everything is published in one transaction at the end. Otherwise the state stands in a header of the
    last record of each transaction, and a later run looks for the newest one of its job in the topic.
    The key of a record is the window's own: one column of ``--by`` as it is, several as a JSON array.
    """

    def __init__(self, client: Client, topic: str, *, whole: bool, timeout_s: float = 60.0) -> None:
        self._client = client
        self._topic = topic
        self._whole = whole
        self._timeout_s = timeout_s
        self._publisher: TransactionalPublisher | None = None
        self._waiting: list[Row] = []
        self._number = 0

    @property
    def name(self) -> str:
        """The topic."""
        return f"topic {self._topic}"

    def open(self, mark: JobMark, columns: Sequence[str]) -> str | None:
        """Fence any older run of the same job, then read its newest state from the topic."""
        described = json.dumps([mark.topic, list(mark.identity), self._topic, mark.described()])
        self._job = hashlib.sha256(described.encode()).hexdigest()[:16]
        self._by = mark.job.rule.by
        publisher = self._client.transactional_publisher(f"sensorstream-aggregate-{self._job}")
        self._publisher = publisher
        publisher.partitions_for(self._topic)
        if self._whole:
            return None
        found = self._newest()
        self._number = 0 if found is None else found.number
        return None if found is None else found.state

    def write(self, rows: Sequence[Row], state: str) -> None:
        """Publish windows and state in one transaction; a state alone can wait, since reading again restores it."""
        if self._whole:
            self._waiting += rows
        elif rows:
            self._publish(rows, state)

    def finish(self) -> None:
        """Publish what has waited for the end; whoever reads the topic from now on finds all windows."""
        if self._waiting:
            self._publish(self._waiting, "")
        if self._publisher is not None and self._publisher.ends:
            with suppress(SensorstreamError), self._client.reader() as reader:
                wait_until_seen(reader, self._publisher.ends)

    def close(self) -> None:
        """Abort what is open."""
        if self._publisher is not None:
            self._publisher.close()

    def _publish(self, rows: Sequence[Row], state: str) -> None:
        publisher = self._publisher
        if publisher is None:
            raise SensorstreamError(f"{self.name} was not opened")
        publisher.begin()
        for at, row in enumerate(rows, 1):
            headers: tuple[tuple[str, bytes], ...] = ()
            if at == len(rows) and not self._whole:
                note = {"job": self._job, "number": self._number + 1, "state": state}
                headers = ((STATE_HEADER, json.dumps(note).encode()),)
            publisher.publish(self._topic, json_serde.encode(row), key=self._key(row), headers=headers)
            if at % _AT_ONCE == 0:
                publisher.flush(self._timeout_s)
        publisher.commit(self._timeout_s)
        self._number += 1

    def _key(self, row: Row) -> bytes | None:
        values = [to_cell(row[column], raw=True) for column in self._by]
        if len(values) <= 1:
            return values[0].encode("utf-8", "backslashreplace") if values else None
        return json.dumps(values).encode()

    def _newest(self) -> _Found | None:
        """Read the whole topic: it holds one record a window, and the state may be anywhere."""
        newest: _Found | None = None
        with self._client.reader() as reader:
            parts = [TopicPartition(self._topic, at) for at in range(reader.partitions_for(self._topic))]
            ends = reader.end_offsets(parts)
            reader.assign(reader.beginning_offsets(parts))
            while any(reader.position(tp) < ends[tp] for tp in parts):
                for records in reader.poll(1.0).values():
                    for record in records:
                        for name, value in record.headers:
                            note = _note(value) if name == STATE_HEADER else {}
                            if note.get("job") == self._job and (newest is None or note["number"] > newest.number):
                                newest = _Found(note["number"], note["state"])
        return newest


def table_rows(rows: Sequence[Row]) -> tuple[dict[str, Any], ...]:
    """Windows for a JSON envelope: a number becomes an int or a double, nested values become objects."""
    return tuple({name: _plain(value) for name, value in row.items()} for row in rows)


def _plain(value: Value) -> Any:
    if not isinstance(value, Number | Json):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, say
        return str(value)
    # Beyond a double it is no JSON number to those who read it as one.
    return str(value) if isinstance(found, float) and abs(found) == float("inf") else found


def _note(value: bytes) -> Mapping[str, Any]:
    try:
        note = json.loads(value)
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _json_lines(rows: Sequence[Row]) -> bytes:
    return b"".join(json_serde.encode(row) + b"\n" for row in rows)


def _csv_lines(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    return csv_text([[to_cell(row[column]) for column in columns] for row in rows]).encode("utf-8", "backslashreplace")


class _Translated:
    """Turns an OSError into a SinkError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise SinkError(f"{self._path} can't be written: {error.strerror}", hint="give another --to") from error
