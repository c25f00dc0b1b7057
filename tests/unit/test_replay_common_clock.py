"""Replays of several sources on one clock, on the broker in memory: the order of all rows together."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.clients.memory.delivery import MemoryDelivery
from sensorstream.config import load
from sensorstream.errors import ConfigError, UsageError
from sensorstream.events import Event, Notice, RowPublished
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.pipelines.replay.job_records import JOBS_TOPIC
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.spec import ReplayResult

TOPICS = ("AIR", "EARTH", "WATER")
FAST = 1e9


class Watched(MemoryBroker):
    """Knows in which order records came, over all topics."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[tuple[str, dict[str, Any]]] = []
        for topic in TOPICS:
            self.create_topic(topic, 2)
        self.create_topic(JOBS_TOPIC, 8)

    def append(self, where: Any, key: Any, value: Any, *rest: Any) -> MemoryDelivery:
        if where.topic in TOPICS and value is not None:
            self.came.append((where.topic, json.loads(value)))
        return super().append(where, key, value, *rest)

    def times(self) -> list[int]:
        return [row["t"] for _, row in self.came]


@pytest.fixture
def broker() -> Watched:
    return Watched()


def sources(folder: Path, *times: Sequence[int]) -> tuple[str, ...]:
    made = []
    for topic, of_topic in zip(TOPICS, times, strict=False):
        path = folder / f"{topic}.csv"
        path.write_text("t,s\n" + "".join(f"{time},{topic}\n" for time in of_topic))
        made.append(f"{topic}={path}")
    return tuple(made)


def produce(
    broker: MemoryBroker,
    folder: Path,
    given: Sequence[str] = (),
    *,
    once: bool = False,
    thread: int = 3,
    told: list[Event] | None = None,
    stop_after: int | None = None,
    **options: Any,
) -> ReplayResult:
    stop, events = threading.Event(), [] if told is None else told

    def listen(event: Event) -> None:
        events.append(event)
        if stop_after is not None and sum(isinstance(each, RowPublished) for each in events) >= stop_after:
            stop.set()

    chosen = {"speed": FAST, "time_column": "t", "time_format": "epoch-s", **options}
    settings = load(flags={"thread": thread, "exactly_once": once}, environ={}, start=folder)
    job = make_job(settings, ReplayOptions(sources=tuple(given), rejects_folder=folder, **chosen), listen)
    if stop_after is not None:
        job = replace(job, log_rows=True)
    return replay(MemoryClient(broker), job, stop=stop, listener=listen)


MINUTES = (range(0, 3000, 7), range(5, 2000, 3), range(1000, 4000, 11))


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("thread", [1, 3])
@pytest.mark.parametrize("backwards", [False, True])
def test_rows_of_all_sources_come_in_one_order_whatever_the_threads(
    broker: Watched, tmp_path: Path, thread: int, once: bool, backwards: bool
) -> None:
    times = [sorted(each, reverse=backwards) for each in MINUTES]
    result = produce(broker, tmp_path, sources(tmp_path, *times), thread=thread, once=once)
    assert result.delivered and result.complete
    assert broker.times() == sorted(broker.times(), reverse=backwards)
    assert len(broker.came) == sum(map(len, MINUTES))


def test_the_samples_interleave(broker: Watched, tmp_path: Path) -> None:
    produce(broker, tmp_path, limit=300, time_column=None, time_format=None)
    assert [topic for topic, _ in broker.came] == list(TOPICS) * 300
    assert [row["Time"] for topic, row in broker.came[:6]] == ["31/08/2023 23:59:00"] * 3 + ["31/08/2023 23:58:00"] * 3


def test_exactly_once_replays_go_on_in_one_order(broker: Watched, tmp_path: Path) -> None:
    given = sources(tmp_path, range(0, 400, 2), range(1, 100, 3), range(0, 400, 5))
    for _ in range(3):
        before = len(broker.came)
        result = produce(broker, tmp_path, given, once=True, speed=200.0, stop_after=60)
        times = broker.times()[before:]
        assert times == sorted(times)
    result = produce(broker, tmp_path, given, once=True)
    assert result.complete
    found = sorted((topic, row["t"]) for topic, row in broker.came)
    wanted = zip(TOPICS, (range(0, 400, 2), range(1, 100, 3), range(0, 400, 5)), strict=True)
    assert found == [(topic, time) for topic, times in wanted for time in times]


def test_each_round_of_a_loop_is_in_order(broker: Watched, tmp_path: Path) -> None:
    given = sources(tmp_path, range(0, 60, 2), range(10, 40))
    told: list[Event] = []
    produce(broker, tmp_path, given, loop=True, speed=400.0, stop_after=200, told=told)
    rounds, row = broker.times(), 0
    whole = sorted([*range(0, 60, 2), *range(10, 40)])
    while row < len(rounds):
        assert rounds[row : row + 60] == whole[: len(rounds) - row]
        row += 60
    assert row > 180


