"""Station 8: ``rename``: new names for some columns, in the same order."""

from collections.abc import Mapping, Sequence

from sensorstream.errors import UsageError
from sensorstream.records import Row
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable
from sensorstream.transforms.options import no_column


class Rename:
    """Renames columns: each option is ``OLD=NEW``. A row that lacks OLD, or has NEW already, is unusable."""

    name = "rename"
    version = "1"

    def __init__(self, options: Mapping[str, str]) -> None:
        if not options or not all(options.values()):
            raise UsageError("transform rename needs new names", hint="give --set OLD=NEW")
        if len(set(options.values())) != len(options):
            raise UsageError("transform rename gives two columns the same name", hint="give each its own")
        self._names = dict(options)

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One answer for each row, in the same order."""
        return [self._rename(row.row) for row in rows]

    def _rename(self, row: Row) -> Transformed:
        for old in self._names:
            if old not in row:
                return Unusable(no_column(old, row))
        renamed = {self._names.get(name, name): value for name, value in row.items()}
        if len(renamed) != len(row):
            taken = next(new for old, new in self._names.items() if new in row and new not in self._names)
            return Unusable(f"it has a column {taken!r} already, which would be lost")
        return [OutputRow(renamed)]
