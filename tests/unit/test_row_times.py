"""The times of a source's rows: what its first rows show, time zones, and days on which clocks are changed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sensorstream.errors import DecodeError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.records import SourceRow
from sensorstream.sources.csv_file import CsvSource
from sensorstream.sources.row_times import FirstTimes, RowTimes, look_at
from sensorstream.sources.time_zone import LocalTimes, zone_of
from sensorstream.sources.times import TimeRule

BERLIN = ZoneInfo("Europe/Berlin")
# 2023: clocks go forward on 26 March, 02:00 to 03:00, and back on 29 October, 03:00 to 02:00.
BACK = datetime(2023, 10, 29, 1, 0, tzinfo=UTC)


def source(folder: Path, *lines: str, head: str = "t,v") -> CsvSource:
    path = folder / "a.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    made = CsvSource(path)
    made.open()
    return made


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def local_ms(moment: datetime, zone: ZoneInfo = BERLIN) -> int:
    """What the clock of the zone shows, as if it were UTC."""
    return ms(moment.astimezone(zone).replace(tzinfo=UTC, fold=0))


def resolved(moments: Sequence[datetime], zone: ZoneInfo = BERLIN, *, newest_first: bool = False) -> list[datetime]:
    local = LocalTimes(zone, newest_first=newest_first)
    return [datetime.fromtimestamp(local.utc(local_ms(moment, zone)) / 1000, UTC) for moment in moments]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("stations", [1, 3])
@pytest.mark.parametrize("minutes", [1, 7, 15, 30, 60])
def test_the_doubled_hour_is_in_order(minutes: int, stations: int, newest_first: bool) -> None:
    steps = range(-6 * 60 // minutes, 6 * 60 // minutes + 1)
    moments = [BACK + timedelta(minutes=minutes * step) for step in steps for _ in range(stations)]
    if newest_first:
        moments.reverse()
    assert resolved(moments, newest_first=newest_first) == moments


@example([0] * 27 + [20] * 6, True)
@given(st.lists(st.integers(0, 20), min_size=30, max_size=300), st.booleans())
def test_the_doubled_hour_is_in_order_with_gaps(gaps: list[int], newest_first: bool) -> None:
    moments = [BACK - timedelta(hours=2)]
    for gap in gaps:
        moments.append(moments[-1] + timedelta(minutes=gap))
    if newest_first:
        # The first row that is read has none before it: in the doubled hour, it is taken for one of the later pass.
        assume(not BACK - timedelta(hours=1) <= moments[-1] < BACK)
        moments.reverse()
    assert resolved(moments, newest_first=newest_first) == moments


def test_a_row_that_is_a_little_late_does_not_end_the_first_pass() -> None:
    start = datetime(2023, 10, 29, 0, 40, tzinfo=UTC)  # 02:40 for the first time
    minutes = [0, 1, 2, 1, 3, 19, 20, 21, 20, 22, 40, 60, 79, 80, 79]
    moments = [start + timedelta(minutes=minute) for minute in minutes]
    assert resolved(moments) == moments


def test_other_clocks() -> None:
    for zone, change in (
        (ZoneInfo("Australia/Lord_Howe"), datetime(2023, 4, 1, 15, 0, tzinfo=UTC)),  # by half an hour
        (ZoneInfo("Europe/Dublin"), datetime(2023, 10, 29, 1, 0, tzinfo=UTC)),  # whose winter is the odd time
        (ZoneInfo("America/New_York"), datetime(2023, 11, 5, 6, 0, tzinfo=UTC)),
        (ZoneInfo("America/New_York"), datetime(2023, 3, 12, 7, 0, tzinfo=UTC)),
    ):
        moments = [change + timedelta(minutes=5 * step) for step in range(-40, 41)]
        assert resolved(moments, zone) == moments
        moments.reverse()
        assert resolved(moments, zone, newest_first=True) == moments


def test_an_hour_that_the_clocks_left_out_is_told_and_taken_on_as_it_went() -> None:
    told: list[tuple[str, str]] = []
    local = LocalTimes(BERLIN, missing=lambda there, taken: told.append((there, taken)))
    wall = datetime(2023, 3, 26, 1, 30, tzinfo=UTC)
    found = [local.utc(ms(wall + timedelta(minutes=minute))) for minute in (0, 60, 61, 90)]
    assert [(each - found[0]) // 60_000 for each in found] == [0, 60, 61, 30]  # 03:00 comes right behind 02:00
    assert told == [("2023-03-26 02:30", "2023-03-26 03:30")]


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("UTC", 0), ("+07:00", 7), ("-0330", -3.5), ("+5", 5), ("Asia/Kolkata", 5.5), ("Etc/GMT+3", -3)],
)
def test_zones_without_changes(zone: str, offset: float) -> None:
    moment = datetime(2023, 8, 31, 12, tzinfo=UTC)
    assert LocalTimes(zone_of(zone)).utc(ms(moment)) == ms(moment) - offset * 3_600_000


@pytest.mark.parametrize(
    "zone", ["Europe/Berln", "berlin", "Europe", "", "../../etc/passwd", "+25:00", "+07:61", "x\0y", "CETX"]
)
def test_what_is_no_zone(zone: str) -> None:
    with pytest.raises(UsageError, match="--time-zone") as error:
        zone_of(zone)
    assert "Europe/Berlin" in (error.value.hint or "")


def test_a_time_that_no_calendar_has_is_a_decode_error() -> None:
    with pytest.raises(DecodeError):
        LocalTimes(BERLIN).utc(10**16)


# What the first rows show


@pytest.mark.parametrize(
    ("times", "time_format", "told"),
    [
        (["2023-08-31", "31/08/2023"], None, None),
        (["31/08/2023 10:00"], "dmy", "day/month/year, as '31/08/2023 10:00' shows"),
        (["01/08/2023 10:00", "never", "13/08/2023 10:00"], "dmy", "day/month/year"),
        (["1/8/23", "", "1/13/23"], "mdy", "month/day/year"),
        (["1693526340"], "epoch", "since 1970"),
        (["1693526340123.5"], "epoch", "since 1970"),
        (["soon", "later"], None, None),
        ([], None, None),
        (["20230831235900"], None, None),
        ([f"0{1 + n % 9}/05/2023" for n in range(5000)] + ["17/05/2023"], "dmy", "'17/05/2023' shows"),
    ],
)
def test_the_format_is_told_by_the_rows(
    tmp_path: Path, times: list[str], time_format: str | None, told: str | None
) -> None:
    events: list[Event] = []
    found = look_at(source(tmp_path, *(f"{time},1" for time in times)), TimeRule("t"), events.append)
    assert found.rule.format == time_format
    texts = [event.text for event in events if isinstance(event, Notice)]
    assert len(texts) == (told is not None)
    assert told is None or told in texts[0]


@pytest.mark.parametrize("times", [["01/02/2023", "03/02/2023"], ["31/08/2023", "08/31/2023"]])
def test_day_and_month_that_can_not_be_told_apart_are_refused(tmp_path: Path, times: list[str]) -> None:
    rows = source(tmp_path, *(f"{time},1" for time in times))
    with pytest.raises(UsageError, match=r"a.csv: '.*' may be day/month or month/day") as error:
        look_at(rows, TimeRule("t"))
    assert "--time-format dmy" in (error.value.hint or "")
    assert look_at(source(tmp_path, *(f"{time},1" for time in times)), TimeRule("t", "mdy")).rule.format == "mdy"


@pytest.mark.parametrize(
    ("times", "newest_first"),
    [
        (["1", "2", "2", "1", "3"], False),
        (["3", "2", "x", "1"], True),
        (["1", "1"], None),
        ([], None),
        (["1", "2", "1"], None),
    ],
)
def test_the_direction_is_told_by_the_rows(tmp_path: Path, times: list[str], newest_first: bool | None) -> None:
    rows = source(tmp_path, *(f"{time},1" for time in times))
    assert look_at(rows, TimeRule("t", "epoch-s")).newest_first is newest_first


# Rows, one after the other


def rows_of(*times: str) -> list[SourceRow]:
    return [SourceRow(at, at + 2, [time, "x"]) for at, time in enumerate(times)]


def walls(first: datetime, minutes: int, count: int) -> list[str]:
    """What the clock in Berlin shows."""
    return [
        (first + timedelta(minutes=minutes * at)).astimezone(BERLIN).strftime("%Y-%m-%d %H:%M") for at in range(count)
    ]


@pytest.mark.parametrize("minutes", [1, 10, 60])
def test_a_source_that_goes_on_in_the_doubled_hour_knows_which_pass_it_is(minutes: int) -> None:
    count = 6 * 60 // minutes
    rows = rows_of(*walls(BACK - timedelta(hours=3), minutes, count))
    rule = FirstTimes(TimeRule("t", zone="Europe/Berlin"), False)
    whole = RowTimes(rule, (0,))
    wanted = [whole.of(row) for row in rows]
    assert wanted == sorted(set(wanted))
    asked: list[int] = []
    for begin in range(1, count, max(1, count // 40)):

        def earlier(begin: int = begin) -> Iterator[SourceRow]:
            asked.append(begin)
            yield from rows

        times = RowTimes(rule, (0,), earlier=earlier)
        found = []
        for row in rows[begin:]:
            found.append(times.of(row))
            assert times.of(row) == found[-1], "the same when it is asked for again"
        assert found == wanted[begin:]
    assert len(asked) == len(set(asked)), "once at the most"


def test_rows_that_are_passed_over_count_too_and_offsets_of_their_own_hold() -> None:
    times = RowTimes(FirstTimes(TimeRule("t", zone="Europe/Berlin"), False), (0,))
    rows = rows_of(*walls(BACK - timedelta(hours=3), 60, 6), "2023-10-29T02:00+02:00", "never")
    found = []
    for row in rows:
        if row.number % 2:
            times.pass_over(row)
        else:
            found.append(times.of(row))
    assert found == [ms(BACK + timedelta(hours=hour)) for hour in (-3, -1, 1, -1)]
    with pytest.raises(DecodeError):
        times.of(rows[-1])
    times.restart()
    assert times.of(rows[1]) == ms(BACK - timedelta(hours=2))


def test_a_missing_hour_is_told_with_its_line() -> None:
    events: list[Event] = []
    times = RowTimes(FirstTimes(TimeRule("t", zone="Europe/Berlin"), False), (0,), name="a.csv", listener=events.append)
    for row in rows_of("2023-03-26 01:59", "2023-03-26 02:00", "2023-03-26 02:01"):
        times.of(row)
    (notice,) = events
    assert isinstance(notice, Notice)
    assert notice.text.startswith("a.csv: line 3: the clocks of Europe/Berlin never showed 2023-03-26 02:00")
    assert "+01:00" in notice.text


def test_a_time_of_several_columns() -> None:
    times = RowTimes(FirstTimes(TimeRule("d,t")), (1, 0))
    assert times.of(SourceRow(0, 2, [" 10:00", "2023-08-31 "])) == ms(datetime(2023, 8, 31, 10, tzinfo=UTC))
