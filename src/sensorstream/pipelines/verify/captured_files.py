"""Station 9, read back: which captured files there are, and their rows as the source would have them."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from sensorstream.errors import DecodeError, SourceError, UsageError
from sensorstream.records import Number, Value
from sensorstream.serde.csv_cells import source_cell, to_cell
from sensorstream.serde.json import decode, encode, is_number, quote
from sensorstream.serde.row_maker import TOMBSTONE, parse_with
from sensorstream.sinks import checkpoint
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.rejected import ENDING
from sensorstream.sinks.segment_names import OPEN, open_name, parse_segment, segments_of_topics
from sensorstream.sources.csv_file import CsvSource
from sensorstream.sources.formats import Encoder

_NAME: Final = re.compile(r"(?P<topic>.+)_Consumer_(?P<partition>[0-9]{1,9})\.(?P<format>csv|jsonl)")
SQLITE_ENDINGS: Final = (".sqlite", ".sqlite3", ".db")
_BATCH: Final = 2000
_CELLS: Final = 1 << 15
_CELL_LENGTH: Final = 128
_MAX_ROW: Final = 8 << 20  # a source's longest row (1 MiB), with every character escaped or quoted


@dataclass(frozen=True, slots=True)
class CapturedFile:
    """A captured file of one partition; ``raw``: its text cells were not escaped.

    ``added`` are the columns that are no part of the values. ``value_format`` is that of the values, ``flattened`` says
    that nested ones were taken apart.

    Where the partition is in finished files (segments), ``path`` is where rows wait for theirs, and each of ``parts``
    is a run of files of one folder, in their order. ``waiting`` rows are in none of them yet.
    """

    path: Path
    topic: str
    partition: int
    format: str
    raw: bool
    added: frozenset[str] = frozenset()
    value_format: str = "json"
    flattened: bool = False
    parts: tuple[tuple[Path, ...], ...] = ()
    waiting: int = 0


def find_captured(paths: Sequence[Path], *, raw: bool = False) -> list[CapturedFile]:
    """The captured files among ``paths``; of a folder, all in it.

    Topic and partition stand in the file's position (its sidecar) or in its name, ``AIR_Consumer_0.csv``; ``raw``
    is for files without a position. Raises SourceError (there is no such path, or a folder without any), UsageError
    (a name that says nothing, two files of one partition).
    """
    found: dict[tuple[str, int], CapturedFile] = {}
    for path in paths:
        if path.is_dir():
            inside = [captured for each in sorted(path.iterdir()) for captured in _captured(each, raw)]
            inside += captured_segments(path, raw)
            if not inside:
                raise SourceError(
                    f"there is no captured file in {path}",
                    hint="capture with: sensorstream consume -t TOPIC -p PARTITION --to FOLDER",
                )
        elif path.exists():
            inside = _captured(path, raw) or _one_segment(path, raw)
            if not inside:
                raise UsageError(
                    f"{path}: the name doesn't say which partition it holds",
                    hint="name it TOPIC_Consumer_PARTITION.csv or .jsonl",
                )
        else:
            raise SourceError(f"there is no file {path}", hint="name captured files, or their folder")
        for captured in inside:
            other = found.setdefault((captured.topic, captured.partition), captured)
            if other.path != captured.path or other.parts != captured.parts:
                raise UsageError(
                    f"{other.path} and {captured.path} both hold {captured.topic}[{captured.partition}]",
                    hint="name just one of them",
                )
    return sorted(found.values(), key=lambda captured: (captured.topic, captured.partition))


def _captured(path: Path, raw: bool) -> list[CapturedFile]:
    """What was captured into a file: one partition, or those in a database; nothing where it is no captured file."""
    if not path.is_file() or path.name.endswith(ENDING):
        return []
    if path.suffix.lower() in SQLITE_ENDINGS:
        from sensorstream.pipelines.verify.typed_files import captured_in_database

        return [_described(path, one, one.format) for one in captured_in_database(path)]
    if path.suffix not in (".csv", ".jsonl") or parse_segment(path) is not None:
        return []
    position = checkpoint.load(path)
    if position is not None:
        return [_described(path, position, path.suffix[1:])]
    match = _NAME.fullmatch(path.name)
    if match is None:
        return []
    return [CapturedFile(path, match["topic"], int(match["partition"]), match["format"], raw)]


def _described(path: Path, position: Checkpoint, form: str) -> CapturedFile:
    """A captured file as its position tells it."""
    mark = json.loads(position.transform) if position.transform else {}
    added = {one.column for one in parse_with(mark["--with"])} if "--with" in mark else set[str]()
    if "--tombstones" in mark:
        added.add(TOMBSTONE)
    return CapturedFile(
        path,
        position.topic,
        position.partition,
        form,
        position.raw,
        frozenset(added),
        mark.get("--value-format", "json"),
        "--flatten" in mark,
    )


def _one_segment(path: Path, raw: bool) -> list[CapturedFile]:
    made = parse_segment(path)
    return [CapturedFile(path, made.topic, made.partition, made.format, raw, parts=((path,),))] if made else []


def rows_of_run(form: "Form", file: CapturedFile, run: Sequence[Path]) -> Iterator[tuple[int, object]]:
    """The rows of finished files that follow one another, counted from 1."""
    number = 0
    for path in run:
        for _, row in form.rows(replace(file, path=path, parts=())):
            number += 1
            yield number, row


def run_name(run: Sequence[Path]) -> str:
    """What a run of files is called: its one file, or their common name."""
    if len(run) == 1:
        return str(run[0])
    topic, partition, *_ = run[0].name.rsplit("-", 3)
    return str(run[0].with_name(f"{topic}-{partition}-*{run[0].suffix}"))


def captured_segments(folder: Path, raw: bool) -> list[CapturedFile]:
    """The partitions that lie in a folder, or in the folders below it, as finished files."""
    groups: dict[tuple[str, int, str], dict[Path, list[Path]]] = {}
    for segment in segments_of_topics(folder):
        parts = groups.setdefault((segment.topic, segment.partition, segment.format), {})
        parts.setdefault(segment.path.parent, []).append(segment.path)
    opened = {path.with_name(path.name.removesuffix(".position")) for path in folder.glob(f"_*{OPEN}.position")}
    positions = {path: position for path in opened if (position := checkpoint.load(path)) is not None}
    for position in positions.values():
        groups.setdefault((position.topic, position.partition, position.format), {})
    found = []
    for (topic, partition, form), parts in groups.items():
        path = folder / open_name(topic, partition, form)
        if path not in positions:  # the topic's own folder was named
            path = next((place for above in folder.parents if (place := above / path.name).exists()), path)
        position = positions.get(path) or checkpoint.load(path)
        waiting = json.loads(position.state or "{}").get("rows", 0) if position is not None else 0
        runs = tuple(tuple(files) for files in parts.values())
        made = CapturedFile(path, topic, partition, form, raw) if position is None else _described(path, position, form)
        found.append(replace(made, parts=runs, waiting=waiting))
    return found


class Form(Protocol):
    """How the rows of one captured format are compared. A row of type ``object`` is that form's own.

    ``unit`` is what the places of captured rows count: lines, or offsets.
    """

    unit: str

    def expected(self, cells: list[str]) -> object:
        """What a source row must have become."""

    def rows(self, file: CapturedFile) -> Iterator[tuple[int, object]]:
        """Line and row of each captured one."""

    def plain(self, row: object) -> object:
        """A row in the form in which ``expected`` gives it."""

    def key(self, row: object) -> int:
        """A hash of a row."""

    def cells(self, row: object) -> list[str]:
        """A row's cells, to be shown to a person."""

    def names(self, row: object) -> Sequence[str]:
        """What the cells of an expected row are called."""


