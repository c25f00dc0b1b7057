"""Station 1 against 9: expected rows against captured ones, in step, in bounded memory.

Both sides advance together, and while they agree nothing is held. Where they part, rows of either side wait in
two pools for their counterpart; so one lost, doubled or moved row is one difference and not a thousand.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

R = TypeVar("R")
"""A row in a form that can be compared: a list of cells, or the bytes of a JSON line."""

POOL: Final = 25_000
"""How many rows of each side may wait. A longer run of doubled rows ahead of good ones is told as missing rows."""
EXTRAS: Final = 1_000_000
"""For how many surplus captured rows it is looked up whether the source has them."""


class CapturedRows(Generic[R]):
    """One captured file as a stream: ``row`` is the next one, None at the end.

    ``rows`` gives line and row; ``plain`` brings a row that was not equal at first sight into the form that the
    expected ones have.
    """

    def __init__(self, name: str, rows: Iterator[tuple[int, R]], plain: Callable[[R], R] | None = None) -> None:
        self.name = name
        self.row: R | None = None
        self.line = 0
        self.number = -1
        self.latest_captured = -1  # of the matched rows: the place in this file ...
        self.latest_expected = -1  # ... and the place in the source
        self._rows = rows
        self._plain = plain
        self._is_plain = False
        self.advance()

    def advance(self) -> None:
        """Go on to the next row."""
        self.line, self.row = next(self._rows, (self.line, None))
        if self.row is not None:
            self.number += 1
            self._is_plain = False

    def make_plain(self) -> None:
        """Bring the row into the form of the expected ones."""
        if self._plain is not None and self.row is not None and not self._is_plain:
            self.row = self._plain(self.row)
            self._is_plain = True


@dataclass(frozen=True, slots=True)
class Found(Generic[R]):
    """One difference. ``at`` is the source row's index at which it came up; the lines count from 1.

    ``kind`` is missing, different, reordered or surplus; what a kind has no use for is None.
    """

    at: int
    kind: str
    source_line: int | None = None
    file: str | None = None
    captured_line: int | None = None
    expected: R | None = None
    captured: R | None = None


@dataclass(slots=True)
class _Waiting(Generic[R]):
    """A row in a pool. ``number`` counts the rows of its side; ``partner`` came in at the same step."""

    number: int
    line: int
    row: R
    at: int
    stream: CapturedRows[R] | None = None
    partner: "_Waiting[R] | None" = None


@dataclass(slots=True)
class Tally(Generic[R]):
    """The figures of one comparison; ``surplus`` maps the keys of surplus captured rows to how many there are."""

    expected: int = 0
    captured: int = 0
    missing: int = 0
    reordered: int = 0
    different: int = 0
    surplus: dict[int, int] = field(default_factory=dict)
    surplus_rows: int = 0
    first: Found[R] | None = None


class Matcher(Generic[R]):
    """Compares expected rows, handed in one after the other, with the captured files that share them.

    ``key`` is a hash of a row; ``similar`` tells whether two unequal rows are one row with changed values.
    """

    def __init__(
        self, streams: Sequence[CapturedRows[R]], key: Callable[[R], int], similar: Callable[[R, R], bool]
    ) -> None:
        self._streams = tuple(streams)
        self._key = key
        self._similar = similar
        self._missing: OrderedDict[int, deque[_Waiting[R]]] = OrderedDict()
        self._missing_rows = 0
        self._early: OrderedDict[int, deque[_Waiting[R]]] = OrderedDict()
        self._early_rows = 0
        self.tally: Tally[R] = Tally()

    def expect(self, index: int, line: int, row: R) -> None:
        """Take the next row of the source; ``index`` grows with each."""
        self.tally.expected += 1
        for stream in self._streams:
            if stream.row == row:
                stream.latest_expected = index
                stream.latest_captured = stream.number
                stream.advance()
                return
        self._search(_Waiting(index, line, row, index))

    def finish(self) -> Tally[R]:
        """Take the rest of the captured rows and give the figures."""
        for stream in self._streams:
            while stream.row is not None:
                if not self._take_head(stream):
                    self._count_surplus(self._head(stream))
                    stream.advance()
            self.tally.captured += stream.number + 1
        for waiting in self._missing.values():
            for row in waiting:
                self._settle(row)
        for waiting in self._early.values():
            for row in waiting:
                self._count_surplus(row)
        return self.tally

    def _search(self, wanted: _Waiting[R]) -> None:
        key = self._key(wanted.row)
        early = self._take(self._early, key)
        if early is not None:
            self._early_rows -= 1
            self._matched(wanted, early)
            return
        moved = True
        while moved:
            moved = False
            for stream in self._streams:
                stream.make_plain()
                if stream.row == wanted.row:
                    self._matched(wanted, self._head(stream))
                    stream.advance()
                    return
                moved = self._take_head(stream) or moved
        self._put(self._missing, key, wanted)
        self._missing_rows += 1
        if self._missing_rows > POOL:
            self._drop_oldest_missing()
        if self._early_rows < POOL:
            for stream in self._streams:
                if stream.row is not None:
                    head = self._head(stream)
                    head.at = wanted.number
                    if len(self._streams) == 1:
                        wanted.partner = head
                    self._put(self._early, self._key(head.row), head)
                    self._early_rows += 1
                    stream.advance()

    def _take_head(self, stream: CapturedRows[R]) -> bool:
        """Match the file's next row with one that was missing so far."""
        stream.make_plain()
        if stream.row is None or not self._missing:
            return False
        late = self._take(self._missing, self._key(stream.row))
        if late is None:
            return False
        self._missing_rows -= 1
        self._matched(late, self._head(stream))
        stream.advance()
        return True

    def _head(self, stream: CapturedRows[R]) -> _Waiting[R]:
        assert stream.row is not None  # noqa: S101  # for the type checker
        return _Waiting(stream.number, stream.line, stream.row, stream.latest_expected + 1, stream)

    def _matched(self, expected: _Waiting[R], captured: _Waiting[R]) -> None:
        stream = captured.stream
        assert stream is not None  # noqa: S101  # for the type checker
        # In order means: further on in the file is further on in the source.
        if (captured.number > stream.latest_captured) != (expected.number > stream.latest_expected):
            self.tally.reordered += 1
            self._note(Found(expected.number, "reordered", expected.line, stream.name, captured.line))
        stream.latest_captured = max(stream.latest_captured, captured.number)
        stream.latest_expected = max(stream.latest_expected, expected.number)

    def _drop_oldest_missing(self) -> None:
        key = next(iter(self._missing))
        oldest = self._take(self._missing, key)
        if oldest is not None:
            self._missing_rows -= 1
            self._settle(oldest)

    def _settle(self, expected: _Waiting[R]) -> None:
        """Nothing equal will come for this row: it was changed on the way, or is missing."""
        partner = expected.partner
        if (
            partner is not None
            and partner.stream is not None
            and self._is_waiting(partner)
            and self._similar(expected.row, partner.row)
        ):
            self._early_rows -= 1
            self._remove(partner)
            self.tally.different += 1
            self._note(
                Found(
                    expected.number, "different", expected.line, partner.stream.name, partner.line,
                    expected.row, partner.row,
                )
            )  # fmt: skip
            return
        self.tally.missing += 1
        self._note(Found(expected.number, "missing", expected.line))

    def _is_waiting(self, early: _Waiting[R]) -> bool:
        return any(it is early for it in self._early.get(self._key(early.row), ()))

    def _remove(self, early: _Waiting[R]) -> None:
        key = self._key(early.row)
        left = deque(it for it in self._early[key] if it is not early)
        if left:
            self._early[key] = left
        else:
            del self._early[key]

    def _count_surplus(self, captured: _Waiting[R]) -> None:
        tally, key = self.tally, self._key(captured.row)
        tally.surplus_rows += 1
        if key in tally.surplus or len(tally.surplus) < EXTRAS:
            tally.surplus[key] = tally.surplus.get(key, 0) + 1
        name = captured.stream.name if captured.stream else None
        self._note(Found(captured.at, "surplus", None, name, captured.line, None, captured.row))

    def _note(self, found: Found[R]) -> None:
        if self.tally.first is None or found.at < self.tally.first.at:
            self.tally.first = found

    @staticmethod
    def _put(pool: OrderedDict[int, deque[_Waiting[R]]], key: int, row: _Waiting[R]) -> None:
        pool.setdefault(key, deque()).append(row)

    @staticmethod
    def _take(pool: OrderedDict[int, deque[_Waiting[R]]], key: int) -> _Waiting[R] | None:
        rows = pool.get(key)
        if rows is None:
            return None
        row = rows.popleft()
        if not rows:
            del pool[key]
        return row