def test_a_source_with_a_limit_leaves_the_loop_to_the_others(broker: Watched, tmp_path: Path) -> None:
    given = sources(tmp_path, range(10), range(100))
    result = produce(broker, tmp_path, given, loop=True, limit=25, speed=FAST)
    assert [source.sent for source in result.sources] == [25, 25]


def test_exactly_once_loops_go_on_in_their_rounds(broker: Watched, tmp_path: Path) -> None:
    given = sources(tmp_path, range(0, 20, 2), range(0, 20))
    for _ in range(3):
        produce(broker, tmp_path, given, once=True, loop=True, speed=400.0, stop_after=40)
    for topic, times in (("AIR", range(0, 20, 2)), ("EARTH", range(20))):
        found = [row["t"] for name, row in broker.came if name == topic]
        assert found == (list(times) * 100)[: len(found)]
    assert len(broker.came) > 110


def test_a_clock_of_its_own_for_each_or_for_one(broker: Watched, tmp_path: Path) -> None:
    given = sources(tmp_path, range(100), range(10**9, 10**9 + 100))
    assert produce(broker, tmp_path, given, speed=1000.0, clock="own").complete
    (tmp_path / "sensorstream.toml").write_text('[topics.EARTH]\nclock = "own"\n', encoding="utf-8")
    assert produce(broker, tmp_path, given, speed=1000.0).complete
    job = make_job(load(environ={}, start=tmp_path), ReplayOptions(sources=given, speed=1.0, time_column="t"))
    assert job.clock is None
    assert make_job(load(environ={}), ReplayOptions(sources=given, speed=1.0, time_column="t")).clock is not None
    followed = ReplayOptions(sources=given, speed=1.0, time_column="t", follow=True)
    assert make_job(load(environ={}), followed).clock is None, "what is not written yet is not waited for"


def test_a_source_that_begins_much_later_is_told(broker: Watched, tmp_path: Path) -> None:
    given = sources(tmp_path, range(1000, 2000), range(10**9, 10**9 + 100))
    told: list[Event] = []
    produce(broker, tmp_path, given, speed=1e5, stop_after=50, told=told)
    texts = [event.text for event in told if isinstance(event, Notice)]
    assert any("EARTH.csv begins" in text and "--clock own" in text for text in texts)


def test_rejected_rows_hold_nobody_up(broker: Watched, tmp_path: Path) -> None:
    given = sources(tmp_path, range(0, 50, 2), range(50))
    path = tmp_path / "AIR.csv"
    path.write_text(path.read_text().replace("20,AIR\n", "20\n") + "7\n")
    result = produce(broker, tmp_path, given)
    assert (result.acknowledged, result.rejected, result.complete) == (74, 2, True)
    assert broker.times() == sorted(broker.times())


def test_a_transaction_that_fails_is_done_again_and_the_others_go_on(broker: Watched, tmp_path: Path) -> None:
    given = sources(tmp_path, range(0, 3000, 2), range(1, 3000, 2))

    def refuse_for_a_while() -> None:
        broker.refuse("no")
        threading.Event().wait(0.3)  # the fault itself
        broker.accept()

    # One thread: of two timers the second one may come first on a machine that is busy.
    threading.Timer(0.6, refuse_for_a_while).start()
    result = produce(broker, tmp_path, given, once=True, speed=1500.0)
    assert result.complete
    for topic in ("AIR", "EARTH"):
        values = [json.loads(record.value or b"")["t"] for part in (0, 1) for record in broker.records(topic, part)]
        assert sorted(values) == list(range(topic == "EARTH", 3000, 2))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"clock": "mine"}, "--clock 'mine' is not known"),
        ({"clock": "own", "speed": None}, "--clock works with --speed only"),
        ({"time_column": None}, "the time column is not known"),
        ({"max_gap": -1.0}, "--max-gap -1"),
        ({"speed": 0.0}, "--speed 0"),
    ],
)
def test_wrong_options_publish_nothing(broker: Watched, tmp_path: Path, options: dict[str, Any], told: str) -> None:
    (tmp_path / "sensorstream.toml").write_text("[topics.X]\n", encoding="utf-8")
    with pytest.raises(UsageError) as error:
        produce(broker, tmp_path, sources(tmp_path, range(3), range(3)), **options)
    assert told in str(error.value)
    assert not broker.came


def test_the_topics_table_knows_two_clocks(tmp_path: Path) -> None:
    (tmp_path / "sensorstream.toml").write_text('[topics.AIR]\nclock = "mine"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="clock = 'mine' is not known"):
        load(environ={}, start=tmp_path)
