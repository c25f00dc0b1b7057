"""``cluster:NAME`` in place of addresses: what it stands for, and what is said where it stands for nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import cli
from sensorstream import config
from sensorstream.addresses import named_cluster, parse_addresses
from sensorstream.cluster import state
from sensorstream.cluster.named import environment, list_clusters, reach
from sensorstream.cluster.preflight import NODE_MARK
from sensorstream.config import Secret
from sensorstream.errors import ClusterUnreachable, ConfigError, ExitCode, LocalClusterError, UsageError
from sensorstream.library.named_cluster import resolved
from sensorstream.state_folder import state_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "it's state"))
    return tmp_path


def remember(name: str, processes: dict[int, state.NodeProcess] | None = None) -> Path:
    folder = state.cluster_folder(name)
    known = state.ClusterState(str(folder / "data"), {1: 20001, 2: 20002}, {}, processes or {})
    state.save_state(folder, known)
    return folder


@pytest.fixture
def half(home: Path) -> Iterator[Path]:
    """A cluster of two brokers, one of which runs, as far as files and processes tell."""
    mark = f"{NODE_MARK}{state.cluster_folder('half') / 'broker-1'}"
    with subprocess.Popen([sys.executable, "-c", "input()", mark], stdin=subprocess.PIPE) as process:
        try:
            yield remember("half", {1: state.NodeProcess(process.pid, 0.0)})
        finally:
            process.kill()


def load(**given: Any) -> config.Settings:
    return resolved(config.load(**{"environ": {}, **given}))


def test_a_name_stays_as_it_is_written_and_a_port_of_a_host_called_cluster_is_one() -> None:
    assert parse_addresses(" cluster:lab-2 ", "x") == ("cluster:lab-2",)
    assert named_cluster(("cluster:lab-2",)) == "lab-2"
    assert parse_addresses("cluster:9092,b:1", "x") == ("cluster:9092", "b:1")
    assert named_cluster(("cluster:9092",)) is None
    with pytest.raises(ConfigError, match="alone"):
        parse_addresses("cluster:a,b:1", "x")


@pytest.mark.parametrize("how", ["flag", "-X", "environment", "file", "profile", "properties file"])
def test_every_place_of_an_address_takes_a_name(how: str, half: Path, tmp_path: Path) -> None:
    text = "cluster:half"
    given: dict[str, dict[str, Any]] = {
        "flag": {"flags": {"bootstrap": text}},
        "-X": {"properties": [f"bootstrap.servers={text}"]},
        "environment": {"environ": {"SENSORSTREAM_BOOTSTRAP": text}},
        "file": {"start": tmp_path},
        "profile": {"start": tmp_path, "profile": "p"},
        "properties file": {"command_config": tmp_path / "client.properties"},
    }
    if how == "file":
        (tmp_path / "sensorstream.toml").write_text(f'bootstrap = ["{text}"]\n')
    if how == "profile":
        (tmp_path / "sensorstream.toml").write_text(f'[profiles.p]\nbootstrap = "{text}"\n')
    (tmp_path / "client.properties").write_text(f"bootstrap.servers={text}\n")
    settings = load(**given[how])
    assert settings.bootstrap == ("127.0.0.1:20001", "127.0.0.1:20002")
    assert settings.origins["bootstrap"].startswith("cluster half, ")


def test_credentials_are_added_and_the_users_own_win(half: Path) -> None:
    told = {
        "admin": {"security.protocol": "SASL_SSL", "sasl.username": "admin", "sasl.password": "hush"},
        "user": {"security.protocol": "SASL_SSL", "sasl.username": "lab"},
    }
    (half / "client.properties.json").write_text(json.dumps(told))
    settings = load(flags={"bootstrap": "cluster:half"}, properties=["sasl.username=me", "linger.ms=1"])
    assert settings.properties["sasl.username"] == "me"
    assert settings.properties["sasl.password"] == Secret("hush")
    assert list(settings.properties)[-2:] == ["sasl.username", "linger.ms"], "of two names the last one holds"
    assert "hush" not in repr(settings) + repr(reach("half"))
    assert load(flags={"bootstrap": "cluster:half/user"}).properties["sasl.username"] == "lab"
    assert load(flags={"bootstrap": "127.0.0.1:20001"}).properties == {}
    with pytest.raises(ConfigError, match="did you mean 'user'"):
        reach("half/usr")
    with pytest.raises(ConfigError):
        reach("half/")


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[]", b'{"admin": 1}', b'{"admin": {"password": "hush"'])
def test_damaged_credentials_are_told_without_showing_them(content: bytes, half: Path) -> None:
    (half / "client.properties.json").write_bytes(content)
    with pytest.raises(LocalClusterError) as caught:
        reach("half")
    assert "client.properties.json" in caught.value.message
    assert "hush" not in str(caught.value)


def test_a_cluster_that_is_not_there_or_does_not_run_is_exit_3_with_what_to_do(half: Path) -> None:
    remember("asleep")
    with pytest.raises(ClusterUnreachable, match="did you mean 'asleep'") as caught:
        load(flags={"bootstrap": "cluster:aslep"})
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    with pytest.raises(ClusterUnreachable, match="sensorstream cluster up --name asleep"):
        load(flags={"bootstrap": "cluster:asleep"})
    with pytest.raises(ClusterUnreachable, match="there are: asleep, half"):
        reach("zzzzzz")
    with pytest.raises(UsageError, match="cluster's name"):
        reach("../half")
    with pytest.raises(ConfigError, match="no user 'root'"):
        reach("half/root")


def test_the_list_hides_no_cluster_behind_a_damaged_one(half: Path) -> None:
    remember("asleep")
    (remember("broken") / "state.json").write_bytes(b"\x00{")
    (half.parent / ".not-one").mkdir()
    found = {one.name: one for one in list_clusters().clusters}
    assert {name: one.state for name, one in found.items()} == {
        "asleep": "stopped",
        "broken": "unreadable",
        "half": "degraded",
    }
    assert found["half"].running == (1,)
    assert found["half"].brokers == (1, 2)
    assert found["broken"].bootstrap is None


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_shell_takes_the_exports_over(shell: str, half: Path) -> None:
    done = cli("cluster", "env", "half")
    assert done.returncode == 0, done.stderr
    script = (
        done.stdout + 'printf "%s\\n" "$SENSORSTREAM_BOOTSTRAP" "$KAFKA_BOOTSTRAP_SERVERS" "$SENSORSTREAM_STATE_DIR"'
    )
    done = subprocess.run(
        [shell, "-c", script], capture_output=True, text=True, check=True, timeout=60, env={"PATH": os.environ["PATH"]}
    )
    folder = str(state_folder())
    assert "it's" in folder
    assert done.stdout.splitlines() == ["cluster:half", "127.0.0.1:20001,127.0.0.1:20002", folder]


def test_exports_hold_no_secret_and_are_written_for_other_shells(half: Path) -> None:
    (half / "client.properties.json").write_text(json.dumps({"admin": {"sasl.password": "hush"}}))
    assert "hush" not in repr(environment("half"))
    fish, power, dotenv = (
        cli("cluster", "env", "half", "--shell", shell).stdout for shell in ("fish", "powershell", "dotenv")
    )
    assert "SENSORSTREAM_BOOTSTRAP=cluster:half" in dotenv.splitlines()
    assert "set -gx SENSORSTREAM_BOOTSTRAP 'cluster:half'" in fish
    assert "it\\'s state" in fish
    assert "it''s state" in power


def test_down_says_that_it_does_not_know_a_name(half: Path) -> None:
    done = cli("cluster", "down", "--name", "haf")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "there is no cluster haf; did you mean 'half'?\n"
