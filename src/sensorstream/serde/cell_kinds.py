"""The kinds of many cells, by the grammar of JSON numbers (RFC 8259), all at once in numpy."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

NUMBER, TEXT, EMPTY, PERHAPS = range(4)
"""A cell is certainly a number (without an exponent), certainly none, empty, or must be looked at."""

# What a byte can be in a number, one bit each, so that a cell's bytes are summed up by OR. Where a cell has more
# than one point, the points of a block are marked in turn with one of two bits, so such a cell has both.
_DOUBTFUL, _DIGIT, _POINT, _OTHER, _POINT_2 = 1, 2, 4, 8, 16
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
        self._points_repeat = False  # in a cell of the last rows; those of a file are much alike

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
        bits = ringed[1:-1]
        digits = ringed == _DIGIT
        digit_next = digits[2:]
        points = bits == _POINT
        doubtful = points > (digits[:-2] & digit_next)
        block = np.frombuffer(rows, np.uint8)[:-1]
        leads = (ringed[:-2] == 0) & digit_next
        if b"-" in rows:
            minus = leads & (block == 0x2D)
            bits[minus] = 0
            leads[1:] |= minus[:-1] & digit_next[1:]
        leads &= block == 0x30
        doubtful |= leads
        bits |= doubtful.view(np.uint8)

        summed = self._sum_up(ringed, points, begins)
        kinds: NDArray[uint8] = np.frombuffer(bytearray(summed.tobytes().translate(_KINDS)), np.uint8)
        return kinds, summed == _DIGIT

    def _sum_up(self, ringed: "NDArray[uint8]", points: "NDArray[Any]", begins: "NDArray[Any]") -> "NDArray[uint8]":
        """What the bytes of each cell can be in a number, all together."""
        np = self._np
        if not self._points_repeat:
            summed: NDArray[uint8] = np.bitwise_or.reduceat(ringed[1:], begins)
            # No more cells than points have points in them: then no cell has two.
            if np.count_nonzero(summed & _POINT) == np.count_nonzero(points):
                return summed
        ringed[1:-1][np.flatnonzero(points)[1::2]] ^= _POINT | _POINT_2
        summed = np.bitwise_or.reduceat(ringed[1:], begins)
        self._points_repeat = bool((summed & (_POINT | _POINT_2) == _POINT | _POINT_2).any())
        return summed
