"""Sources of posts: JSON Lines, TSV and plain text. Exact letters, exact lines, nothing lost in silence."""

import io
import json
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.clients.memory import MemoryBroker, MemoryClient
from sensorstream.clients.partitioner import partition_for_key
from sensorstream.config import load
from sensorstream.errors import SourceError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.spec import ReplayResult
from sensorstream.records import ConsumedRecord, Rejected, SourceRow
from sensorstream.sources import text_lines
from sensorstream.sources.base import Source
from sensorstream.sources.formats import SourceForm
from sensorstream.sources.line_files import JsonlSource, TextSource

POSTS = b'{"id":"p1","page":"a","n":1.50}\n{"id":"p2","text":"so good \\u2764"}\n{"id":3,"n":12345678901234567890}\n'


class Read:
    """A whole source, read in batches of ``limit``."""

    def __init__(self, source: Source, limit: int = 1000) -> None:
        self.rows: list[SourceRow] = []
        self.rejected: list[Rejected] = []
        with source:
            while batch := source.read(limit):
                assert len(batch.rows) + len(batch.rejected) <= limit
                self.rows += batch.rows
                self.rejected += batch.rejected
            self.position = source.position

    @property
    def whole(self) -> list[str]:
        return [row.cells[-1] for row in self.rows]

    @property
    def bad(self) -> list[tuple[int, str, bytes | None]]:
        return [(int(row.where["line"]), row.reason, row.raw) for row in self.rejected]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "posts.jsonl"


def read(file: Path, data: bytes, *, limit: int = 1000, **options: Any) -> Read:
    file.write_bytes(data)
    return Read(JsonlSource(file, **options), limit)


def test_objects_keep_their_letters_indexes_and_lines(file: Path) -> None:
    got = read(file, b'{"a": 1.50}\n\n \t\n  {"b":{"c":[1 , 2]},"b":-0}\t\n{}')
    assert got.whole == ['{"a": 1.50}', '{"b":{"c":[1 , 2]},"b":-0}', "{}"]
    assert [(row.number, row.line) for row in got.rows] == [(0, 1), (1, 4), (2, 5)]
    assert got.position == 3


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [b"", None])
def test_every_line_end_is_taken(file: Path, end: bytes, last: bytes | None) -> None:
    data = end.join([b'{"a":1}', b"", b'{"a":2}']) + (end if last is None else last)
    assert read(file, data).whole == ['{"a":1}', '{"a":2}']


def test_characters_that_look_like_line_ends_are_none(file: Path) -> None:
    line = '{"a":"x\u2028y\u0085z\x7f"}'
    assert read(file, line.encode()).whole == [line]


def test_lines_that_are_no_object_are_rejected_whole_and_keep_their_index(file: Path) -> None:
    bad = [b"[1]", b"12", b"null", b'"x"', b"{", b'{"a":0012}', b'{"a":NaN}', b'{"a":"\x00"}', b'{"a":1} {"b":2}']
    got = read(file, b'{"first":1}\n' + b"\n".join(bad) + b'\n{"last":1}\n')
    assert [raw for _, _, raw in got.bad] == bad
    assert [line for line, _, _ in got.bad] == list(range(2, 2 + len(bad)))
    assert all(reason and "\n" not in reason for _, reason, _ in got.bad)
    assert [row.number for row in got.rows] == [0, len(bad) + 1]


def test_json_nested_too_deep_and_numbers_too_long_are_no_trouble(file: Path) -> None:
    digits = "9" * 10_000
    got = read(file, b"[" * 100_000 + b'\n{"a":' * 1 + digits.encode() + b"}\n" + b'{"a":' * 100_000 + b"\n")
    assert got.whole == [f'{{"a":{digits}}}']
    assert [line for line, _, _ in got.bad] == [1, 3]


def test_a_byte_order_mark_is_no_part_of_the_first_object(file: Path) -> None:
    assert read(file, b"\xef\xbb\xbf" + POSTS).whole == POSTS.decode().splitlines()
    assert read(file, POSTS.decode().encode("utf-16"), encoding="utf-16").whole == POSTS.decode().splitlines()


