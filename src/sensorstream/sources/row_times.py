"""Station 2: the times of a source's rows, in order, and what the first rows show about their format."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Final

from sensorstream.errors import DecodeError, SourceError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import SourceRow
from sensorstream.sources.base import Source
from sensorstream.sources.time_zone import LocalTimes, zone_of
from sensorstream.sources.times import ORDERS, TimeRule, day_and_month

_FIRST: Final = 300
"""So many rows show in which direction a recording runs."""
_LOOKED_AT: Final = 100_000
"""So many rows are looked at, at the most, to find a day above 12."""
_BATCH: Final = 500
_EPOCH_DIGITS: Final = (10, 13, 16, 19)


@dataclass(frozen=True, slots=True)
class FirstTimes:
    """What the first rows show: the ``rule`` with its format, and whether the source has its newest row first (None:
    it has one time only, or none that can be read)."""

    rule: TimeRule
    newest_first: bool | None = None


def look_at(source: Source, rule: TimeRule, listener: Listener = ignore) -> FirstTimes:
    """Read the first rows of a source, which is open and at its beginning.

    Where no format is given and the times are not ISO 8601, the format is told by the rows: day and month by the days
    above 12. Raises UsageError where day and month can't be told apart.
    """
    at = rule.among(source.columns, source.name)
    texts = _texts(source, at)
    first = [text for text, _ in zip(texts, range(_FIRST), strict=False)]
    if rule.format is None and len(at) < 3:
        rule = _with_format(rule, chain(first, texts), source.name, listener, count=len(at))
    return FirstTimes(rule, _newest_first(rule, first, len(at)))


def _texts(source: Source, at: tuple[int, ...]) -> Iterable[str]:
    left = _LOOKED_AT
    while left > 0:
        try:
            batch = source.read(min(_BATCH, left))
        except SourceError:
            return  # whoever reads the rows meets it in its turn
        if not batch:
            return
        left -= len(batch.rows) + len(batch.rejected)
        for row in batch.rows:
            if text := text_of(row.cells, at):
                yield text


def _with_format(rule: TimeRule, texts: Iterable[str], name: str, listener: Listener, *, count: int) -> TimeRule:
    parse = rule.parser(count)
    shown: dict[str, str] = {}
    undecided = ""
    for text in texts:
        numbers = day_and_month(text)
        if numbers is None:
            if undecided:
                continue
            digits = text.removeprefix("-").partition(".")[0]
            try:
                parse(text)
            except DecodeError:
                if not (digits.isascii() and digits.isdecimal() and len(digits) in _EPOCH_DIGITS):
                    continue
                listener(Notice(f"{name}: times are numbers since 1970, as {text!r}: --time-format epoch"))
                return replace(rule, format="epoch")
            return rule
        undecided = undecided or text
        first, second = numbers
        if first > 12 >= second:
            shown.setdefault("dmy", text)
        elif second > 12 >= first:
            shown.setdefault("mdy", text)
        if shown and (len(shown) > 1 or text != undecided):
            break
    if len(shown) == 1:
        (order, text) = next(iter(shown.items()))
        listener(Notice(f"{name}: times are {ORDERS[order]}, as {text!r} shows: --time-format {order}"))
        return replace(rule, format=order)
    if undecided:
        both = f"and both {' and '.join(map(repr, shown.values()))} are there" if shown else "and no row tells"
        raise UsageError(
            f"{name}: {undecided!r} may be day/month or month/day, {both}",
            hint="say --time-format dmy or --time-format mdy",
        )
    return rule


def _newest_first(rule: TimeRule, texts: Sequence[str], count: int) -> bool | None:
    parse, times = rule.parser(count), []
    for text in texts:
        try:
            times.append(parse(text).ms)
        except DecodeError:
            continue
    steps = [after - before for before, after in pairwise(times) if after != before]
    back = sum(step < 0 for step in steps)
    return None if 2 * back == len(steps) else 2 * back > len(steps)


def text_of(cells: Sequence[str], at: tuple[int, ...]) -> str:
    """The text of a time: its cells, with a blank between them; empty where they are."""
    if len(at) == 1:
        return cells[at[0]]
    return " ".join(cells[column].strip() for column in at).strip()


class RowTimes:
    """The times of a source's rows, in ms since 1970-01-01 UTC. Rows are asked for in their order.

    ``at`` are the indices of the time's columns. ``earlier`` gives the rows from the source's
    beginning on, where others are asked for first; it is called only where they must be known, to tell the passes of a
    doubled hour.
    """

    def __init__(
        self,
        first: FirstTimes,
        at: tuple[int, ...],
        *,
        name: str = "",
        earlier: Callable[[], Iterable[SourceRow]] | None = None,
        listener: Listener = ignore,
    ) -> None:
        self.newest_first = first.newest_first
        self._at = at
        self._parse = first.rule.parser(len(at))
        self._earlier = earlier
        self._listener = listener
        self._name = name
        self._line = self._number = 0
        zone = None if first.rule.zone is None else zone_of(first.rule.zone)
        self._zone_name = first.rule.zone
        self._local = (
            None
            if zone is None
            else LocalTimes(zone, newest_first=bool(first.newest_first), missing=self._tell_missing)
        )
        self._asked: SourceRow | None = None
        self._found: int | DecodeError = 0

    @property
    def in_order(self) -> bool:
        """Whether a row's time depends on the rows before it, so that all of them must be asked for."""
        return self._local is not None

    def restart(self) -> None:
        """The source begins again with its first row."""
        self._asked = self._earlier = None
        if self._local is not None:
            self._local.restart()

    def of(self, row: SourceRow) -> int:
        """A row's time; it may be asked for again until the next row is. Raises DecodeError."""
        if row is not self._asked:
            self._asked, self._line, self._number = row, row.line, row.number
            try:
                self._found = self._read(row.cells)
            except DecodeError as error:
                self._found = error
        if isinstance(self._found, DecodeError):
            raise self._found
        return self._found

    def pass_over(self, row: SourceRow) -> None:
        """Take note of a row whose time nobody wants to know."""
        with suppress(DecodeError):
            self.of(row)

    def _read(self, cells: Sequence[str]) -> int:
        moment = self._parse(text_of(cells, self._at))
        if moment.absolute or self._local is None:
            return moment.ms
        if self._earlier is not None and not self._local.settled and self._local.doubled(moment.ms):
            self._catch_up(self._earlier)
        return self._local.utc(moment.ms)

    def _catch_up(self, earlier: Callable[[], Iterable[SourceRow]]) -> None:
        """Go through the rows ahead once more, up to the present one."""
        self._earlier = None
        if self._local is not None:
            self._local.restart()
        for row in earlier():
            if row.number >= self._number:
                break
            with suppress(DecodeError):
                self._read(row.cells)

    def _tell_missing(self, there: str, taken: str) -> None:
        who = f"{self._name}: " if self._name else ""
        self._listener(
            Notice(
                f"{who}line {self._line}: the clocks of {self._zone_name} never showed {there}: it is taken as "
                f"{taken}; for a recorder that does not change its clock say its offset, such as --time-zone +01:00",
                "warning",
            )
        )
