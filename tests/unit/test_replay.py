"""The replay pipeline on the broker in memory: every source, in order, every delivery checked."""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from running import until
from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.clients.memory.publisher import MemoryPublisher
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.config import load
from sensorstream.errors import SourceError, UnknownTopic, UsageError
from sensorstream.events import Event, Listener, RowPublished, ignore
from sensorstream.pipelines.replay.block_publishing import BLOCK_BYTES
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.share import Share
from sensorstream.pipelines.replay.spec import ReplayResult
from sensorstream.sources.formats import SourceForm


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    for name in ("AIR", "EARTH", "WATER"):
        made.create_topic(name, 2)
    return made


def produce(
    broker: MemoryBroker,
    folder: Path,
    *sources: str,
    thread: int = 3,
    delay: float = 0.0,
    stop: threading.Event | None = None,
    told: list[Event] | None = None,
    **options: Any,
) -> ReplayResult:
    settings = load(flags={"thread": thread, "delay": delay}, environ={})
    chosen = ReplayOptions(sources=sources, rejects_folder=folder, **options)
    job = make_job(settings, chosen)
    events: list[Event] = [] if told is None else told
    return replay(MemoryClient(broker), job, stop=stop, listener=events.append)


def file_of(folder: Path, name: str, rows: int) -> str:
    path = folder / f"{name}.csv"
    path.write_text("n,s\n" + "".join(f"{n},{name}\n" for n in range(rows)))
    return f"{name}={path}"


def numbers(broker: MemoryBroker, topic: str, partition: int) -> list[int]:
    return [json.loads(record.value or b"")["n"] for record in broker.records(topic, partition)]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_source_is_published_in_order_whatever_the_threads(
    broker: MemoryBroker, tmp_path: Path, threads: int
) -> None:
    sources = [file_of(tmp_path, name, 1201) for name in ("AIR", "EARTH", "WATER")]
    result = produce(broker, tmp_path, *sources, thread=threads)
    assert result.delivered
    assert result.complete
    assert (result.sent, result.acknowledged, result.failed) == (3603, 3603, 0)
    for name in ("AIR", "EARTH", "WATER"):
        assert numbers(broker, name, 0) == list(range(0, 1201, 2))
        assert numbers(broker, name, 1) == list(range(1, 1201, 2))


def test_one_thread_gives_each_paced_source_its_turn(broker: MemoryBroker, tmp_path: Path) -> None:
    told: list[Event] = []
    sources = [file_of(tmp_path, name, 3) for name in ("AIR", "EARTH")]
    began = time.monotonic()
    produce(broker, tmp_path, *sources, thread=1, delay=0.2, told=told)
    assert time.monotonic() - began >= 0.4
    topics = [event.topic for event in told if isinstance(event, RowPublished)]
    assert sorted(topics[:2]) == ["AIR", "EARTH"]


def test_a_published_row_is_told_at_once_however_far_the_next_one_is(broker: MemoryBroker, tmp_path: Path) -> None:
    stop = threading.Event()
    settings = load(flags={"delay": 3600.0}, environ={})
    job = make_job(settings, ReplayOptions(sources=(file_of(tmp_path, "AIR", 3),), rejects_folder=tmp_path))

    def told(event: Event) -> None:
        if isinstance(event, RowPublished):
            stop.set()

    result = replay(MemoryClient(broker), job, stop=stop, listener=told)
    assert (result.sent, result.acknowledged, result.sources[0].next_row) == (1, 1, 1)


