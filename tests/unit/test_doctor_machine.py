"""Settings, machines and clusters on them, broken in one way each: ``doctor`` names the cause and what to do."""

import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import psutil
import pytest

from doctor_labs import Doctor, doctor_in, nobody
from sensorstream.cluster import artifacts, state
from sensorstream.cluster.preflight import free_ports
from sensorstream.doctor import extras, folders, machine
from sensorstream.errors import ExitCode
from serving import serving

ROOT = Path(__file__).parents[2]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return doctor_in(tmp_path, monkeypatch, capsys)


# -- the settings --------------------------------------------------------------------------------------------------


def test_a_file_that_does_not_parse(doctor: Doctor) -> None:
    Path("sensorstream.toml").write_text("bootstrap = [\n")
    seen = doctor()
    seen.is_problem("settings", "is not valid TOML", "config show", ExitCode.FAILED)
    assert "sensorstream.toml" in seen.one("file").found


def test_a_misspelt_key(doctor: Doctor) -> None:
    Path("sensorstream.toml").write_text('bootstarp = "127.0.0.1:1"\n')
    doctor().is_problem("settings", "unknown key 'bootstarp'", "'bootstrap'", ExitCode.FAILED)


def test_a_variable_that_nobody_reads(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAPS", "localhost:9092")
    monkeypatch.setenv("SENSORSTREAM_SCHEMA_REGISTRY_PASSWORD", "hunter2")
    seen = doctor("-b", nobody())
    one = seen.one("environment", "SENSORSTREAM_BOOTSTRAPS")
    assert (one.state, one.advice) == ("warning", "did you mean 'SENSORSTREAM_BOOTSTRAP'?")
    assert "hunter2" not in json.dumps(seen.result)


def test_a_client_that_is_not_installed(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "confluent_kafka" else real(name))
    seen = doctor("-b", nobody(), "--client", "librdkafka")
    seen.is_problem("client", "librdkafka is not installed", "pip install 'sensorstream[fast]'", ExitCode.FAILED)


# -- this machine --------------------------------------------------------------------------------------------------


def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", lambda module: module not in ("matplotlib", "plotext", "duckdb"))
    whole, part = extras.check_extras()
    assert whole.state == "ok"
    assert "not installed: plot (plots and reports)" in whole.found
    assert "pip install 'sensorstream[plot]'" in (whole.advice or "")
    assert (part.state, part.subject) == ("warning", "storage")
    assert "duckdb missing" in part.found


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = {one.name: set(one.modules) for one in extras.EXTRAS}
    brought = {"kafka-python[snappy,zstd]": {"python-snappy", "zstandard"}}
    wanted = {
        name: set().union(*(brought.get(one, {re.split("[<>=;]", one)[0].strip()}) for one in packages))
        for name, packages in project.items()
        if name != "all"
    }
    assert told == wanted
    assert all(extras.installed(module) for one in extras.EXTRAS for module in one.modules.values())


def test_a_java_that_does_not_run(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "java"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("SENSORSTREAM_JAVA", str(broken))
    monkeypatch.setattr("sensorstream.doctor.examine.check_java", machine.check_java)
    seen = doctor()
    assert "java" in seen.problems()
    assert "does not run" in seen.one("java").found
    assert "SENSORSTREAM_JAVA" in (seen.one("java").advice or "")


def test_a_script_that_path_does_not_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    one = machine.check_program("0.1.0")[1]
    assert (one.name, one.state) == ("path", "warning")
    other = tmp_path / "sensorstream"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    one = machine.check_program("0.1.0")[1]
    assert one.state == "warning"
    assert f"starts {other}, not this one" in one.found


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 500 << 20)
    one = machine.check_memory(0)
    assert (one.state, one.advice) == ("warning", "close something, or: cluster up --brokers 1")
    assert machine.check_memory(3).state == "ok"


@pytest.mark.parametrize("place", ["file", "/proc/sensorstream"])
def test_a_state_folder_that_can_not_be_used(
    place: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if place == "file":
        (tmp_path / "file").write_text("")
        place = str(tmp_path / "file")
    elif not Path("/proc/self").exists():
        pytest.skip("this system has no /proc, a folder that not even root can write to")
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", place)
    seen = doctor()
    assert "state folder" in seen.problems()
    assert "SENSORSTREAM_STATE_DIR" in (seen.one("state folder").advice or "")
    assert seen.code == ExitCode.FAILED


def test_a_folder_that_others_may_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path))
    tmp_path.chmod(0o777)
    one = folders.check_folders()[0]
    assert (one.state, one.advice) == ("warning", f"chmod go-w {tmp_path}")
    tmp_path.chmod(0o700)
    assert folders.check_folders()[0].state == "ok"


def test_a_damaged_cache(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jars = artifacts.fetch(artifacts.DEFAULT_VERSION)
    (tmp_path / "cache" / "jars").mkdir(parents=True)
    for jar in jars:
        (tmp_path / "cache" / "jars" / jar.name).symlink_to(jar)
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path / "cache"))
    assert artifacts.DEFAULT_VERSION in doctor().one("kafka").found
    damaged = tmp_path / "cache" / "jars" / jars[0].name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.unlink()
    damaged.write_bytes(content)
    one = doctor().one("kafka")
    assert (one.state, one.found) == ("warning", f"damaged in the cache: {damaged.name}")
    assert "cluster up fetches it again" in (one.advice or "")
    shutil.rmtree(tmp_path / "cache")
    assert "in the cache: none" in doctor().one("kafka").found


# -- clusters ------------------------------------------------------------------------------------------------------


def remember(name: str, ports: dict[int, int], processes: dict[int, state.NodeProcess]) -> Path:
    """A cluster as an earlier command has left it."""
    folder = state.cluster_folder(name)
    state.save_state(folder, state.ClusterState(str(folder / "data"), ports, {}, processes))
    return folder


def test_a_cluster_whose_brokers_have_died(doctor: Doctor) -> None:
    ports = dict(zip((1, 2, 3), free_ports(3), strict=True))
    remember("lab", ports, {number: state.NodeProcess(os.getpid(), psutil.boot_time() - 1) for number in ports})
    seen = doctor("-b", f"127.0.0.1:{ports[1]}")
    one = seen.one("cluster", "lab")
    assert one.state == "warning"
    assert "brokers 1, 2, 3 have died without being stopped" in one.found
    assert "sensorstream cluster up --name lab" in (one.advice or "")
    assert seen.one("tcp").advice == "its broker does not run; start it: sensorstream cluster up --name lab"


def test_a_port_that_somebody_else_has(doctor: Doctor) -> None:
    with serving(lambda connection: None) as address:
        port = int(address.rpartition(":")[2])
        remember("lab", {1: port}, {})
        seen = doctor("-b", nobody())
    one = seen.one("ports", "lab")
    assert one.state == "warning"
    assert f"broker 1 wants port {port}: it is in use by" in one.found
    assert f"(pid {os.getpid()})" in one.found
    assert seen.one("cluster", "lab").found.startswith("stopped")


def test_a_cluster_that_can_not_be_read(doctor: Doctor) -> None:
    (remember("lab", {1: 1}, {}) / "state.json").write_text("{")
    seen = doctor("-b", nobody())
    one = seen.one("cluster", "lab")
    assert (one.state, one.advice) == ("problem", "move it away to start over")
    assert seen.code == ExitCode.UNREACHABLE, "both are told, and the cluster is what a script waits for"
