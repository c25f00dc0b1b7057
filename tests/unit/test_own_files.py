"""Files and folders that the program makes for data: whose they are, and that no link is followed."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sensorstream import own_files
from sensorstream.errors import SinkError
from sensorstream.records import ConsumedRecord
from sensorstream.sinks import rejected
from sensorstream.sinks.base import Sink
from sensorstream.sinks.checkpoint import Checkpoint, sidecar
from sensorstream.sinks.checks import check_captured
from sensorstream.sinks.csv_file import CsvFileSink
from sensorstream.sinks.jsonl_file import JsonlFileSink
from sensorstream.sinks.sqlite_file import SqliteFileSink
from sensorstream.sinks.sqlite_tables import check_database

SINKS: dict[str, Callable[[Path, Checkpoint], Sink]] = {
    "csv": CsvFileSink,
    "jsonl": JsonlFileSink,
    "sqlite": SqliteFileSink,
}


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """As most people have it: others may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def log(form: str) -> Checkpoint:
    return Checkpoint("AIR", 0, "cluster", "id", form, raw=False, next_offset=0)


def capture(make: Callable[[Path, Checkpoint], Sink], path: Path, offset: int, column: str) -> None:
    """Store a record, and another one that can't be used."""
    sink = make(path, log(path.suffix.removeprefix(".")))
    try:
        if sink.open() is None:
            sink.start(offset)
        for at, value in ((offset, f'{{"{column}":1}}'.encode()), (offset + 1, b"{")):
            sink.write([ConsumedRecord("AIR", 0, at, 0, None, value, ())])
        sink.commit(offset + 2)
    finally:
        sink.close()


@pytest.mark.parametrize("form", SINKS)
def test_captured_files_are_their_owners_alone(form: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    path = tmp_path / f"air.{form}"
    capture(SINKS[form], path, 0, "a")
    capture(SINKS[form], path, 2, "b")  # a CSV file is written anew for it
    made = sorted(tmp_path.iterdir())
    assert {rejected.beside(path), path} <= set(made)
    assert {one.name: mode(one) for one in made} == {one.name: 0o600 for one in made}
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("form", SINKS)
def test_what_the_owner_has_opened_to_others_stays_so(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"air.{form}"
    capture(SINKS[form], path, 0, "a")
    made = sorted(tmp_path.iterdir())
    for one in made:
        one.chmod(0o644)
    capture(SINKS[form], path, 2, "b")
    assert {one.name: mode(one) for one in made} == {one.name: 0o644 for one in made}


def test_in_a_groups_folder_its_group_may_read(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2750)
    capture(CsvFileSink, shared / "air.csv", 0, "a")
    assert {mode(one) for one in shared.iterdir()} == {0o640}
    own_files.make_folder(shared / "a" / "b")
    assert mode(shared / "a" / "b") & 0o777 == 0o750
    os.umask(0o077)
    capture(CsvFileSink, shared / "earth.csv", 0, "a")
    assert mode(shared / "earth.csv") == 0o600


def test_folders_that_are_made_are_their_owners_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    own_files.make_folder(tmp_path / "a" / "b")
    own_files.make_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    assert mode(tmp_path) == 0o755
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        own_files.make_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        own_files.make_folder(tmp_path / "file" / "a" / "b")


@pytest.mark.parametrize("form", SINKS)
@pytest.mark.parametrize("is_there", [True, False])
def test_links_are_refused(form: str, is_there: bool, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    if is_there:
        elsewhere.touch()
    path = tmp_path / f"air.{form}"
    path.symlink_to(elsewhere)
    with pytest.raises(SinkError, match="symbolic link"):
        capture(SINKS[form], path, 0, "a")
    with pytest.raises(SinkError, match="symbolic link"):
        (check_database if form == "sqlite" else check_captured)(path)
    assert elsewhere.exists() == is_there
    assert not is_there or not elsewhere.stat().st_size


def test_a_link_in_place_of_a_rejected_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "air.csv"
    elsewhere = tmp_path / "elsewhere"
    rejected.beside(path).symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link, which is not followed"):
        rejected.append(rejected.beside(path), b"{}\n")
    with pytest.raises(SinkError, match="symbolic link"):
        check_captured(path)
    assert not elsewhere.exists()


def test_a_link_that_comes_in_place_of_a_position_is_not_followed(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "air.csv", tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    sidecar(path).with_name(f"{sidecar(path).name}.tmp").symlink_to(elsewhere)
    with pytest.raises(SinkError, match="symbolic link"):
        capture(CsvFileSink, path, 0, "a")
    assert elsewhere.read_text() == "precious"


def test_a_database_that_is_replaced_while_it_is_opened_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, elsewhere = tmp_path / "air.sqlite", tmp_path / "elsewhere"
    connect = sqlite3.connect

    def late(*arguments: object, **options: object) -> sqlite3.Connection:
        path.unlink()
        path.symlink_to(elsewhere)
        made: sqlite3.Connection = connect(*arguments, **options)  # type: ignore[call-overload]
        return made

    monkeypatch.setattr(sqlite3, "connect", late)
    with pytest.raises(SinkError, match="was replaced while it was opened"):
        capture(SqliteFileSink, path, 0, "a")
    assert not elsewhere.exists() or not elsewhere.stat().st_size
