"""Exactly-once replays on the broker in memory: interrupted, superseded, refused, each row is published once."""

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from running import until
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import SourceError, UsageError
from sensorstream.events import Event, Listener, Notice, RowPublished, ignore
from sensorstream.pipelines.replay import retries
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.pipelines.replay.job_records import JOBS_TOPIC
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.spec import ReplayResult


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
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    **options: Any,
) -> ReplayResult:
    settings = load(flags={"delay": options.pop("delay", 0.0), "exactly_once": True}, environ={})
    job = make_job(settings, ReplayOptions(sources=sources, rejects_folder=folder, **options))
    return replay(MemoryClient(broker), job, stop=stop, listener=listener)


def air(folder: Path, rows: int, name: str = "air.csv") -> str:
    path = folder / name
    path.write_text("n,s\n" + "".join(f"{n},x{n % 3}\n" for n in range(rows)))
    return f"AIR={path}"


def numbers(broker: MemoryBroker, topic: str = "AIR", partitions: int = 2) -> list[int]:
    """What a committed reader sees, over all partitions."""
    found = [json.loads(r.value or b"")["n"] for p in range(partitions) for r in broker.records(topic, p)]
    return sorted(found)


def stop_after(rows: int, stop: threading.Event) -> Callable[[Event], None]:
    seen = iter(range(1, 10**9))

    def listen(event: Event) -> None:
        if isinstance(event, RowPublished) and next(seen) >= rows:
            stop.set()

    return listen


def texts(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Notice))


def test_a_finished_job_says_so_and_sends_nothing(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 3001)
    first = produce(broker, tmp_path, source)
    assert first.delivered
    assert (first.sent, first.acknowledged, first.complete) == (3001, 3001, True)
    told: list[Event] = []
    again = produce(broker, tmp_path, source, listener=told.append)
    assert again.delivered
    assert again.complete
    assert (again.sent, again.sources[0].earlier, again.sources[0].next_row) == (0, 3001, 3001)
    assert "is finished: 3,001 rows published" in texts(told)
    assert numbers(broker) == list(range(3001))


def test_a_stopped_job_goes_on_behind_its_committed_rows(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 100)
    stop = threading.Event()
    first = produce(broker, tmp_path, source, rate=20.0, stop=stop, listener=stop_after(1, stop))
    assert 0 < first.acknowledged < 100
    assert first.acknowledged == first.sent == first.sources[0].next_row
    assert not first.complete
    told: list[Event] = []
    second = produce(broker, tmp_path, source, rate=5000.0, listener=told.append)
    assert second.complete
    assert first.acknowledged + second.acknowledged == 100
    assert f"continues at row {first.acknowledged}" in texts(told)
    assert numbers(broker) == list(range(100))


def test_rows_of_a_slow_replay_are_committed_at_once(broker: MemoryBroker, tmp_path: Path) -> None:
    stop = threading.Event()
    thread = threading.Thread(
        target=produce, args=(broker, tmp_path, air(tmp_path, 10)), kwargs={"delay": 3600.0, "stop": stop}
    )
    thread.start()
    until(lambda: numbers(broker) == [0], "the first row's commit")
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_published_rows_are_told_when_they_are_committed_and_once(broker: MemoryBroker, tmp_path: Path) -> None:
    seen: list[bool] = []

    def listen(event: Event) -> None:
        if isinstance(event, RowPublished):
            seen.append(json.loads(event.value)["n"] in numbers(broker))

    result = produce(broker, tmp_path, air(tmp_path, 20), listener=listen, rate=10.0, limit=12)
    assert result.acknowledged == 12
    assert seen == [True] * 12


def test_an_older_run_is_fenced_and_says_so(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 200)
    results: list[ReplayResult] = []
    older = threading.Thread(target=lambda: results.append(produce(broker, tmp_path, source, rate=50.0)))
    older.start()
    until(lambda: numbers(broker), "the older run's first commit")
    newer = produce(broker, tmp_path, source, rate=2000.0)
    older.join(60)
    assert newer.complete
    assert results[0].problem is not None
    assert "has taken over" in results[0].problem
    assert not results[0].complete
    assert results[0].acknowledged + newer.acknowledged == 200
    assert numbers(broker) == list(range(200))


@pytest.mark.parametrize("fault", ["refuse", "stop", "hold"])
def test_a_failed_transaction_is_done_again(broker: MemoryBroker, tmp_path: Path, fault: str) -> None:
    source = air(tmp_path, 60)
    results: list[ReplayResult] = []
    told: list[Event] = []
    thread = threading.Thread(
        target=lambda: results.append(produce(broker, tmp_path, source, rate=40.0, listener=told.append))
    )
    thread.start()
    until(lambda: numbers(broker), "the first commit")
    if fault == "refuse":
        broker.refuse("not now")
        until(lambda: "is repeated" in texts(told), "a failed transaction")
        broker.accept()
    elif fault == "stop":
        broker.stop()
        until(lambda: "is repeated" in texts(told), "a failed transaction")
        broker.start()
    else:
        broker.hold()
        threading.Timer(1.5, broker.release).start()
    thread.join(60)
    assert results[0].delivered
    assert results[0].complete
    assert (results[0].sent, results[0].acknowledged) == (60, 60)
    assert numbers(broker) == list(range(60))


