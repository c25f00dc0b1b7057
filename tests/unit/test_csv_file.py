"""Reading CSV sources: exact letters, exact lines, nothing lost in silence, bounded memory."""

import csv
import io
import os
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorstream.errors import SourceError, UsageError
from sensorstream.events import Event, Notice
from sensorstream.records import Rejected, SourceRow
from sensorstream.sources import text_lines
from sensorstream.sources.csv_file import CsvSource


class Read:
    """A whole source, read in batches of ``limit``."""

    def __init__(self, source: CsvSource, limit: int = 1000) -> None:
        self.rows: list[SourceRow] = []
        self.rejected: list[Rejected] = []
        with source:
            self.columns = source.columns
            while batch := source.read(limit):
                assert len(batch.rows) + len(batch.rejected) <= limit
                self.rows += batch.rows
                self.rejected += batch.rejected
            self.position = source.position

    @property
    def cells(self) -> list[list[str]]:
        return [row.cells for row in self.rows]

    @property
    def bad(self) -> list[tuple[int, str, bytes | None]]:
        return [(int(row.where["line"]), row.reason, row.raw) for row in self.rejected]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "source.csv"


def read(
    file: Path, data: str | bytes, *, limit: int = 1000, delimiter: str | None = None, encoding: str = "utf-8",
    start_row: int = 0, max_row: int = 1 << 20,
) -> Read:  # fmt: skip
    file.write_bytes(data.encode() if isinstance(data, str) else data)
    source = CsvSource(file, delimiter=delimiter, encoding=encoding, start_row=start_row, max_row=max_row)
    return Read(source, limit)


def test_rows_keep_their_letters_indexes_and_lines(file: Path) -> None:
    got = read(file, 'id,text\n0012," x "\n\n12345678901234567890,"a\nb"\n,"say ""hi"""\n')
    assert got.columns == ("id", "text")
    assert [tuple(row) for row in got.rows] == [
        (0, 2, ["0012", " x "]),
        (1, 4, ["12345678901234567890", "a\nb"]),
        (2, 6, ["", 'say "hi"']),
    ]
    assert got.position == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_every_line_end_is_taken(file: Path, end: str, last: bool) -> None:
    got = read(file, end.join(["a,b", "1,2", "", "3,4"]) + (end if last else ""))
    assert [tuple(row) for row in got.rows] == [(0, 2, ["1", "2"]), (1, 4, ["3", "4"])]


def test_line_ends_may_be_mixed_and_stay_as_they_are_in_quotes(file: Path) -> None:
    got = read(file, 'a,b\r\n1,2\r3,4\n5,"6\r\n7\r8\n9"\r\r\n10,11')
    assert got.cells == [["1", "2"], ["3", "4"], ["5", "6\r\n7\r8\n9"], ["10", "11"]]
    assert [row.line for row in got.rows] == [2, 3, 4, 9]


def test_characters_that_look_like_line_ends_are_none(file: Path) -> None:
    cells = ["a\x0bb", "c\x0cd", "e\u2028f", "g\x85h", "i\x1cj", "k\x00l"]
    assert read(file, "1,2,3,4,5,6\n" + ",".join(cells) + "\n").cells == [cells]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252"])
def test_encodings_by_name(file: Path, encoding: str) -> None:
    got = read(file, "größe,b\nü,2\n".encode(encoding), encoding=encoding)
    assert (got.columns, got.cells) == (("größe", "b"), [["ü", "2"]])


def test_a_byte_order_mark_is_no_part_of_the_header(file: Path) -> None:
    assert read(file, b"\xef\xbb\xbfa,b\n1,2\n").columns == ("a", "b")


@pytest.mark.parametrize("data", [b"a,b\n1,2\n3,\xe4\n5,6\n", b"a,b\n1,2\n3,\xe4", b"a,b\r1,2\r3,\xc3"])
@pytest.mark.parametrize("limit", [1, 1000])
def test_a_wrong_byte_is_named_after_the_rows_ahead_of_it(file: Path, data: bytes, limit: int) -> None:
    file.write_bytes(data)
    with CsvSource(file) as source:
        assert source.read(limit).rows == [SourceRow(0, 2, ["1", "2"])]
        for _ in range(2):
            with pytest.raises(SourceError, match=r"source\.csv, line 3: byte 0x\w\w at offset 10 .* --encoding"):
                source.read(limit)


