"""Several processes for one replay: who publishes what, and that together they publish what one would."""

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.config import load
from sensorstream.errors import UsageError
from sensorstream.events import Event, Progress
from sensorstream.pipelines.replay import block_publishing, source_replay
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.pipelines.replay.plan import Part, check, plan
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.share import Share
from sensorstream.pipelines.replay.spec import ReplayResult
from sensorstream.records import PlainRows
from sensorstream.sources.base import Block


def planned(folder: Path, sizes: list[int], partitions: int, processes: int, delay: float = 0.0) -> list[list[Part]]:
    names = [f"T{at}" for at in range(len(sizes))]
    for name, size in zip(names, sizes, strict=True):
        (folder / name).write_bytes(b"x" * size)
    paths = [str(folder / name) for name in names]
    options = ReplayOptions(sources=tuple(f"{name}={path}" for name, path in zip(names, paths, strict=True)))
    job = make_job(load(flags={"delay": delay}, environ={}), options)
    check(paths, processes, paced=delay > 0)
    return plan(job, paths, dict.fromkeys(names, partitions), processes, paced=delay > 0)


@given(
    sizes=st.lists(st.integers(1, 1000), min_size=1, max_size=5),
    partitions=st.integers(1, 6),
    processes=st.integers(1, 9),
)
@example(sizes=[500, 300], partitions=2, processes=2)
def test_every_partition_of_every_source_has_one_process(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], partitions: int, processes: int
) -> None:
    parts = planned(tmp_path_factory.mktemp("sizes"), sizes, partitions, processes)
    assert len(parts) <= processes
    assert all(parts), "no process without work"
    owners = [
        (part.source, partition)
        for of_process in parts
        for part in of_process
        for partition in range(partitions)
        if part.share is None or part.share.has(partition)
    ]
    assert sorted(owners) == [(source, partition) for source in range(len(sizes)) for partition in range(partitions)]
    for of_process in parts:
        assert len({part.source for part in of_process}) == len(of_process)


def test_sources_go_whole_and_large_ones_are_shared(tmp_path: Path) -> None:
    assert planned(tmp_path, [10, 10, 10], 2, 3) == [[Part(0, None)], [Part(1, None)], [Part(2, None)]]
    assert planned(tmp_path, [10, 9, 8], 2, 2) == [[Part(0, None)], [Part(1, None), Part(2, None)]]
    assert planned(tmp_path, [10], 2, 5) == [[Part(0, Share(0, 2))], [Part(0, Share(1, 2))]]
    assert [len(of) for of in planned(tmp_path, [1000, 1], 2, 2)] == [2, 1]


def test_what_processes_can_not_share_is_refused(tmp_path: Path) -> None:
    assert len(planned(tmp_path, [5, 5], 4, 2, delay=1.0)) == 2
    with pytest.raises(UsageError, match="pace of a source"):
        planned(tmp_path, [5, 5], 4, 3, delay=1.0)
    with pytest.raises(UsageError, match="stdin"):
        check(["-", "a.csv"], 2, paced=False)
    with pytest.raises(UsageError, match="is a pipe"):
        check(["/dev/null"], 2, paced=False)


@given(first=st.integers(0, 30), rows=st.integers(1, 30), partitions=st.integers(1, 7), of=st.integers(1, 7))
def test_a_blocks_rows_are_shared_by_their_index(first: int, rows: int, partitions: int, of: int) -> None:
    data = b"".join(b"%d,x\n" % number for number in range(first, first + rows))
    block = Block(first, first + 2, rows, PlainRows(data), ",")
    for index in range(of):
        share = Share(index, of)
        mine = [number for number in range(first, first + rows) if number % partitions % of == index]
        assert share.rows(block, partitions) == b"".join(b"%d,x\n" % number for number in mine)
        assert list(share.partitions(partitions)) == [p for p in range(partitions) if share.has(p)]


TEXT = "n,s\n" + "".join(f"{n},k{n % 7}\n" if n % 50 else f"{n}\n" for n in range(600))
PLAIN = "n,s\n" + "".join(f"{n},k{n % 7}\n" for n in range(3000))


def published(
    path: Path, of: int, partitions: int, told: list[Event] | None = None, **options: Any
) -> tuple[list[list[bytes | None]], list[ReplayResult]]:
    """What stands in the partitions after ``of`` workers, one after the other."""
    broker = MemoryBroker()
    broker.create_topic("AIR", partitions)
    job = make_job(load(flags={"delay": 0.0}, environ={}), ReplayOptions((f"AIR={path}",), **options))
    results = []
    for index in range(of):
        source = job.sources[0]
        rules = type(source.rules)(**{**fields(source.rules), "share": Share(index, of)})
        shared = type(source)(source.topic, source.make_source, source.first_row, rules, path.with_suffix(f".{index}"))
        listener = (lambda event: None) if told is None else told.append
        results.append(replay(MemoryClient(broker), type(job)([shared], loop=job.loop), listener=listener))
    values = [[record.value for record in broker.records("AIR", partition)] for partition in range(partitions)]
    return values, results


def fields(rules: Any) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in rules.__slots__}


CAREFUL: list[dict[str, Any]] = [
    {},
    {"limit": 333},
    {"from_row": ("AIR=11",)},
    {"key": "s"},
    {"partition_by": "column:s"},
    {"loop": True, "limit": 800},
]
CASES = [(TEXT, *split, options) for split in ((2, 2), (5, 3)) for options in CAREFUL]
CASES += [
    (PLAIN, *split, options)
    for split in ((2, 2), (4, 2), (5, 2), (5, 3), (3, 3))
    for options in ({}, {"from_row": ("AIR=1011",)})
]


@pytest.mark.parametrize(
    ("text", "partitions", "of", "options"), CASES, ids=lambda value: "" if isinstance(value, str) else str(value)
)
def test_workers_publish_together_what_one_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, partitions: int, of: int, options: dict[str, Any]
) -> None:
    for module in (block_publishing, source_replay):
        monkeypatch.setattr(module, "BLOCK_BYTES", 5_000)  # so that there are many
    path = tmp_path / "a.csv"
    path.write_text(text)
    alone, (result,) = published(path, 1, partitions, **options)
    together, results = published(path, of, partitions, **options)
    assert together == alone
    assert sum(map(len, alone)) > 100
    for name in ("sent", "acknowledged", "rejected"):
        assert sum(getattr(each, name) for each in results) == getattr(result, name)
    assert all(each.complete for each in results)
    if not options.get("loop"):
        assert {each.sources[0].next_row for each in results} == {result.sources[0].next_row}


def test_progress_says_where_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(PLAIN)
    told: list[Event] = []
    published(path, 1, 2, told)
    rows = [event.next_row for event in told if isinstance(event, Progress)]
    assert rows[-1] == 3000
    assert all(row is not None for row in rows)


def test_nothing_is_sent_when_it_is_stopped_before_it_may_begin(tmp_path: Path) -> None:
    """A process that was open and waited for the others published a row when it was told to stop."""
    (tmp_path / "a.csv").write_text(PLAIN)
    broker = MemoryBroker()
    broker.create_topic("AIR", 2)
    stop = threading.Event()
    job = make_job(load(flags={"delay": 0.0}, environ={}), ReplayOptions((f"AIR={tmp_path / 'a.csv'}",)))
    result = replay(MemoryClient(broker), job, stop=stop, when_open=stop.set)
    assert (result.sent, result.complete, result.sources[0].next_row) == (0, False, 0)
    assert not broker.records("AIR", 0)
