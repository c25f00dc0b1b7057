"""A snapshot with figures that need a series of them: rates, time to catch up, status. Pure data, for every display."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sensorstream.monitor.snapshot import Snapshot
from sensorstream.records import TopicPartition

Status = Literal["OK", "WARN", "STALL", "STOP", "REWIND", "UNKNOWN"]
"""How a group does on a partition, without thresholds, by the rules of Burrow (LinkedIn): see :mod:`.rates`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How a group does on one partition, or as a whole (the worst status, sums of rates and lag).

    Rates are rows a second: ``rate_in`` arrives, ``rate_out`` is read. ``catch_up_s`` is lag / (out - in), None where
    it does not catch up or is not known; ``age_s`` is how old the oldest row is that is not read (0: all are read).
    """

    lag: int | None
    rate_in: float | None
    rate_out: float | None
    catch_up_s: float | None
    age_s: float | None
    status: Status


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a series: Unix seconds, and the value; None where it was not known (a gap in the plot)."""

    at: float
    value: float | None


@dataclass(frozen=True, slots=True)
class View:
    """What every view renders: the newest snapshot, rates between snapshots, and series for plots, oldest first."""

    snapshot: Snapshot
    rate: float | None = None
    topic_rate: Mapping[str, float | None] = field(default_factory=dict)
    partition_rate: Mapping[TopicPartition, float | None] = field(default_factory=dict)
    group_progress: Mapping[str, Progress] = field(default_factory=dict)
    progress: Mapping[tuple[str, TopicPartition], Progress] = field(default_factory=dict)
    rate_series: tuple[Point, ...] = ()
    topic_series: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    lag_series: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    age_s: Mapping[str, float | None] = field(default_factory=dict)
    """By topic: the age of its newest record in seconds, as its timestamp says; None where it is not known."""
