"""Station 9: names of topics and columns that SQLite accepts: it does not distinguish ``Time`` from ``time``."""

from collections.abc import Collection

from sensorstream.serde.typed_values import clean


def free_name(wanted: str, taken: Collection[str]) -> str:
    """``wanted``, or with a number behind it where that is taken; ``taken`` are case-folded names."""
    base = clean(wanted).replace("\0", "\\0") or "_"
    if base.lower().startswith("sqlite_"):
        base = f"_{base}"
    name, number = base, 1
    while _folded(name) in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def folded(names: Collection[str]) -> set[str]:
    """Names as SQLite compares them: just ASCII letters have a case."""
    return {_folded(name) for name in names}


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _folded(name: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)
