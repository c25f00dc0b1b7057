"""Station 3, the bulk way: blocks of CSV rows to JSON lines, all cells of a block at once in numpy.

The values are those of :class:`sensorstream.serde.json.RowEncoder`, byte for byte. What counts as a number is
decided there: here cells are only told apart that certainly are numbers and that certainly are not, the few
others are put to :func:`~sensorstream.serde.json.is_number` one by one.

How it works: ``null`` is put into the empty cells. Then every separator byte is overwritten with a code for the
text that is to stand there (the end of one cell, the next key, the beginning of the next cell), and code after code
is replaced by its text. The codes are bytes that can't occur in the rows.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sensorstream.records import PlainRows
from sensorstream.serde.cell_kinds import EMPTY, NUMBER, PERHAPS, TEXT, CellKinds
from sensorstream.serde.json import is_number, quote

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

CHUNK_BYTES: Final = 1 << 16
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

_QUOTES: Final = (b"", b'"')
_NULL: Final = b"null"

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
        # For the separator after a column, 4 texts: after a bare value (a number or null) or a text, ahead of either.
        between = [*(b"," + key for key in keys[1:]), b"}\n" + self._first_key]
        self._texts = [end + key + begin for key in between for end in _QUOTES for begin in _QUOTES]
        self._row_of_texts = numpy.arange(0, 4 * self._width, 4, dtype=numpy.intp)
        self._last_row: tuple[bytes, bytes, list[tuple[bytes, bytes]]] = b"", b"", []

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
        separators = block == 0x0A
        count = int(np.count_nonzero(separators))
        separators |= block == self._delimiter
        ends = np.flatnonzero(separators)
        if len(ends) != width * count or (block[ends[width - 1 :: width]] != 0x0A).any():
            return None
        kinds = self._kinds(rows, block, ends)
        codes = _ASCII_CODES if self._ascii_keys and rows.isascii() else _CODES
        coded = bytearray(rows)
        empty = np.flatnonzero(kinds == EMPTY)
        if len(empty):
            coded, ends = self._with_nulls(coded, ends, empty, codes[:1])

        # Past the last row's end stands the beginning of a row that there isn't. It begins as the first one.
        texts = kinds == TEXT
        begin = self._first_key + _QUOTES[int(texts[0])]
        first_row = texts[:width].tobytes()
        if width < len(codes) and texts.tobytes() == first_row * count:
            np.frombuffer(coded, np.uint8)[ends] = np.frombuffer(codes[1 : width + 1] * count, np.uint8)
            done = begin + coded
            for code, text in self._texts_of_row(first_row, codes):
                done = done.replace(code, text)
        else:
            done = begin + self._in_turns(coded, ends, texts, codes)
        values = done.split(b"\n")
        values.pop()
        return values

    def _with_nulls(
        self, rows: bytearray, ends: "NDArray[Any]", empty: "NDArray[Any]", code: bytes
    ) -> "tuple[bytearray, NDArray[Any]]":
        """The rows with ``null`` in their empty cells, whose numbers are in ``empty``, and where the cells end then."""
        np = self._np
        np.frombuffer(rows, np.uint8)[ends[empty]] = code[0]
        added = np.arange(0, len(_NULL) * (len(empty) + 1), len(_NULL))
        cells = np.diff(np.concatenate(([0], empty, [len(ends)])))
        return rows.replace(code, _NULL + code), ends + np.repeat(added, cells)

    def _texts_of_row(self, texts: bytes, codes: bytes) -> list[tuple[bytes, bytes]]:
        """The code and the text of each separator of a row, where all rows are alike in which cells are ``texts``.

        The longest text is the last one, so that as few bytes as can be are gone through for each.
        """
        if self._last_row[:2] != (texts, codes):
            ahead = texts[1:] + texts[:1]
            numbers = [4 * at + 2 * before + after for at, (before, after) in enumerate(zip(texts, ahead, strict=True))]
            found = [(bytes((code,)), self._texts[number]) for code, number in zip(codes[1:], numbers, strict=False)]
            self._last_row = texts, codes, sorted(found, key=lambda it: len(it[1]))
        return self._last_row[2]

    def _in_turns(self, coded: bytearray, ends: "NDArray[Any]", texts: "NDArray[Any]", codes: bytes) -> bytes:
        """The same for rows that differ, or whose texts are more than there are codes: then it takes several turns."""
        np = self._np
        which = np.multiply(texts, 2, dtype=np.intp)
        which[:-1] += texts[1:]
        which[-1] += texts[0]
        which.reshape(-1, self._width)[:] += self._row_of_texts
        used = np.flatnonzero(np.bincount(which)).tolist()

        later, now = codes[:1], codes[1:]
        done = b""
        while used:
            # Until its turn comes, a separator has one code.
            turn, used = used[: len(now)], used[len(now) :]
            code_of = np.full(len(self._texts), later[0], np.uint8)
            code_of[turn] = np.frombuffer(now, np.uint8, len(turn))
            np.frombuffer(coded, np.uint8)[ends] = code_of[which]
            done = bytes(coded)
            for code, number in zip(now, turn, strict=False):
                done = done.replace(bytes((code,)), self._texts[number])
            if used:
                coded = bytearray(done)
                ends = np.flatnonzero(np.frombuffer(coded, np.uint8) == later[0])
                which = which[which > turn[-1]]
        return done

    def _kinds(self, rows: bytes, block: "NDArray[uint8]", ends: "NDArray[Any]") -> "NDArray[uint8]":
        """For each cell, whether it is a number, text or empty."""
        np = self._np
        begins = np.empty_like(ends)
        begins[0] = 0
        np.add(ends[:-1], 1, out=begins[1:])
        kinds, integers = self._cell_kinds(rows, begins, ends)
        lengths = ends - begins
        unsure = (lengths > _SURE_LENGTH) & (kinds == NUMBER)
        if unsure.any():
            long = np.flatnonzero(unsure)
            length, first, integer = lengths[long], block[begins[long]], integers[long]
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
