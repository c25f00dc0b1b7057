"""Stations 1-2: a CSV source with rules for its cells, from its description."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sensorstream.description import Description
from sensorstream.errors import DecodeError
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources.base import Batch
from sensorstream.sources.cell_rules import CellRules, cell_form
from sensorstream.sources.csv_file import CsvSource


class DescribedCsv(CsvSource):
    """A CSV source; ``description`` has the rules for its cells, the other options are those of CsvSource.

    A row with a cell that is not of its column's type is rejected.
    """

    def __init__(self, path: str | Path, description: Description, **options: Any) -> None:
        super().__init__(path, **options)
        self._description = description
        self._rules: CellRules | None = None

    @property
    def form(self) -> dict[str, str | list[str]]:
        """As of a CSV source, with the rules for cells."""
        return {**super().form, **cell_form(self._description)}

    def text_of(self, cells: Sequence[str]) -> str:
        """The row as CSV, from which these cells are read."""
        return super().text_of(cells if self._rules is None else self._rules.back(cells))

    def open(self) -> None:
        """Open the file and read its header. Raises SourceError, UsageError for a rule about no column."""
        super().open()
        try:
            self._rules = CellRules(self._description, self.columns, self.name)
        except BaseException:
            self.close()
            raise

    def read(self, limit: int) -> Batch:
        """Up to ``limit`` rows; see :class:`~sensorstream.sources.base.Source`."""
        batch = super().read(limit)
        rules = self._rules
        assert rules is not None  # noqa: S101  # it is open
        rows: list[SourceRow] = []
        rejected: list[Rejected] = []
        for row in batch.rows:
            original = list(row.cells)
            try:
                rows.append(SourceRow(row.number, row.line, rules(row.cells)))
            except DecodeError as error:
                file, line = self.place(row.line)
                where: dict[str, str | int] = {"file": file, "line": line, "row": row.number}
                raw = super().text_of(original).encode("utf-8", "surrogatepass")
                rejected.append(Rejected(where, error.message, raw))
        if rejected:
            return Batch(rows, sorted([*batch.rejected, *rejected], key=lambda bad: int(bad.where["row"])))
        return Batch(rows, batch.rejected)
