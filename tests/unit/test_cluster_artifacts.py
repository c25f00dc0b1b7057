import os
import re
import stat
import threading
from pathlib import Path

import pytest

from sensorstream.cluster import artifacts
from sensorstream.cluster.artifacts import DEFAULT_VERSION, choose_version, pinned_jars, pinned_versions
from sensorstream.cluster.java_runtime import java_executable
from sensorstream.errors import ArtifactError, UsageError


def test_each_later_minor_line_is_pinned() -> None:
    lines = {version.rsplit(".", 1)[0] for version in pinned_versions()}
    assert {"3.6", "3.7", "3.8", "3.9", "4.0", "4.1", "4.2", "4.3", "4.4"} <= lines
    assert {"3.6.1", "3.7.0"} <= set(pinned_versions())
    assert list(pinned_versions()) == sorted(pinned_versions(), key=artifacts.version_key)


@pytest.mark.parametrize("version", pinned_versions())
def test_pins_are_whole(version: str) -> None:
    jars = pinned_jars(version)
    assert jars[0].coordinate == f"org.apache.kafka:kafka_2.13:{version}"
    assert len({jar.file_name for jar in jars}) == len(jars)
    for jar in jars:
        assert re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+", jar.coordinate)
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256)
        assert jar.size > 0
    names = {jar.coordinate.split(":")[1] for jar in jars}
    # Without a binding the brokers log nothing, and a node that dies can't say why.
    assert "slf4j-api" in names
    assert names & {"slf4j-reload4j", "log4j-slf4j-impl"}


def test_a_minor_line_means_its_newest_patch() -> None:
    assert choose_version(None) == DEFAULT_VERSION
    assert choose_version("3.9") == max(
        (version for version in pinned_versions() if version.startswith("3.9.")), key=artifacts.version_key
    )
    assert choose_version("3.7.0") == "3.7.0"


@pytest.mark.parametrize("asked", ["2.8", "3.7.9", "latest", "", "../4.4.0"])
def test_an_unpinned_version_is_refused_with_the_list(asked: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_version(asked)
    assert "3.7.0" in caught.value.hint
    assert DEFAULT_VERSION in caught.value.hint


def test_offline_with_an_empty_cache_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(ArtifactError) as caught:
        artifacts.fetch("3.7.0", offline=True)
    assert "org.apache.kafka.kafka_2.13-3.7.0.jar" in caught.value.message
    assert "cluster up --kafka-version 3.7.0" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_half_file_is_never_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path))
    jar = pinned_jars("3.7.0")[0]
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / jar.file_name).write_bytes(b"\0" * jar.size)
    heard: list[object] = []
    with pytest.raises(ArtifactError, match=r"56 of the 56 jars"):
        artifacts.fetch("3.7.0", offline=True, listener=heard.append)
    assert "damaged" in str(heard[0])


def test_a_stop_before_the_first_byte_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sensorstream.errors import Interrupted

    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        artifacts.fetch("3.7.0", stop=stop)
    assert not list(tmp_path.rglob("*.jar"))


def test_an_unwritable_cache_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ArtifactError, match="SENSORSTREAM_CACHE_DIR"):
        artifacts.fetch("3.7.0", offline=True)


def _java(path: Path, version_line: str, code: int = 0) -> Path:
    path.write_text(f"#!/bin/sh\necho '{version_line}' >&2\nexit {code}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_carried_java_needs_nothing_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SENSORSTREAM_JAVA", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    java = java_executable()
    assert java.major >= 17
    assert os.access(java.executable, os.X_OK)


@pytest.mark.parametrize(
    ("line", "major"), [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "25" 2025-09-16', 25)]
)
def test_a_named_java_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, major: int) -> None:
    monkeypatch.setenv("SENSORSTREAM_JAVA", str(_java(tmp_path / "java", line)))
    assert java_executable().major == major


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ('openjdk version "11.0.2" 2019-01-15', 0, "is Java 11; Kafka needs 17 or later"),
        ('java version "1.8.0_292"', 0, "is Java 8"),
        ("what?", 0, "does not print a Java version"),
        ("", 1, "does not run"),
    ],
)
def test_a_java_that_does_not_serve_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, code: int, words: str
) -> None:
    path = _java(tmp_path / "java", line, code)
    monkeypatch.setenv("SENSORSTREAM_JAVA", str(path))
    with pytest.raises(ArtifactError, match=words) as caught:
        java_executable()
    assert str(path) in caught.value.message


def test_a_named_java_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENSORSTREAM_JAVA", str(tmp_path / "java"))
    with pytest.raises(ArtifactError, match="which is not a program"):
        java_executable()
