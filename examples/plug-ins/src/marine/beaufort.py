"""A transform: adds the Beaufort number of a wind speed, by the WMO's thresholds in metres a second."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from sensorstream.errors import UsageError
from sensorstream.records import Number
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable

FROM = (0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2, 20.8, 24.5, 28.5, 32.7)


class Beaufort:
    """Adds ``beaufort``, 0 to 12, to rows whose column ``speed`` is a number of metres a second."""

    name = "beaufort"
    version = "1"

    def __init__(self, column: str) -> None:
        self._column = column

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One answer for each row."""
        return [self._one(row) for row in rows]

    def _one(self, given: InputRow) -> Transformed:
        try:
            speed = float(str(given.row[self._column]))
        except (KeyError, ValueError):
            return Unusable(f"its {self._column} is no number")
        return (OutputRow({**given.row, "beaufort": Number(str(bisect_right(FROM, speed)))}),)


def make(options: Mapping[str, str]) -> Beaufort:
    """The transform, made of ``--set column=NAME``."""
    rest = dict(options)
    made = Beaufort(rest.pop("column", "speed"))
    if rest:
        raise UsageError(f"beaufort has no option {next(iter(rest))!r}", hint="it has column")
    return made
