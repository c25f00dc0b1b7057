"""The result of one check, and of all checks together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "warning", "problem", "skipped"]
"""A ``problem`` keeps something from working, a ``warning`` may; what was ``skipped`` was not looked at."""
Area: TypeAlias = Literal["machine", "settings", "clusters", "connection", "cluster"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    ``subject`` is the address, broker or cluster that it is about, None where there is only one; ``found`` is what was
    found, ``advice`` what to do, None where nothing is to be done.
    """

    area: Area
    name: str
    subject: str | None
    state: State
    found: str
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, in the order in which they were made.

    ``bootstrap`` is where the cluster was looked for, None where the settings can't be used; ``reachable`` is whether
    one address at least let us in, None where none was tried. ``problems`` and ``warnings`` are how many there
    are.
    """

    bootstrap: tuple[str, ...] | None
    reachable: bool | None
    problems: int
    warnings: int
    seconds: float
    checks: tuple[Check, ...]

    @property
    def unreachable(self) -> bool:
        """Whether the way to the cluster, or the cluster itself, has a problem."""
        return any(one.state == "problem" and one.area in ("connection", "cluster") for one in self.checks)


def skipped(area: Area, subject: str | None, names: Iterable[str], why: str) -> list[Check]:
    """The steps that are not taken, and why."""
    return [Check(area, name, subject, "skipped", why) for name in names]


def worst(checks: Sequence[Check]) -> State:
    """The worst state among these."""
    order: tuple[State, ...] = ("problem", "warning", "ok", "skipped")
    return next((state for state in order if any(one.state == state for one in checks)), "skipped")