def test_utf_16_is_recognised_in_the_error(file: Path) -> None:
    with pytest.raises(SourceError, match="--encoding utf-16"):
        read(file, "a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(SourceError, match="--encoding utf-16-le"):
        read(file, "a,b\n1,2\n".encode("utf-16-le"))


@pytest.mark.parametrize("name", ["klingon", "base64", "", "utf-8\0"])
def test_an_unknown_encoding_is_a_usage_error(file: Path, name: str) -> None:
    with pytest.raises(UsageError, match="encoding"):
        read(file, "a\n1\n", encoding=name)


def test_short_and_long_rows_are_rejected_and_keep_their_index(file: Path) -> None:
    got = read(file, "a,b\n1,2\n3\n4,5,6\r\n7,8\n")
    assert [row.number for row in got.rows] == [0, 3]
    assert got.bad == [
        (3, "it has 1 field, the header has 2", b"3"),
        (4, "it has 3 fields, the header has 2", b"4,5,6"),
    ]
    assert got.rejected[0].where["file"] == str(file)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('1,"2', "a quote opened in this line is not closed"),
        ('1,"2"x', "',' expected after '\"'"),
        ('"1,2', "a quote opened in this line runs into line 5: ',' expected after '\"'"),
    ],
)
def test_a_stray_quote_costs_its_own_line_only(file: Path, bad: str, reason: str) -> None:
    rest = '5,"6"\n7,8\n' if "runs" in reason else "5,6\n7,8\n"
    got = read(file, f"a,b\n{bad}\n1,2\n3,4\n{rest}")
    assert got.bad == [(2, reason, bad.encode())]
    assert [tuple(row)[:2] for row in got.rows] == [(1, 3), (2, 4), (3, 5), (4, 6)]


def test_rows_that_are_too_long_are_rejected_and_reading_goes_on(file: Path) -> None:
    endless = '"' + "z\n" * 60
    got = read(file, f"a,b\n{'x' * 500},2\n3,4\n{endless}5,6\n", max_row=100)
    assert [row.cells for row in got.rows] == [["3", "4"], ["5", "6"]]
    assert got.bad[0] == (2, "it is longer than 100 characters; the rest is cut off", b"x" * 100)
    assert got.bad[1] == (4, "a quote opened in this line is not closed within 100 characters", b'"z')
    assert got.position == 63


def test_a_row_just_within_the_bound_is_read(file: Path) -> None:
    assert read(file, f"a,b\n{'x' * 97},2\n", max_row=100).cells == [["x" * 97, "2"]]
    assert len(read(file, f'a,b\n"{"x" * 200_000}",2\n').cells[0][0]) == 200_000


