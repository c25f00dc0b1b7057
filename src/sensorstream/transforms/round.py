"""Station 8: ``round``: numbers with fewer decimals, rounded in decimal."""

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from typing import Final

from sensorstream.errors import UsageError
from sensorstream.records import Number, Row, Value
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable
from sensorstream.transforms.options import check_options, column_names, no_column

_MOST_DIGITS: Final = 17


class Round:
    """Rounds the numbers of ``columns=A,B`` to ``digits=N`` decimals, half to even (IEEE 754, ``roundTiesToEven``).

    A number that has no more decimals keeps its letters, a missing value stays missing; text there is unusable.
    """

    name = "round"
    version = "1"

    def __init__(self, options: Mapping[str, str]) -> None:
        check_options(self.name, options, ["columns", "digits"], ["columns"])
        self._columns = column_names(options["columns"])
        digits = options.get("digits", "0")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= 2 and int(digits) <= _MOST_DIGITS):
            raise UsageError(f"transform round: digits={digits!r} is no number of decimals", hint="it is 0 to 17")
        self._digits = int(digits)

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One answer for each row, in the same order."""
        return [self._round(row.row) for row in rows]

    def _round(self, row: Row) -> Transformed:
        rounded: dict[str, Value] = dict(row)
        for name in self._columns:
            if name not in row:
                return Unusable(no_column(name, row))
            value = row[name]
            if isinstance(value, Number):
                try:
                    rounded[name] = self._rounded(value)
                except InvalidOperation:
                    return Unusable(f"{name}: {value[:40]} is too large a number")
            elif value is not None:
                return Unusable(f"{name} is no number")
        return [OutputRow(rounded)]

    def _rounded(self, value: Number) -> Number:
        number = Decimal(value)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or exponent >= -self._digits:
            return value
        exact = Context(prec=len(value) + self._digits + 2)
        return Number(format(number.quantize(Decimal(1).scaleb(-self._digits), context=exact), "f"))
