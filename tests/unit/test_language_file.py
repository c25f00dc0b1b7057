"""The language model is unpacked once on a machine; whatever has become of what is kept of it, it is there."""

import hashlib
import mmap
from pathlib import Path

import pytest

from sensorstream.sentiment import language_file
from sensorstream.sentiment.language_model import LanguageModel, _arrays

TEXTS = ["Das Essen war wirklich gut.", "Le repas était vraiment bon."]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(language_file, "_ahead", [])
    monkeypatch.setattr(language_file, "_at_hand", [])
    return tmp_path


def languages(archive: language_file.Archive) -> list[str]:
    return [language for language, _ in LanguageModel(_arrays(archive)).classify(TEXTS)]


def test_it_is_unpacked_once_and_mapped_from_then_on(cache: Path) -> None:
    first = language_file.take()
    (kept,) = (cache / "language-model").iterdir()
    assert (kept.stat().st_mode & 0o777, kept.stat().st_size) == (0o600, len(first.content))
    second = language_file.take()
    assert isinstance(second.content, mmap.mmap)
    assert hashlib.sha256(second.content).digest() == hashlib.sha256(first.content).digest()
    assert languages(first) == languages(second) == ["de", "fr"]

    for damaged in (b"", b"no archive", kept.read_bytes()[:-1000]):
        kept.write_bytes(damaged)
        assert isinstance(language_file.take().content, bytes)
        assert isinstance(language_file.take().content, mmap.mmap), "it was made anew"


def test_where_nothing_can_be_kept_it_is_unpacked_each_time(cache: Path) -> None:
    (cache / "language-model").write_text("in the way", encoding="utf-8")
    assert isinstance(language_file.take().content, bytes)
    assert isinstance(language_file.take().content, bytes)
