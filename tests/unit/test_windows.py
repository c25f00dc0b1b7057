"""Event-time windows: arithmetic, watermarks, late rows, and going on from a state."""

import json
import math
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.errors import DecodeError, SensorstreamError, UsageError
from sensorstream.records import ConsumedRecord, Number, Row, Value
from sensorstream.serde.json import decode
from sensorstream.transforms.event_time import EventTimeRule, duration_text, iso, parse_duration
from sensorstream.transforms.measures import KINDS, Kind, Measure, Place
from sensorstream.transforms.windows import WindowRule, Windows, load_state

SECOND = 1000
ALL: tuple[Kind, ...] = ("mean", "sum", "min", "max", "first", "last")


def number(value: object) -> Number | None:
    return None if value is None else Number(str(value))


def windows(*measures: Measure, size: int = 10, by: tuple[str, ...] = ("k",), **rule: Any) -> Windows:
    return Windows(WindowRule(size, by, measures, **rule), [0, 1])


def add(target: Windows, time: int, x: object = 1, k: str = "a", partition: int = 0, offset: int | None = None) -> bool:
    return target.add({"k": k, "x": number(x)}, Place(time, partition, time if offset is None else offset))


def counts(rows: list[dict[str, Value]]) -> list[tuple[object, ...]]:
    return [(row["window_start"], row["k"], row["count"], row["late"]) for row in rows]


def test_a_row_is_in_the_window_that_begins_at_or_before_it() -> None:
    target = windows(size=10)
    for time in (-1, 0, 9, 10, 19, 20):
        add(target, time)
    starts = [
        "1969-12-31T23:59:59.990Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.010Z",
        "1970-01-01T00:00:00.020Z",
    ]
    assert [(row["window_start"], row["count"]) for row in target.flush()] == list(
        zip(starts, ["1", "2", "2", "1"], strict=True)
    )
    assert target.open_count == 0


def test_figures_are_exact_and_keep_their_letters() -> None:
    target = windows(*(Measure(kind, "x") for kind in ALL), by=())
    for at, x in enumerate(["0.10", "0.2", "1e-1", None, "0.3"]):
        target.add({"x": number(x)}, Place(5 - at, 0, at))
    [row] = target.flush()
    assert (row["x_sum"], row["x_mean"], row["x_min"], row["x_max"]) == ("0.70", "0.175", "0.10", "0.3")
    assert (row["x_first"], row["x_last"], row["count"], row["x_missing"]) == ("0.3", "0.10", "5", "1")
    assert all(type(row[f"x_{kind}"]) is Number for kind in ALL)


def test_a_sum_of_very_large_and_very_small_numbers_is_exact() -> None:
    target = windows(Measure("sum", "x"), Measure("mean", "x"), by=())
    for at, x in enumerate(["1e300", "1", "-1e300", "0.1"]):
        target.add({"x": Number(x)}, Place(0, 0, at))
    [row] = target.flush()
    assert Decimal(str(row["x_sum"])) == Decimal("1.1")
    assert row["x_mean"] == "0.275"
    json.loads(str(row["x_sum"]))


def test_nothing_measured_is_null_and_not_0() -> None:
    target = windows(*(Measure(kind, "x") for kind in ALL))
    add(target, 0, None)
    [row] = target.flush()
    assert [row[f"x_{kind}"] for kind in ALL] == [None] * len(ALL)
    assert (row["count"], row["x_missing"]) == ("1", "1")


def test_shares_of_labels() -> None:
    target = windows(Measure("shares", "label"), by=())
    for at, label in enumerate(["positive", "neutral", "positive", None, "positive"]):
        target.add({"label": label}, Place(0, 0, at))
    [row] = target.flush()
    assert json.loads(str(row["label_shares"])) == {"neutral": 0.25, "positive": 0.75}
    assert row["label_missing"] == "1"
    too_many = windows(Measure("shares", "label"), by=())
    with pytest.raises(DecodeError, match="no labels"):
        for at in range(1001):
            too_many.add({"label": str(at)}, Place(0, 0, at))
    assert too_many.flush()[0]["count"] == "1000"


def test_text_in_place_of_a_number_is_refused_and_leaves_no_trace() -> None:
    target = windows(Measure("mean", "x"))
    with pytest.raises(DecodeError, match="'n/a', not a number"):
        target.add({"k": "a", "x": "n/a"}, Place(0, 0, 0))
    assert target.flush() == []


