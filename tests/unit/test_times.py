"""Times in rows: formats with a name, several columns, day and month, and what is no time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.config import SENSOR_TIME_FORMAT
from sensorstream.errors import DecodeError, UsageError
from sensorstream.sources.times import FORMATS, TimeRule, check_format, moment_parser, parse_time

WHEN = 1693526340000  # 2023-08-31 23:59:00 UTC


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


@pytest.mark.parametrize(
    "text", ["", "x", "31/02/2023 00:00:00", "32/13/2023", "31/08/2023 24:00:01", "1\0 2", "9" * 400, "1e999999"]
)
@pytest.mark.parametrize("time_format", [SENSOR_TIME_FORMAT, "%d.%m.%Y", None, *FORMATS])
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


@pytest.mark.parametrize(
    ("time_format", "text", "ms"),
    [
        ("epoch-s", "1693526340", WHEN),
        ("epoch-s", "1693526340.0019", WHEN + 1),
        ("epoch-s", "1.69352634e9", WHEN),
        ("epoch-s", "-0.0001", -1),
        ("epoch-ms", " 1693526340000 ", WHEN),
        ("epoch-us", "1693526340000999", WHEN),
        ("epoch-ns", "1693526340000000000", WHEN),
        ("epoch", "1693526340", WHEN),
        ("epoch", "1693526340000", WHEN),
        ("epoch", "1693526340000000", WHEN),
        ("epoch", "1693526340000000000", WHEN),
        ("epoch", "0", 0),
        ("dmy", "31/08/2023 23:59", WHEN),
        ("dmy", "31.8.23 23.59.00", WHEN),
        ("dmy", "31-08-2023T23:59:00,000", WHEN),
        ("mdy", "8/31/2023 11:59 PM", WHEN),
        ("mdy", "08/31/2023, 11:59:00 p.m.", WHEN),
        ("mdy", "08/31/2023", WHEN - 86_340_000),
        ("mdy", "09/01/2023 06:59 +0700", WHEN),
        ("dmy", "31/08/2023 24:00", WHEN + 60_000),
        ("dmy", "31/08/2023 12:30 am", WHEN - 84_540_000),
        ("ymd", "2023/8/31 23:59:00.5", WHEN + 500),
        ("ymd", "20230831 23:59", WHEN),
        (None, "2023/08/31 23:59", WHEN),
        (None, "20230831235900", WHEN),
        ("iso", "2023-08-31 23:59Z", WHEN),
        ("%Y %j %H%M", "2023 243 2359", WHEN),
    ],
)
def test_formats(time_format: str | None, text: str, ms: int) -> None:
    assert parse_time(text, time_format) == ms
    assert parse_time(text, time_format) == ms  # remembered


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("dmy", "08/31/2023"),
        ("mdy", "31/08/2023"),
        ("dmy", "2023-08-31"),
        ("dmy", "31/08.2023"),
        ("dmy", "31/08/2023 13:00 pm"),
        ("dmy", "31/08/2023 12:60"),
        ("dmy", "31/08/023"),
        ("ymd", "31/08/2023"),
        ("epoch-s", "2023-08-31"),
        ("epoch-s", "nan"),
        ("epoch-s", "inf"),
        ("epoch-s", "1e30"),
        ("epoch-s", "1_000"),
    ],
)
def test_what_is_another_format(time_format: str, text: str) -> None:
    with pytest.raises(DecodeError):
        parse_time(text, time_format)


@pytest.mark.parametrize(
    ("column", "text", "ms"),
    [
        ("Date,Time", "2023-08-31 23:59", WHEN),
        ("y,m,d", "2023 8 31", WHEN - 86_340_000),
        ("y,m,d,h", "2023 08 31 23", WHEN - 3_540_000),
        ("y,m,d,h", "2023 8 31 24", WHEN + 60_000),
        ("y,m,d,h,min", "2023.0 8.0 31.0 23.0 59.0", WHEN),
        ("y,m,d,h,min,s", "2023 8 31 23 59 0.25", WHEN + 250),
        ("y,m,d", "2023-08-31 23:59 +00:00", WHEN),
    ],
)
def test_times_out_of_several_columns(column: str, text: str, ms: int) -> None:
    rule = TimeRule(column)
    assert rule.parser(len(rule.names))(text).ms == ms


@pytest.mark.parametrize(
    "text", ["", "2023", "2023 13 1", "2023 2 30", "2023 8 31 25", "2023 8 31 24 1", "23 8 31", "a b c"]
)
def test_what_is_no_time_out_of_parts(text: str) -> None:
    with pytest.raises(DecodeError) as error:
        TimeRule("y,m,d,h").parser(4)(text)
    assert error.value.message.isprintable()


def test_only_a_time_with_an_offset_is_absolute() -> None:
    assert [moment_parser("dmy")(text).absolute for text in ("1/2/2023 10:00", "1/2/2023 10:00Z")] == [False, True]
    assert [moment_parser(None)(text).absolute for text in ("2023-01-02", "2023-01-02T10:00+01:00")] == [False, True]
    assert moment_parser("epoch-s")("1").absolute


def test_columns_are_found_by_their_names() -> None:
    assert TimeRule("Date, Time").among(("Time", "Date"), "a.csv") == (1, 0)
    assert TimeRule("Date,Time").among(("x", "Date,Time"), "a.csv") == (1,), "a name may have a comma"
    with pytest.raises(UsageError, match=r"a.csv has no column 'Tiem' for --time-column") as error:
        TimeRule("Date,Tiem").among(("Date", "Time"), "a.csv")
    assert "Date, Time" in (error.value.hint or "")


@pytest.mark.parametrize("time_format", ["dym", "%Q", "%", "epoch-m", "", "%Y %", "Y-m-d"])
def test_what_is_no_format(time_format: str) -> None:
    with pytest.raises(UsageError, match="--time-format"):
        check_format(time_format)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 1, 1)), st.sampled_from("/.-"))
def test_orders_agree_with_strptime(moment: datetime, mark: str) -> None:
    ms = int(moment.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000
    for order, directives in (("dmy", "%d#%m#%Y"), ("mdy", "%m#%d#%y"), ("ymd", "%Y#%m#%d")):
        text = moment.strftime(directives.replace("#", mark) + " %H:%M:%S")
        assert parse_time(text, order) == ms