class CsvForm:
    """Rows of captured CSV files: lists of cells in the order of the source's columns."""

    unit = "line"

    def __init__(self, columns: tuple[str, ...], raw: bool) -> None:
        self._columns = columns
        self._raw = raw
        self._captured_cell: Callable[[str], str] = _CapturedCells(raw).__getitem__

    def expected(self, cells: list[str]) -> object:
        """The cells as the sink writes them."""
        return list(map(self._captured_cell, cells))

    def rows(self, file: CapturedFile) -> Iterator[tuple[int, object]]:
        """The file's rows; one that is not CSV of its header's width comes as a row of one odd cell."""
        if file.path.stat().st_size == 0:
            return  # begun, and no record has come
        with CsvSource(file.path, max_row=_MAX_ROW) as source:
            arrange = self._arrangement([source_cell(name, file.raw) for name in source.columns], file.added)
            while batch := source.read(_BATCH):
                found = [(row.line, row.cells if arrange is None else arrange(row.cells)) for row in batch.rows]
                if batch.rejected:
                    for bad in batch.rejected:
                        head = (bad.raw or b"")[:80]
                        found.append((int(bad.where["line"]), [f"{bad.reason}: {head!r}"]))
                    found.sort()
                yield from found

    def _arrangement(self, header: list[str], added: frozenset[str]) -> Callable[[list[str]], list[str]] | None:
        """How to bring a row into the source's order of columns; None where it has that order."""
        if tuple(header) == self._columns:
            return None
        places = [header.index(name) if name in header else None for name in self._columns]
        others = [at for at, name in enumerate(header) if name not in self._columns and name not in added]

        def arrange(cells: list[str]) -> list[str]:
            known = ["" if at is None else cells[at] for at in places]
            # A value in a column that the source doesn't have makes the row another one.
            return known + [f"{header[at]}={cells[at]}" for at in others if cells[at]]

        return arrange

    def plain(self, row: object) -> object:
        """The row itself."""
        return row

    def key(self, row: object) -> int:
        """A hash of the cells."""
        assert isinstance(row, list)  # noqa: S101  # for the type checker
        return hash(tuple(row))

    def cells(self, row: object) -> list[str]:
        """The cells, as they stand in the captured file."""
        assert isinstance(row, list)  # noqa: S101  # for the type checker
        return row

    def names(self, row: object) -> Sequence[str]:
        """The source's columns."""
        return self._columns