def test_encodings_by_name_and_a_wrong_byte(file: Path) -> None:
    line = '{"text":"café"}'
    assert read(file, line.encode("latin-1"), encoding="latin-1").whole == [line]
    with pytest.raises(SourceError, match=r"line 2: byte 0xe9 at offset 20 is not utf-8"):
        read(file, b'{"a":1}\n' + line.encode("latin-1"))
    with pytest.raises(SourceError) as error:
        read(file, POSTS.decode().encode("utf-16"))
    assert "utf-16" in error.value.hint
    with pytest.raises(UsageError, match="klingon"):
        read(file, POSTS, encoding="klingon")


def test_lines_that_are_too_long_are_rejected_and_reading_goes_on(file: Path) -> None:
    long = b'{"a":"' + b"x" * 100 + b'"}'
    got = read(file, b'{"b":1}\n' + long + b'\n{"b":2}', max_row=50)
    assert got.whole == ['{"b":1}', '{"b":2}']
    assert got.bad == [(2, "it is longer than 50 characters; the rest is cut off", long[:50])]
    assert [row.number for row in got.rows] == [0, 2]


def test_an_endless_line_does_not_fill_the_memory(file: Path) -> None:
    with file.open("wb") as out:
        out.write(b'{"a":"')
        for _ in range(40):
            out.write(b"x" * (1 << 20))
        out.write(b'"}\n{"b":1}\n')
    tracemalloc.start()
    try:
        got = Read(JsonlSource(file))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert (got.whole, len(got.bad)) == (['{"b":1}'], 1)


def test_memory_does_not_grow_with_the_rows(file: Path) -> None:
    with file.open("wb") as out:
        for n in range(30_000):
            out.write(b'{"n":%d,"text":"%s"}\n' % (n, b"x" * 800))
    tracemalloc.start()
    try:
        rows = 0
        with JsonlSource(file, fields=("n",)) as source:
            while batch := source.read(500):
                rows += len(batch.rows)
        assert (rows, tracemalloc.get_traced_memory()[1] < 16 << 20) == (30_000, True)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b" \r\n"])
def test_an_empty_file_has_no_rows(file: Path, data: bytes) -> None:
    got = read(file, data)
    assert (got.rows, got.rejected, got.position) == ([], [], 0)


def test_reading_starts_where_it_is_told(file: Path) -> None:
    data = b'{"a":0}\nnot json\n\n{"a":2}\n'
    for start, numbers, bad in ((0, [0, 2], 1), (1, [2], 1), (2, [2], 0), (3, [], 0)):
        got = read(file, data, start_row=start)
        assert ([row.number for row in got.rows], len(got.bad), got.position) == (numbers, bad, 3)
    with pytest.raises(SourceError, match="has 3 rows, there is no row 4"):
        read(file, data, start_row=4)
    with pytest.raises(UsageError, match="negative"):
        JsonlSource(file, start_row=-1)


def test_fields_are_cells_whatever_they_hold(file: Path) -> None:
    got = read(file, b'{"k":"\xc3\xa9","n":1.50,"t":true,"o":{"a": 1}}\n{"k":null}\n', fields=("k", "n", "t", "o", "k"))
    assert [row.cells[:-1] for row in got.rows] == [["é", "1.50", "true", '{"a": 1}'], ["", "", "", ""]]
    got = read(file, b'{"k":"\\ud800"}\n{"x":"\\ud800"}\n', fields=("k",))
    assert got.bad == [(1, "its k holds half a surrogate pair", b'{"k":"\\ud800"}')]
    assert got.whole == ['{"x":"\\ud800"}']


