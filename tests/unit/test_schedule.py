"""When rows are due: by delay, by rate, by their own times."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.errors import UsageError
from sensorstream.events import Event, Notice
from sensorstream.records import SourceRow
from sensorstream.sources.row_times import FirstTimes, RowTimes
from sensorstream.sources.schedule import (
    EventTime,
    EveryInterval,
    Unpaced,
    make_schedule,
    wait_until_due,
)
from sensorstream.sources.times import TimeRule


def rows(*times: str) -> list[SourceRow]:
    return [SourceRow(at, at + 2, ["x", time]) for at, time in enumerate(times)]


def row_times(at: int = 1, newest_first: bool | None = None) -> RowTimes:
    return RowTimes(FirstTimes(TimeRule("t"), newest_first), (at,))


TIMES_OF_ROWS = row_times(0)


def test_without_options_and_with_no_delay_rows_are_due_at_once() -> None:
    for schedule in (make_schedule(), make_schedule(delay=0.0)):
        assert isinstance(schedule, Unpaced)
        assert not schedule.paced
        assert [schedule.due(row) for row in rows("", "", "")] == [0, 0, 0]


def test_delay_and_rate_are_absolute() -> None:
    assert [make_schedule(delay=10.0).due(row) for row in rows("")] == [0.0]
    schedule = make_schedule(delay=0.1)
    due = [schedule.due(SourceRow(at, 1, [])) for at in range(1_000_001)]
    assert due[:3] == [0.0, 0.1, 0.2]
    assert due[-1] == 100_000.0  # a sum of a million tenths is off by more than a microsecond
    by_rate = make_schedule(rate=4.0)
    assert [by_rate.due(row) for row in rows("", "", "")] == [0.0, 0.25, 0.5]
    assert by_rate.paced


def test_a_source_that_starts_late_or_loops_is_due_from_its_own_start() -> None:
    schedule = make_schedule(delay=2.0)
    assert [schedule.due(SourceRow(number, 1, [])) for number in (500, 501)] == [0.0, 2.0]
    schedule.restart()
    assert schedule.due(SourceRow(0, 1, [])) == 4.0


TIMES = ["2023-08-31 10:00:00", "2023-08-31 10:01:00", "2023-08-31 10:01:30", "2023-08-31 12:00:00"]


def test_event_time_runs_forwards_and_backwards() -> None:
    gaps = [0.0, 60.0, 90.0, 90.0 + 7110.0]
    schedule = make_schedule(speed=1.0, times=row_times())
    assert [schedule.due(row) for row in rows(*TIMES)] == gaps
    fast = make_schedule(speed=60.0, times=row_times())
    assert [fast.due(row) for row in rows(*TIMES)] == pytest.approx([gap / 60 for gap in gaps])
    back = make_schedule(speed=1.0, times=row_times())
    assert [back.due(row) for row in rows(*reversed(TIMES))] == [0.0, 7110.0, 7140.0, 7200.0]


def test_max_gap_caps_pauses_of_the_recording() -> None:
    schedule = make_schedule(speed=2.0, max_gap=60.0, times=row_times())
    assert [schedule.due(row) for row in rows(*TIMES)] == [0.0, 30.0, 45.0, 75.0]
    at_once = make_schedule(speed=2.0, max_gap=0.0, times=row_times())
    assert [at_once.due(row) for row in rows(*TIMES)] == [0.0] * 4


def test_rows_without_a_time_go_out_at_once_and_are_told_once() -> None:
    events: list[Event] = []
    schedule = make_schedule(speed=1.0, times=row_times(), name="AIR", listener=events.append)
    due = [schedule.due(row) for row in rows("", TIMES[0], "soon", TIMES[1], "")]
    assert due == [0.0, 0.0, 0.0, 60.0, 60.0]
    schedule.end()
    first, last = [event for event in events if isinstance(event, Notice)]
    assert first.level == "warning"
    assert first.text.startswith("AIR: line 2: '' is not an ISO 8601 time")
    assert last.text == "AIR: 3 rows had no time that can be read; each was sent at once"


@pytest.mark.parametrize("newest_first", [False, True])
def test_rows_that_are_out_of_order_go_out_at_once_and_time_goes_on(newest_first: bool) -> None:
    events: list[Event] = []
    times = ["2023-08-31 10:00:00", "2023-08-31 10:01:00", "2023-08-31 09:30:00", "2023-08-31 09:31", TIMES[2]]
    if newest_first:
        times = ["2023-08-31 10:01:30", "2023-08-31 10:00:30", "2023-08-31 11:00", "2023-08-31 10:01", TIMES[0]]
    schedule = make_schedule(speed=1.0, times=row_times(newest_first=newest_first), name="AIR", listener=events.append)
    assert [schedule.due(row) for row in rows(*times)] == [0.0, 60.0, 60.0, 60.0, 90.0]
    schedule.end()
    texts = [event.text for event in events if isinstance(event, Notice)]
    assert texts[0].startswith(f"AIR: line 4: its time is {3570 if newest_first else 1860} s ")
    assert texts[1:] == ["AIR: 2 rows were out of order; each was sent at once"]


def test_the_way_back_of_a_loop_is_no_pause() -> None:
    schedule = make_schedule(speed=1.0, times=row_times())
    assert [schedule.due(row) for row in rows(*TIMES[:2])] == [0.0, 60.0]
    schedule.restart()
    assert [schedule.due(row) for row in rows(*TIMES[:2])] == [60.0, 120.0]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.floats(0.1, 1000), st.floats(0, 1e6))
def test_due_times_never_go_back(seconds: list[int], speed: float, max_gap: float) -> None:
    schedule = make_schedule(speed=speed, max_gap=max_gap, times=row_times(0))
    start = datetime(2023, 1, 1, tzinfo=UTC)
    due = [schedule.due(SourceRow(0, 1, [(start + timedelta(seconds=s)).isoformat()])) for s in seconds]
    assert due[0] == 0
    assert due == sorted(due)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": -1.0}, "--delay -1 is not"),
        ({"delay": float("nan")}, "--delay nan is not"),
        ({"delay": float("inf")}, "--delay inf is not"),
        ({"rate": 0.0}, "--rate 0 is not"),
        ({"rate": float("inf")}, "--rate inf is not"),
        ({"speed": -2.0, "times": TIMES_OF_ROWS}, "--speed -2 is not"),
        ({"speed": 1.0, "max_gap": -1.0, "times": TIMES_OF_ROWS}, "--max-gap -1 is not"),
        ({"speed": 1.0, "rate": 1.0, "times": TIMES_OF_ROWS}, "can't be used together"),
        ({"speed": 1.0}, "needs a time column"),
        ({"max_gap": 1.0}, "works with --speed only"),
    ],
)
def test_wrong_options_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_schedule(**options)  # type: ignore[arg-type]


def test_waiting_follows_the_clock_and_the_stop_event() -> None:
    now = [100.0]
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            waits.append(timeout)
            now[0] += timeout
            if len(waits) == 3:
                self.set()
            return self.is_set()

    stop = Stop()
    assert wait_until_due(5.0, 100.0, stop, lambda: now[0])
    assert waits == [5.0]
    assert wait_until_due(1.0, 100.0, stop, lambda: now[0])  # it is late already
    assert waits == [5.0]
    assert not wait_until_due(1e9, 100.0, stop, lambda: now[0])
    assert waits == [5.0, 86_400.0, 86_400.0]
    assert not wait_until_due(0.0, 100.0, stop, lambda: now[0])


def test_the_kinds_say_whether_they_pace() -> None:
    assert [kind.paced for kind in (Unpaced, EveryInterval, EventTime)] == [False, True, True]