def test_an_outage_that_lasts_ends_the_replay_with_where_it_goes_on(
    broker: MemoryBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "GIVE_UP_S", 1.0)
    source = air(tmp_path, 500)
    results: list[ReplayResult] = []
    thread = threading.Thread(target=lambda: results.append(produce(broker, tmp_path, source, rate=100.0)))
    thread.start()
    until(lambda: numbers(broker), "the first commit")
    broker.stop()
    thread.join(60)
    broker.start()
    problem = results[0].problem or ""
    assert "nothing could be committed for 1 s" in problem
    assert "run the same command again" in problem
    assert results[0].sources[0].next_row == results[0].acknowledged == len(numbers(broker))
    assert produce(broker, tmp_path, source).complete
    assert numbers(broker) == list(range(500))


def test_a_changed_file_is_refused_until_it_is_restarted(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 10)
    produce(broker, tmp_path, source)
    air(tmp_path, 12)
    with pytest.raises(
        UsageError, match=r"has published 10 rows to AIR and can't be continued: air\.csv has other content"
    ):
        produce(broker, tmp_path, source)
    assert numbers(broker) == list(range(10))
    anew = produce(broker, tmp_path, source, restart=True)
    assert anew.acknowledged == 12
    assert numbers(broker) == sorted([*range(10), *range(12)])
    assert produce(broker, tmp_path, source).sent == 0


def test_a_restart_fences_a_run_of_the_job_that_it_replaces(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 1000)
    results: list[ReplayResult] = []
    older = threading.Thread(target=lambda: results.append(produce(broker, tmp_path, source, rate=20.0)))
    older.start()
    until(lambda: numbers(broker), "its first commit")
    # Written in one step beside it, as programs do: the older run has the old file open and can go on.
    (tmp_path / "new.csv").write_text("n,s\n" + "".join(f"{n},y\n" for n in range(1000, 1010)))
    (tmp_path / "new.csv").replace(tmp_path / "air.csv")
    assert produce(broker, tmp_path, source, restart=True).complete
    before = numbers(broker)
    older.join(30)
    assert not older.is_alive()
    assert "another run has restarted job" in (results[0].problem or "")
    assert numbers(broker) == before


