"""Station 3, the bulk way: blocks of CSV rows to JSON lines, all cells of a block at once in numpy.

The values are those of :class:`sensorstream.serde.json.RowEncoder`, byte for byte. What counts as a number is
decided there: here cells are only told apart that certainly are numbers and that certainly are not, the few
others are put to :func:`~sensorstream.serde.json.is_number` one by one.

How it works: every separator byte is overwritten with a code for the text that is to stand there (the end of
one cell, the next key, the beginning of the next cell), and then code after code is replaced by its text. The
codes are bytes that can't occur in the rows.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sensorstream.records import PlainRows
from sensorstream.serde.cell_kinds import NUMBER, PERHAPS, TEXT, CellKinds
from sensorstream.serde.json import is_number, quote

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

CHUNK_BYTES: Final = 1 << 17
"""Rows that are worked on at once: what fits in a core's own cache is done in half the time."""

# A number of at most 16 characters has at most 16 digits as an integer, 15 as a decimal. Of an integer 18 digits
# are sure to fit in 64 bits, and 19 where the first is not 9.
_SURE_LENGTH: Final = 16
_SURE_INTEGER_LENGTH: Final = 18
_INT64_DIGITS: Final = 19

# Bytes that neither rows nor keys hold: control characters (the line end stands between the finished values), and
# those that UTF-8 doesn't know; and, if rows and keys are ASCII, all others beyond it.
_CODES: Final = bytes([*range(0x0A), *range(0x0B, 0x20), 0xC0, 0xC1, *range(0xF5, 0x100)])
_ASCII_CODES: Final = bytes([*range(0x0A), *range(0x0B, 0x20), *range(0x80, 0x100)])

_CACHED_LENGTH: Final = 128
_is_number_cached = lru_cache(maxsize=1 << 15)(is_number)


class BlockEncoder:
    """Encodes blocks of rows of one source. ``columns`` are the keys, all different, in their order.

    ``delimiter`` is the one that stands in the rows.
    """

    def __init__(self, columns: Sequence[str], delimiter: str = ",") -> None:
        if len(set(columns)) != len(columns):
            raise ValueError(f"column names repeat: {list(columns)}")
        if not columns:
            raise ValueError("there are no columns")
        import numpy

        self._np = numpy
        self._delimiter = ord(delimiter)
        self._cell_kinds = CellKinds(delimiter)
        self._width = len(columns)
        keys = [quote(name).encode() + b":" for name in columns]
        self._ascii_keys = all(map(bytes.isascii, keys))
        self._first_key = b"{" + keys[0]
        # For the separator after a column, 6 texts: after a number or null, or after a text, each ahead of a
        # number, a text or null.
        between = [*(b"," + key for key in keys[1:]), b"}\n" + self._first_key]
        self._texts = [end + key + begin for key in between for end in (b"", b'"') for begin in (b"", b'"', b"null")]
        self._row_of_texts = numpy.arange(0, 6 * self._width, 6, dtype=numpy.intp)

    def encode(self, rows: PlainRows) -> list[bytes] | None:
        """The rows, in their order, as JSON: what RowEncoder makes of them.

        None where they are not plain rows of these columns: then they must be encoded one by one.
        """
        values: list[bytes] = []
        # Of what JSON escapes, plain rows hold backslashes only.
        if b"\\" in bytes(rows):
            rows = PlainRows(rows.replace(b"\\", b"\\\\"))
        for chunk in _chunks(rows):
            encoded = self._encode(chunk)
            if encoded is None:
                return None
            values += encoded
        return values

    def _encode(self, rows: bytes) -> list[bytes] | None:
        np, width = self._np, self._width
        block = np.frombuffer(rows, np.uint8)
        ends = np.flatnonzero((block == self._delimiter) | (block == 0x0A))
        if len(ends) != width * rows.count(b"\n") or (block[ends[width - 1 :: width]] != 0x0A).any():
            return None
        kinds = self._kinds(rows, block, ends)

        which = np.multiply(kinds == TEXT, 3, dtype=np.intp)
        which[:-1] += kinds[1:]
        which.reshape(-1, width)[:] += self._row_of_texts
        used = np.flatnonzero(np.bincount(which)).tolist()

        # Past the last row's end stands the beginning of a row that there isn't.
        coded = np.frombuffer(bytearray(rows), np.uint8)
        text = b""
        codes = _ASCII_CODES if self._ascii_keys and rows.isascii() else _CODES
        later, now = codes[:1], codes[1:]
        while used:
            # With more texts than codes it takes several turns; until its turn comes, a separator has one code.
            turn, used = used[: len(now)], used[len(now) :]
            code_of = np.full(6 * width, later[0], np.uint8)
            code_of[turn] = np.frombuffer(now, np.uint8, len(turn))
            coded[ends] = code_of[which]
            text = coded.tobytes()
            for code, number in zip(now, turn, strict=False):
                text = text.replace(bytes((code,)), self._texts[number])
            if used:
                coded = np.frombuffer(bytearray(text), np.uint8)
                ends = np.flatnonzero(coded == later[0])
                which = which[which > turn[-1]]
        begin = (b"", b'"', b"null")[kinds[0]]
        values: list[bytes] = (self._first_key + begin + text).split(b"\n")
        values.pop()
        return values

    def _kinds(self, rows: bytes, block: "NDArray[uint8]", ends: "NDArray[Any]") -> "NDArray[uint8]":
        """For each cell, whether it is a number, text or empty."""
        np = self._np
        begins = np.empty_like(ends)
        begins[0] = 0
        np.add(ends[:-1], 1, out=begins[1:])
        kinds, integers = self._cell_kinds(rows, begins, ends)
        long = np.flatnonzero(((ends - begins) > _SURE_LENGTH) & (kinds == NUMBER))
        if len(long):
            length, first, integer = (ends - begins)[long], block[begins[long]], integers[long]
            sure = integer & (length <= _SURE_INTEGER_LENGTH)
            sure |= integer & (length == _INT64_DIGITS) & (first >= 0x31) & (first <= 0x38)
            kinds[long[~sure]] = PERHAPS
        for cell in np.flatnonzero(kinds == PERHAPS).tolist():
            text = rows[begins[cell] : ends[cell]].decode()
            ask = _is_number_cached if len(text) <= _CACHED_LENGTH else is_number
            kinds[cell] = NUMBER if ask(text) else TEXT
        return kinds


def _chunks(rows: bytes) -> Iterator[bytes]:
    at = 0
    while len(rows) - at > CHUNK_BYTES:
        cut = rows.rfind(b"\n", at, at + CHUNK_BYTES) + 1 or rows.index(b"\n", at) + 1
        yield rows[at:cut]
        at = cut
    if at < len(rows):
        yield rows[at:]
