"""Stations 1-2: which kind of source a file is, by its ending or by what the user says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from sensorstream.errors import UsageError
from sensorstream.events import Listener, ignore
from sensorstream.serde.json import RowEncoder
from sensorstream.sources.base import Source
from sensorstream.sources.csv_blocks import CsvBlocks
from sensorstream.sources.csv_file import CsvSource
from sensorstream.sources.line_files import JsonlSource, TextEncoder, TextSource, WholeEncoder

FORMATS: Final = ("csv", "tsv", "jsonl", "text")
_ENDINGS: Final = {".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class Encoder(Protocol):
    """Makes the value of a record from the cells of a row."""

    def encode(self, cells: Sequence[str]) -> bytes:
        """The value, in UTF-8."""


@dataclass(frozen=True, slots=True)
class SourceForm:
    """How source files are written.

    ``format`` is one of FORMATS, None for what the file's ending says (CSV where it says nothing). ``delimiter`` and
    ``quote`` None: a comma and ``"`` in CSV, a tab and no quotes at all ("none") in TSV. ``columns`` names the columns
    of CSV and TSV files without a header.
    """

    format: str | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None
    quote: str | None = None
    columns: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises UsageError for what can't be."""
        if self.format is not None and self.format not in FORMATS:
            raise UsageError(f"--source-format {self.format!r} is not known", hint=f"it is one of {', '.join(FORMATS)}")
        if self.quote not in (None, '"', "none"):
            raise UsageError(f"--quote {self.quote!r} is not known", hint="it is '\"' or none")
        for at, name in enumerate(self.columns):
            if not name.strip() or name in self.columns[:at]:
                what = "has a column without a name" if not name.strip() else f"names {name!r} twice"
                raise UsageError(f"--columns {','.join(self.columns)!r} {what}", hint="for example --columns id,text")

    def of(self, path: str) -> str:
        """The format of a file: what was said, else what its ending says."""
        return self.format or _ENDINGS.get(Path(path).suffix.lower(), "csv")

    def encoder(self, path: str) -> Callable[[Sequence[str]], Encoder]:
        """What makes the encoder of a file's rows, given the source's columns."""
        encoders: dict[str, Callable[[Sequence[str]], Encoder]] = {"jsonl": WholeEncoder, "text": TextEncoder}
        return encoders.get(self.of(path), RowEncoder)

    def source(
        self,
        path: str,
        *,
        fields: Sequence[str] = (),
        start_row: int = 0,
        bulk: bool = False,
        listener: Listener = ignore,
    ) -> Source:
        """The source for a file, not opened.

        ``fields`` are the columns that somebody will look at: those of a JSON Lines source. ``bulk``: in blocks where
        that can be. Raises UsageError.
        """
        kind = self.of(path)
        if kind == "jsonl":
            return JsonlSource(path, fields=fields, encoding=self.encoding, start_row=start_row)
        if kind == "text":
            return TextSource(path, encoding=self.encoding, start_row=start_row)
        delimiter = self.delimiter or ("\t" if kind == "tsv" else None)
        quoted = (self.quote or ("none" if kind == "tsv" else '"')) != "none"
        if bulk and quoted and not self.columns:
            return CsvBlocks(path, encoding=self.encoding, delimiter=delimiter, start_row=start_row, listener=listener)
        return CsvSource(
            path,
            encoding=self.encoding,
            delimiter=delimiter,
            quoted=quoted,
            columns=self.columns,
            start_row=start_row,
            listener=listener,
        )


def column_names(text: str | None) -> tuple[str, ...]:
    """The names of ``--columns a,b,c``."""
    return tuple(name.strip() for name in text.split(",")) if text else ()
