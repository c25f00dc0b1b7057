"""Percentiles are observed values, and unknown is unknown."""

import random

from sensorstream.monitor.latency import percentile, summarise


def test_percentiles_are_the_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.99, 0.999, 1.0)] == [50, 99, 100, 100]
    assert percentile([7.0], 0.5) == 7


def test_the_order_does_not_matter() -> None:
    seconds = [n / 1000 for n in range(1, 1001)]
    random.Random(1).shuffle(seconds)
    found = summarise(seconds)
    assert (found.samples, found.p50_ms, found.p99_ms, found.p999_ms, found.max_ms) == (1000, 500, 990, 999, 1000)
    assert found.mean_ms == 500.5


def test_nothing_measured_is_unknown_and_not_0() -> None:
    found = summarise([])
    assert (found.samples, found.mean_ms, found.p99_ms) == (0, None, None)
