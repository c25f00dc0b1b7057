"""Station 8: the measures of a window's rows: exact in decimal; missing values are left out and counted.

Sums are kept in decimal with 400 digits, so ten times 0.1 is 1.0; a mean is the double nearest to the exact one. The
least, the greatest, the first and the last value keep their letters.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import Final, Literal, NamedTuple, TypeAlias

from sensorstream.errors import DecodeError
from sensorstream.records import Json, Number, Row, Value
from sensorstream.serde.csv_cells import to_cell
from sensorstream.serde.json import quote

Kind: TypeAlias = Literal["mean", "sum", "min", "max", "first", "last", "shares"]

KINDS: Final[tuple[Kind, ...]] = ("mean", "sum", "min", "max", "first", "last", "shares")
MOST_LABELS: Final = 1000
"""Different values of a ``shares`` column in one window: beyond that it holds no labels."""

_EXACT: Final = Context(prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_QUOTIENT: Final = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_NUMERIC: Final = frozenset({"mean", "sum", "min", "max"})
_CACHED: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of one column: ``mean`` of ``Temperature`` comes out as the column ``Temperature_mean``."""

    kind: Kind
    column: str

    @property
    def name(self) -> str:
        """What its column is called."""
        return f"{self.column}_{self.kind}"


class Place(NamedTuple):
    """Where a row stands in time, and in its partition where times are equal: what first and last go by."""

    time_ms: int
    partition: int
    offset: int


class Values(NamedTuple):
    """What a row holds of the measured columns: numbers and their letters, and values to be told apart."""

    numbers: Mapping[str, tuple[Decimal, Number] | None]
    others: Mapping[str, Value]


class Measures:
    """The measures of one job: takes the values out of rows, and makes the figures of a window."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self.measures = tuple(measures)
        self.columns = tuple(dict.fromkeys(measure.column for measure in measures))
        self._numeric = _columns_of(measures, _NUMERIC)
        self._others = _columns_of(measures, {"first", "last", "shares"})
        self.placed = _columns_of(measures, {"first", "last"})
        self.labelled = _columns_of(measures, {"shares"})
        self._parsed: dict[str, tuple[Decimal, Number]] = {}

    def values(self, row: Row) -> Values:
        """What is measured of a row. Raises DecodeError where text stands in place of a number."""
        return Values(
            {column: self._number(column, row.get(column)) for column in self._numeric},
            {column: row.get(column) for column in self._others},
        )

    def _number(self, column: str, value: Value) -> tuple[Decimal, Number] | None:
        if value is None:
            return None
        if not isinstance(value, Number):
            raise DecodeError(f"{column} is {to_cell(value, raw=True)[:40]!r}, not a number")
        found = self._parsed.get(value)
        if found is None:
            try:
                found = Decimal(value), value
            except InvalidOperation as error:
                raise DecodeError(f"{column}: {value[:40]} is too large a number") from error
            if len(self._parsed) >= _CACHED:
                self._parsed.clear()
            if len(value) <= 128:
                self._parsed[value] = found
        return found


class Figures:
    """What is known so far of one window of one key."""

    __slots__ = ("_firsts", "_labels", "_lasts", "_measures", "_missing", "_numbers", "count", "offsets")

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self.count = 0
        self.offsets: dict[int, int] = {}
        self._missing: dict[str, int] = dict.fromkeys(measures.columns, 0)
        self._numbers: dict[str, _Numbers] = {}
        self._firsts: dict[str, tuple[Place, Value]] = {}
        self._lasts: dict[str, tuple[Place, Value]] = {}
        self._labels: dict[str, Counter[str]] = {}

    def add(self, values: Values, place: Place) -> None:
        """Take one row in. Raises DecodeError, with nothing changed, when labels become too many."""
        for column in self._measures.labelled:
            labels = self._labels.get(column)
            if labels is not None and len(labels) >= MOST_LABELS and _label(values.others[column]) not in labels:
                raise DecodeError(f"{column} has more than {MOST_LABELS} different values in one window: no labels")
        self.count += 1
        self.offsets[place.partition] = min(self.offsets.get(place.partition, place.offset), place.offset)
        for column, number in values.numbers.items():
            if number is None:
                self._missing[column] += 1
            elif column in self._numbers:
                self._numbers[column].add(*number)
            else:
                self._numbers[column] = _Numbers(*number)
        for column, value in values.others.items():
            if value is None:
                if column not in values.numbers:
                    self._missing[column] += 1
                continue
            if column in self._measures.labelled:
                self._labels.setdefault(column, Counter())[_label(value)] += 1
            if column in self._measures.placed:
                self._place(column, place, value)

    def _place(self, column: str, place: Place, value: Value) -> None:
        first, last = self._firsts.get(column), self._lasts.get(column)
        if first is None or place < first[0]:
            self._firsts[column] = place, value
        if last is None or place > last[0]:
            self._lasts[column] = place, value

    def row(self) -> dict[str, Value]:
        """The figures: the count, the measures, and for each measured column how many values were missing."""
        made: dict[str, Value] = {"count": Number(str(self.count))}
        for measure in self._measures.measures:
            made[measure.name] = self._figure(measure)
        made.update({f"{column}_missing": Number(str(missing)) for column, missing in self._missing.items()})
        return made

    def _figure(self, measure: Measure) -> Value:
        column = measure.column
        if measure.kind == "shares":
            return _shares(self._labels.get(column, Counter()))
        if measure.kind in ("first", "last"):
            found = (self._firsts if measure.kind == "first" else self._lasts).get(column)
            return None if found is None else found[1]
        numbers = self._numbers.get(column)
        if numbers is None:
            return None
        if measure.kind == "mean":
            return numbers.mean()
        if measure.kind == "sum":
            return Number(str(numbers.total))
        return numbers.least[1] if measure.kind == "min" else numbers.greatest[1]


class _Numbers:
    """Sum, least and greatest of some numbers."""

    __slots__ = ("count", "greatest", "least", "total")

    def __init__(self, number: Decimal, letters: Number) -> None:
        self.count = 1
        self.total = number
        self.least = self.greatest = number, letters

    def add(self, number: Decimal, letters: Number) -> None:
        self.count += 1
        self.total = _EXACT.add(self.total, number)
        if number < self.least[0]:
            self.least = number, letters
        elif number > self.greatest[0]:
            self.greatest = number, letters

    def mean(self) -> Number:
        exact = _QUOTIENT.divide(self.total, Decimal(self.count))
        near = float(exact)
        return Number(repr(near) if abs(near) < float("inf") else f"{exact:.16e}")


def _shares(labels: Mapping[str, int]) -> Json:
    total = sum(labels.values())
    return Json("{" + ",".join(f"{quote(label)}:{labels[label] / total!r}" for label in sorted(labels)) + "}")


def _label(value: Value) -> str:
    return to_cell(value, raw=True)


def _columns_of(measures: Iterable[Measure], kinds: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(measure.column for measure in measures if measure.kind in kinds))
