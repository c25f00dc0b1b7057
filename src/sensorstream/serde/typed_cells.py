"""Station 3: the cells of a source with typed columns, to a JSON object."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from sensorstream.serde.json import fragment, quote


class TypedEncoder:
    """Encodes the rows of one source: what a cell is, its column's type says, where the column has one.

    Cells of the types ``number`` and ``bool`` are in the letters of JSON already; those of others are text.
    """

    def __init__(self, columns: Sequence[str], types: Mapping[str, str]) -> None:
        self.columns = tuple(columns)
        self._template = "{" + ",".join(quote(name).replace("%", "%%") + ":%s" for name in columns) + "}"
        untyped = lru_cache(maxsize=1 << 14)(fragment)
        known = {"number": _letters, "bool": _letters}
        self._fragments = [known.get(types[name], _text) if name in types else untyped for name in columns]

    def encode(self, cells: Sequence[str]) -> bytes:
        """One row, as many cells as columns, to a compact JSON object on one line, in UTF-8."""
        parts = tuple([make(cell) for make, cell in zip(self._fragments, cells, strict=True)])
        return (self._template % parts).encode()


def _letters(cell: str) -> str:
    return cell or "null"


def _text(cell: str) -> str:
    return quote(cell) if cell else "null"
