"""The columns of a table: how a column makes a cell of an item, and how it sorts the items."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

Tone = Literal["plain", "good", "warn", "bad", "dim", "plot", "bold", "chosen"]
"""How a cell is coloured; it never says more than the cell's own words do."""
Item = TypeVar("Item")


class Cell(NamedTuple):
    """A cell's text, shown as it stands, and its tone."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Column(Generic[Item]):
    """One column. ``letter`` is the key that sorts by ``order`` (None last); ``falling``: the largest come first.

    ``widest`` bounds its width, in characters; longer cells end with an ellipsis.
    """

    title: str
    cell: Callable[[Item], Cell]
    order: Callable[[Item], float | str | None] | None = None
    letter: str = ""
    right: bool = False
    falling: bool = False
    widest: int = 40


@dataclass(frozen=True)
class Table(Generic[Item]):
    """A table: ``key`` tells items apart from one view to the next, ``text`` is what a search looks at."""

    columns: Sequence[Column[Item]]
    items: Sequence[Item]
    key: Callable[[Item], Hashable]
    text: Callable[[Item], str]
    first: str = ""
    """The letter of the column it is sorted by until the user asks for another; empty: as the items come."""

    def column(self, letter: str) -> Column[Item] | None:
        """The column that this letter sorts by."""
        return next((one for one in self.columns if one.letter == letter), None) if letter else None

    def arranged(self, letter: str, reverse: bool, search: str) -> list[Item]:
        """The items that hold ``search`` (in any case), sorted by a column; what is not known comes last."""
        wanted = search.casefold()
        found = [item for item in self.items if not wanted or wanted in self.text(item).casefold()]
        column = self.column(letter)
        if column is None or column.order is None:
            return found
        order = column.order
        # Numbers in the one list, unknown ones in the other: None can't be compared.
        known = [(value, place) for place, item in enumerate(found) if (value := order(item)) is not None]
        unknown = [item for item in found if order(item) is None]
        known.sort(key=lambda pair: pair[0], reverse=column.falling != reverse)
        return [found[place] for _, place in known] + unknown
