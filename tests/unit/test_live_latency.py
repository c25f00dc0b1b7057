"""Latency of the live stream: what is counted, what is told apart, and figures that are true to three digits."""

import random
from types import SimpleNamespace

import pytest

from sensorstream import admin
from sensorstream.config import Settings
from sensorstream.monitor import arrivals as arrivals_module
from sensorstream.monitor.arrivals import Arrivals, clock_words
from sensorstream.monitor.histogram import LatencyHistogram
from sensorstream.monitor.latency import summarise


def test_the_histogram_tells_what_sorting_tells_to_three_digits() -> None:
    made = random.Random(3)
    seconds = [made.lognormvariate(-5, 1.5) for _ in range(5000)]
    histogram = LatencyHistogram()
    for one in seconds:
        histogram.add(one)
    found, exact = histogram.latency(), summarise(seconds)
    assert found.samples == exact.samples
    for name in ("mean_ms", "p50_ms", "p99_ms", "p999_ms", "max_ms"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), rel=2e-3, abs=2e-3), name


def test_nothing_measured_is_unknown_and_very_long_is_a_day() -> None:
    histogram = LatencyHistogram()
    assert (histogram.latency().samples, histogram.latency().p99_ms) == (0, None)
    histogram.add(1e9)
    histogram.add(0)
    assert histogram.latency().max_ms == pytest.approx(86_400_000, rel=1e-3)


def test_live_records_are_counted_and_others_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    counted = Arrivals(lambda: now[0])
    now[0] = 1010.0
    counted.arrived([SimpleNamespace(timestamp_ms=stamp) for stamp in (999_999, 1_009_990, 1_009_980, 1_010_250)])
    monkeypatch.setattr(arrivals_module, "_timestamps_of", lambda *_: None)
    found = counted.measured(Settings(), "AIR")
    assert (found.end_to_end.samples, found.older, found.earlier, found.earlier_ms) == (2, 1, 1, 250)
    assert found.end_to_end.mean_ms == pytest.approx(15, rel=1e-3)
    assert (found.timestamps, found.same_clock) == (None, None)


@pytest.mark.parametrize(
    ("hosts", "stamps", "same"),
    [
        (("127.0.0.1", "localhost"), "CreateTime", True),
        (("127.0.0.1",), "LogAppendTime", True),
        (("192.0.2.7",), "CreateTime", None),
        (("192.0.2.7", "127.0.0.1"), "LogAppendTime", False),
        ((), "CreateTime", None),
        (("127.0.0.1",), None, None),
    ],
)
def test_whose_clock_it_is(
    hosts: tuple[str, ...], stamps: str | None, same: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers = [SimpleNamespace(host=host) for host in hosts]
    monkeypatch.setattr(admin, "describe_cluster", lambda *_: SimpleNamespace(brokers=brokers))
    assert arrivals_module.same_clock(Settings(), stamps) is same
    assert ("difference of their clocks" in clock_words(stamps, same)) is (same is not True)