def test_values_keep_their_letters(broker: MemoryBroker, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfid,big,x,q\r\n0012,12345678901234567890,1.50,"a\nb"\r\n,NaN,-0,')
    produce(broker, tmp_path, f"AIR={path}")
    values = [record.value for part in (0, 1) for record in broker.records("AIR", part)]
    assert values == [
        b'{"id":"0012","big":"12345678901234567890","x":1.50,"q":"a\\nb"}',
        b'{"id":null,"big":"NaN","x":-0,"q":null}',
    ]


def test_from_row_and_limit(broker: MemoryBroker, tmp_path: Path) -> None:
    result = produce(broker, tmp_path, file_of(tmp_path, "AIR", 100), from_row=("AIR=10",), limit=5)
    assert sorted(numbers(broker, "AIR", 0) + numbers(broker, "AIR", 1)) == [10, 11, 12, 13, 14]
    assert result.sources[0].next_row == 15
    assert numbers(broker, "AIR", 0) == [10, 12, 14], "the row index keeps its partition"


def test_a_stop_says_where_to_go_on_and_nothing_is_lost_or_doubled(broker: MemoryBroker, tmp_path: Path) -> None:
    stop = threading.Event()
    source = file_of(tmp_path, "AIR", 5000)

    def until_some(event: Event) -> None:
        if isinstance(event, RowPublished):
            stop.set()

    settings = load(flags={"delay": 0.0005}, environ={})
    job = make_job(settings, ReplayOptions(sources=(source,), rejects_folder=tmp_path))
    job = type(job)(job.sources, job.threads, job.loop, log_rows=True)
    first = replay(MemoryClient(broker), job, stop=stop, listener=until_some)
    assert first.delivered
    assert not first.complete
    assert 0 < first.sent < 5000
    second = produce(broker, tmp_path, source, from_row=(f"AIR={first.sources[0].next_row}",))
    assert second.complete
    assert numbers(broker, "AIR", 0) == list(range(0, 5000, 2))
    assert numbers(broker, "AIR", 1) == list(range(1, 5000, 2))


def test_rows_that_cannot_be_used_are_kept_whole(broker: MemoryBroker, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    result = produce(broker, tmp_path, f"AIR={path}")
    assert (result.sent, result.acknowledged, result.rejected) == (2, 2, 2)
    assert not result.delivered
    lines = [json.loads(line) for line in (tmp_path / "bad.rejected.jsonl").read_text().splitlines()]
    assert [(line["line"], line["value"].strip()) for line in lines] == [(3, "3"), (4, "4,5,6")]


def test_max_rejects_stops_and_says_so(broker: MemoryBroker, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n" + "1\n" * 10)
    result = produce(broker, tmp_path, f"AIR={path}", max_rejects=3)
    assert result.problem is not None
    assert "--max-rejects 3" in result.problem


def test_a_refused_delivery_is_counted_and_ends_the_job(broker: MemoryBroker, tmp_path: Path) -> None:
    broker.refuse("the disk is on fire")
    result = produce(broker, tmp_path, file_of(tmp_path, "AIR", 10))
    assert not result.delivered
    assert result.failed > 0
    assert result.problem is not None
    assert "on fire" in result.problem
    assert result.sources[0].next_row == 0


def test_a_row_over_the_limit_is_put_aside_and_the_rest_goes_on(broker: MemoryBroker, tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_text("a,b\n1,2\n3," + "é" * 600_000 + "\n5," + "x" * 1_100_000 + "\n7,8\n", encoding="utf-8")
    result = produce(broker, tmp_path, f"AIR={path}")
    assert (result.acknowledged, result.rejected) == (2, 2)
    assert result.problem is None


def test_keys_choose_the_partition(broker: MemoryBroker, tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    path.write_text("id,v\n" + "".join(f"dev{n % 7},{n}\n" for n in range(70)))
    produce(broker, tmp_path, f"AIR={path}", key="id")
    produce(broker, tmp_path, f"EARTH={path}", partition_by="column:id")
    for topic in ("AIR", "EARTH"):
        for partition in (0, 1):
            for record in broker.records(topic, partition):
                device = json.loads(record.value or b"")["id"].encode()
                assert partition_for_key(device, 2) == partition
                assert record.key == (device if topic == "AIR" else None)


def test_original_timestamps(broker: MemoryBroker, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("when,v\n31/08/2023 23:59:00,1\nnever,2\n")
    result = produce(
        broker,
        tmp_path,
        f"AIR={path}",
        timestamps="original",
        time_column="when",
        time_format="%d/%m/%Y %H:%M:%S",
    )
    assert broker.records("AIR", 0)[0].timestamp_ms == 1693526340000
    assert (result.sent, result.rejected) == (1, 1)


def test_event_time_speed_and_max_gap(broker: MemoryBroker, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("t,v\n2023-08-31T00:01:00,1\n2023-08-31T00:00:00,2\n2020-01-01T00:00:00,3\n")
    began = time.monotonic()
    produce(broker, tmp_path, f"AIR={path}", speed=400.0, max_gap=60.0, time_column="t")
    assert 0.3 <= time.monotonic() - began < 30


def test_loop_begins_anew_until_stopped(broker: MemoryBroker, tmp_path: Path) -> None:
    result = produce(broker, tmp_path, file_of(tmp_path, "AIR", 3), loop=True, limit=10)
    assert result.delivered
    assert numbers(broker, "AIR", 0) == [0, 2, 0, 2, 0, 2, 0]
    assert numbers(broker, "AIR", 1) == [1, 1, 1]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sources": ("AIR=missing.csv",)}, SourceError),
        ({"sources": ("AIR",)}, UsageError),
        ({"sources": ("=x.csv",)}, UsageError),
        ({"sources": ("../x=x.csv",)}, UsageError),
        ({"rate": 0.0}, UsageError),
        ({"speed": -1.0}, UsageError),
        ({"rate": 1.0, "speed": 1.0}, UsageError),
        ({"max_gap": 1.0}, UsageError),
        ({"rate": 1.0, "delay_given": True}, UsageError),
        ({"key": "nope"}, UsageError),
        ({"partition_by": "magic"}, UsageError),
        ({"partition_by": "key"}, UsageError),
        ({"partition_by": "column:nope"}, UsageError),
        ({"timestamps": "sometimes"}, UsageError),
        ({"time_column": "nope", "timestamps": "original"}, UsageError),
        ({"from_row": ("EARTH=1",)}, UsageError),
        ({"from_row": ("AIR=-1",)}, UsageError),
        ({"from_row": ("AIR",)}, UsageError),
        ({"format": "xml"}, UsageError),
        ({"form": SourceForm(encoding="klingon")}, UsageError),
        ({"form": SourceForm(delimiter="ab")}, UsageError),
        ({"form": SourceForm("xlsx")}, UsageError),
        ({"form": SourceForm(quote="'")}, UsageError),
        ({"form": SourceForm(columns=("a", "a"))}, UsageError),
        ({"from_row": ("AIR=4",)}, SourceError),
    ],
)
def test_wrong_options_publish_nothing(
    broker: MemoryBroker, tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    sources = options.pop("sources", (file_of(tmp_path, "AIR", 3),))
    with pytest.raises(error):
        produce(broker, tmp_path, *sources, **options)
    assert not broker.records("AIR", 0)


def test_an_unknown_topic_stops_before_any_source_is_sent(broker: MemoryBroker, tmp_path: Path) -> None:
    with pytest.raises(UnknownTopic):
        produce(broker, tmp_path, file_of(tmp_path, "AIR", 3), file_of(tmp_path, "NOPE", 3))
    assert not broker.records("AIR", 0)


@pytest.mark.parametrize("limit", [None, 3])
def test_loop_ends_when_no_row_can_be_used(broker: MemoryBroker, tmp_path: Path, limit: int | None) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1\n" if limit is None else "a,b\n1\n1,2\n", encoding="utf-8")
    stop = threading.Event()
    guard = threading.Timer(60.0, stop.set)
    guard.start()
    result = produce(broker, tmp_path, f"AIR={tmp_path / 'bad.csv'}", loop=True, limit=limit, stop=stop)
    guard.cancel()
    assert not stop.is_set()
    assert result.rejected == (1 if limit is None else 2)


def test_loop_begins_anew_behind_a_last_row(broker: MemoryBroker, tmp_path: Path) -> None:
    result = produce(broker, tmp_path, file_of(tmp_path, "AIR", 3), loop=True, limit=2, from_row=("AIR=3",))
    assert result.acknowledged == 2


@pytest.mark.parametrize("refused", [False, True])
def test_the_callers_stop_event_is_left_alone(broker: MemoryBroker, tmp_path: Path, refused: bool) -> None:
    if refused:
        broker.refuse("no")
    stop = threading.Event()
    assert produce(broker, tmp_path, file_of(tmp_path, "AIR", 3), stop=stop).delivered is not refused
    assert not stop.is_set()


def test_a_stop_behind_the_last_row_leaves_nothing_to_go_on_with(broker: MemoryBroker, tmp_path: Path) -> None:
    broker.hold()
    stop = threading.Event()

    def stop_behind_the_last_row() -> None:
        until(lambda: broker.held == 3, "rows that are sent")
        stop.set()
        threading.Event().wait(0.3)  # it is seen before the answers come
        broker.release()

    threading.Thread(target=stop_behind_the_last_row).start()
    result = produce(broker, tmp_path, file_of(tmp_path, "AIR", 3), stop=stop)
    assert (result.acknowledged, result.complete, result.sources[0].next_row) == (3, True, 3)


def test_a_replay_that_goes_on_keeps_each_bad_row_once(broker: MemoryBroker, tmp_path: Path) -> None:
    lines = ["n,s", *(f"{n},x" if n % 3 else f"{n}" for n in range(30))]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    first = produce(broker, tmp_path, f"AIR={tmp_path / 'a.csv'}", delay=0.05, stop=stop)
    assert not first.complete
    produce(broker, tmp_path, f"AIR={tmp_path / 'a.csv'}", from_row=(f"AIR={first.sources[0].next_row}",))
    letters = [json.loads(line)["line"] for line in (tmp_path / "a.rejected.jsonl").read_text().splitlines()]
    assert letters == [n + 2 for n in range(0, 30, 3)]
    assert sorted(numbers(broker, "AIR", 0) + numbers(broker, "AIR", 1)) == [n for n in range(30) if n % 3]


def test_the_key_of_the_configuration_will_do(tmp_path: Path) -> None:
    (tmp_path / "sensorstream.toml").write_text('[topics.AIR]\nsource = "a.csv"\nkey = "id"\n', encoding="utf-8")
    job = make_job(load(environ={}, start=tmp_path), ReplayOptions(partition_by="key"))
    assert job.sources[0].rules.key == "id"


def test_naming_the_known_time_column_keeps_its_format() -> None:
    job = make_job(load(environ={}), ReplayOptions(time_column="Time", timestamps="original"))
    assert {source.rules.time and source.rules.time.format for source in job.sources} == {"%d/%m/%Y %H:%M:%S"}
    other = make_job(load(environ={}), ReplayOptions(time_column="Station", timestamps="original"))
    assert {source.rules.time and source.rules.time.format for source in other.sources} == {None}


@pytest.mark.parametrize("share", [None, Share(1, 3)])
def test_into_many_partitions_rows_go_in_bursts_and_each_to_its_own(tmp_path: Path, share: Share | None) -> None:
    """Also around rows in the middle that must be looked at one by one, and up to an end that fills no burst."""
    partitions, rows, odd = 200, 120_000, 65_432
    broker, path = MemoryBroker(), tmp_path / "wide.csv"
    broker.create_topic("WIDE", partitions)
    lines = [f"{n},{'x' * 60}\n" for n in range(rows)]
    lines[odd] = f'{odd},"x\ny"\n'
    path.write_text("n,s\n" + "".join(lines))
    job = make_job(load(flags={"delay": 0.0}, environ={}), ReplayOptions((f"WIDE={path}",), rejects_folder=tmp_path))
    (source,) = job.sources
    counting = CountingClient(broker)
    result = replay(counting, replace(job, sources=[replace(source, rules=replace(source.rules, share=share))]))
    mine = [number for number in range(partitions) if share is None or share.has(number)]
    assert result.complete and result.sources[0].next_row == rows
    assert result.sent == result.acknowledged == sum(len(range(number, rows, partitions)) for number in mine)
    for number in range(partitions):
        wanted = list(range(number, rows, partitions)) if number in mine else []
        assert numbers(broker, "WIDE", number) == wanted
    # About 8 MiB in blocks of 1 MiB are two bursts, and one more for the break in the middle.
    assert counting.batches <= 3 * len(mine)


def test_into_few_partitions_a_burst_is_a_block(tmp_path: Path) -> None:
    broker, path = MemoryBroker(), tmp_path / "narrow.csv"
    broker.create_topic("NARROW", 2)
    path.write_text("n,s\n" + "".join(f"{n},{'x' * 60}\n" for n in range(50_000)))
    job = make_job(load(flags={"delay": 0.0}, environ={}), ReplayOptions((f"NARROW={path}",), rejects_folder=tmp_path))
    counting = CountingClient(broker)
    assert replay(counting, job).complete
    assert counting.batches == 2 * -(-path.stat().st_size // BLOCK_BYTES)


class CountingClient(MemoryClient):
    """Counts the batches that are published."""

    batches = 0

    def publisher(self, *, client_id: str = "sensorstream", listener: Listener = ignore) -> MemoryPublisher:
        client, made = self, super().publisher(client_id=client_id, listener=listener)
        publish = made.publish_batch

        def count(topic: str, values: Sequence[bytes | str], *, partition: int) -> Any:
            client.batches += 1
            return publish(topic, values, partition=partition)

        made.publish_batch = count  # type: ignore[method-assign]
        return made
