"""Station 8: ``select``: keep some columns, in the order given."""

from collections.abc import Mapping, Sequence

from sensorstream.records import Row
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable
from sensorstream.transforms.options import check_options, column_names, no_column


class Select:
    """Keeps the columns of the option ``columns=A,B``. A row that lacks one of them is unusable."""

    name = "select"
    version = "1"

    def __init__(self, options: Mapping[str, str]) -> None:
        check_options(self.name, options, ["columns"], ["columns"])
        self._columns = column_names(options["columns"])

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One answer for each row, in the same order."""
        return [self._select(row.row) for row in rows]

    def _select(self, row: Row) -> Transformed:
        try:
            return [OutputRow({name: row[name] for name in self._columns})]
        except KeyError as error:
            return Unusable(no_column(str(error.args[0]), row))