def test_a_named_job_refuses_another_file(broker: MemoryBroker, tmp_path: Path) -> None:
    produce(broker, tmp_path, air(tmp_path, 10), job="june")
    with pytest.raises(UsageError, match="job june/AIR has published 10 rows"):
        produce(broker, tmp_path, air(tmp_path, 11, "other.csv"), job="june")
    assert produce(broker, tmp_path, air(tmp_path, 11, "other.csv"), job="july").acknowledged == 11


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"partition_by": "column:s"}, "the partition rule was row, now it is column:s"),
        ({"key": "s"}, "--key was not given, now it is s"),
        ({"job": "x", "from_row": ("AIR=3",)}, "--from-row was not given, now it is 3"),
    ],
)
def test_another_rule_is_refused(broker: MemoryBroker, tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    source = air(tmp_path, 10)
    produce(broker, tmp_path, source, job=options.get("job"))
    with pytest.raises(UsageError, match=reason):
        produce(broker, tmp_path, source, **options)
    assert numbers(broker) == list(range(10))


def test_another_number_of_partitions_is_refused(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 10)
    produce(broker, tmp_path, source)
    broker.add_partitions("AIR", 3)
    with pytest.raises(UsageError, match="topic AIR has 3 partitions, it had 2"):
        produce(broker, tmp_path, source)


def test_a_topic_that_was_created_anew_is_filled_anew(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 10)
    produce(broker, tmp_path, source)
    broker.delete_topic("AIR")
    broker.create_topic("AIR", 2)
    told: list[Event] = []
    assert produce(broker, tmp_path, source, listener=told.append).acknowledged == 10
    assert "topic AIR was created again" in texts(told)
    assert numbers(broker) == list(range(10))


def test_the_same_file_elsewhere_is_the_same_job(broker: MemoryBroker, tmp_path: Path) -> None:
    produce(broker, tmp_path, air(tmp_path, 10), limit=4)
    (tmp_path / "machine").mkdir()
    produce(broker, tmp_path, air(tmp_path / "machine", 10, "copy.csv"))
    assert numbers(broker) == list(range(10))


def test_a_refused_run_does_not_stop_one_that_works(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 100)
    results: list[ReplayResult] = []
    thread = threading.Thread(target=lambda: results.append(produce(broker, tmp_path, source, rate=50.0, job="a")))
    thread.start()
    until(lambda: numbers(broker), "the first commit")
    with pytest.raises(UsageError):
        produce(broker, tmp_path, source, job="a", key="s")
    thread.join(60)
    assert results[0].complete
    assert numbers(broker) == list(range(100))


def test_limit_counts_from_the_beginning_of_the_job(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 10)
    assert produce(broker, tmp_path, source, limit=4).acknowledged == 4
    assert produce(broker, tmp_path, source, limit=4).acknowledged == 0
    assert produce(broker, tmp_path, source, limit=7).acknowledged == 3
    assert produce(broker, tmp_path, source).acknowledged == 3
    assert numbers(broker) == list(range(10))


def test_rounds_of_a_loop_are_counted(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 10)
    for limit in (7, 14, 33):
        produce(broker, tmp_path, source, loop=True, limit=limit)
        counts = [numbers(broker).count(n) for n in range(10)]
        assert sum(counts) == limit
        assert counts == [limit // 10 + (n < limit % 10) for n in range(10)]


def test_dead_letters_of_an_aborted_transaction_are_not_doubled(broker: MemoryBroker, tmp_path: Path) -> None:
    path = tmp_path / "air.csv"
    path.write_text("n,s\n" + "".join(f"{n},x\n" if n % 10 else f"{n}\n" for n in range(60)))
    told: list[Event] = []
    results: list[ReplayResult] = []
    thread = threading.Thread(
        target=lambda: results.append(produce(broker, tmp_path, f"AIR={path}", rate=40.0, listener=told.append))
    )
    thread.start()
    until((tmp_path / "air.rejected.jsonl").exists, "a rejected row")
    broker.refuse("not now")
    until(lambda: "is repeated" in texts(told), "a failed transaction")
    broker.accept()
    thread.join(60)
    assert (results[0].acknowledged, results[0].rejected) == (54, 6)
    lines = (tmp_path / "air.rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in lines] == [2, 12, 22, 32, 42, 52]
    assert numbers(broker) == [n for n in range(60) if n % 10]
    assert produce(broker, tmp_path, f"AIR={path}").rejected == 0


def test_a_file_that_changes_while_it_is_published_ends_the_replay(broker: MemoryBroker, tmp_path: Path) -> None:
    source = air(tmp_path, 100)
    results: list[ReplayResult] = []
    thread = threading.Thread(target=lambda: results.append(produce(broker, tmp_path, source, rate=20.0)))
    thread.start()
    until(lambda: numbers(broker), "the first commit")
    with (tmp_path / "air.csv").open("a") as file:
        file.write("100,x\n")
    thread.join(60)
    assert "was changed while it was being published" in (results[0].problem or "")
    assert results[0].acknowledged == len(numbers(broker)) < 100


def test_several_sources_are_jobs_of_their_own(broker: MemoryBroker, tmp_path: Path) -> None:
    sources = (air(tmp_path, 1000), air(tmp_path, 500, "b.csv"), f"EARTH={tmp_path / 'air.csv'}")
    result = produce(broker, tmp_path, *sources, job="all")
    assert [source.job for source in result.sources] == ["all/AIR", "all/AIR/2", "all/EARTH"]
    assert result.acknowledged == 2500
    assert produce(broker, tmp_path, *sources, job="all").acknowledged == 0


def test_what_can_not_be_read_again_is_refused(broker: MemoryBroker, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be used with stdin"):
        produce(broker, tmp_path, "AIR=-")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="it is a pipe"):
        produce(broker, tmp_path, f"AIR={tmp_path / 'pipe.csv'}")
    with pytest.raises(SourceError, match="no file"):
        produce(broker, tmp_path, f"AIR={tmp_path / 'none.csv'}")
    with pytest.raises(UsageError, match="--job 'a b' can't be a name"):
        produce(broker, tmp_path, air(tmp_path, 1), job="a b")


def test_job_and_restart_need_exactly_once(tmp_path: Path) -> None:
    settings = load(flags={}, environ={})
    for options in (ReplayOptions(job="x"), ReplayOptions(restart=True)):
        with pytest.raises(UsageError, match="is for exactly-once replays"):
            make_job(settings, options)


def test_a_restart_that_is_killed_before_its_first_commit_has_changed_nothing(
    broker: MemoryBroker, tmp_path: Path
) -> None:
    source = air(tmp_path, 10)
    produce(broker, tmp_path, source)
    stop = threading.Event()
    stop.set()
    produce(broker, tmp_path, source, restart=True, stop=stop)
    assert produce(broker, tmp_path, source).sent == 0
    assert numbers(broker) == list(range(10))


def test_a_publisher_that_was_fenced_by_nobody_goes_on(broker: MemoryBroker, tmp_path: Path) -> None:
    """A run that was frozen longer than its transaction may last is fenced by the brokers themselves."""
    source = air(tmp_path, 60)
    results: list[ReplayResult] = []
    told: list[Event] = []
    thread = threading.Thread(
        target=lambda: results.append(produce(broker, tmp_path, source, rate=40.0, job="x", listener=told.append))
    )
    thread.start()
    until(lambda: numbers(broker), "the first commit")
    broker.fence("sensorstream-job-x/AIR")
    deadline = time.monotonic() + 60
    thread.join(deadline - time.monotonic())
    assert results[0].complete
    assert numbers(broker) == list(range(60))
