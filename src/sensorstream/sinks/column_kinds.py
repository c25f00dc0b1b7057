"""Station 9: the type of a column, derived from its values, and only ever widened.

The kinds are texts, so that they can be stored: ``null`` (no value yet), ``bool``, ``int``, ``bigint`` (integers of
which a double does not keep all), ``float``, ``text``, and ``time:FORM``. A column is one of times when each of its
values is a date and a time in one and the same form, from which the value can be made again letter by letter: ISO 8601
in full, or the format that is configured for the column. Kinds that do not go together make ``text``.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from sensorstream.records import Number, Value
from sensorstream.serde.typed_values import typed

NULL, BOOL, INT, BIGINT, FLOAT, TEXT = "null", "bool", "int", "bigint", "float", "text"
TIME: Final = "time:"
_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ])[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3}|\.[0-9]{6})?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_STRPTIME: Final = "strptime "
_EPOCH: Final = datetime(1970, 1, 1)  # of times in UTC and of those without a zone
_MICROSECOND: Final = timedelta(microseconds=1)
_EXACT: Final = 2**53
_WIDTHS: Final = {
    "%Y": "([1-9][0-9]{3})",
    "%m": "([0-9]{2})",
    "%d": "([0-9]{2})",
    "%H": "([0-9]{2})",
    "%M": "([0-9]{2})",
    "%S": "([0-9]{2})",
}
_TIMESPEC: Final = {0: "seconds", 4: "milliseconds", 7: "microseconds"}


def wider(mine: str, other: str) -> str:
    """The kind that holds the values of both."""
    if other in (mine, NULL):
        return mine
    if mine == NULL:
        return other
    both = {mine, other}
    if both == {INT, BIGINT}:
        return BIGINT
    return FLOAT if both == {INT, FLOAT} else TEXT


def kind_of(values: Iterable[Value], time_format: str | None = None) -> str:
    """The kind of a column's values; ``time_format`` (as for ``strptime``) is that of a column of times."""
    kind = NULL
    numbers: set[Value] = set()
    texts: dict[Value, None] = {}
    for value in values:
        if type(value) is Number:
            numbers.add(value)
        elif value is True or value is False:
            kind = wider(kind, BOOL)
        elif type(value) is str:
            texts[value] = None
        elif value is not None:
            return TEXT  # nested
    for value in numbers:
        kind = wider(kind, _kind_of_number(value))
        if kind == TEXT:
            return TEXT
    return wider(kind, _kind_of_texts(list(texts), time_format)) if texts else kind  # type: ignore[arg-type]


def _kind_of_number(value: Value) -> str:
    number = typed(value)
    if isinstance(number, float):
        return FLOAT
    if isinstance(number, int):
        return INT if abs(number) <= _EXACT else BIGINT
    return TEXT


def _kind_of_texts(texts: Sequence[str], time_format: str | None) -> str:
    form = _iso_form(texts[0])
    # Formats that have a name take more than one way of writing.
    if form is None and time_format is not None and "%" in time_format and "%z" not in time_format.lower():
        form = _STRPTIME + time_format
    if form is None or any(microseconds(form, text) is None for text in texts):
        return TEXT
    return TIME + form


def _iso_form(text: str) -> str | None:
    match = _ISO.fullmatch(text)
    return None if match is None else f"iso {'T' if match[1] == 'T' else '_'} {len(match[2] or '')} {match[3] or '-'}"


def has_zone(form: str) -> bool:
    """Whether times of a form are moments in UTC, rather than what a clock without a zone showed."""
    return not form.startswith(_STRPTIME) and not form.endswith(" -")


def microseconds(form: str, text: str) -> int | None:
    """Microseconds from 1970-01-01 to a time in its form; None for a text that is not of it."""
    try:
        if form.startswith(_STRPTIME) and (fixed := _fixed_width(form[len(_STRPTIME) :])) is not None:
            pattern, order = fixed
            match = pattern.fullmatch(text)
            if match is None:
                return None
            parts = match.groups()
            moment = datetime(*(int(parts[at]) for at in order))  # type: ignore[arg-type]
        elif form.startswith(_STRPTIME):
            moment = datetime.strptime(text, form[len(_STRPTIME) :])  # it has none
            if time_text(form, micros := (moment - _EPOCH) // _MICROSECOND) != text:
                return None
            return micros
        elif _iso_form(text) != form:
            return None
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is not None:
        try:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        except OverflowError:
            return None
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=32)
def _fixed_width(time_format: str) -> tuple[re.Pattern[str], tuple[int, ...]] | None:
    """What reads a format of year, month, day, hour, minute, second in digits, much faster than strptime.

    A pattern, and which of its groups is which of those; None for other formats.
    """
    pieces = re.split(r"(%.)", time_format)
    directives = pieces[1::2]
    if directives.count("%Y") != 1 or any(directives.count(one) != 1 for one in directives):
        return None
    if not {"%Y", "%m", "%d"} <= {*directives} <= {*_WIDTHS}:
        return None
    wanted = [one for one in _WIDTHS if one in directives]
    if wanted != list(_WIDTHS)[: len(wanted)]:
        return None  # minutes without hours
    pattern = "".join(_WIDTHS[piece] if piece in _WIDTHS else re.escape(piece) for piece in pieces)
    return re.compile(pattern), tuple(directives.index(one) for one in wanted)


def time_text(form: str, micros: int) -> str:
    """A time as the text that it came from."""
    moment = _EPOCH + timedelta(microseconds=micros)
    if form.startswith(_STRPTIME):
        return moment.strftime(form[len(_STRPTIME) :])
    _, separator, digits, zone = form.split(" ")
    if zone not in ("-", "Z"):
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        moment += offset if zone[0] == "+" else -offset
    text = moment.isoformat("T" if separator == "T" else " ", _TIMESPEC[int(digits)])
    return text + ("" if zone == "-" else zone)
