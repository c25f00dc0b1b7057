"""CSV sources in blocks: the same rows and lines as one by one, in blocks wherever that is possible."""

import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from sensorstream.errors import SourceError
from sensorstream.sources.base import Block
from sensorstream.sources.csv_blocks import CsvBlocks, plain_rows
from sensorstream.sources.csv_file import CsvSource


class Read:
    """A whole source: its rows as (line, number, cells), the bad ones, and how many came in blocks."""

    def __init__(self, source: CsvBlocks, max_bytes: int = 1 << 16, limit: int = 1000) -> None:
        self.rows: list[tuple[int, int, list[str]]] = []
        self.bad: list[tuple[object, bytes | None]] = []
        self.in_blocks = 0
        self.error = ""
        with source:
            self.columns = source.columns
            try:
                while True:
                    bulk = source.bulk
                    block = source.read_block(max_bytes)
                    if block is not None:
                        assert bulk
                        assert len(block.data) <= max_bytes
                        rows = block.source_rows()
                        assert len(rows) == block.rows
                        self.in_blocks += block.rows
                    else:
                        batch = source.read(limit)
                        if not batch:
                            break
                        rows = batch.rows
                        self.bad += [(row.where["line"], row.raw) for row in batch.rejected]
                    self.rows += [(row.line, row.number, row.cells) for row in rows]
            except SourceError as error:
                self.error = error.message
            self.position = source.position
            self.bytes_read = source.bytes_read


def one_by_one(path: Path) -> list[tuple[int, int, list[str]]]:
    rows: list[tuple[int, int, list[str]]] = []
    with CsvSource(path) as source:
        while batch := source.read(1000):
            rows += [(row.line, row.number, row.cells) for row in batch.rows]
    return rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "source.csv"


def lines(first: int, count: int) -> str:
    return "".join(f"{number},x{number}\n" for number in range(first, first + count))


