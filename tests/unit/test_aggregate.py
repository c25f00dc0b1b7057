"""The aggregate pipeline on the broker in memory: targets, going on, refusals; and the command's own options."""

import csv
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sensorstream.cli import app
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import (
    ClusterUnreachable,
    ExitCode,
    OffsetOutOfRange,
    PositionMismatch,
    SensorstreamError,
    SinkError,
    UnknownTopic,
    UsageError,
)
from sensorstream.events import Event, Notice
from sensorstream.pipelines.aggregate.aggregate import aggregate
from sensorstream.pipelines.aggregate.job import AggregateOptions, make_job, make_target
from sensorstream.pipelines.aggregate.spec import AggregateResult, Target
from sensorstream.pipelines.aggregate.targets import Kept, table_rows
from sensorstream.records import Row

MINUTE = 60_000
MIDNIGHT = 1_693_440_000_000
"""2023-08-31T00:00:00Z."""


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("AIR", 2)
    made.create_topic("MEANS", 2)
    return made


def publish(broker: MemoryBroker, values: Sequence[object], topic: str = "AIR") -> None:
    """Rows by turns to the partitions, each with the time that it has."""
    with MemoryClient(broker).publisher() as publisher:
        for at, value in enumerate(values):
            data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            stamp = value.get("ms") if isinstance(value, dict) else 0
            publisher.publish(topic, data, partition=at % 2, timestamp_ms=stamp)
        publisher.flush(5)


def run(broker: MemoryBroker, target: Target | None = None, told: list[Event] | None = None, **options: Any) -> Any:
    chosen = AggregateOptions(**{"topic": "AIR", "window": "1m", "time_column": "ms", **options})
    client = MemoryClient(broker)
    events: list[Event] = [] if told is None else told
    return aggregate(
        client,
        make_job(load(environ={}), chosen),
        make_target(client, chosen) if target is None else target,
        listener=events.append,
    )


def kept(broker: MemoryBroker, **options: Any) -> tuple[AggregateResult, list[Row]]:
    target = Kept()
    return run(broker, target, exit_at_end=True, **options), target.rows


