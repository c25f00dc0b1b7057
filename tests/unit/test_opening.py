"""Opening a source's file, which others may rename or replace at any moment."""

from pathlib import Path, PosixPath
from typing import Any

import pytest

from sensorstream.sources import opening


class RenamedOnceOpen(PosixPath):
    """A path whose file has another name as soon as it is open, as when it is rotated."""

    def open(self, *words: Any, **options: Any) -> Any:
        file = super().open(*words, **options)
        self.rename(self.with_name("old"))
        return file


def test_a_file_that_is_renamed_when_it_was_just_opened_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "air.csv"
    path.write_bytes(b"n\n1\n")
    monkeypatch.setattr(opening, "Path", RenamedOnceOpen)
    opened = opening.open_bytes(path, str(path))
    assert opened.file is not None
    with opened.file:
        assert opened.size == 4
        assert opened.read_some(10) == b"n\n1\n"