@pytest.mark.parametrize("head", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_plain_file_comes_in_blocks_to_its_last_row(file: Path, head: str, end: str, last: bool) -> None:
    text = head + "n,x\n" + lines(0, 20_000)
    file.write_bytes((text if last else text[:-1]).replace("\n", end).encode())
    got = Read(CsvBlocks(file))
    assert got.in_blocks == got.position == 20_000
    assert got.columns == ("n", "x")
    assert got.rows == one_by_one(file)
    assert got.bytes_read == file.stat().st_size


def test_bad_rows_are_read_one_by_one_and_what_follows_in_blocks_again(file: Path) -> None:
    file.write_text("n,x\n" + lines(0, 30_000) + "1\n\n" + lines(30_001, 30_000) + '1,"a\nb"\n' + lines(60_002, 30_000))
    got = Read(CsvBlocks(file))
    assert [row for row in got.rows if row[2][1] == "a\nb"] == [(60_004, 60_001, ["1", "a\nb"])]
    assert got.bad == [(30_002, b"1")]
    assert got.rows == one_by_one(file)
    # Of two blocks of 64 KiB the rows come one by one, and not many more.
    assert 70_000 < got.in_blocks < 90_000


def test_a_row_that_goes_on_beyond_its_block(file: Path) -> None:
    file.write_text("n,x\n" + lines(0, 5000) + '1,"' + "a\n" * 100_000 + '"\n' + lines(5001, 5000))
    got = Read(CsvBlocks(file))
    assert got.rows == one_by_one(file)
    assert len(got.rows) == 10_001
    assert got.in_blocks > 0


def test_the_first_rows_are_passed_over(file: Path) -> None:
    file.write_text("n,x\n" + lines(0, 20_000))
    got = Read(CsvBlocks(file, start_row=12_345))
    assert got.rows[0] == (12_347, 12_345, ["12345", "x12345"])
    assert got.in_blocks == len(got.rows) == 20_000 - 12_345
    got = Read(CsvBlocks(file, start_row=30_000))
    assert (got.rows, got.position) == ([], 30_000)


def test_a_byte_that_is_not_utf8_is_reported_with_its_line_and_offset(file: Path) -> None:
    data = b"n,x\n" + lines(0, 20_000).encode()
    file.write_bytes(data + b"1,\xff\n" + data)
    got = Read(CsvBlocks(file))
    assert got.error == f"{file}, line 20002: byte 0xff at offset {len(data) + 2} is not utf-8"
    assert len(got.rows) == 20_000


def test_what_is_no_utf8_or_has_another_delimiter_is_read_one_by_one(file: Path) -> None:
    file.write_bytes("n,x\n1,é\n".encode("latin-1"))
    got = Read(CsvBlocks(file, encoding="latin-1"))
    assert (got.in_blocks, got.rows) == (0, [(2, 0, ["1", "é"])])
    file.write_text("n#x\n1#2\n")
    got = Read(CsvBlocks(file, delimiter="#"))
    assert (got.in_blocks, got.rows) == (0, [(2, 0, ["1", "2"])])


def test_the_delimiter_is_found(file: Path) -> None:
    file.write_text("n;x\n1;2\n3;4,5\n")
    got = Read(CsvBlocks(file, delimiter="auto"))
    assert (got.in_blocks, got.rows) == (2, [(2, 0, ["1", "2"]), (3, 1, ["3", "4,5"])])


@pytest.mark.parametrize("data", ["", "n,x", "n,x\n", "\n\nn,x\n1,2", '"n","x\ny"\n1,2\n3,4'])
def test_heads_of_all_kinds(file: Path, data: str) -> None:
    file.write_text(data)
    if not data:
        with pytest.raises(SourceError, match="no header"), CsvBlocks(file):
            pass
        return
    assert Read(CsvBlocks(file)).rows == one_by_one(file)


def test_read_alone_gives_all_rows(file: Path) -> None:
    file.write_text("n,x\n" + lines(0, 3000))
    rows = []
    with CsvBlocks(file) as source:
        while batch := source.read(7):
            rows += [(row.line, row.number, row.cells) for row in batch.rows]
    assert rows == one_by_one(file)


def test_long_lines_are_rejected_as_one_by_one(file: Path) -> None:
    file.write_text("n,x\n1,2\n1," + "a" * 5000 + "\n" + lines(2, 100))
    got = Read(CsvBlocks(file, max_row=1000))
    assert len(got.bad) == 1
    assert got.bad[0][0] == 3
    assert [row[1] for row in got.rows] == [0, *range(2, 102)]


def test_lines_with_bare_carriage_returns_are_read_one_by_one(file: Path) -> None:
    file.write_bytes(b"n,x\r1,2\r3,4\r" * 3000)
    got = Read(CsvBlocks(file))
    assert got.in_blocks == 0
    assert got.rows == one_by_one(file)


def test_rows_of_a_pipe_come_when_they_are_written(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    seen = threading.Event()
    blocks: list[Block] = []

    def write() -> None:
        with pipe.open("wb", buffering=0) as to:
            to.write(b"n,x\n1,2\n3,")
            assert seen.wait(30)
            to.write(b"4\n" + lines(5, 20_000).encode())

    writer = threading.Thread(target=write)
    writer.start()
    with CsvBlocks(pipe) as source:
        while (block := source.read_block()) is not None:
            blocks.append(block)
            seen.set()
        assert not source.read(1)
    writer.join(30)
    assert blocks[0].data == b"1,2\n"
    assert b"".join(block.data for block in blocks) == b"1,2\n3,4\n" + lines(5, 20_000).encode()
    assert len(blocks) < 1000


def test_memory_does_not_grow_with_the_file(file: Path) -> None:
    file.write_text("n,x\n" + lines(0, 600_000))
    assert file.stat().st_size > 8_000_000
    tracemalloc.start()
    with CsvBlocks(file) as source:
        while source.read_block():
            pass
        assert source.position == 600_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"1,2", 2), (b"", 1), (b"1,2\n3\n", 2), (b"1\n1,2,3\n", 2), (b"1,2\n\n", 2), (b"1\n\n", 1), (b"\n1\n", 1),
        (b'"a,b"\n', 2), (b'"a,b",1\n', 3), (b'a"b,1\n', 2), (b'"a""b",1\n', 2), (b'",",1\n', 3), (b'",x"y\n', 2),
        (b'",x"\n', 2), (b'",""\n', 2), (b'"\n"\n', 1), (b'"\n",1\n', 2), (b'""\n', 1), (b"a\rb,1\n", 2),
        (b"a\tb,1\n", 2), (b"\0,1\n", 2), (b"\xff,1\n", 2), (b"\xed\xa0\x80,1\n", 2), (b'"a"b,"c\n', 2),
        (b'"a,"b"\n', 2), (b'"",",""\n', 3),
    ],
)  # fmt: skip
def test_what_is_not_plain(data: bytes, width: int) -> None:
    assert plain_rows(data, width, ",") is None


def test_what_is_plain() -> None:
    assert plain_rows(b'1,2\r\n"",a b\n', 2, ",") == (b"1,2\n,a b\n", 2)
    assert plain_rows(b'"a";"b,c"\n', 2, ";") == (b"a;b,c\n", 1)
    assert plain_rows("é\\\n".encode(), 1, ",") == ("é\\\n".encode(), 1)
    assert plain_rows(b"1\t2\n", 2, "\t") == (b"1\t2\n", 1)
