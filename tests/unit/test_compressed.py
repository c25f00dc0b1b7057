"""Compressed sources: the same rows as of the file that they hold, and a clear word where they are broken."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorstream.config import load
from sensorstream.errors import SourceError, UsageError
from sensorstream.pipelines.replay.job import ReplayOptions, make_job
from sensorstream.sources.compressed import zstd_module
from sensorstream.sources.formats import SourceForm

ZSTD = zstd_module()

ROWS = [[str(number), f"x{number % 7}"] for number in range(5000)]
TEXT = ("n,s\n" + "".join(f"{a},{b}\n" for a, b in ROWS)).encode()


def _zip(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        archive.writestr("folder/air.csv", data)


WRITE: dict[str, Callable[[Path, bytes], object]] = {
    ".gz": lambda path, data: path.write_bytes(gzip.compress(data[:9000]) + gzip.compress(data[9000:])),
    ".bz2": lambda path, data: path.write_bytes(bz2.compress(data)),
    ".xz": lambda path, data: path.write_bytes(lzma.compress(data[:9000]) + lzma.compress(data[9000:])),
    ".zst": lambda path, data: path.write_bytes(ZSTD.compress(data[:9000]) + ZSTD.compress(data[9000:])),
    ".zip": _zip,
}


def read(path: Path, *, bulk: bool, start_row: int = 0) -> list[list[str]]:
    with SourceForm().source(str(path), bulk=bulk, start_row=start_row) as source:
        cells: list[list[str]] = []
        read_block = getattr(source, "read_block", lambda _: None)
        while True:
            block = read_block(1 << 16)
            if block is not None:
                cells += [row.cells for row in block.source_rows()]
                continue
            batch = source.read(1000)
            if not batch:
                return cells
            cells += [row.cells for row in batch.rows]


@pytest.mark.parametrize("ending", WRITE)
@pytest.mark.parametrize("bulk", [True, False])
def test_the_rows_are_those_of_the_file_that_it_holds(tmp_path: Path, ending: str, *, bulk: bool) -> None:
    path = tmp_path / f"air.csv{ending}"
    WRITE[ending](path, TEXT)
    assert read(path, bulk=bulk) == ROWS
    assert read(path, bulk=bulk, start_row=4990) == ROWS[4990:]


@pytest.mark.parametrize("ending", WRITE)
def test_a_broken_one_is_told_after_the_rows_ahead(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"air.csv{ending}"
    WRITE[ending](path, TEXT)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SourceError, match="can't be decompressed") as raised:
        read(path, bulk=False)
    assert str(path) in raised.value.message
    path.write_bytes(b"n,s\n1,2\n")
    with pytest.raises(SourceError, match="can't be decompressed"):
        read(path, bulk=True)


def test_a_zip_of_several_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "air.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "n\n1\n")
        archive.writestr("b.csv", "n\n1\n")
    with pytest.raises(SourceError, match="holds 2 files"):
        read(path, bulk=False)


def test_the_ending_inside_says_what_it_is() -> None:
    form = SourceForm()
    assert [form.of(name) for name in ("a.tsv.gz", "a.JSONL.ZST", "a.gz", "a.csv")] == ["tsv", "jsonl", "csv", "csv"]


@pytest.mark.parametrize("name", ["air.csv.gz", "air.json"])
def test_what_can_not_grow_is_not_followed(tmp_path: Path, name: str) -> None:
    settings = load(environ={})
    with pytest.raises(UsageError, match="--follow can't be used"):
        make_job(settings, ReplayOptions(sources=(f"AIR={tmp_path / name}",), follow=True))
