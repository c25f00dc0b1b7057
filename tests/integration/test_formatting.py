"""The data folders of new nodes: formatted by Kafka's own tool once per version, and from then on by a copy."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from sensorstream.cluster import artifacts, class_archive, formatting, node, properties
from sensorstream.cluster.java_runtime import java_executable

pytestmark = pytest.mark.broker
VERSIONS = ("3.6.1", artifacts.DEFAULT_VERSION)
IDS = ("cluster.id", "node.id", "directory.id")


class Lab:
    """Formats nodes in folders of its own, and counts how often the tool was run."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.kept = folder / "cache" / "formatted"
        self.runs = 0
        patch.setattr(formatting, "cache_folder", lambda: folder / "cache")
        patch.setattr(formatting, "spawn_java", self._spawn)

    def _spawn(self, words: Sequence[str], output: int, folder: Path) -> object:
        self.runs += 1
        return node.spawn_java(words, output, folder)

    def nodes(self, name: str, version: str, count: int) -> list[node.Node]:
        """The nodes of a cluster, configured."""
        key, made = artifacts.version_key(version), []
        for number in range(1, count + 1):
            one = node.Node(number, self.folder / name / f"broker-{number}", self.folder / name / f"data-{number}")
            text = properties.server_properties(
                number,
                ports={one: 1000 + one for one in range(1, count + 1)},
                controller_ports={one: 2000 + one for one in range(1, count + 1)},
                log_dir=one.data,
                kafka_version=key,
            )
            one.configure(text, properties.logging_properties(one.log_file, key))
            made.append(one)
        return made

    def format(
        self, name: str, version: str, users: Sequence[str] = (), controllers: int = 2
    ) -> tuple[str, list[node.Node]]:
        """A cluster's id and its nodes, formatted."""
        launch = class_archive.launch(java_executable(), artifacts.fetch(version), version)
        cluster, nodes = properties.new_id(), self.nodes(name, version, controllers)
        formatting.format_nodes(nodes, launch, version, cluster, threading.Event(), users)
        return cluster, nodes


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def others(one: node.Node) -> dict[str, bytes]:
    """The files of a formatted folder besides ``meta.properties``."""
    files = [path for path in one.data.rglob("*") if path.is_file() and path.name != "meta.properties"]
    return {path.relative_to(one.data).as_posix(): path.read_bytes() for path in files}


def meta(one: node.Node) -> dict[str, str]:
    lines = (one.data / "meta.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def rest_of_meta(one: node.Node) -> dict[str, str]:
    return {key: value for key, value in meta(one).items() if key not in IDS}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tool_runs_once_per_version_and_copies_differ_in_their_ids_alone(lab: Lab, version: str) -> None:
    first, by_tool = lab.format("first", version)
    second, copied = lab.format("second", version)
    assert lab.runs == 1
    for cluster, nodes in ((first, by_tool), (second, copied)):
        assert [meta(one)["cluster.id"] for one in nodes] == [cluster, cluster]
        assert [meta(one)["node.id"] for one in nodes] == ["1", "2"]
    everyone = [*by_tool, *copied]
    folders = {meta(one).get("directory.id") for one in everyone}
    assert len(folders) == (1 if version == "3.6.1" else len(everyone))
    for one in everyone[1:]:
        assert others(one) == others(everyone[0])
        assert rest_of_meta(one) == rest_of_meta(everyone[0])

    # However many controllers there are, the tool writes the same, but for the moment and checksums that cover it.
    lab.kept.joinpath(version).unlink()
    _, (alone,) = lab.format("alone", version, controllers=1)
    assert lab.runs == 2
    assert rest_of_meta(alone) == rest_of_meta(by_tool[0])
    assert {name: len(data) for name, data in others(alone).items()} == {
        name: len(data) for name, data in others(by_tool[0]).items()
    }


def test_what_is_damaged_or_missing_is_not_used(lab: Lab) -> None:
    version = artifacts.DEFAULT_VERSION
    lab.format("first", version)
    kept = lab.kept / version
    whole = kept.read_bytes()
    for number, damaged in enumerate((whole[:-10], b"rubbish\n" * 100, b"", None)):
        kept.unlink() if damaged is None else kept.write_bytes(damaged)
        _, (one, _) = lab.format(f"with-{number}", version)
        assert lab.runs == number + 2
        assert len(others(one)) == 1
        assert kept.read_bytes() != damaged
    lab.format("last", version)
    assert lab.runs == 5


def test_users_are_stored_by_the_tool_and_kept_nowhere(lab: Lab) -> None:
    version = artifacts.DEFAULT_VERSION
    lab.format("first", version)
    before = (lab.kept / version).read_bytes()
    _, nodes = lab.format("second", version, ["--add-scram", "SCRAM-SHA-256=[name=ada,password=of-ada]"])
    assert lab.runs == 2
    assert [b"ada" in b"".join(others(one).values()) for one in nodes] == [True, True]
    assert (lab.kept / version).read_bytes() == before
    assert [path.name for path in lab.kept.iterdir()] == [version]


def test_a_cache_that_can_not_be_written_is_no_hindrance(lab: Lab) -> None:
    lab.kept.parent.write_text("no folder")
    for number in (1, 2):
        lab.format(f"cluster-{number}", artifacts.DEFAULT_VERSION)
        assert lab.runs == number
