"""Station 8: a post's id, page, time and text under standard names, from fields of any name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sensorstream.errors import DecodeError, UsageError
from sensorstream.records import ConsumedRecord, Row, Value
from sensorstream.sources.time_zone import zone_of
from sensorstream.sources.times import check_format
from sensorstream.transforms.base import Unusable
from sensorstream.transforms.event_time import EventTimeRule, iso

_ANY_TIME: Final = ("iso", "epoch")
"""Without a format both are taken, whichever it is."""


@dataclass(frozen=True, slots=True)
class PostNames:
    """Which fields of a post its id, page, time and text are; None: nobody said.

    ``time`` may be several fields with commas between them, ``time_format`` and ``time_zone`` are as in
    :class:`~sensorstream.transforms.event_time.EventTimeRule`.
    """

    text: str = "text"
    id: str | None = None
    page: str | None = None
    time: str | None = None
    time_format: str | None = None
    time_zone: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names that a scored row has for them."""
        copied = {"id": self.id, "page": self.page, "text": self.text}
        changed = tuple(name for name, field in copied.items() if field is not None and field != name)
        return changed if self.time is None else (*changed, "time")

    def reader(self) -> "Callable[[Row, ConsumedRecord], Mapping[str, Value] | Unusable]":
        """What gives a row's values for :attr:`given`; the text is looked at by the scorer, not here.

        The time is in ISO 8601, UTC. A value that is null stays so. A row that lacks one of the fields, or whose time
        can't be read, is Unusable. Raises UsageError for a format or a zone that is none.
        """
        copied = [
            (name, field)
            for name, field in (("id", self.id), ("page", self.page), ("text", self.text))
            if field is not None and field != name
        ]
        rule = self._rule()
        needed = [name for name in (self.id, self.page, *rule.columns) if name is not None]
        read_time = None if self.time is None else rule.reader()

        def read(row: Row, record: ConsumedRecord) -> Mapping[str, Value] | Unusable:
            for name in needed:
                if name not in row:
                    return Unusable(f"there is no field {name!r}")
            found: dict[str, Value] = {name: row.get(field) for name, field in copied}
            if read_time is not None:
                try:
                    unknown = all(row[name] in (None, "") for name in rule.columns)
                    found["time"] = None if unknown else iso(read_time(row, record))
                except DecodeError as error:
                    return Unusable(f"the field {self.time!r} is no time: {error.message}")
            return found

        return read

    def _rule(self) -> EventTimeRule:
        time_format = None if self.time_format in _ANY_TIME else self.time_format
        check_format(time_format)
        if self.time_zone is not None:
            zone_of(self.time_zone)
        return EventTimeRule(self.time, time_format, self.time_zone)


def names_of(options: dict[str, str]) -> PostNames:
    """Take the options about fields out of the user's options. Raises UsageError."""
    names = PostNames(
        options.pop("text_field", "text"),
        options.pop("id_field", None),
        options.pop("page_field", None),
        options.pop("time_field", None),
        options.pop("time_format", None),
        options.pop("time_zone", None),
    )
    if names.time is None and (names.time_format or names.time_zone):
        what = "format" if names.time_format else "zone"
        raise UsageError(f"a time {what} needs a time field", hint="name the field that holds the time: --time-field")
    return names
