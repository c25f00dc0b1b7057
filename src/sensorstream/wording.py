"""Numbers of things in words, for messages and results."""

from collections.abc import Iterable


def counted(count: int, thing: str) -> str:
    """So many of them, in words: ``1 row``, ``1,440 rows``, ``2 entries``."""
    return f"{count:,} {thing if count == 1 else plural(thing)}"


def plural(thing: str) -> str:
    """More than one of them, as English makes it: ``rows``, ``entries``, ``processes``."""
    if thing.endswith("y") and thing[-2:-1] not in tuple("aeiou"):
        return f"{thing[:-1]}ies"
    return f"{thing}es" if thing.endswith(("s", "x", "ch", "sh")) else f"{thing}s"


def numbered(thing: str, numbers: Iterable[int]) -> str:
    """Those of these numbers: ``broker 2``, ``brokers 1, 2``."""
    names = [str(number) for number in numbers]
    return f"{thing if len(names) == 1 else plural(thing)} {', '.join(names)}"
