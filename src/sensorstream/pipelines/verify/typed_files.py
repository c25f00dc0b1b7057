"""Station 9, read back: captured rows with typed values, compared by value.

A number has one text for each value here, so ``1.50`` of the source and the double 1.5 are the same cell; all else is
compared letter by letter.
"""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from sensorstream.errors import SourceError
from sensorstream.pipelines.verify.captured_files import CapturedFile, CsvForm
from sensorstream.serde.typed_values import Typed, plain_cell, plain_source_cell
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.column_kinds import TEXT
from sensorstream.sinks.parquet_columns import cell_of, kinds_of, need_pyarrow, plain_values
from sensorstream.sinks.sqlite_names import quoted
from sensorstream.sinks.sqlite_tables import OWN_COLUMNS, positions, read_only, table_names

_CELLS: Final = 1 << 15
_CELL_LENGTH: Final = 128
_ROWS: Final = 5000
_TRUTHS: Final = {1: "true", 0: "false"}


class SqliteForm(CsvForm):
    """Rows of a partition in a captured SQLite database; their place is the record's offset.

    ``truths`` are the columns of truth values, which a database stores as 1 and 0.
    """

    unit = "offset"

    def __init__(self, columns: tuple[str, ...], truths: Collection[str] = ()) -> None:
        super().__init__(columns, raw=True)
        self._truths = truths
        self._captured_cell = PlainCells().__getitem__

    def rows(self, file: CapturedFile) -> Iterator[tuple[int, object]]:
        """Offset and row of each captured record, in their order."""
        try:
            with closing(read_only(file.path)) as db:
                table, names = table_names(db, file.topic)
                arrange = self._arrangement(list(names), file.added)
                chosen = ", ".join(["_offset", *map(quoted, names.values())])
                found = db.execute(
                    f"SELECT {chosen} FROM {quoted(table)} "  # noqa: S608  # names are quoted
                    f"WHERE _partition = ? ORDER BY {', '.join(OWN_COLUMNS)}",
                    (file.partition,),
                )
                makers = [self._truth if name in self._truths else self._cell for name in names]
                for offset, *values in found:
                    cells = [make(value) for make, value in zip(makers, values, strict=True)]
                    yield offset, cells if arrange is None else arrange(cells)
        except sqlite3.Error as error:
            raise SourceError(f"{file.path} can't be read: {error}") from error

    def _cell(self, value: Typed) -> str:
        # A text that looks like a number has its letters in the source, too.
        return self._captured_cell(value) if isinstance(value, str) else plain_cell(value)

    def _truth(self, value: Typed) -> str:
        return _TRUTHS.get(value, "") if isinstance(value, int) else self._cell(value)


class ParquetForm(CsvForm):
    """Rows of finished Parquet files, each value as the text that it came from; numbers by their value."""

    unit = "row"

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__(columns, raw=True)
        need_pyarrow()
        self._plain = PlainCells().__getitem__
        self._captured_cell = self._plain

    def rows(self, file: CapturedFile) -> Iterator[tuple[int, object]]:
        """The file's rows, counted from 1."""
        import pyarrow
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(file.path) as parquet:
                kinds = kinds_of(parquet.schema_arrow)
                arrange = self._arrangement(list(kinds), file.added)
                number = 0
                for batch in parquet.iter_batches(_ROWS):
                    columns = [
                        [self._cell(kind, value) for value in plain_values(column, kind)]
                        for column, kind in zip(batch.columns, kinds.values(), strict=True)
                    ]
                    for row in zip(*columns, strict=True):
                        number += 1
                        yield number, list(row) if arrange is None else arrange(list(row))
        except (pyarrow.ArrowException, OSError) as error:
            raise SourceError(f"{file.path} can't be read: {' '.join(str(error).split())}") from error
        except (KeyError, TypeError) as error:
            raise SourceError(f"{file.path} was not made by a capture") from error

    def _cell(self, kind: str, value: object) -> str:
        if value is None:
            return ""
        # In a column of texts a number has its letters.
        return self._plain(str(value)) if kind == TEXT else cell_of(kind)(value)


def captured_in_database(path: Path) -> list[Checkpoint]:
    """The partitions that were captured into a database; none where it was not made by a capture."""
    try:
        with closing(read_only(path)) as db:
            return positions(db)
    except sqlite3.Error:
        return []


class PlainCells(dict[str, str]):
    """Source cell to the one text of its value, remembered."""

    def __missing__(self, cell: str) -> str:
        made = plain_source_cell(cell)
        if len(cell) <= _CELL_LENGTH:
            if len(self) >= _CELLS:
                self.clear()
            self[cell] = made
        return made
