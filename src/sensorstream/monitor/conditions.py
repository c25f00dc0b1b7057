"""Conditions on a cluster, ``lag > 1000 for 30s``, ``under_replicated > 0 or brokers < 3``: from text to data.

    condition  = all {"or" all}
    all        = comparison {"and" comparison}
    comparison = figure ["(" name ")"] operator number ["for" time]

``for`` belongs to the comparison before it. A name with other signs than letters, digits, ``.``, ``_`` and ``-`` is
quoted. :mod:`.judging` says whether a condition holds.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from sensorstream.config import nearest
from sensorstream.errors import UsageError

Of = Literal["", "group", "topic"]
Unit = Literal["rows", "rows/s", "s", ""]


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that can be compared. ``of`` is what its name in brackets names, ``needed`` whether it must stand."""

    about: str
    of: Of = ""
    needed: bool = False
    unit: Unit = ""


FIGURES: Final[Mapping[str, Figure]] = {
    "lag": Figure("rows that a group is behind", "group", unit="rows"),
    "lag_age": Figure("how old the oldest row is that a group has not read", "group", unit="s"),
    "rows": Figure("rows that a topic holds", "topic", needed=True, unit="rows"),
    "rate": Figure("rows that come in a second, of a topic or of all", "topic", unit="rows/s"),
    "age": Figure("how old a topic's newest row is", "topic", needed=True, unit="s"),
    "brokers": Figure("brokers that are alive"),
    "under_replicated": Figure("partitions that miss a replica"),
    "offline": Figure("partitions that nobody leads"),
}

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    "==": lambda value, limit: value == limit,
    "!=": lambda value, limit: value != limit,
}
_SECONDS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_WORD: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPERATOR: Final = re.compile(r"[<>=!]+")
_NUMBER: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([A-Za-z]*)(?![\w.,])", re.ASCII)
_BARE: Final = re.compile(r"[A-Za-z0-9._-]+")
_QUOTED: Final = re.compile(r""""([^"]+)"|'([^']+)'""")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison. ``name`` is the group or topic, None where none was given; ``for_s`` None: at once.

    Ages and ``for_s`` are seconds.
    """

    figure: str
    name: str | None
    operator: str
    limit: float
    for_s: float | None = None

    @property
    def unit(self) -> Unit:
        """The unit of what is compared."""
        return FIGURES[self.figure].unit

    @property
    def term(self) -> str:
        """What is compared, as it is written: ``lag(GROUP)``."""
        return self.figure if self.name is None else f"{self.figure}({_written(self.name)})"

    def __str__(self) -> str:
        limit = f"{_number(self.limit)}s" if self.unit == "s" else _number(self.limit)
        lasting = "" if self.for_s is None else f" for {_number(self.for_s)}s"
        return f"{self.term} {self.operator} {limit}{lasting}"


@dataclass(frozen=True, slots=True)
class Condition:
    """It holds when, in one of ``any_of``, all comparisons hold. ``text`` is what was written."""

    text: str
    any_of: tuple[tuple[Comparison, ...], ...]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All its comparisons, as written from left to right."""
        return tuple(one for all_of in self.any_of for one in all_of)

    def __str__(self) -> str:
        return " or ".join(" and ".join(map(str, all_of)) for all_of in self.any_of)


def parse(text: str) -> Condition:
    """The condition that ``text`` writes. Raises UsageError, which says at which character it is wrong."""
    return _Parser(text).condition()


def _number(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")


def _written(name: str) -> str:
    if _BARE.fullmatch(name):
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def condition(self) -> Condition:
        self._blanks()
        if self._at == len(self._text):
            raise UsageError("a condition is empty", hint="write it as: lag > 1000 for 30s")
        any_of = [self._all()]
        while self._takes("or"):
            any_of.append(self._all())
        self._blanks()
        if self._at < len(self._text):
            lasting = "'for', " if any_of[-1][-1].for_s is None else ""
            self._wrong(f"is not known here: after a comparison comes {lasting}'and', 'or' or the end")
        return Condition(self._text, tuple(any_of))

    def _all(self) -> tuple[Comparison, ...]:
        all_of = [self._comparison()]
        while self._takes("and"):
            all_of.append(self._comparison())
        return tuple(all_of)

    def _comparison(self) -> Comparison:
        figure = self._figure()
        name = self._name(figure)
        self._blanks()
        at = self._at
        found = _OPERATOR.match(self._text, at)
        if found is None or found[0] not in OPERATORS:
            self._wrong("is no comparison", at, hint=f"it is one of {' '.join(OPERATORS)}")
        self._at = found.end()
        limit = self._limit(figure)
        for_s = self._time("for") if self._takes("for") else None
        return Comparison(figure, name, found[0], limit, for_s)

    def _figure(self) -> str:
        self._blanks()
        found = _WORD.match(self._text, self._at)
        if found is None or found[0] not in FIGURES:
            known = "it is one of " + ", ".join(FIGURES)
            self._wrong("is nothing to compare", hint=nearest(found[0], FIGURES) or known if found else known)
        self._at = found.end()
        return found[0]

    def _name(self, figure: str) -> str | None:
        known = FIGURES[figure]
        self._blanks()
        if not self._text.startswith("(", self._at):
            if known.needed:
                self._wrong(f"was found, but {figure} needs a {known.of}", hint=f"write it as {figure}(AIR)")
            return None
        if not known.of:
            self._wrong(f"was found, but {figure} takes no name", hint=f"write {figure} alone")
        self._at += 1
        self._blanks()
        found = _QUOTED.match(self._text, self._at) or _BARE.match(self._text, self._at)
        if found is None:
            self._wrong(f"is no name of a {known.of}", hint='quote one with other signs: lag("my group")')
        name = next((part for part in found.groups() if part), found[0])
        self._at = found.end()
        self._blanks()
        if not self._text.startswith(")", self._at):
            self._wrong("was found instead of ')'", hint='quote a name with other signs: lag("my group")')
        self._at += 1
        return name

    def _limit(self, figure: str) -> float:
        if FIGURES[figure].unit == "s":
            return self._time(figure)
        at, number, unit = self._figures()
        if unit:
            hint = "lag_age(GROUP) compares times" if figure == "lag" else f"write it as {number}"
            self._wrong(f"has a unit, and {figure} is a plain number", at, hint=hint)
        return float(number)

    def _time(self, what: str) -> float:
        at, number, unit = self._figures()
        if unit not in _SECONDS:
            self._wrong(f"is no time for {what}", at, hint="write it as 500ms, 30s, 5m, 2h or 1d")
        return round(float(number) * _SECONDS[unit], 9)

    def _figures(self) -> tuple[int, str, str]:
        self._blanks()
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            self._wrong("is no number", hint="write it as 1000 or 0.5")
        at, self._at = self._at, found.end()
        return at, found[1], found[2]

    def _takes(self, word: str) -> bool:
        self._blanks()
        found = _WORD.match(self._text, self._at)
        if found is None or found[0] != word:
            return False
        self._at = found.end()
        return True

    def _blanks(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _wrong(self, what: str, at: int | None = None, *, hint: str = "") -> NoReturn:
        at = self._at if at is None else at
        rest = self._text[at:].split()
        word = repr(rest[0]) if rest else "the end"
        raise UsageError(f"condition {self._text!r}, character {at + 1}: {word} {what}", hint=hint)
