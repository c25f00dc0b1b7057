"""Replays with the rows' own times, on the broker in memory: zones, changed clocks."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import ConfigError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.pipelines.rejects.mended import mended
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.pipelines.replay.job_records import JOBS_TOPIC
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.share import Share
from sensorstream.pipelines.replay.spec import ReplayResult
from sensorstream.sinks.dead_letter import load as load_letter

BACK = datetime(2023, 10, 29, 1, 0, tzinfo=UTC)  # in Berlin it is 2 o'clock, for the second time


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("AIR", 2)
    made.create_topic("EARTH", 2)
    made.create_topic(JOBS_TOPIC, 8)
    return made


def produce(
    broker: MemoryBroker,
    folder: Path,
    *sources: str,
    once: bool = False,
    told: list[Event] | None = None,
    **options: Any,
) -> ReplayResult:
    settings = load(flags={"delay": 0.0, "exactly_once": once}, environ={}, start=folder)
    job = make_job(settings, ReplayOptions(sources=sources, rejects_folder=folder, **options))
    return replay(MemoryClient(broker), job, listener=([] if told is None else told).append)


def hourly(folder: Path, rows: int = 12) -> tuple[str, list[int]]:
    """A recording of one row an hour around the doubled hour, with date and time apart; and its times in ms."""
    moments = [BACK + timedelta(hours=at - 6) for at in range(rows)]
    shown = [moment.astimezone(ZoneInfo("Europe/Berlin")).strftime("%d.%m.%Y;%H:%M") for moment in moments]
    path = folder / "hours.csv"
    path.write_text("n,Date,Time\n" + "".join(f"{n},{text.replace(';', ',')}\n" for n, text in enumerate(shown)))
    return f"AIR={path}", [round(moment.timestamp() * 1000) for moment in moments]


OPTIONS: dict[str, Any] = {"timestamps": "original", "time_column": "Date,Time", "time_zone": ("AIR=Europe/Berlin",)}


def stamps(broker: MemoryBroker, topic: str = "AIR") -> list[int]:
    """The records' times, in the order of the source's rows."""
    found = [record for part in (0, 1) for record in broker.records(topic, part)]
    return [record.timestamp_ms for record in sorted(found, key=lambda record: json.loads(record.value or b"")["n"])]


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("stop_at", [1, 6, 7, 8])
def test_a_replay_that_goes_on_in_the_doubled_hour_gives_the_same_times(
    broker: MemoryBroker, tmp_path: Path, stop_at: int, once: bool
) -> None:
    source, wanted = hourly(tmp_path)
    told: list[Event] = []
    produce(broker, tmp_path, source, once=once, limit=stop_at, told=told, **OPTIONS)
    begin: dict[str, Any] = {} if once else {"from_row": (f"AIR={stop_at}",)}
    result = produce(broker, tmp_path, source, once=once, **begin, **OPTIONS)
    assert result.complete
    assert stamps(broker) == wanted
    texts = [event.text for event in told if isinstance(event, Notice)]
    assert any("times are day/month/year, as '28.10.2023 21:00' shows" in text for text in texts)


@pytest.mark.parametrize("begin", [0, 7])
@pytest.mark.parametrize("kind", ["packed", "pieces"])
def test_packed_files_and_pieces_of_one_source_have_the_same_times(
    broker: MemoryBroker, tmp_path: Path, kind: str, begin: int
) -> None:
    source, wanted = hourly(tmp_path)
    head, *lines = (tmp_path / "hours.csv").read_text().splitlines(keepends=True)
    if kind == "packed":
        (tmp_path / "hours.csv.gz").write_bytes(gzip.compress((tmp_path / "hours.csv").read_bytes()))
        source += ".gz"
    else:
        for number, piece in enumerate((lines[:5], lines[5:7], lines[7:])):
            (tmp_path / f"piece{number}.csv").write_text(head + "".join(piece))
        source = f"AIR={tmp_path / 'piece*.csv'}"
    produce(broker, tmp_path, source, from_row=(f"AIR={begin}",), **OPTIONS)
    assert stamps(broker) == wanted[begin:]


def test_shares_of_a_source_know_the_times_of_each_others_rows(broker: MemoryBroker, tmp_path: Path) -> None:
    source, wanted = hourly(tmp_path)
    job = make_job(
        load(flags={"delay": 0.0}, environ={}),
        ReplayOptions(sources=(source,), rejects_folder=tmp_path, **OPTIONS),
    )
    (one,) = job.sources
    for index in (0, 1):
        rules = replace(one.rules, share=Share(index, 2))
        replay(MemoryClient(broker), replace(job, sources=[replace(one, rules=rules)]))
    assert stamps(broker) == wanted


def test_a_loop_begins_with_the_first_pass_again(broker: MemoryBroker, tmp_path: Path) -> None:
    source, wanted = hourly(tmp_path, rows=8)
    produce(broker, tmp_path, source, loop=True, limit=24, **OPTIONS)
    assert stamps(broker) == [time for time in wanted for _ in range(3)]


def test_an_exactly_once_job_is_refused_with_another_zone(broker: MemoryBroker, tmp_path: Path) -> None:
    source, _ = hourly(tmp_path)
    produce(broker, tmp_path, source, once=True, limit=3, **OPTIONS)
    with pytest.raises(UsageError, match=r"time.zone"):
        produce(broker, tmp_path, source, once=True, **{**OPTIONS, "time_zone": ("+01:00",)})


def test_the_topics_table_says_it_all(broker: MemoryBroker, tmp_path: Path) -> None:
    source, wanted = hourly(tmp_path)
    (tmp_path / "sensorstream.toml").write_text(
        f'[topics.AIR]\nsource = "{source.partition("=")[2]}"\ntime_column = ["Date", "Time"]\n'
        'time_format = "dmy"\ntime_zone = "Europe/Berlin"\n',
        encoding="utf-8",
    )
    produce(broker, tmp_path, timestamps="original")
    assert stamps(broker) == wanted
    produce(broker, tmp_path, source.replace("AIR=", "EARTH="), **{**OPTIONS, "time_zone": ("UTC", "EARTH=+02:00")})
    assert stamps(broker, "EARTH")[:3] == wanted[:3]


@pytest.mark.parametrize("line", ["time_column = []", "time_column = [1]", 'time_column = ["a,b"]', "time_zone = 7"])
def test_what_the_topics_table_can_not_say(tmp_path: Path, line: str) -> None:
    (tmp_path / "sensorstream.toml").write_text(f"[topics.AIR]\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="topic AIR: time_"):
        load(environ={}, start=tmp_path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"time_zone": ("Europe/Berln",)}, "did you mean 'Europe/Berlin'"),
        ({"time_zone": ("EARTH=UTC",)}, "topic EARTH is not among the sources"),
        ({"time_zone": ("AIR=",)}, "--time-zone ''"),
        ({"time_format": "dym"}, "--time-format 'dym' is not known"),
        ({"time_column": ","}, "names no column"),
        ({"time_column": "Date,Tiem"}, "no column 'Tiem'"),
    ],
)
def test_wrong_options_publish_nothing(
    broker: MemoryBroker, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    source, _ = hourly(tmp_path)
    with pytest.raises(UsageError) as error:
        produce(broker, tmp_path, source, **{**OPTIONS, **options})
    assert told in str(error.value)
    assert not broker.records("AIR", 0)


def test_day_and_month_that_no_row_tells_apart_publish_nothing(broker: MemoryBroker, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,t\n1,01/02/2023\n2,03/02/2023\n", encoding="utf-8")
    source = f"AIR={tmp_path / 'a.csv'}"
    with pytest.raises(UsageError, match="may be day/month or month/day"):
        produce(broker, tmp_path, source, timestamps="original", time_column="t")
    produce(broker, tmp_path, source, timestamps="original", time_column="t", time_format="mdy")
    assert [datetime.fromtimestamp(stamp / 1000, UTC).month for stamp in stamps(broker)] == [1, 3]


def test_a_mended_row_gets_the_time_that_its_replay_would_have_given(broker: MemoryBroker, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,d,t\n0,31/08/2023,10:00\n1,31/08/2023,soon\n", encoding="utf-8")
    result = produce(
        broker,
        tmp_path,
        f"AIR={tmp_path / 'a.csv'}",
        timestamps="original",
        time_column="d,t",
        time_zone=("Europe/Berlin",),
    )
    assert (result.acknowledged, result.rejected) == (1, 1)
    path = tmp_path / "a.rejected.jsonl"
    path.write_text(path.read_text().replace("soon", "10:01"))
    letter = load_letter(path.read_bytes())
    assert mended(letter).timestamp_ms == stamps(broker)[0] + 60_000
