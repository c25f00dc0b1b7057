"""Stations 1-2 of a replay: how the times of a source are parsed, decided before its first row is read."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from sensorstream.events import Listener
from sensorstream.records import SourceRow
from sensorstream.sources.base import Source
from sensorstream.sources.followed import FollowedSource
from sensorstream.sources.row_times import FirstTimes, RowTimes, look_at
from sensorstream.sources.times import TimeRule


def row_times(
    source: Source, make_source: Callable[[int], Source], begin_row: int, rule: TimeRule, listener: Listener
) -> tuple[RowTimes, TimeRule]:
    """The times of a source that is open, and the rule with the format that its first rows show.

    What the first rows show is looked up in the file itself, wherever the replay begins, so that it is the same for one
    that goes on in the middle; of a pipe nothing is known before it comes. Raises UsageError, SourceError.
    """
    at = rule.among(source.columns, source.name)
    first = FirstTimes(rule)
    # The size of what is in a packed file is not known, but it can be read again.
    known = source.size_bytes is not None or Path(source.name).is_file()
    regular = known and not isinstance(source, FollowedSource)
    if regular:
        with closing(make_source(0)) as beginning:
            beginning.open()
            first = look_at(beginning, rule, listener)

    def earlier() -> Iterator[SourceRow]:
        with closing(make_source(0)) as beginning:
            beginning.open()
            while batch := beginning.read(500):
                yield from batch.rows

    times = RowTimes(first, at, name=source.name, earlier=earlier if regular and begin_row else None, listener=listener)
    return times, first.rule
