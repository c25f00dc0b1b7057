"""Stations 1-2 of a replay: the rows' time columns, and the clock they follow, from the user's options."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from sensorstream.config import CLOCKS, Settings, TopicSettings
from sensorstream.errors import UsageError
from sensorstream.events import Listener
from sensorstream.sources.common_clock import CommonClock, OnClock
from sensorstream.sources.row_times import RowTimes
from sensorstream.sources.schedule import Schedule
from sensorstream.sources.times import TimeRule

if TYPE_CHECKING:
    from sensorstream.pipelines.replay.job import ReplayOptions


def time_rule(
    known: TopicSettings, column: str | None = None, time_format: str | None = None, zones: Sequence[str] = ()
) -> TimeRule | None:
    """The rule for a topic's source; None where no column is known. Raises UsageError.

    ``known`` is what the configuration knows of the topic; ``zones`` are texts of --time-zone, ZONE or TOPIC=ZONE.
    """
    said = [zone for topic, zone in map(_zone, zones) if topic in (None, known.name)]
    of_topic = [zone for topic, zone in map(_zone, zones) if topic == known.name]
    # What is known belongs to the column that is known.
    same = column is None or column == known.time_column
    column = column or known.time_column
    chosen = of_topic or said
    zone = chosen[-1] if chosen else known.time_zone if same else None
    rule = TimeRule(column or "", time_format or (known.time_format if same else None), zone)
    rule.check()
    if column is not None and not rule.names:
        raise UsageError(f"--time-column {column!r} names no column", hint="for example --time-column Date,Time")
    return rule if column is not None else None


def check_zones(zones: Sequence[str], topics: Sequence[str]) -> None:
    """Raises UsageError for a --time-zone of a topic that is not among the sources."""
    for text in zones:
        topic, _ = _zone(text)
        if topic is not None and topic not in topics:
            raise UsageError(f"--time-zone {text}: topic {topic} is not among the sources")


def _zone(text: str) -> tuple[str | None, str]:
    topic, equals, zone = text.rpartition("=")
    return (topic if equals else None), zone


def common_clock(
    settings: Settings,
    options: "ReplayOptions",
    pairs: Sequence[tuple[str, str]],
    listener: Listener,
) -> tuple[CommonClock | None, Mapping[int, int]]:
    """The clock that several sources share, and their numbers on it, by their index in ``pairs`` of topics and files.

    A source that is followed is not among them: the others would wait for what is not written yet. Raises UsageError.
    """
    chosen, speed = options.clock, options.speed
    if chosen is not None and chosen not in CLOCKS:
        raise UsageError(f"--clock {chosen!r} is not known", hint=f"it is {' or '.join(CLOCKS)}")
    if chosen is not None and speed is None:
        raise UsageError("--clock works with --speed only")
    shared = []
    for at, (topic, _) in enumerate(pairs):
        known = settings.topic(topic)
        followed = known.follow if options.follow is None else options.follow
        if (chosen or known.clock) == "common" and not followed:
            shared.append(at)
    if speed is None or not 0 < speed < float("inf") or len(shared) < 2:
        return None, {}
    names = [pairs[at][1] for at in shared]
    clock = CommonClock(names, speed=speed, max_gap=options.max_gap, listener=listener)
    return clock, {at: place for place, at in enumerate(shared)}


def on_clock(clock: CommonClock, place: int, path: str, listener: Listener) -> Callable[[RowTimes | None], Schedule]:
    """What makes the schedule of one of its sources."""

    def make(times: RowTimes | None) -> Schedule:
        if times is None:
            raise UsageError(f"--speed needs a time column in {path}", hint="name it with --time-column")
        return OnClock(clock, place, times, name=path, listener=listener)

    return make
