"""Stations 7 and 9, the bulk way: many records that are JSON objects to CSV lines, all at once in numpy.

The lines are those of :func:`sensorstream.serde.json.decode`, :func:`~sensorstream.serde.csv_cells.to_cell` and
:func:`~sensorstream.serde.csv_cells.csv_text`, byte for byte. It is done for objects that have exactly the file's
columns, in its order, as RowEncoder or ``json.dumps`` writes them; and refused wherever anything is in doubt.

How it works: where no value holds a comma, commas and line ends part the members. Each member must begin with
its column's key. The keys and braces are deleted; what is left is validated, cell by cell, as JSON numbers,
texts, truth values and nulls. Then quotes and nulls are deleted too.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sensorstream.serde.cell_kinds import EMPTY, PERHAPS, TEXT, CellKinds
from sensorstream.serde.csv_cells import to_cell
from sensorstream.serde.json import quote

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

CHUNK_BYTES: Final = 1 << 19
"""Records that are worked on at once, in bytes: the more fit in a core's own cache, the faster it is done."""

_NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_DELETED, _APOSTROPHE = b"\0", b"\1"  # neither is in a value: control characters are refused
_MARKS: Final = b"'=+-@"  # what a text must begin with for to_cell to change it


class CsvWriter:
    """Writes the lines of one CSV file. ``columns`` are its columns; ``raw`` as for ``to_cell``."""

    def __init__(self, columns: Sequence[str], raw: bool = False) -> None:
        import numpy

        self._np = numpy
        self._raw = raw
        self._width = len(columns)
        names = [quote(name).encode() for name in columns]
        # A key with a comma in it would be taken for two.
        usable = bool(names) and len(set(names)) == len(names) and not any(b"," in name for name in names)
        self._keys = [b"{" + names[0] + b":", *(name + b":" for name in names[1:])] if usable else []
        self._spaced_keys = [
            b"{" + names[0] + b": ", *(b" " + name + b": " for name in names[1:])
        ] if usable else []  # fmt: skip
        self._cell_kinds = CellKinds(",")

    def lines(self, values: Sequence[bytes]) -> bytes | None:
        """The records, in their order, as lines of the file; None where they must be written one by one."""
        if not values:
            return b""
        if not self._keys:
            return None
        keys = self._spaced_keys if values[0].startswith(self._spaced_keys[0]) else self._keys
        at_once = max(1, CHUNK_BYTES // (len(values[0]) + 1))
        done: list[bytearray] = []
        for start in range(0, len(values), at_once):
            lines = self._lines(values[start : start + at_once], keys)
            if lines is None:
                return None
            done.append(lines)
        return b"".join(done)

    def _lines(self, values: Sequence[bytes], keys: Sequence[bytes]) -> bytearray | None:
        np, width, count = self._np, self._width, len(values)
        text = bytearray(b"\n").join(values)
        text += b"\n"
        block = np.frombuffer(text, np.uint8)
        if np.count_nonzero(block < 0x20) != count:
            return None
        separators = np.flatnonzero((block == 0x2C) | (block == 0x0A))
        if len(separators) != count * width:
            return None
        row_ends = separators[width - 1 :: width]
        if (block[row_ends] != 0x0A).any() or (block[row_ends - 1] != 0x7D).any() or not _is_utf8(text):
            return None
        cells = self._without_keys(text, block, separators, keys)
        if cells is None:
            return None

        # Each cell became shorter by its key, the last of a row by the closing brace too.
        shorter = np.cumsum(np.array([len(key) for key in keys]))
        shorter[-1] += 1
        lost = (np.arange(count) * shorter[-1])[:, None] + shorter
        ends = separators - lost.reshape(-1)
        return self._unquoted(cells, ends)

    def _without_keys(
        self, text: bytearray, block: "NDArray[uint8]", separators: "NDArray[Any]", keys: Sequence[bytes]
    ) -> bytearray | None:
        """The values alone, still as JSON, commas and line ends between them; None if a key isn't in its place."""
        np, width = self._np, self._width
        for column, key in enumerate(keys):
            begins = (
                separators[column - 1 :: width] + 1 if column else np.append(0, separators[width - 1 : -1 : width] + 1)
            )
            if begins[-1] > len(text) - len(key):
                return None
            # Every stretch of the key's length, as one item each, overlapping.
            stretches: NDArray[Any] = np.ndarray((len(text) - len(key) + 1,), f"V{len(key)}", text, 0, (1,))
            if stretches[begins].tobytes() != key * len(begins):
                return None
            stretches[begins] = np.zeros(1, stretches.dtype)
        block[separators[width - 1 :: width] - 1] = _DELETED[0]
        return text.translate(None, _DELETED)

    def _unquoted(self, cells: bytearray, ends: "NDArray[Any]") -> bytearray | None:
        """The cells as CSV has them; None if one is not valid JSON, or can't be written without quotes."""
        np = self._np
        if b"\\" in cells:
            return None
        begins = np.empty_like(ends)
        begins[0] = 0
        np.add(ends[:-1], 1, out=begins[1:])
        kinds, _ = self._cell_kinds(cells, begins, ends)
        if (kinds == EMPTY).any():
            return None
        for cell in np.flatnonzero(kinds == PERHAPS).tolist():
            if not _NUMBER.fullmatch(cells, begins[cell], ends[cell]):
                return None

        block = np.frombuffer(cells, np.uint8)
        quoted = block[begins] == 0x22
        texts = np.flatnonzero(quoted)
        # As many quotes as these have at their two ends: so there are no others.
        if (
            ((ends - begins)[texts] < 2).any()
            or (block[ends[texts] - 1] != 0x22).any()
            or np.count_nonzero(block == 0x22) != 2 * len(texts)
        ):
            return None
        words = np.flatnonzero((kinds == TEXT) & ~quoted)
        if not self._take_words(cells, begins[words], (ends - begins)[words]):
            return None
        marked = False if self._raw else self._mark_formulas(cells, block, begins[texts], ends[texts])
        done = cells.translate(None, _DELETED + b'"')
        if marked:
            done = done.replace(_APOSTROPHE, b"'")
        # The CSV writer quotes an empty cell that stands alone, as it would be a blank line.
        return None if self._width == 1 and (done.startswith(b"\n") or b"\n\n" in done) else done

    def _take_words(self, cells: bytearray, begins: "NDArray[Any]", lengths: "NDArray[Any]") -> bool:
        """Delete the cells that are null; False if one is neither null nor a truth value."""
        if not len(begins):
            return True
        np = self._np
        if lengths.min() < 4 or lengths.max() > 5:
            return False
        # A cell of four letters is followed by its separator, so that each has four at least.
        fours: NDArray[Any] = np.ndarray((len(cells) - 3,), "S4", cells, 0, (1,))
        heads = fours[begins]
        null = (heads == b"null") & (lengths == 4)
        rest = np.flatnonzero(~null)
        for at in rest.tolist():
            begin = begins[at]
            if bytes(cells[begin : begin + lengths[at]]) not in (b"true", b"false"):
                return False
        fours[begins[null]] = b""
        return True

    def _mark_formulas(
        self, cells: bytearray, block: "NDArray[uint8]", begins: "NDArray[Any]", ends: "NDArray[Any]"
    ) -> bool:
        """Put a mark for an apostrophe in the place of the opening quote where a text needs one."""
        np = self._np
        first = block[begins + 1]
        found = np.flatnonzero(np.isin(first, np.frombuffer(_MARKS, np.uint8)))
        for at in found.tolist():
            text = cells[begins[at] + 1 : ends[at] - 1].decode()
            if to_cell(text) != text:
                cells[begins[at]] = _APOSTROPHE[0]
        return len(found) > 0


def _is_utf8(text: bytearray) -> bool:
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return False
    return True
