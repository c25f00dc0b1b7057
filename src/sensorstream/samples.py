"""Makes sample files like those of the seed lab: three stations, one row a minute, newest first.

Every value depends on the seed and its own minute only, never on how many days are written: a file of 31 days
begins with the rows of the file of 2 days. docs/samples.md tells the columns, their units and the model.

Random numbers come from numpy's ``RandomState`` (MT19937), whose stream numpy has frozen (NEP 19), with a
generator for each day and purpose; so the same seed gives the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from sensorstream.config import SENSOR_TIME_FORMAT, samples_folder
from sensorstream.errors import SinkError, UsageError
from sensorstream.events import Listener, Progress, ignore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Series: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]
    Day: TypeAlias = dict[str, Series]

SEED: Final = 2308
END: Final = datetime(2023, 8, 31, 23, 59)
MAX_DAYS: Final = 36_525
MINUTES: Final = 1440
POSTS: Final = "posts.jsonl"
STATIONS: Final = {"AIR": "SVDT1", "EARTH": "SVDT3", "WATER": "SVDT2"}
COLUMNS: Final = {
    "AIR": (
        "Temperature", "Moisture", "Light", "Total_Rainfall", "Rainfall", "Wind_Direction",
        "PM2.5", "PM10", "CO", "NOx", "SO2",
    ),
    "EARTH": (
        "Moisture", "Temperature", "Salinity", "pH", "Water_Root", "Water_Leaf", "Water_Level", "Voltage",
    ),
    "WATER": ("pH", "DO", "Temperature", "Salinity"),
}  # fmt: skip
"""The columns after Time and Station."""

DECIMALS: Final = {"Light": 0, "Wind_Direction": 0, "Salinity": 2, "pH": 2, "DO": 2, "CO": 2, "Voltage": 2}
"""Decimals of a reading where they are not 1."""

_CHUNK_DAYS: Final = 31
_RAIN_MEMORY_DAYS: Final = 14
_SERVICE_DAYS: Final = 28  # the probes are cleaned and calibrated every four weeks
_BUCKET_MM: Final = 0.2  # one tip of the rain gauge
_SHOWER_STREAM: Final = 43  # chosen for the default seed: it rains on both days of the committed samples
_TOPIC_STREAM: Final = {"AIR": 100, "EARTH": 200, "WATER": 300}


@dataclass(frozen=True, slots=True)
class SampleFile:
    """One file that was written; ``rows`` without the header."""

    topic: str
    path: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SamplesWritten:
    """What :func:`write_samples` made; ``first`` and ``last`` are the times of the oldest and the newest row."""

    folder: str
    seed: int
    days: int
    first: str
    last: str
    files: tuple[SampleFile, ...]


def write_samples(
    folder: Path,
    days: int,
    *,
    seed: int = SEED,
    end: datetime = END,
    force: bool = False,
    listener: Listener = ignore,
) -> SamplesWritten:
    """Write AIR2308.csv, EARTH2308.csv and WATER2308.csv: ``days`` times 1,440 rows each, ``end`` first.

    The folder is made if need be; ``force`` replaces files that are there. A file appears under its name when it
    is complete. Raises UsageError (a value out of range, a file that is there), SinkError (it can't be written).
    """
    if not 1 <= days <= MAX_DAYS:
        raise UsageError(f"--days {days} is not a number from 1 to {MAX_DAYS}")
    if not 0 <= seed < 2**32:
        raise UsageError(f"--seed {seed} is not a number from 0 to {2**32 - 1}")
    end = end.replace(second=0, microsecond=0)
    start = end - timedelta(minutes=days * MINUTES - 1)
    paths = {topic: folder / f"{topic}2308.csv" for topic in STATIONS}
    if not force:
        for path in paths.values():
            if path.exists():
                raise UsageError(f"{path} is there already", hint="--force replaces it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = tuple(_write_file(topic, path, seed, (start, end), listener) for topic, path in paths.items())
    except OSError as error:
        reason = error.strerror or str(error)
        raise SinkError(f"samples can't be written to {folder}: {reason}", hint="name another --dir") from error
    return SamplesWritten(
        str(folder), seed, days, start.strftime(SENSOR_TIME_FORMAT), end.strftime(SENSOR_TIME_FORMAT), files
    )


def write_posts(folder: Path, *, force: bool = False) -> SampleFile:
    """Write posts.jsonl, the posts that were written for this project: they are kept, not generated.

    Otherwise as :func:`write_samples`. Raises UsageError (a file that is there), SinkError (it can't be written).
    """
    path = folder / POSTS
    if path.exists() and not force:
        raise UsageError(f"{path} is there already", hint="--force replaces it")
    data = (samples_folder() / POSTS).read_bytes()
    partial = path.with_name(path.name + ".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SinkError(f"the posts can't be written to {folder}: {reason}", hint="name another --dir") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return SampleFile("POSTS", str(path), data.count(b"\n"), len(data))


def _write_file(topic: str, path: Path, seed: int, span: tuple[datetime, datetime], listener: Listener) -> SampleFile:
    start, end = span
    rows, total = 0, round((end - start) / timedelta(minutes=1)) + 1
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            for table in _tables(topic, start, end, seed):
                table.to_csv(file, index=False, header=rows == 0, lineterminator="\n")
                rows += len(table)
                listener(Progress(f"{topic} samples", rows, total))
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return SampleFile(topic, str(path), rows, path.stat().st_size)


def _tables(topic: str, start: datetime, end: datetime, seed: int) -> Iterator[pd.DataFrame]:
    """The rows from ``end`` back to ``start``, a month at a time: memory doesn't grow with the days."""
    import pandas as pd

    newest, oldest = end.toordinal(), start.toordinal()
    for top in range(newest, oldest - 1, -_CHUNK_DAYS):
        days = range(top, max(oldest - 1, top - _CHUNK_DAYS), -1)
        table = pd.concat([_day_table(topic, day, seed) for day in days], ignore_index=True)
        times = table["Time"]
        table = table[(times >= start) & (times <= end)]
        yield table.assign(Time=table["Time"].dt.strftime(SENSOR_TIME_FORMAT))


def _day_table(topic: str, day: int, seed: int) -> pd.DataFrame:
    """One day of one station, newest row first."""
    import numpy as np
    import pandas as pd

    readings = _MODELS[topic](seed, day)
    gaps = _generator(seed, _TOPIC_STREAM[topic], day)
    midnight = np.datetime64(date.fromordinal(day), "s")
    table: dict[str, object] = {
        "Time": midnight + np.arange(MINUTES) * np.timedelta64(60, "s"),
        "Station": STATIONS[topic],
    }
    for name in COLUMNS[topic]:
        decimals = DECIMALS.get(name, 1)
        values = np.round(readings[name], decimals)
        missing = _missing(gaps)
        if decimals:
            table[name] = np.where(missing, np.nan, values + 0.0)
        else:
            table[name] = pd.arrays.IntegerArray(values.astype(np.int64), missing)
    return pd.DataFrame(table).iloc[::-1]


def _missing(gaps: np.random.RandomState) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Where a probe gave nothing: now and then one reading, every few days a run of 5 to 40 minutes."""
    missing = gaps.random_sample(MINUTES) < 0.0008
    begin, length, happens = gaps.randint(MINUTES), gaps.randint(5, 41), gaps.random_sample() < 0.25
    if happens:
        missing[begin : begin + length] = True
    return missing


def _generator(seed: int, stream: int, number: int) -> np.random.RandomState:
    import numpy as np

    return np.random.RandomState([seed, stream, number])


# --- weather -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rain:
    """One shower: minutes from the day's midnight, and its depth in mm."""

    begin: int
    minutes: int
    depth: float


@lru_cache(maxsize=256)
def _showers(seed: int, day: int) -> tuple[_Rain, ...]:
    """The showers of one day, in the afternoon more often than not, none of them over midnight."""
    random = _generator(seed, _SHOWER_STREAM, day)
    showers = []
    for _ in range(min(int(random.poisson(1.1)), 4)):
        minutes = int(random.randint(15, 180))
        begin = int(min(max(random.normal(15.5, 4.0) * 60, 0), MINUTES - 1 - minutes))
        showers.append(_Rain(begin, minutes, float(random.gamma(1.6, 5.0)) + 0.6))
    return tuple(showers)


def _gauge(seed: int, day: int) -> Series:
    """Rain since midnight in mm, as a tipping bucket counts it."""
    import numpy as np

    minute = np.arange(MINUTES)
    fallen = np.zeros(MINUTES)
    for shower in _showers(seed, day):
        share = np.clip((minute - shower.begin) / shower.minutes, 0.0, 1.0)
        fallen += shower.depth * (1 - np.cos(np.pi * share)) / 2
    return np.floor(fallen / _BUCKET_MM) * _BUCKET_MM


def _after_rain(seed: int, day: int, rise: float, decay: float) -> Series:
    """What the rain of the last days still does: mm, taken up over ``rise`` minutes, lost over ``decay``."""
    import numpy as np

    minute = np.arange(MINUTES, dtype=np.float64)
    left = np.zeros(MINUTES)
    reach = min(_RAIN_MEMORY_DAYS, int(8 * decay / MINUTES) + 1)
    for ago in range(reach + 1):
        for shower in _showers(seed, day - ago):
            since = np.maximum(minute + ago * MINUTES - shower.begin, 0.0)
            left += shower.depth * (1 - np.exp(-since / rise)) * np.exp(-since / decay)
    return left


def _wander(seed: int, stream: int, day: int, knots: int) -> Series:
    """A quantity that wanders around 0 with deviation 1 and ``knots`` turns a day, unbroken at midnight."""
    import numpy as np

    here = _generator(seed, stream, day).normal(size=knots)
    there = _generator(seed, stream, day + 1).normal(size=knots)
    ends = np.append(here, there[0])
    turns: Series = np.interp(np.arange(MINUTES) / MINUTES * knots, np.arange(knots + 1), ends)
    return turns


def _spell(seed: int, stream: int, day: int) -> Series:
    """A wander over days: warm and cool, clean and dirty spells of about five days."""
    import numpy as np

    block, within = divmod(day, 5)
    ends = [float(_generator(seed, stream, number).normal()) for number in (block, block + 1)]
    return np.interp((within + np.arange(MINUTES) / MINUTES) / 5, [0.0, 1.0], ends)


def _noise(seed: int, stream: int, day: int, deviation: float) -> Series:
    return _generator(seed, stream, day).normal(0.0, deviation, MINUTES)


def _cycle(peak_hour: float) -> Series:
    """The day's cosine, 1 at ``peak_hour``."""
    import numpy as np

    return np.cos(2 * np.pi * (np.arange(MINUTES) / 60 - peak_hour) / 24)


def _season(day: int) -> float:
    """The year's cosine, 1 at the end of April, the hottest weeks of the Mekong delta."""
    import math

    return math.cos(2 * math.pi * (date.fromordinal(day).timetuple().tm_yday - 115) / 365.25)


def _drift(day: int) -> Series:
    """How far a probe is on its way from one calibration to the next, from 0 to 1."""
    import numpy as np

    return (day % _SERVICE_DAYS + np.arange(MINUTES) / MINUTES) / _SERVICE_DAYS


def _sun(seed: int, day: int) -> Series:
    """How high the sun stands, 0 to 1, behind the clouds of the day and of the rain."""
    import numpy as np

    height: Series = np.maximum(_cycle(12.0), 0.0) ** 1.2
    clouds = np.clip(0.4 + 0.3 * _wander(seed, 2, day, 12), 0.0, 1.0)
    dimmed: Series = height * (1 - 0.55 * clouds) * (1 - 0.7 * _wet(seed, day))
    return dimmed


def _wet(seed: int, day: int) -> Series:
    """How rainy the air is, 0 to 1."""
    import numpy as np

    return 1 - np.exp(-_after_rain(seed, day, 10.0, 60.0) / 2.0)


def _air_temperature(seed: int, day: int) -> Series:
    warmth = 27.6 + 1.3 * _season(day) + 0.9 * _spell(seed, 3, day)
    return warmth + 3.4 * _cycle(14.0) + 0.35 * _wander(seed, 4, day, 24) - 3.2 * _wet(seed, day)


# --- stations ------------------------------------------------------------------------------------------------


def _air(seed: int, day: int) -> Day:
    import numpy as np

    wet, temperature = _wet(seed, day), _air_temperature(seed, day)
    total = _gauge(seed, day)
    hour = np.arange(MINUTES) / 60
    traffic = np.exp(-(((hour - 7.5) / 1.4) ** 2)) + 0.9 * np.exp(-(((hour - 18.0) / 1.8) ** 2))
    washed = 1 - 0.6 * wet
    dirt = 1 + 0.25 * _spell(seed, 110, day) + 0.08 * _wander(seed, 111, day, 48)
    fine = np.maximum((13.0 + 11.0 * traffic) * dirt * washed + _noise(seed, 112, day, 0.5), 0.5)
    coarse = fine * (1.5 + 0.08 * _wander(seed, 113, day, 24)) + np.abs(_noise(seed, 114, day, 0.8))
    humidity = 79.0 - 3.1 * (temperature - 27.6) + 11.0 * wet + 2.0 * _spell(seed, 115, day)
    wind = 215.0 + 45.0 * _spell(seed, 116, day) + 25.0 * _wander(seed, 117, day, 16)
    return {
        "Temperature": temperature + _noise(seed, 118, day, 0.08),
        "Moisture": np.clip(humidity + _noise(seed, 119, day, 0.4), 30.0, 100.0),
        "Light": np.maximum(98_000 * _sun(seed, day) * (1 + _noise(seed, 120, day, 0.02)), 0.0),
        "Total_Rainfall": total,
        "Rainfall": np.diff(total, prepend=0.0),
        "Wind_Direction": np.floor((wind + _noise(seed, 121, day, 7.0)) % 360),
        "PM2.5": fine,
        "PM10": coarse,
        "CO": np.maximum((0.38 + 0.42 * traffic) * dirt + _noise(seed, 122, day, 0.015), 0.05),
        "NOx": np.maximum((9.0 + 21.0 * traffic) * dirt * (1 - 0.2 * wet) + _noise(seed, 123, day, 0.6), 0.2),
        "SO2": np.maximum((2.6 + 1.2 * traffic) * dirt + _noise(seed, 124, day, 0.15), 0.1),
    }


def _earth(seed: int, day: int) -> Day:
    import numpy as np

    sun, drift = _sun(seed, day), _drift(day)
    top = _after_rain(seed, day, 25.0, 2600.0)
    root = _after_rain(seed, day, 300.0, 4300.0)
    dew = np.maximum(_cycle(4.5) - 0.25, 0.0) * (0.8 + 0.15 * _spell(seed, 210, day))
    leaf = 100 * (1 - (1 - _wet(seed, day)) * (1 - np.clip(0.7 * dew, 0.0, 1.0)))
    return {
        "Moisture": np.minimum(27.0 + 0.55 * top - 1.1 * sun + _noise(seed, 211, day, 0.12), 58.0),
        "Temperature": 27.4 + 0.8 * _season(day) + 0.6 * _spell(seed, 3, day) + 1.5 * _cycle(16.5)
        - 0.03 * top + _noise(seed, 212, day, 0.05),
        "Salinity": np.maximum(1.62 - 0.011 * top + 0.09 * drift + _noise(seed, 213, day, 0.008), 0.2),
        "pH": 6.35 - 0.004 * root + 0.12 * drift + _noise(seed, 214, day, 0.012),
        "Water_Root": np.minimum(31.0 + 0.42 * root + _noise(seed, 215, day, 0.1), 56.0),
        "Water_Leaf": np.clip(leaf + _noise(seed, 216, day, 0.6), 0.0, 100.0),
        "Water_Level": np.maximum(
            11.0 + 0.3 * _after_rain(seed, day, 90.0, 1900.0) - 0.8 * drift + _noise(seed, 217, day, 0.08), 0.0
        ),
        "Voltage": 12.45 + 1.35 * np.minimum(1.6 * sun, 1.0) + 0.12 * _cycle(18.5) + _noise(seed, 218, day, 0.01),
    }  # fmt: skip


def _water(seed: int, day: int) -> Day:
    import numpy as np

    drift, fresh = _drift(day), _after_rain(seed, day, 120.0, 2200.0)
    algae = _cycle(15.5) * (1 + 0.15 * _spell(seed, 310, day))
    temperature = 28.3 + 1.1 * _season(day) + 0.7 * _spell(seed, 3, day) + 0.9 * _cycle(16.0) - 0.025 * fresh
    tide = _wander(seed, 311, day, 4)
    oxygen = 6.1 + 1.3 * algae - 0.12 * (temperature - 28.3) - 0.35 * drift
    return {
        "pH": 7.55 + 0.22 * algae - 0.006 * fresh + 0.08 * drift + _noise(seed, 312, day, 0.012),
        "DO": np.maximum(oxygen + _noise(seed, 313, day, 0.04), 0.3),
        "Temperature": temperature + _noise(seed, 314, day, 0.04),
        "Salinity": np.maximum(4.7 + 0.35 * tide - 0.035 * fresh + 0.1 * drift + _noise(seed, 315, day, 0.02), 0.1),
    }


_MODELS: Final[dict[str, Callable[[int, int], Day]]] = {"AIR": _air, "EARTH": _earth, "WATER": _water}
