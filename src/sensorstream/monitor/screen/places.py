"""Where the user is: a tab, and how far drilled down; each place remembers its order, search and cursor."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Literal

from sensorstream.visible import visible

Tab = Literal["overview", "brokers", "topics", "groups", "rows", "latency"]
TABS: Final[tuple[tuple[Tab, str], ...]] = (
    ("overview", "Overview"),
    ("brokers", "Brokers"),
    ("topics", "Topics"),
    ("groups", "Groups"),
    ("rows", "Live rows"),
    ("latency", "Latency"),
)


@dataclass(slots=True)
class Place:
    """A table that is looked at: ``letter`` None is the table's own first order; ``cursor`` is an item's key."""

    broker: int | None = None
    topic: str | None = None
    partition: int | None = None
    group: str | None = None
    letter: str | None = None
    reverse: bool = False
    search: str = ""
    cursor: Hashable | None = None

    @property
    def is_rows(self) -> bool:
        """Whether the rows of one partition are looked at."""
        return self.partition is not None

    def name(self) -> str:
        """What it is called in the path above the table; empty for a tab's own table."""
        if self.partition is not None:
            return f"{visible(self.topic or '')}[{self.partition}]"
        if self.broker is not None:
            return f"broker {self.broker}"
        return visible(self.topic or self.group or "")


def path(tab: Tab, places: list[Place]) -> str:
    """Where the user is, from the tab down."""
    title = dict(TABS)[tab]
    names = [title]
    for above, place in zip([None, *places], places, strict=False):
        inside_topic = above is not None and place.is_rows and above.topic == place.topic
        names.append(f"partition {place.partition}" if inside_topic else place.name())
    return " > ".join(filter(None, names))