def test_missing_folder_and_forbidden_files_have_a_hint(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no file .*nowhere\.jsonl"):
        Read(JsonlSource(tmp_path / "nowhere.jsonl"))
    with pytest.raises(SourceError, match="is a folder"):
        Read(JsonlSource(tmp_path))


def test_rows_of_a_pipe_come_as_soon_as_they_are_there(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    go_on = threading.Event()

    def write() -> None:
        with fifo.open("wb", buffering=0) as pipe:
            pipe.write(b'{"a":1}\n{"a":2}\n{"a"')
            go_on.wait(10)
            pipe.write(b":3}\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with JsonlSource(fifo) as source:
            assert source.size_bytes is None
            assert [row.cells[-1] for row in source.read(100).rows] == ['{"a":1}', '{"a":2}']
            go_on.set()
            assert [row.cells[-1] for row in source.read(100).rows] == ['{"a":3}']
            assert not source.read(100)
    finally:
        go_on.set()
        writer.join(10)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a":1}\nx\n')))
    got = Read(JsonlSource("-"))
    assert got.whole == ['{"a":1}']
    assert got.rejected[0].where == {"file": "stdin", "line": 2, "row": 1}
    assert not sys.stdin.buffer.closed


@given(
    rows=st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=4) | st.integers() | st.none(), max_size=3)),
    chunk=st.integers(1, 9),
    limit=st.integers(1, 5),
)
def test_whatever_json_can_say_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], chunk: int, limit: int
) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    file = tmp_path_factory.mktemp("any") / "any.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_lines, "CHUNK_BYTES", chunk)
        assert read(file, "\n".join(lines).encode(), limit=limit).whole == lines


def test_plain_text_is_a_row_a_line(file: Path) -> None:
    file.write_bytes('one "post", 12\r\n\r\n  so,\tgood ❤ \n12'.encode())
    got = Read(TextSource(file))
    assert [(row.line, row.cells) for row in got.rows] == [
        (1, ['one "post", 12']),
        (3, ["  so,\tgood ❤ "]),
        (4, ["12"]),
    ]


# Through the pipeline.


@pytest.fixture
def broker() -> MemoryBroker:
    made = MemoryBroker()
    made.create_topic("POSTS", 2)
    return made


def produce(broker: MemoryBroker, path: Path, told: list[Event] | None = None, **options: Any) -> ReplayResult:
    settings = load(flags={"delay": options.pop("delay", 0.0)}, environ={})
    chosen = ReplayOptions(sources=(f"POSTS={path}",), rejects_folder=path.parent, **options)
    events: list[Event] = [] if told is None else told
    return replay(MemoryClient(broker), make_job(settings, chosen), listener=events.append)


def records(broker: MemoryBroker) -> list[ConsumedRecord]:
    return [record for partition in (0, 1) for record in broker.records("POSTS", partition)]


def test_a_json_line_is_published_as_it_is_written(broker: MemoryBroker, file: Path) -> None:
    file.write_bytes(POSTS + b"{bad\n")
    result = produce(broker, file)
    lines = POSTS.splitlines()
    assert [record.value for record in records(broker)] == [lines[0], lines[2], lines[1]]
    assert (result.acknowledged, result.rejected, result.sources[0].next_row) == (3, 1, 4)
    letter = json.loads((file.parent / "posts.rejected.jsonl").read_text())
    assert (letter["line"], letter["value"]) == (4, "{bad")


def test_keys_and_partitions_by_field(broker: MemoryBroker, file: Path) -> None:
    file.write_bytes(POSTS)
    produce(broker, file, key="id")
    got = {record.key: record.partition for record in records(broker)}
    assert got == {key: partition_for_key(key, 2) for key in (b"p1", b"p2", b"3")}
    produce(broker, file, partition_by="column:page")
    late = [record for record in records(broker) if record.key is None]
    assert sorted(record.partition for record in late) == sorted(partition_for_key(key, 2) for key in (b"a", b"", b""))


def test_original_timestamps_and_speed_by_a_field(broker: MemoryBroker, file: Path) -> None:
    file.write_text('{"at":"2023-08-31T12:00:00Z"}\n{"at":"2023-08-31T12:00:01Z"}\n{"x":1}\n')
    result = produce(broker, file, timestamps="original", time_column="at", speed=100.0)
    assert sorted(record.timestamp_ms for record in records(broker)) == [1693483200000, 1693483201000]
    assert result.rejected == 1, "an object without a time can't have it as its own"


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"limit": 2}, [0, 1]),
        ({"from_row": ("POSTS=3",)}, [3, 4]),
        ({"from_row": ("POSTS=1",), "limit": 2}, [1, 2]),
        ({"loop": True, "limit": 7}, [0, 0, 1, 1, 2, 3, 4]),
        ({"rate": 1000.0}, [0, 1, 2, 3, 4]),
    ],
)
def test_options_work_as_for_csv(broker: MemoryBroker, file: Path, options: dict[str, Any], numbers: list[int]) -> None:
    file.write_text("".join(f'{{"n":{n}}}\n' for n in range(5)))
    produce(broker, file, **options)
    assert sorted(json.loads(record.value or b"")["n"] for record in records(broker)) == numbers
    for record in records(broker):
        assert json.loads(record.value or b"")["n"] % 2 == record.partition


