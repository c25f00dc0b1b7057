"""Station 9: segments as finished CSV and JSON Lines files, with the same content as the growing files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sensorstream.own_files import durable
from sensorstream.serde import json as json_serde
from sensorstream.serde.csv_cells import csv_text, to_cell
from sensorstream.sinks.segments import Rows

_AT_ONCE: Final = 1000


class JsonlSegments:
    """Each value on a line, as it came."""

    name = "jsonl"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else is concerned."""
        yield

    def write(self, files: Sequence[tuple[Path, Rows]]) -> None:
        """Write each file."""
        for path, rows in files:
            with durable(path) as out:
                out.writelines(row.value + b"\n" for row in rows())

    def adopt(self, paths: Sequence[Path]) -> None:
        """Nothing to do: each file stands for itself."""


class CsvSegments:
    """A header with all columns of the file's rows, in the order in which they first came, and the rows."""

    name = "csv"

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Nobody else is concerned."""
        yield

    def write(self, files: Sequence[tuple[Path, Rows]]) -> None:
        """Write each file."""
        for path, rows in files:
            columns = list(dict.fromkeys(name for row in rows() for name in json_serde.decode(row.value)))
            with durable(path) as out:
                lines = [[to_cell(name, self._raw) for name in columns]]
                for row in rows():
                    values = json_serde.decode(row.value)
                    lines.append([to_cell(values.get(name), self._raw) for name in columns])
                    if len(lines) >= _AT_ONCE:
                        out.write(csv_text(lines).encode("utf-8", "backslashreplace"))
                        lines.clear()
                out.write(csv_text(lines).encode("utf-8", "backslashreplace"))

    def adopt(self, paths: Sequence[Path]) -> None:
        """Nothing to do: each file stands for itself."""
