"""Station 3, the bulk way: a block of CSV rows to JSON lines, column by column in polars.

The values are those of :class:`sensorstream.serde.json.RowEncoder`, byte for byte. What counts as a number is
decided there: a column engine only recognises cells that certainly are one (and cells that certainly are not),
the few others go through :func:`~sensorstream.serde.json.fragment` one by one.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from sensorstream.serde.json import fragment, quote
from sensorstream.sources.base import PlainRows

if TYPE_CHECKING:
    from polars import Expr, Series

THREADS: Final = 2

# Certainly a number: an integer of at most 18 digits, or of 19 and below 9 * 10**18 < 2**63; or a decimal, if
# its text is no longer than _DECIMAL_LENGTH: then it has at most 15 digits.
_INTEGER: Final = "-?(?:0|[1-9][0-9]{0,17}|[1-8][0-9]{18})"
_DECIMAL: Final = r"-?(?:0|[1-9][0-9]*)\.[0-9]+"
_NUMBER: Final = rf"^(?:{_INTEGER}|{_DECIMAL})$"
_DECIMAL_LENGTH: Final = 16
# Perhaps a number, or a text in which JSON escapes a character (plain rows hold no other such character).
_PERHAPS: Final = r"^-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_PERHAPS_OR_ESCAPED: Final = rf"{_PERHAPS}|\\"


def available() -> bool:
    """Whether polars, which this needs, is installed (``pip install 'sensorstream[fast]'``)."""
    return find_spec("polars") is not None


class BlockEncoder:
    """Encodes blocks of rows of one source. ``columns`` are the keys, all different, in their order.

    Raises ImportError where polars is not :func:`available`.
    """

    def __init__(self, columns: Sequence[str], delimiter: str = ",") -> None:
        if len(set(columns)) != len(columns):
            raise ValueError(f"column names repeat: {list(columns)}")
        if not columns:
            raise ValueError("there are no columns")
        # Polars takes a thread a core unless told otherwise before it is first imported.
        os.environ.setdefault("POLARS_MAX_THREADS", str(THREADS))
        import polars

        self._pl = polars
        self._delimiter = delimiter
        self._keys = ["{" + quote(columns[0]) + ":", *("," + quote(name) + ":" for name in columns[1:])]
        self._header = delimiter.join(map(str, range(len(columns)))).encode() + b"\n"

    def encode(self, rows: PlainRows) -> list[str] | None:
        """The rows, in their order, as JSON texts: what RowEncoder makes, before it is encoded to UTF-8.

        None where polars doesn't see the rows that are there: then they must be encoded one by one.
        """
        pl = self._pl
        try:
            # With a header of our own the first cell can't be taken for a byte-order mark or a packed file.
            frame = pl.read_csv(
                self._header + rows, separator=self._delimiter, quote_char=None, infer_schema=False
            ).rechunk()
            if frame.width != len(self._keys) or frame.height != rows.count(b"\n"):
                return None
            matches = frame.select(pl.all().str.contains(_NUMBER))
            perhaps = _PERHAPS_OR_ESCAPED if rows.count(b"\\") else _PERHAPS
            parts: list[Expr | str] = []
            for key, cells, numbers in zip(self._keys, frame.iter_columns(), matches.iter_columns(), strict=True):
                parts.append(key)
                parts += self._fragments(cells, numbers, perhaps)
            parts.append("}")
            texts: list[str] = frame.select(pl.concat_str(self._literals(parts))).to_series().to_list()
        except pl.exceptions.PolarsError:
            return None
        return texts

    def _fragments(self, cells: "Series", numbers: "Series", perhaps: str) -> "list[Expr | str]":
        """What stands for the cells of one column: texts that are the same in all rows, and expressions."""
        pl = self._pl
        number_count = numbers.sum()
        if number_count:
            lengths = cells.str.len_bytes()
            if (lengths.filter(numbers).max() or 0) > _DECIMAL_LENGTH:  # type: ignore[operator]
                numbers &= (lengths <= _DECIMAL_LENGTH) | cells.str.contains(f"^{_INTEGER}$")
                number_count = numbers.sum()
        cell = pl.col(cells.name)
        nulls = cells.null_count()
        if number_count + nulls == len(cells):
            return [cell.fill_null("null") if nulls else cell]
        odd = (cells.str.contains(perhaps) & ~numbers).fill_null(False)
        if not number_count and not nulls and not odd.any():
            return ['"', cell, '"']
        quoted = pl.concat_str(pl.lit('"'), cell, pl.lit('"'))
        made = pl.when(pl.lit(numbers)).then(cell).otherwise(quoted).fill_null("null")
        if odd.any():
            at = odd.arg_true()
            one_by_one = pl.Series([fragment(text) for text in cells.gather(at).to_list()], dtype=pl.String)
            column = cells.to_frame().select(made).to_series().scatter(at, one_by_one)
            return [pl.lit(column)]
        return [made]

    def _literals(self, parts: "Sequence[Expr | str]") -> "list[Expr]":
        """The parts as expressions, neighbouring texts in one."""
        merged: list[Expr] = []
        text = ""
        for part in parts:
            if isinstance(part, str):
                text += part
            else:
                merged += [self._pl.lit(text), part]
                text = ""
        return [*merged, self._pl.lit(text)]
