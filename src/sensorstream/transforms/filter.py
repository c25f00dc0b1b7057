"""Station 8: ``filter``: keep the rows that match a condition. Conditions are compared, never run as code."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from sensorstream.errors import UsageError
from sensorstream.records import Number, Row, Value
from sensorstream.serde.csv_cells import to_cell
from sensorstream.transforms.base import InputRow, OutputRow, Transformed, Unusable
from sensorstream.transforms.options import check_options, no_column

_ORDER: Final[Mapping[str, Callable[[Decimal | str, Decimal | str], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WORD: Final = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'<>=!]+)"""
_CONDITION: Final = re.compile(rf"\s*({_WORD})\s*(==|!=|<=|>=|<|>|=|\bcontains\b)\s*({_WORD})\s*")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?")
_AND: Final = re.compile(r"and\b\s*", re.IGNORECASE)
_HINT: Final = """for example: --set where="Temperature > 30 and Station == SVDT1" """.strip()


class _Condition(NamedTuple):
    column: str
    operator: str
    wanted: Decimal | str | bool | None


class Filter:
    """Keeps the rows for which ``where`` holds: ``COLUMN OP VALUE``, several joined by ``and``.

    OP is one of ``== != < <= > >= contains``. A number compares with numbers, in decimal; other words compare with
    texts, by their letters; ``null``, ``true`` and ``false`` stand for themselves, in quotes they are text. A missing
    value is equal to ``null`` and neither below nor above anything. A row is unusable when it lacks the
    column, or when it has text where a number is to be ordered, or the other way round.
    """

    name = "filter"
    version = "1"

    def __init__(self, options: Mapping[str, str]) -> None:
        check_options(self.name, options, ["where"], ["where"])
        self._conditions = _parse(options["where"])

    def apply(self, rows: Sequence[InputRow]) -> Sequence[Transformed]:
        """One answer for each row, in the same order: the row, no row, or why it can't be told."""
        return [self._answer(row.row) for row in rows]

    def _answer(self, row: Row) -> Transformed:
        keep = True
        for condition in self._conditions:
            if condition.column not in row:
                return Unusable(no_column(condition.column, row))
            try:
                keep = _holds(row[condition.column], condition) and keep
            except TypeError as error:
                return Unusable(f"{condition.column} {error}")
            except InvalidOperation:
                return Unusable(f"{condition.column}: {str(row[condition.column])[:40]} is too large a number")
        return [OutputRow(row)] if keep else []


def _holds(value: Value, condition: _Condition) -> bool:
    """Whether one value fulfils a condition. Raises TypeError, saying why, where the two can't be ordered."""
    wanted = condition.wanted
    if condition.operator in ("==", "!="):
        had: object = Decimal(value) if isinstance(value, Number) and isinstance(wanted, Decimal) else value
        equal = type(had) is type(wanted) and had == wanted
        return equal == (condition.operator == "==")
    if value is None:
        return False
    if condition.operator == "contains":
        return isinstance(wanted, str) and wanted in (value if isinstance(value, str) else to_cell(value))
    compare = _ORDER[condition.operator]
    if isinstance(wanted, Decimal):
        if isinstance(value, Number):
            return compare(Decimal(value), wanted)
        raise TypeError(f"is {_shown(value)}, not a number")
    if isinstance(wanted, str) and type(value) is str:
        return compare(value, wanted)
    raise TypeError(f"is {_shown(value)}, not text")


def _shown(value: Value) -> str:
    return to_cell(value, raw=True)[:40]


def _parse(text: str) -> tuple[_Condition, ...]:
    conditions: list[_Condition] = []
    at = 0
    while True:
        found = _CONDITION.match(text, at)
        if found is None:
            raise UsageError(f"where={text!r}: {text[at:].strip() or 'the end'!r} is no condition", hint=_HINT)
        conditions.append(_condition(*found.groups()))
        at = found.end()
        if at == len(text):
            return tuple(conditions)
        joint = _AND.match(text, at)
        if joint is None:
            raise UsageError(f"where={text!r}: {text[at:]!r} is not expected there", hint=_HINT)
        at = joint.end()


def _condition(column: str, sign: str, value: str) -> _Condition:
    sign = "==" if sign == "=" else sign
    wanted: Decimal | str | bool | None = _unquoted(value)
    if value[0] not in "\"'" and sign != "contains":
        named = {"null": None, "true": True, "false": False}
        if value in named:
            wanted = named[value]
        elif _NUMBER.fullmatch(value):
            wanted = Decimal(value)
    if sign in _ORDER and (wanted is None or isinstance(wanted, bool)):
        raise UsageError(f"nothing is {sign} {value}", hint="compare it with == or !=")
    return _Condition(_unquoted(column), sign, wanted)


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word[0] in "\"'" else word
