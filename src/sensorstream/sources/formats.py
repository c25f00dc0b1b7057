"""Stations 1-2: the kind of a source file, by its extension or by an option."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from sensorstream import plug_ins
from sensorstream.description import BLANKS, FORMATS, Description, column_names
from sensorstream.events import Listener, ignore
from sensorstream.serde.json import RowEncoder
from sensorstream.serde.typed_cells import TypedEncoder
from sensorstream.sources.cell_rules import is_needed
from sensorstream.sources.compressed import inner_name
from sensorstream.sources.csv_blocks import CsvBlocks
from sensorstream.sources.csv_file import CsvSource
from sensorstream.sources.described_csv import DescribedCsv
from sensorstream.sources.described_lines import DescribedLines, LineForm
from sensorstream.sources.json_file import JsonSource
from sensorstream.sources.line_files import JsonlSource, TextEncoder, TextSource, WholeEncoder
from sensorstream.sources.line_source import LineSource
from sensorstream.sources.opening import Opened
from sensorstream.sources.plug_in import PlugInSource, reader
from sensorstream.sources.several import files_of

__all__ = ["FORMATS", "Encoder", "SourceForm", "column_names"]

_ENDINGS: Final = {
    **dict.fromkeys((".csv", ".txt", ".dat", ".log", ""), "csv"),
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".json": "json",
}


def has_cells(kind: str) -> bool:
    """Whether the rows of a format are cut into cells."""
    return kind in ("csv", "tsv")


def has_objects(kind: str) -> bool:
    """Whether the rows of a format are JSON objects, published as they are: also what a plug-in reads."""
    return not has_cells(kind) and kind != "text"


class Encoder(Protocol):
    """Makes the value of a record from the cells of a row."""

    def encode(self, cells: Sequence[str]) -> bytes:
        """The value, in UTF-8."""


@dataclass(frozen=True, slots=True)
class SourceForm(Description):
    """How source files are written, and what reads them."""

    def of(self, path: str) -> str:
        """The format of a file: what was said, else what its ending says."""
        if self.format:
            return self.format
        ending = Path(inner_name(path)).suffix.lower()
        return _ENDINGS.get(ending) or (ending[1:] if ending[1:] in plug_ins.names(plug_ins.SOURCES) else "csv")

    def encoder(self, path: str) -> Callable[[Sequence[str]], Encoder]:
        """What makes the encoder of a file's rows, given the source's columns."""
        kind = self.of(path)
        if not has_cells(kind):
            return WholeEncoder if has_objects(kind) else TextEncoder
        if self.types:
            types = self.column_types
            return lambda columns: TypedEncoder(columns, types)
        return RowEncoder

    def source(
        self,
        path: str,
        *,
        fields: Sequence[str] = (),
        start_row: int = 0,
        bulk: bool = False,
        listener: Listener = ignore,
    ) -> LineSource:
        """The source for a file, not opened.

        ``fields`` are the columns that somebody will look at, where rows are objects. ``bulk``: in blocks where
        that can be. Raises UsageError.
        """
        kind = self.of(path)
        quoted = (self.quote or ("none" if kind == "tsv" else '"')) != "none"
        lines = LineForm(
            self,
            None if self.delimiter in ("auto", BLANKS) else self.delimiter or ("\t" if kind == "tsv" else None),
            quoted,
            has_header=kind in ("csv", "tsv") and not (self.columns or self.no_header),
        )
        paths = files_of(path, self.order)
        plain = len(paths) == 1 and not lines.needed
        source = self._source(path, kind, lines, plain=plain, bulk=bulk, options=(fields, start_row, listener))
        if not plain:
            source.described = partial(_described, paths, lines)
        return source

    def _source(
        self,
        path: str,
        kind: str,
        lines: LineForm,
        *,
        plain: bool,
        bulk: bool,
        options: tuple[Sequence[str], int, Listener],
    ) -> LineSource:
        fields, start_row, listener = options
        encoding = self.encoding if plain else lines.encoding
        if kind == "jsonl":
            return JsonlSource(path, fields=fields, encoding=encoding, start_row=start_row)
        if kind == "json":
            return JsonSource(path, fields=fields, encoding=encoding, start_row=start_row)
        if kind == "text":
            return TextSource(path, encoding=encoding, start_row=start_row)
        if not has_cells(kind):
            return PlugInSource(reader(kind), path, fields=fields, encoding=encoding, start_row=start_row)
        given: dict[str, Any] = {
            "encoding": encoding,
            "delimiter": self.delimiter if self.delimiter == "auto" and not self.widths else lines.given,
            "columns": self.columns,
            "no_header": self.no_header,
            "start_row": start_row,
            "listener": listener,
        }
        if is_needed(self):
            return DescribedCsv(path, self, quoted=lines.quoted, **given)
        return CsvBlocks(path, **given) if bulk and lines.quoted else CsvSource(path, quoted=lines.quoted, **given)


def _described(paths: Sequence[str], lines: LineForm, opened: Callable[[str | Path, str], Opened]) -> DescribedLines:
    return DescribedLines(paths, lines, opened=opened)