class JsonlForm:
    """Rows of captured JSON Lines files: the bytes of one line. ``encoder`` makes what is published for a row."""

    unit = "line"

    def __init__(self, columns: tuple[str, ...], encoder: Encoder) -> None:
        self._columns = columns
        self._encode = encoder.encode

    def expected(self, cells: list[str]) -> object:
        """The JSON that is published for a row."""
        return self._encode(cells)

    def rows(self, file: CapturedFile) -> Iterator[tuple[int, object]]:
        """The file's lines."""
        with file.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                row = line.rstrip(b"\r\n")
                yield number, _without(row, file.added) if file.added else row

    def plain(self, row: object) -> object:
        """The same object as the encoder writes it: compact, keys in the source's order."""
        values = self._decoded(row)
        if values is None:
            return row
        known = [name for name in self._columns if name in values]
        others = [name for name in values if name not in self._columns]
        return ("{" + ",".join(f"{quote(name)}:{_json(values[name])}" for name in known + others) + "}").encode()

    def key(self, row: object) -> int:
        """A hash of the bytes."""
        return hash(row)

    def cells(self, row: object) -> list[str]:
        """The values as JSON, in the source's order; values that the source doesn't know come last."""
        values = self._decoded(row)
        if values is None:
            assert isinstance(row, bytes)  # noqa: S101  # for the type checker
            return [row[:200].decode("utf-8", "backslashreplace")]
        known = [_json(values[name]) if name in values else "" for name in self._columns]
        return known + [f"{name}={_json(value)}" for name, value in values.items() if name not in self._columns]

    def names(self, row: object) -> Sequence[str]:
        """The source's columns."""
        return self._columns

    def _decoded(self, row: object) -> dict[str, Value] | None:
        assert isinstance(row, bytes)  # noqa: S101  # for the type checker
        try:
            return decode(row)
        except DecodeError:
            return None


class WholeForm(JsonlForm):
    """Rows of captured JSON Lines files whose source is JSON Lines too: every line as it was written."""

    def plain(self, row: object) -> object:
        """The row itself: nobody may have written it anew."""
        return row

    def cells(self, row: object) -> list[str]:
        """The values as JSON, in the object's order."""
        values = self._decoded(row)
        return super().cells(row) if values is None else [_json(value) for value in values.values()]

    def names(self, row: object) -> Sequence[str]:
        """The object's own fields."""
        return list(self._decoded(row) or ())


def _without(line: bytes, added: frozenset[str]) -> bytes:
    """The line as it would be without the fields that the capture added."""
    try:
        return encode({name: value for name, value in decode(line).items() if name not in added})
    except DecodeError:
        return line


class _CapturedCells(dict[str, str]):
    """Source cell to captured cell, remembered."""

    def __init__(self, raw: bool) -> None:
        super().__init__()
        self._raw = raw

    def __missing__(self, cell: str) -> str:
        made = to_cell(Number(cell) if is_number(cell) else cell, self._raw)
        if len(cell) <= _CELL_LENGTH:
            if len(self) >= _CELLS:
                self.clear()
            self[cell] = made
        return made


def _json(value: Value) -> str:
    if value is None or value == "":
        return "null" if value is None else '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(value) if type(value) is str else str(value)