def test_nothing_left_is_said_and_a_row_past_the_end_is_refused(broker: MemoryBroker, file: Path) -> None:
    told: list[Event] = []
    for path in (file, file.with_suffix(".csv")):
        path.write_text('{"n":1}\n{"n":2}\n' if path is file else "n\n1\n2\n")
        assert produce(broker, path, told, from_row=("POSTS=2",)).complete
        assert any(isinstance(event, Notice) and "nothing left" in event.text for event in told)
        told.clear()
        for limit in (None, 9):
            with pytest.raises(SourceError, match="has 2 rows, there is no row 3"):
                produce(broker, path, from_row=("POSTS=3",), limit=limit)
    assert not records(broker)


def test_text_stays_text(broker: MemoryBroker, tmp_path: Path) -> None:
    (tmp_path / "posts.txt").write_text('say "hi"\n\n12\n')
    produce(broker, tmp_path / "posts.txt", form=SourceForm("text"))
    assert [record.value for record in records(broker)] == [b'{"text":"say \\"hi\\""}', b'{"text":"12"}']


def test_tsv_takes_quotes_as_letters_unless_asked(broker: MemoryBroker, tmp_path: Path) -> None:
    (tmp_path / "posts.tsv").write_text('text\tid\n"so good\tp1\na "b", c\tp2\n')
    produce(broker, tmp_path / "posts.tsv")
    assert [json.loads(record.value or b"") for record in records(broker)] == [
        {"text": '"so good', "id": "p1"},
        {"text": 'a "b", c', "id": "p2"},
    ]
    (tmp_path / "quoted.tsv").write_text('text\tid\n"so\tgood"\tp3\n')
    produce(broker, tmp_path / "quoted.tsv", form=SourceForm(quote='"'))
    assert records(broker)[1].value == b'{"text":"so\\tgood","id":"p3"}'


@pytest.mark.parametrize("data", [b"so good\t27\tp1\nbad\t3\tp2", b"\xef\xbb\xbfso good\t27\tp1\r\nbad\t3\tp2\r\n"])
def test_files_without_a_header(broker: MemoryBroker, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "dev.tsv").write_bytes(data)
    result = produce(broker, tmp_path / "dev.tsv", form=SourceForm(columns=("text", "labels", "id")))
    assert [record.value for record in records(broker)] == [
        b'{"text":"so good","labels":27,"id":"p1"}',
        b'{"text":"bad","labels":3,"id":"p2"}',
    ]
    assert result.sources[0].next_row == 2


def test_formats_by_ending_and_by_name() -> None:
    endings = {"a.csv": "csv", "a.TSV": "tsv", "a.tab": "tsv", "a.jsonl": "jsonl", "a.ndjson": "jsonl", "-": "csv"}
    assert {name: SourceForm().of(name) for name in endings} == endings
    assert SourceForm("text").of("a.csv") == "text"


def test_ctrl_c_ends_the_wait_for_a_pipe_that_nobody_writes(broker: MemoryBroker, tmp_path: Path) -> None:
    """It opened the pipe on the main thread, and waited there for ever."""
    fifo = tmp_path / "fifo.jsonl"
    os.mkfifo(fifo)
    stop = threading.Event()
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    job = make_job(load(flags={"delay": 0.0}, environ={}), ReplayOptions(sources=(f"POSTS={fifo}",)))
    result = finished_within(10, lambda: replay(MemoryClient(broker), job, stop=stop))
    assert (result.complete, result.sent, result.sources[0].next_row) == (False, 0, 0)
    # Let go of the thread that waits.
    os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


def finished_within(seconds: float, work: Callable[[], ReplayResult]) -> ReplayResult:
    got: list[ReplayResult] = []
    thread = threading.Thread(target=lambda: got.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert got, f"it did not end within {seconds} s"
    return got[0]
