"""When rows are due: by delay, by rate, by their own times."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.config import SENSOR_TIME_FORMAT
from sensorstream.errors import DecodeError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.records import SourceRow
from sensorstream.sources.schedule import (
    EventTime,
    EveryInterval,
    Unpaced,
    make_schedule,
    parse_time,
    wait_until_due,
)


def rows(*times: str) -> list[SourceRow]:
    return [SourceRow(at, at + 2, ["x", time]) for at, time in enumerate(times)]


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
    schedule = make_schedule(speed=1.0, column=1)
    assert [schedule.due(row) for row in rows(*TIMES)] == gaps
    fast = make_schedule(speed=60.0, column=1)
    assert [fast.due(row) for row in rows(*TIMES)] == pytest.approx([gap / 60 for gap in gaps])
    back = make_schedule(speed=1.0, column=1)
    assert [back.due(row) for row in rows(*reversed(TIMES))] == [0.0, 7110.0, 7140.0, 7200.0]


def test_max_gap_caps_pauses_of_the_recording() -> None:
    schedule = make_schedule(speed=2.0, max_gap=60.0, column=1)
    assert [schedule.due(row) for row in rows(*TIMES)] == [0.0, 30.0, 45.0, 75.0]
    at_once = make_schedule(speed=2.0, max_gap=0.0, column=1)
    assert [at_once.due(row) for row in rows(*TIMES)] == [0.0] * 4


def test_rows_without_a_time_go_out_at_once_and_are_told_once() -> None:
    events: list[Event] = []
    schedule = make_schedule(speed=1.0, column=1, name="AIR", listener=events.append)
    due = [schedule.due(row) for row in rows("", TIMES[0], "soon", TIMES[1], "")]
    assert due == [0.0, 0.0, 0.0, 60.0, 60.0]
    (notice,) = events
    assert isinstance(notice, Notice)
    assert notice.level == "warning"
    assert notice.text.startswith("AIR: line 2: '' is not an ISO 8601 time")


def test_the_way_back_of_a_loop_is_no_pause() -> None:
    schedule = make_schedule(speed=1.0, column=1)
    assert [schedule.due(row) for row in rows(*TIMES[:2])] == [0.0, 60.0]
    schedule.restart()
    assert [schedule.due(row) for row in rows(*TIMES[:2])] == [60.0, 120.0]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.floats(0.1, 1000), st.floats(0, 1e6))
def test_due_times_never_go_back(seconds: list[int], speed: float, max_gap: float) -> None:
    schedule = make_schedule(speed=speed, max_gap=max_gap, column=0)
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
        ({"speed": -2.0, "column": 0}, "--speed -2 is not"),
        ({"speed": 1.0, "max_gap": -1.0, "column": 0}, "--max-gap -1 is not"),
        ({"speed": 1.0, "rate": 1.0, "column": 0}, "can't be used together"),
        ({"speed": 1.0}, "needs a time column"),
        ({"max_gap": 1.0}, "works with --speed only"),
    ],
)
def test_wrong_options_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_schedule(**options)  # type: ignore[arg-type]


def test_times_are_milliseconds_since_1970_utc() -> None:
    assert parse_time("31/08/2023 23:59:00", SENSOR_TIME_FORMAT) == 1693526340000
    assert parse_time("2023-08-31T23:59:00") == 1693526340000
    assert parse_time("2023-08-31T23:59:00Z") == 1693526340000
    assert parse_time("2023-09-01 06:59:00+07:00") == 1693526340000
    assert parse_time("2023-08-31T23:59:00.1239") == 1693526340123
    assert parse_time("1969-12-31T23:59:59.9999") == -1
    assert parse_time("0001-01-01T00:00:00+14:00") == -62135596800000 - 14 * 3_600_000
    assert parse_time("Thu Aug 31 2023 11:59 PM +0700", "%a %b %d %Y %I:%M %p %z") == 1693501140000
    assert parse_time("1/8/2023 3:09:05", SENSOR_TIME_FORMAT) == 1690859345000


@pytest.mark.parametrize("text", ["", "x", "31/02/2023 00:00:00", "31/08/2023", "31/08/2023 24:00:00", "1\0 2"])
@pytest.mark.parametrize("time_format", [SENSOR_TIME_FORMAT, None, "%d.%m.%Y"])
def test_what_is_no_time_is_a_decode_error_of_one_line(text: str, time_format: str | None) -> None:
    for _ in range(2):  # the second time from the cache, if it were in there
        with pytest.raises(DecodeError) as error:
            parse_time(text, time_format)
        assert error.value.message.isprintable()


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))
def test_the_fast_way_agrees_with_strptime(moment: datetime) -> None:
    text = moment.strftime("%d/%m/%Y %H:%M:%S")
    plain = datetime.strptime(text, "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC)
    assert parse_time(text, SENSOR_TIME_FORMAT) == round(plain.timestamp()) * 1000
    assert parse_time(text.replace(" ", "_"), "%d/%m/%Y_%H:%M:%S") == round(plain.timestamp()) * 1000


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