def test_an_endless_row_does_not_fill_the_memory(file: Path) -> None:
    with file.open("wb") as big:
        big.write(b'a,b\n1,"')
        for _ in range(40):
            big.write(b"x" * (1 << 20))
        big.write(b'"\n3,4\n')
    tracemalloc.start()
    got = Read(CsvSource(file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert got.cells == [["3", "4"]]
    assert len(got.rejected[0].raw or b"") == 1 << 20
    assert peak < 20 << 20


def test_memory_does_not_grow_with_the_rows(file: Path) -> None:
    file.write_bytes(b"a,b,c\n" + b"12.5,some text,0012\n" * 60_000)
    tracemalloc.start()
    rows = 0
    with CsvSource(file) as source:
        while batch := source.read(1000):
            rows += len(batch.rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 60_000
    # The rows held as lists would be twice this and more.
    assert peak < 6 << 20


def test_double_and_blank_headers_get_names_and_a_notice(file: Path) -> None:
    file.write_text("X,X, ,X_2,\n1,2,3,4,5\n")
    events: list[Event] = []
    with CsvSource(file, listener=events.append) as source:
        assert source.columns == ("X", "X_3", "column_3", "X_2", "column_5")
    assert [event.level for event in events if isinstance(event, Notice)] == ["warning"] * 3


@pytest.mark.parametrize("data", [b"", b"\n\r\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_a_header(file: Path, data: bytes) -> None:
    with pytest.raises(SourceError, match="has no header line"):
        read(file, data)


def test_a_header_without_rows(file: Path) -> None:
    for data in ("a,b", "a,b\n", "\n\na,b\n\n"):
        got = read(file, data)
        assert (got.columns, got.rows, got.rejected) == (("a", "b"), [], [])


def test_a_header_that_is_no_csv_or_too_long(file: Path) -> None:
    for data in ('"a,b\n1,2\n', '"a"b,"c"\n1,2\n'):
        with pytest.raises(SourceError, match="the header is not CSV"):
            read(file, data)
    with pytest.raises(SourceError, match="longer than 50"):
        read(file, "a" * 100 + "\n1\n", max_row=50)


def test_the_delimiter_is_what_the_header_shows_unless_it_is_given(file: Path) -> None:
    for mark in ";\t|,":
        got = read(file, f"a{mark}b\n1{mark}2\n")
        assert (got.columns, got.cells) == (("a", "b"), [["1", "2"]])
    assert read(file, "a;b\n1;2\n", delimiter=",").columns == ("a;b",)
    assert read(file, "a;b,c\n1;2,3\n").columns == ("a;b", "c")
    assert read(file, "wind; gusts\n1\n2\n").columns == ("wind; gusts",)
    assert read(file, '"a;b"\n1\n').columns == ("a;b",)
    assert read(file, "a;b\n").columns == ("a", "b")
    assert read(file, "a;b\n1;2\n", delimiter=";").cells == [["1", "2"]]
    for mark in ";\t|,":
        assert read(file, f'\n"a"{mark}"b"\n1{mark}2\n', delimiter="auto").cells == [["1", "2"]]
    for wrong in ('"', "\n", ";;"):
        with pytest.raises(UsageError, match="delimiter"):
            CsvSource(file, delimiter=wrong)


def test_a_single_column_with_another_delimiter_in_it_is_noticed(file: Path) -> None:
    file.write_text("a;b\n1;2\n")
    events: list[Event] = []
    with CsvSource(file, delimiter=",", listener=events.append):
        pass
    assert len(events) == 1
    assert "is the delimiter ';'?" in str(events[0])


def test_a_first_line_that_looks_like_data_is_told(file: Path) -> None:
    events: list[Event] = []
    for head, told in (("SVDT1,23.1,ok", 1), ("0,post,good", 1), ("Station,2019,2020", 0), ("a,b,c", 0)):
        file.write_text(f"{head}\nx,y,z\n")
        events.clear()
        with CsvSource(file, listener=events.append):
            pass
        assert len(events) == told
        assert all("looks like data" in str(event) and "--columns" in str(event) for event in events)


def test_reading_starts_where_it_is_told(file: Path) -> None:
    data = "a,b\n1,2\n3\n4,5\n6,7\n"
    for start, indexes, bad in ((0, [0, 2, 3], 1), (1, [2, 3], 1), (2, [2, 3], 0), (4, [], 0)):
        got = read(file, data, start_row=start)
        assert ([row.number for row in got.rows], len(got.rejected)) == (indexes, bad)
        assert got.position == 4
    with pytest.raises(SourceError, match="has 4 rows, there is no row 5"):
        read(file, data, start_row=5)
    with pytest.raises(UsageError, match="negative"):
        CsvSource(file, start_row=-1)


def test_the_position_is_the_next_row(file: Path) -> None:
    file.write_text("a\n1\n2\n3\n")
    with CsvSource(file) as source:
        assert source.position == 0
        assert [row.number for row in source.read(2).rows] == [0, 1]
        assert source.position == 2
        assert source.size_bytes == 8 == source.bytes_read


def test_missing_folder_and_forbidden_files_have_a_hint(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no file .*nowhere\.csv") as missing:
        Read(CsvSource(tmp_path / "nowhere.csv"))
    assert "--source" in missing.value.hint
    with pytest.raises(SourceError, match="is a folder"):
        Read(CsvSource(tmp_path))
    with pytest.raises(SourceError, match="can't be read"):
        Read(CsvSource("a\0b"))
    if os.geteuid() != 0:
        closed = tmp_path / "closed.csv"
        closed.touch(mode=0o000)
        with pytest.raises(SourceError, match="Permission denied"):
            Read(CsvSource(closed))


def test_rows_of_a_pipe_come_as_soon_as_they_are_there(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    go_on = threading.Event()

    def write() -> None:
        with fifo.open("wb", buffering=0) as pipe:
            pipe.write(b"a,b\n1,2\n3,4\n5,")
            go_on.wait(10)
            pipe.write(b"6\n7,8")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with CsvSource(fifo) as source:
            assert source.size_bytes is None
            first = source.read(1000)
            assert [row.cells for row in first.rows] == [["1", "2"], ["3", "4"]]
            go_on.set()
            rest = []
            while batch := source.read(1000):
                rest += batch.rows
            assert [row.cells for row in rest] == [["5", "6"], ["7", "8"]]
    finally:
        go_on.set()
        writer.join(10)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n3\n")))
    source = CsvSource("-")
    got = Read(source)
    assert (source.name, got.cells, source.size_bytes) == ("stdin", [["1", "2"]], None)
    assert got.rejected[0].where == {"file": "stdin", "line": 3, "row": 1}
    assert not sys.stdin.buffer.closed


cell = st.text(st.characters(exclude_categories=["Cs"])) | st.text('",\r\n x1', max_size=6)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cell, min_size=n, max_size=n), min_size=1, max_size=8)))
def test_whatever_csv_can_say_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    header = [f"c{at}" for at in range(len(rows[0]))]
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    file = tmp_path_factory.getbasetemp() / "any.csv"
    got = read(file, text.getvalue().encode())
    assert got.cells == rows
    assert got.rejected == []


@given(st.binary(max_size=200) | st.text('",\r\nab1\ufeff\0', max_size=120).map(str.encode), st.integers(1, 9))
def test_chunks_and_batches_make_no_difference(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "chunks.csv"

    def outcome(chunk: int, limit: int) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_lines, "CHUNK_BYTES", chunk)
            try:
                got = read(file, b"a,b\n" + data, limit=limit, max_row=40)
            except SourceError as error:
                return str(error)
            return got.rows, got.bad, got.position

    assert outcome(size, 1000) == outcome(1 << 18, size) == outcome(1 << 18, 1000)
