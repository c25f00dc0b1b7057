"""The kinds of many cells, by the grammar of JSON numbers (RFC 8259), all at once in numpy."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

NUMBER, TEXT, EMPTY, PERHAPS = range(4)
"""A cell is certainly a number (without an exponent), certainly none, empty, or must be looked at."""

# What a byte can be in a number, one bit each, so that a cell's bytes are summed up by OR. The points of a block
# are marked in turn with one of two bits, so a cell with both has more than one.
_DIGIT, _POINT, _DOUBTFUL, _OTHER, _POINT_2 = 1, 2, 4, 8, 16
_CLASSES: Final = bytes(
    _DIGIT if byte in b"0123456789" else _POINT if byte in b"." else _DOUBTFUL if byte in b"+-eE" else _OTHER
    for byte in range(256)
)
_KINDS: Final = bytes(
    EMPTY if not bits
    else TEXT if bits & _OTHER
    else NUMBER if bits in (_DIGIT, _DIGIT | _POINT, _DIGIT | _POINT_2)
    else PERHAPS
    for bits in range(256)
)  # fmt: skip


class CellKinds:
    """Tells the kinds of cells that are separated by ``delimiter`` and, at the ends of rows, by ``\\n``."""

    def __init__(self, delimiter: str) -> None:
        import numpy

        self._np = numpy
        self._classes = bytearray(_CLASSES)
        self._classes[ord(delimiter)] = self._classes[ord("\n")] = 0

    def __call__(
        self, rows: bytes | bytearray, begins: "NDArray[Any]", ends: "NDArray[Any]"
    ) -> "tuple[NDArray[uint8], NDArray[Any]]":
        """The kind of each cell, and which of them have nothing but digits and perhaps a minus sign in front.

        ``begins`` and ``ends`` are the places of the cells in ``rows``; each cell but the first begins after the
        separator in which the one before it ends, and the last separator is the last byte of ``rows``.
        """
        np = self._np
        # With a separator in front and at the end every byte has its neighbours.
        ringed = np.frombuffer(bytearray(b"\0" + rows.translate(self._classes)), np.uint8)
        before, bits, after = ringed[:-2], ringed[1:-1], ringed[2:]
        block = np.frombuffer(rows, np.uint8)[:-1]
        at_begin = before == 0
        digit_next = after == _DIGIT
        points = bits == _POINT
        minus = (block == 0x2D) & at_begin & digit_next
        leading_zero = (block == 0x30) & digit_next
        leading_zero[:1] &= at_begin[:1]
        leading_zero[1:] &= at_begin[1:] | minus[:-1]
        doubtful = (points & ~(digit_next & (before == _DIGIT))) | leading_zero
        bits[np.flatnonzero(points)[1::2]] = _POINT_2
        bits[minus] = 0
        bits |= doubtful.view(np.uint8) << 2

        summed = np.bitwise_or.reduceat(ringed[1:], begins)
        kinds: NDArray[uint8] = np.frombuffer(bytearray(summed.tobytes().translate(_KINDS)), np.uint8)
        return kinds, summed == _DIGIT
