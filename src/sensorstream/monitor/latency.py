"""The latency of records from publishing to reading: pure arithmetic on measured times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

OWN_TIME_S: Final = 600.0
"""A timestamp that is further than this from the moment of reading is the data's own, not that of its publishing."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies in milliseconds; ``samples`` is how many there were. All None where there was none."""

    samples: int
    mean_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the ordered values do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summarise(seconds: Sequence[float]) -> Latency:
    """The figures of measured latencies, given in seconds in any order."""
    if not seconds:
        return Latency(0, None, None, None, None, None)
    ordered = sorted(1000 * one for one in seconds)
    return Latency(
        len(ordered),
        round(math.fsum(ordered) / len(ordered), 3),
        round(percentile(ordered, 0.5), 3),
        round(percentile(ordered, 0.99), 3),
        round(percentile(ordered, 0.999), 3),
        round(ordered[-1], 3),
    )
