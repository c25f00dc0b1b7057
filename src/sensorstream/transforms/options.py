"""Station 8: shared checks for the options of the built-in transforms."""

import csv
from collections.abc import Mapping, Sequence

from sensorstream.config import nearest
from sensorstream.errors import UsageError
from sensorstream.records import Row


def check_options(name: str, options: Mapping[str, str], known: Sequence[str], required: Sequence[str] = ()) -> None:
    """Raise UsageError unless ``options`` are among the ``known`` ones and have the ``required`` ones."""
    for option in options:
        if option not in known:
            raise UsageError(
                f"transform {name} has no option {option!r}",
                hint=nearest(option, known) or f"it has {', '.join(known)}",
            )
    for option in required:
        if not options.get(option):
            raise UsageError(f"transform {name} needs the option {option!r}", hint=f"give --set {option}=...")


def column_names(text: str) -> tuple[str, ...]:
    """``a,b`` as names; one that holds a comma stands in double quotes, as in CSV. Raises UsageError."""
    names = tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True), []))
    if not names or not all(names):
        raise UsageError(f"{text!r} does not name columns", hint="write them as A,B")
    if len(set(names)) != len(names):
        raise UsageError(f"{text!r} names a column twice", hint="name each once")
    return names


def no_column(name: str, row: Row) -> str:
    """The reason why a row that lacks a column can't be used: what it has instead."""
    had = ", ".join(row) if row else "none"
    return f"it has no column {name!r}; it has {had if len(had) <= 200 else had[:197] + '...'}"
