"""Numbers of things in words, for messages and results."""

from collections.abc import Iterable


def counted(count: int, thing: str) -> str:
    """So many of them, in words: ``1 row``, ``1,440 rows``."""
    return f"1 {thing}" if count == 1 else f"{count:,} {thing}s"


def numbered(thing: str, numbers: Iterable[int]) -> str:
    """Those of these numbers: ``broker 2``, ``brokers 1, 2``."""
    names = [str(number) for number in numbers]
    return f"{thing}{'s' if len(names) > 1 else ''} {', '.join(names)}"
