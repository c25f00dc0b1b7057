"""Latencies in a high dynamic range histogram: three significant digits, in constant memory."""

from typing import TYPE_CHECKING, Final

from sensorstream.errors import UsageError
from sensorstream.monitor.latency import Latency

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram

_MOST_US: Final = 24 * 3600 * 1_000_000
_DIGITS: Final = 3


class LatencyHistogram:
    """Counts latencies from 1 microsecond to a day; longer ones count as a day. Not for several threads at once."""

    def __init__(self) -> None:
        self._histogram = _make()
        self._sum_us = 0

    def add(self, seconds: float) -> None:
        """Count one latency, of 0 seconds or more."""
        microseconds = min(max(1, round(seconds * 1e6)), _MOST_US)
        self._histogram.record_value(microseconds)
        self._sum_us += microseconds

    def latency(self) -> Latency:
        """The figures of all that were counted; None in each where there was none."""
        count = int(self._histogram.get_total_count())
        if not count:
            return Latency(0, None, None, None, None, None)
        at = self._histogram.get_value_at_percentile
        p50, p99, p999 = (round(at(share) / 1000, 3) for share in (50, 99, 99.9))
        return Latency(
            count,
            round(self._sum_us / count / 1000, 3),
            p50,
            p99,
            p999,
            round(self._histogram.get_max_value() / 1000, 3),
        )


def _make() -> "HdrHistogram":
    try:
        from hdrh.histogram import HdrHistogram
    except ImportError as error:
        raise UsageError(
            "latency is measured with hdrhistogram, which is not installed",
            hint="install it with: pip install 'sensorstream[monitor]'",
        ) from error
    return HdrHistogram(1, _MOST_US, _DIGITS)