def test_the_watermark_is_the_least_of_the_partitions_less_the_lateness() -> None:
    target = windows(late_ms=5)
    add(target, 3)
    add(target, 30)
    assert target.closed() == [], "partition 1 may hold anything"
    add(target, 14, partition=1)
    assert target.closed() == [], "it may be 5 ms late"
    add(target, 15, partition=1)
    assert counts(target.closed()) == [("1970-01-01T00:00:00Z", "a", "1", "0")]
    assert target.closed_until_ms == 10


def test_late_rows_are_counted_in_all_and_with_the_next_window_of_their_key() -> None:
    target = windows(late_ms=0)
    assert all([add(target, 1), add(target, 1, k="b"), add(target, 20), add(target, 20, partition=1)])
    assert len(target.closed()) == 2
    assert not add(target, 9)
    assert not add(target, 2)
    assert not add(target, 2, k="c"), "no window of its own is opened for it"
    assert target.late == 3
    add(target, 25, k="c")
    assert counts(target.flush()) == [
        ("1970-01-01T00:00:00.020Z", "a", "2", "2"),
        ("1970-01-01T00:00:00.020Z", "c", "1", "1"),
    ]


def test_a_partition_that_has_nothing_more_holds_nothing_back() -> None:
    target = windows(late_ms=0)
    add(target, 3)
    add(target, 30)
    target.idle([1])
    assert len(target.closed()) == 1
    add(target, 31, partition=1)
    add(target, 90)
    assert target.closed_until_ms == 31, "it has rows again"


def test_time_that_runs_backwards_loses_nothing_when_windows_are_held() -> None:
    target = windows(size=10, late_ms=None)
    for time in range(99, -1, -1):
        add(target, time)
        assert target.closed() == []
    assert [row["count"] for row in target.flush()] == ["10"] * 10
    assert target.late == 0


def test_open_windows_are_bounded() -> None:
    target = windows(max_open=3)
    for time in (0, 10, 20, 5):
        add(target, time)
    with pytest.raises(SensorstreamError, match="--max-open"):
        add(target, 30)


ROW = st.tuples(
    st.integers(0, 2),
    st.integers(-50, 200),
    st.sampled_from(["a", "b", "ü"]),
    st.one_of(st.none(), st.integers(-1000, 1000), st.floats(-1e6, 1e6).map(lambda x: float(f"{x:.6g}"))),
)