def minutes(count: int, **more: object) -> list[dict[str, Any]]:
    """Two rows a minute."""
    return [{"ms": MIDNIGHT + at * MINUTE // 2, "Station": f"S{at % 3}", "x": at, **more} for at in range(count)]


def lines(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text().splitlines()]


def published(broker: MemoryBroker, topic: str = "MEANS") -> list[dict[str, Any]]:
    return [json.loads(record.value or b"null") for at in range(2) for record in broker.records(topic, at)]


def spans(rows: Sequence[Row]) -> list[tuple[str, str, int]]:
    return [(str(row["window_start"])[11:16], str(row["Station"]), int(str(row["count"]))) for row in rows]


def test_all_windows_at_the_end_whatever_the_order_of_time(broker: MemoryBroker) -> None:
    publish(broker, minutes(12)[::-1])
    result, rows = kept(broker, by=("Station",), measures={"mean": ["x"]})
    assert (result.ended, result.records, result.windows, result.late, result.rejected) == ("end", 12, 12, 0, 0)
    assert spans(rows)[:3] == [("00:00", "S0", 1), ("00:00", "S1", 1), ("00:01", "S0", 1)]
    assert table_rows(rows)[0]["x_mean"] == 0.0


def test_the_end_is_the_end_at_the_start(broker: MemoryBroker) -> None:
    publish(broker, minutes(10))
    assert kept(broker, offset="-2")[0].records == 4
    assert kept(broker, offset="3")[0].records == 4
    broker.create_topic("EMPTY", 1)
    assert kept(broker, topic="EMPTY", by=("Station",))[0].windows == 0


def test_the_time_is_the_configured_column_or_the_timestamp(broker: MemoryBroker) -> None:
    publish(broker, [{"Time": "31/08/2023 23:59:00", "ms": 5}, {"Time": "31/08/2023 23:58:00", "ms": 7}])
    _, rows = kept(broker, time_column=None)
    assert [row["window_start"] for row in rows] == ["2023-08-31T23:58:00Z", "2023-08-31T23:59:00Z"]
    broker.create_topic("OTHER", 2)
    publish(broker, [{"n": 1, "ms": 5}, {"n": 2, "ms": 61_000}], "OTHER")
    _, rows = kept(broker, topic="OTHER", time_column=None)
    assert [row["window_start"] for row in rows] == ["1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z"]


def test_scored_posts_have_a_preset(broker: MemoryBroker) -> None:
    posts = [("a", 0.5, "positive"), ("a", -0.25, "negative"), ("b", None, None), ("a", 0.5, "positive")]
    publish(broker, [{"ms": 1, "page": page, "compound": c, "label": label} for page, c, label in posts])
    _, rows = kept(broker, sentiment=True, window=None)
    assert [row["page"] for row in rows] == ["a", "b"]
    assert (rows[0]["count"], rows[0]["compound_mean"]) == ("3", "0.25")
    assert json.loads(str(rows[0]["label_shares"])) == {"negative": 1 / 3, "positive": 2 / 3}
    assert (rows[1]["compound_mean"], rows[1]["compound_missing"], rows[1]["late"]) == (None, "1", "0")


def test_what_cannot_be_used_is_counted_and_told(broker: MemoryBroker) -> None:
    told: list[Event] = []
    publish(
        broker, [{"ms": 1, "x": 1}, {"ms": 1, "x": "n/a"}, b"{", {"ms": "soon", "x": 1}, None, {"ms": 2, "x": None}]
    )
    target = Kept()
    result = run(broker, target, told, exit_at_end=True, measures={"mean": ["x"]})
    assert (result.records, result.rejected, len(result.reasons)) == (6, 4, 3)
    assert any("'n/a', not a number" in reason for reason in result.reasons)
    assert len([one for one in told if isinstance(one, Notice) and one.level == "warning"]) == 3
    assert (target.rows[0]["count"], target.rows[0]["x_mean"], target.rows[0]["x_missing"]) == ("2", "1.0", "1")


def test_a_timestamp_that_is_no_date_is_one_unusable_record(broker: MemoryBroker) -> None:
    publish(broker, [{"ms": 5}, {"ms": 2**62}], "MEANS")
    result, rows = kept(broker, topic="MEANS", time_column=None)
    assert (result.records, result.rejected, [row["count"] for row in rows]) == (2, 1, ["1"])
    assert f"the timestamp {2**62}" in result.reasons[0]


@pytest.mark.parametrize(
    "options", [{"by": ("Statoin",)}, {"measures": {"mean": ["Statoin"]}}, {"time_column": "Statoin"}]
)
def test_a_column_that_no_row_has_is_refused(broker: MemoryBroker, options: dict[str, Any]) -> None:
    publish(broker, minutes(4))
    with pytest.raises(UsageError, match="'Statoin'") as refused:
        kept(broker, **options)
    assert "did you mean 'Station'? there are: ms, Station, x" in str(refused.value)


def test_closed_windows_are_handed_out_while_it_runs(broker: MemoryBroker) -> None:
    publish(broker, minutes(20))
    target = Kept()
    result = run(broker, target, by=("Station",), late="2m", timeout=0.3)
    assert (result.ended, result.watermark) == ("timeout", "2023-08-31T00:07:00Z")
    assert {start for start, *_ in spans(target.rows)} == {f"00:0{at}" for at in range(7)}
    assert (result.windows, result.open_windows) == (14, 6)


def test_time_that_runs_backwards_is_told_when_windows_are_not_held(broker: MemoryBroker) -> None:
    told: list[Event] = []
    publish(broker, minutes(300)[::-1])
    result = run(broker, Kept(), told, late="10s", timeout=0.2)
    assert result.late > 140
    assert any(isinstance(one, Notice) and "backwards" in one.text for one in told)


def test_a_partition_without_rows_holds_back_for_a_while(broker: MemoryBroker) -> None:
    publish(broker, [one for row in minutes(20) for one in (row, b"{")])  # nothing that counts in partition 1
    assert run(broker, Kept(), late="0", timeout=0.3).windows == 0
    assert run(broker, Kept(), late="0", timeout=1.2, idle="200ms").windows == 9


@pytest.mark.parametrize("exit_at_end", [True, False])
def test_a_file_is_what_its_name_says_in_large_letters_too(
    broker: MemoryBroker, tmp_path: Path, exit_at_end: bool
) -> None:
    publish(broker, minutes(6))
    run(broker, late="0", timeout=0.3, exit_at_end=exit_at_end, to=str(tmp_path / "MEANS.CSV"))
    assert (tmp_path / "MEANS.CSV").read_bytes().startswith(b"window_start,window_end,count")


@pytest.mark.parametrize("name", ["means.csv", "means.jsonl"])
def test_a_file_is_replaced_when_it_is_whole(broker: MemoryBroker, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    publish(broker, minutes(6))
    for count in (6, 10):
        result = run(broker, by=("Station",), measures={"mean": ["x"]}, exit_at_end=True, to=str(path))
        assert (result.target, result.windows, len(lines(path))) == (str(path), count, count)
        publish(broker, minutes(20)[-4:])
    assert str(lines(path)[0]["x_mean"]) == "0.0"
    assert [one.name for one in tmp_path.iterdir()] == [name]
    before = path.read_bytes()
    with pytest.raises(SensorstreamError, match="--max-open"):
        run(broker, by=("Station",), exit_at_end=True, to=str(path), max_open=2)
    assert path.read_bytes() == before, "a run that fails leaves it as it was"
    assert [one.name for one in tmp_path.iterdir()] == [name]


class Cut(Exception):
    """The run was killed."""


class Cutting:
    """A target that is cut off at its n-th writing: before it is stored, or just after."""

    def __init__(self, inner: Target, writes: int, *, after: bool) -> None:
        self._inner, self._writes, self._after = inner, writes, after
        self.name = inner.name
        self.open, self.finish, self.close = inner.open, inner.finish, inner.close

    def write(self, rows: Sequence[Row], state: str) -> None:
        self._writes -= 1
        if self._writes < 0 and not self._after:
            raise Cut
        self._inner.write(rows, state)
        if self._writes < 0:
            raise Cut


@pytest.mark.parametrize("to", ["means.csv", "means.jsonl", "topic:MEANS"])
def test_runs_that_are_cut_hold_each_window_once(
    broker: MemoryBroker, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dice = random.Random(5)
    sent = cuts = 0
    options: dict[str, Any] = {"to": to, "by": ("Station",), "measures": {"sum": ["x"]}, "late": "3m", "timeout": 0.15}
    rows = [{**row, "ms": row["ms"] - dice.choice([0, 0, 1, 2, 9]) * MINUTE} for row in minutes(400)]
    for _ in range(10):
        publish(broker, rows[sent : sent + 40])
        sent += 40
        chosen = AggregateOptions(topic="AIR", window="1m", time_column="ms", **options)
        target = Cutting(make_target(MemoryClient(broker), chosen), dice.randrange(2), after=dice.random() < 0.5)
        try:
            run(broker, target, **options)
        except Cut:
            cuts += 1
    assert cuts >= 5
    last = run(broker, **options)
    stored = published(broker) if to.startswith("topic") else lines(tmp_path / to)
    assert max(Counter((row["window_start"], row["Station"]) for row in stored).values()) == 1
    closed = [row for row in rows if row["ms"] // MINUTE * MINUTE + MINUTE <= _ms(last.watermark)]
    assert sum(int(row["count"]) for row in stored) + last.late == len(closed)
    assert run(broker, **options).windows == 0, "nothing is left to be told"


def _ms(text: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(text).timestamp() * 1000)


def test_a_growing_file_goes_on_with_the_same_question_only(broker: MemoryBroker, tmp_path: Path) -> None:
    options: dict[str, Any] = {"to": str(tmp_path / "means.csv"), "timeout": 0.15, "late": "0"}
    publish(broker, minutes(10))
    assert run(broker, **options).windows == 4
    publish(broker, minutes(20)[10:])
    result = run(broker, **options)
    assert (result.windows, result.records, result.late) == (5, 10, 0)
    assert [row["count"] for row in lines(tmp_path / "means.csv")] == ["2"] * 9
    with pytest.raises(PositionMismatch, match=r"made with window_ms 60000, not 120000;"):
        run(broker, **{**options, "window": "2m"})
    with pytest.raises(UsageError, match="-o"):
        run(broker, **options, offset="end")
    with pytest.raises(SinkError, match="without -e"):
        run(broker, **options, exit_at_end=True)
    broker.delete_records("AIR", 0, 10)
    with pytest.raises(OffsetOutOfRange, match="that are left"):
        run(broker, **options)
    broker.delete_topic("AIR")
    broker.create_topic("AIR", 2)
    with pytest.raises(PositionMismatch, match="deleted topic"):
        run(broker, **options)


def test_to_a_topic_all_at_the_end_in_one_transaction(broker: MemoryBroker) -> None:
    publish(broker, minutes(6))
    result = run(broker, to="topic:MEANS", by=("Station", "x"), exit_at_end=True)
    assert (result.windows, len(published(broker))) == (6, 6)
    keys = {record.key for at in range(2) for record in broker.records("MEANS", at)}
    assert b'["S0", "3"]' in keys
    with pytest.raises(UnknownTopic):
        run(broker, to="topic:NONE", exit_at_end=True)


def test_brokers_that_are_away_are_waited_for_or_told(broker: MemoryBroker) -> None:
    broker.stop()
    with pytest.raises(ClusterUnreachable):
        run(broker, Kept(), exit_at_end=True)


def test_the_table_and_the_envelope_take_any_value(
    broker: MemoryBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorstream.clients.open_client", lambda *_: MemoryClient(broker))
    odd = b'{"ms":1693440000000,"x":1e400,"n_mean":"text","s_shares":[1],"big":' + b"9" * 5000 + b',"e":"\\u001b[2J"}'
    publish(broker, [odd])
    question = ["aggregate", "-t", "AIR", "--window", "1m", "--time-column", "ms", "-e", "--by", "n_mean,s_shares,e"]
    question += ["--mean", "x", "--first", "x"]
    assert app.run(question) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "e+400" in shown
    assert app.run([*question, "--max", "big", "--output", "json"]) == ExitCode.DONE
    [row] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["result"]["rows"]
    assert (row["x_first"], row["s_shares"], row["n_mean"], len(row["big_max"])) == ("1e400", [1], "text", 5000)


WRONG = [
    ([], "--window"),
    (["--window", "0"], "--window 0 is out of range"),
    (["--window", "10"], "10s"),
    (["--window", "1m", "--late", "soon"], "--late"),
    (["--window", "1m", "--mean", "a,,b"], "columns"),
    (["--window", "1m", "--mean", "a", "--mean", "a"], "a_mean"),
    (["--window", "1m", "--by", "late"], "'late'"),
    (["--window", "1m", "--to", "means.xls"], "topic:NAME"),
    (["--window", "1m", "--to", "topic:AIR"], "another topic"),
    (["--window", "1m", "--to", "topic:../x"], "topic's name"),
    (["--window", "1m", "--time-column", "Time", "--time-format", "%"], "time-format"),
    (["--window", "1m", "--time-column", "t", "--time-format", "isso"], "did you mean 'iso'?"),
    (["--window", "1m", "-o", "soon"], "beginning"),
    (["--window", "1m", "--timeout", "0"], "--timeout"),
    (["--window", "1m", "--max-open", "0"], "--max-open"),
    (["--window", "1m", "--to", "-", "--output", "json"], "stdout"),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=lambda value: " ".join(value) if value else "none")
def test_a_wrong_question_is_refused_before_anything_starts(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["aggregate", "-t", "AIR", *arguments]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert named in told
    assert len(told.strip().splitlines()) == 1


def test_the_command_shows_a_table_and_gives_json(
    broker: MemoryBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensorstream.clients.open_client", lambda *_: MemoryClient(broker))
    monkeypatch.chdir(tmp_path)
    publish(broker, minutes(4, label="good"))
    question = ["aggregate", "-t", "AIR", "--window", "1m", "--time-column", "ms", "--shares", "label", "-e"]
    assert app.run(question) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "2023-08-31T00:01:00Z" in shown
    assert "good 100%" in shown
    assert "2 windows of 1m from 4 records of AIR, 0 late, 0 rejected" in shown
    assert "missing" not in shown
    assert app.run([*question, "--output", "json"]) == ExitCode.DONE
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["result"]) == [
        *("topic", "target", "ended", "window_ms", "records", "rejected", "late", "windows", "open_windows"),
        *("watermark", "reasons", "rows"),
    ]
    assert answer["result"]["rows"][0]["count"] == 2
    assert answer["result"]["rows"][0]["label_shares"] == {"good": 1.0}
    assert not list(tmp_path.iterdir())
    publish(broker, [b"{"])
    for _ in range(2):
        assert app.run(question) == ExitCode.FAILED
        told = capsys.readouterr().err
        assert "1 of 5 records could not be used, kept in AIR.aggregate.rejected.jsonl, such as AIR[0]" in told
    # Once, however often it is read.
    (letter,) = map(json.loads, (tmp_path / "AIR.aggregate.rejected.jsonl").read_text().splitlines())
    assert (letter["topic"], letter["partition"], letter["offset"], letter["value"]) == ("AIR", 0, 2, "{")
    assert app.run([*question, "--to", str(tmp_path / "out.csv")]) == ExitCode.FAILED
    assert (tmp_path / "out.aggregate.rejected.jsonl").exists()


def test_windows_wait_for_the_end_only_where_there_is_one() -> None:
    job = make_job(load(environ={}), AggregateOptions(topic="AIR", window="1m"))
    assert job.rule.late_ms == 10_000
    assert make_job(load(environ={}), AggregateOptions(topic="AIR", window="1m", exit_at_end=True)).rule.late_ms is None