@given(st.lists(ROW, max_size=60), st.sampled_from([1, 7, 10, 60]))
def test_windows_are_what_pandas_groups(given_rows: list[tuple[int, int, str, object]], size: int) -> None:
    target = Windows(
        WindowRule(size * SECOND, ("k",), tuple(Measure(kind, "x") for kind in (*ALL, "shares")), None), [0, 1, 2]
    )
    frame: list[tuple[Any, ...]] = []
    for offset, (partition, time, k, x) in enumerate(given_rows):
        target.add({"k": k, "x": number(x)}, Place(time * SECOND, partition, offset))
        frame.append((pd.Timestamp(time, unit="s", tz="UTC"), partition, offset, k, math.nan if x is None else x))
    made = target.flush()
    assert sum(int(str(row["count"])) for row in made) == len(given_rows)
    if not given_rows:
        return
    table = pd.DataFrame(frame, columns=["t", "p", "o", "k", "x"]).sort_values(["t", "p", "o"])
    table["start"] = table["t"].map(lambda t: (t.value // (size * 10**9)) * size * SECOND)
    wanted: dict[Any, Any] = {key: group["x"] for key, group in table.groupby(["start", "k"])}
    assert [(row["window_start"], row["k"]) for row in made] == [(iso(start), k) for start, k in sorted(wanted)]
    for row, key in zip(made, sorted(wanted), strict=True):
        series = wanted[key]
        present = series.dropna()
        assert row["count"] == str(len(series))
        assert row["x_missing"] == str(len(series) - len(present))
        if present.empty:
            assert row["x_mean"] is None
            continue
        assert float(str(row["x_mean"])) == pytest.approx(float(present.mean()), rel=1e-9, abs=1e-6)
        assert float(str(row["x_mean"])) == float(sum(map(Decimal, map(str, present))) / len(present))
        assert float(str(row["x_sum"])) == pytest.approx(float(present.sum()), rel=1e-9, abs=1e-6)
        assert (float(str(row["x_min"])), float(str(row["x_max"]))) == (present.min(), present.max())
        assert (float(str(row["x_first"])), float(str(row["x_last"]))) == (present.iloc[0], present.iloc[-1])
        assert sum(json.loads(str(row["x_shares"])).values()) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(25))
def test_runs_that_are_cut_and_go_on_hand_out_the_same_windows(seed: int) -> None:
    """Each run is cut at a random point; what it handed out after its last stored state is lost, as after kill -9."""
    dice = random.Random(seed)
    rule = WindowRule(10, ("k",), (Measure("sum", "x"),), late_ms=15)
    logs: list[list[tuple[Row, Place]]] = []
    for partition in range(2):
        time, log = 0, []
        for offset in range(200):
            time += dice.choice([0, 1, 2, 3])
            row: Row = {"k": dice.choice("ab"), "x": Number(str(offset))}
            log.append((row, Place(time - dice.choice([0, 0, 0, 5, 10, 40]), partition, offset)))
        logs.append(log)
    stored: list[dict[str, Value]] = []
    state = load_state(Windows(rule, [0, 1]).state().dump())
    while True:
        target = Windows(rule, [0, 1], state)
        at = [state.resume.get(partition, 0) for partition in range(2)]
        left = dice.randrange(30, 150)
        while left and any(at[partition] < 200 for partition in range(2)):
            partition = dice.choice([one for one in range(2) if at[one] < 200])
            batch = logs[partition][at[partition] : at[partition] + dice.randrange(1, 9)]
            for row, place in batch:
                target.add(row, place)
            at[partition] += len(batch)
            left -= 1
            target.passed(partition, at[partition])
            closed = target.closed()
            assert not (closed and target.catching_up)
            if closed or (not target.catching_up and dice.random() < 0.1):
                stored += closed
                state = load_state(target.state().dump())
        if all(one == 200 for one in at):
            stored += target.flush()
            late = target.late
            break
    spans = [(row["window_start"], row["k"]) for row in stored]
    assert len(set(spans)) == len(spans), "a window was handed out twice"
    in_windows = sum(int(str(row["count"])) for row in stored)
    assert in_windows + late == 400, "each row is in one window, or late"
    assert sum(int(str(row["late"])) for row in stored) <= late


@pytest.mark.parametrize(
    ("text", "ms"), [("500ms", 500), ("10s", 10_000), ("1.5m", 90_000), ("2h", 7_200_000), ("1d", 86_400_000), ("0", 0)]
)
def test_lengths_of_time(text: str, ms: int) -> None:
    assert parse_duration(text, "--late", least_ms=0) == ms
    if ms:
        assert parse_duration(duration_text(ms), "--late") == ms


@pytest.mark.parametrize("text", ["0", "0s", "-1s", "10", "ten", "", "1w", "999d", "0.5ms", "1e3s", "nan"])
def test_what_is_no_length_of_a_window(text: str) -> None:
    with pytest.raises(UsageError, match="--window"):
        parse_duration(text, "--window")


MOMENT = int(datetime(2023, 8, 31, 23, 59, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("cell", "time_format"),
    [
        ('"31/08/2023 23:59:00"', "%d/%m/%Y %H:%M:%S"),
        ('"2023-08-31T23:59:00"', None),
        ('"2023-08-31T23:59:00Z"', None),
        ('"2023-09-01T06:59:00+07:00"', None),
        ("1693526340", None),
        ("1693526340.0", None),
        ("1693526340000", None),
        ("1.69352634e12", None),
    ],
)
def test_event_times(cell: str, time_format: str | None) -> None:
    row = decode(f'{{"t":{cell}}}'.encode())
    record = ConsumedRecord("AIR", 0, 0, 17, None, None)
    assert EventTimeRule("t", time_format).reader()(row, record) == MOMENT
    assert EventTimeRule().reader()(row, record) == 17
    assert iso(MOMENT) == "2023-08-31T23:59:00Z"


@pytest.mark.parametrize(
    "cell", ["null", "true", '"soon"', '""', "1e30", "-1e30", "1e99999999999999999999", '"0001-01-01"', "[1]"]
)
def test_what_is_no_time(cell: str) -> None:
    record = ConsumedRecord("AIR", 0, 0, 17, None, None)
    with pytest.raises(DecodeError, match="t"):
        EventTimeRule("t").reader()(decode(f'{{"t":{cell}}}'.encode()), record)
    with pytest.raises(DecodeError, match="it has u"):
        EventTimeRule("t").reader()({"u": None}, record)


def test_every_kind_is_measured() -> None:
    assert set(KINDS) == {*ALL, "shares"}
