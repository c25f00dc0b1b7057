"""`cluster up --docker` and its kin, driven against a stand-in for the engine: no container runs here.

The stand-in is a program of the engine's name that records what it is asked, and tells of containers that become
healthy after a few looks. What the real engine does with the compose files is not shown by these tests.
"""

import json
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sensorstream.cli.app import run
from sensorstream.errors import ExitCode

STAND_IN = """#!{python}
import json, os, sys
from pathlib import Path

state = Path({state!r})
words = sys.argv[1:]
with (state / "calls").open("a") as calls:
    calls.write(json.dumps([Path(sys.argv[0]).name, *words]) + "\\n")
told = json.loads((state / "told.json").read_text())
services = told["services"]

if Path(sys.argv[0]).name == "docker" and words[0] == "compose":
    if not told["plugin"]:
        sys.exit("docker: unknown command: docker compose")
    words = words[1:]
elif Path(sys.argv[0]).name == "docker":
    if words[0] == "info":
        sys.exit(told["info"])
    if words[0] == "inspect":
        looks = state / "looks"
        seen = int(looks.read_text()) if looks.exists() else 0
        looks.write_text(str(seen + 1))
        out = []
        for name in words[1:]:
            one = dict(services[name])
            up = name in json.loads((state / "up.json").read_text())
            status = (one.get("ends", "running") if up else "exited")
            health = one.get("health", "healthy")
            if health == "healthy" and seen < told["looks"]:
                health = "starting"
            inner = {{"Status": status, "ExitCode": one.get("code", 0)}}
            if status == "running" and health:
                inner["Health"] = {{"Status": health}}
            out.append({{
                "Name": "/" + name, "State": inner,
                "HostConfig": {{"RestartPolicy": {{"Name": "no" if "ends" in one else "unless-stopped"}}}},
                "Config": {{
                    "Image": "image:1", "Labels": {{"com.docker.compose.service": name}},
                    "Env": ["KAFKA_ADVERTISED_LISTENERS=" + one.get("listeners", "")],
                }},
            }})
        print(json.dumps(out))
        sys.exit(0)
if words[-1] == "version":
    sys.exit(0)
up = state / "up.json"
if "config" in words:
    sys.exit(told["config"])
if "ps" in words:
    print("\\n".join(json.loads((state / "made.json").read_text()) if (state / "made.json").exists() else []))
elif "up" in words:
    if told["pull"]:
        sys.exit(told["pull"])
    if told["hangs"]:
        import time
        time.sleep(120)
    up.write_text(json.dumps(list(services)))
    (state / "made.json").write_text(json.dumps(list(services)))
elif "down" in words:
    (state / "made.json").unlink(missing_ok=True)
elif "stop" in words or "kill" in words:
    up.write_text(json.dumps([name for name in json.loads(up.read_text()) if name != words[-1]]))
elif "start" in words:
    up.write_text(json.dumps([*json.loads(up.read_text()), words[-1]]))
"""

BROKERS = {
    f"broker-{n}": {"listeners": f"INTERNAL://broker-{n}:19092,EXTERNAL://127.0.0.1:{19092 + 10000 * n}"}
    for n in (1, 2, 3)
}
BOOTSTRAP = ["127.0.0.1:29092", "127.0.0.1:39092", "127.0.0.1:49092"]


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class StandIn:
    """The engine's programs in a folder of their own, and what they shall tell."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def tell(self, services: dict[str, Any] = BROKERS, **more: Any) -> None:
        told = {"plugin": True, "info": None, "config": None, "pull": None, "hangs": False, "looks": 2, **more}
        (self.folder / "told.json").write_text(json.dumps({"services": services, **told}))

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def calls_with(self, word: str) -> list[list[str]]:
        return [call for call in self.calls if word in call]

    def run(self, *arguments: str) -> Done:
        """A command of the program, in this process."""
        self.capture.readouterr()
        code = run(["cluster", *arguments])
        told = self.capture.readouterr()
        return Done(code, told.out, told.err)

    def result(self, *arguments: str, exit_code: ExitCode = ExitCode.DONE) -> Any:
        done = self.run(*arguments, "--output", "json")
        assert done.returncode == exit_code, done.stderr
        return json.loads(done.stdout)["result"]

    def error(self, *arguments: str, exit_code: ExitCode) -> str:
        done = self.run(*arguments)
        assert done.returncode == exit_code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1]


@pytest.fixture
def engine(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(tmp_path, capsys)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    for name in ("docker", "docker-compose"):
        program = tmp_path / name
        program.write_text(STAND_IN.format(python=sys.executable, state=str(tmp_path)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    stand_in.tell()
    return stand_in


def test_up_waits_for_health_then_status_and_down(engine: StandIn) -> None:
    up = engine.result("up", "--docker", "--compose-profile", "metrics")
    assert up["bootstrap"] == BOOTSTRAP
    assert up["already_running"] is False
    assert {one["service"]: one["health"] for one in up["services"]} == dict.fromkeys(BROKERS, "healthy")
    file = up["file"]
    assert Path(file).name == "kraft.yml"
    project = ["-f", file, "--profile", "metrics", "-p", "sensorstream-default"]
    assert engine.calls_with("up") == [["docker", "compose", *project, "up", "-d"]]
    assert len(engine.calls_with("inspect")) == 3, "two looks at starting brokers, one at healthy ones"

    assert engine.result("status")["state"] == "running"
    again = engine.result("up", "--docker")
    assert again["already_running"] is True
    assert engine.calls_with("up")[-1] == ["docker", "compose", *project, "up", "-d"], "the profile is remembered"
    down = engine.result("down")
    assert down == {"name": "default", "stopped": list(BROKERS), "data_deleted": False}
    assert engine.calls_with("down")[-1] == ["docker", "compose", *project, "down"]
    assert engine.result("status", exit_code=ExitCode.FAILED)["state"] == "stopped"
    engine.result("down", "--delete-data")
    assert engine.calls_with("down")[-1] == ["docker", "compose", *project, "down", "-v"]
    assert not (engine.folder / "state" / "clusters" / "default").exists()


def test_one_broker_is_killed_and_comes_back(engine: StandIn) -> None:
    engine.result("up", "--docker", "--file", "zookeeper", "--name", "lab")
    stopped = engine.result("stop-broker", "2", "--kill", "--name", "lab")
    assert stopped == {"name": "lab", "broker": 2, "was_running": True, "killed": True}
    assert engine.calls_with("kill")[0][-2:] == ["kill", "broker-2"]
    done = engine.run("status", "--name", "lab")
    assert done.returncode == ExitCode.FAILED
    assert "broker-2 is exited" in done.stderr
    assert engine.result("start-broker", "2", "--name", "lab")["health"] == "healthy"
    assert "has no service broker-7" in engine.error("stop-broker", "7", "--name", "lab", exit_code=ExitCode.USAGE)
    assert "logs" in engine.error("logs", "--name", "lab", exit_code=ExitCode.USAGE)


def test_the_older_program_is_used_where_the_plugin_is_missing(engine: StandIn) -> None:
    engine.tell(plugin=False)
    assert engine.result("up", "--docker")["bootstrap"] == BOOTSTRAP
    assert engine.calls_with("up")[0][0] == "docker-compose"


def test_one_shot_services_that_are_done_are_well(engine: StandIn) -> None:
    engine.tell({**BROKERS, "certificates": {"ends": "exited", "health": None}})
    assert [one["state"] for one in engine.result("up", "--docker")["services"]].count("exited") == 1
    assert engine.result("status")["state"] == "running"


@pytest.mark.parametrize("left", [(), ("docker",)], ids=["nothing", "no compose"])
def test_no_engine_is_told_and_nothing_is_made(engine: StandIn, left: tuple[str, ...]) -> None:
    engine.tell(plugin=False)
    for name in {"docker", "docker-compose"} - set(left):
        (engine.folder / name).unlink()
    message = engine.error("up", "--docker", exit_code=ExitCode.UNREACHABLE)
    assert "docker" in message
    assert "leave out --docker" in message
    assert not (engine.folder / "state").exists()


def test_an_engine_that_does_not_answer_is_told(engine: StandIn) -> None:
    engine.tell(info="Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")
    message = engine.error("up", "--docker", exit_code=ExitCode.UNREACHABLE)
    assert "Cannot connect to the Docker daemon" in message


def test_a_service_that_ends_is_named_and_everything_is_taken_back(engine: StandIn) -> None:
    engine.tell({**BROKERS, "certificates": {"ends": "exited", "code": 7, "health": None}})
    message = engine.error("up", "--docker", exit_code=ExitCode.FAILED)
    assert "certificates ended with exit code 7" in message
    assert engine.calls_with("down"), "what was made is removed"
    assert "-v" not in engine.calls_with("down")[0], "its data is not"
    assert "there is no cluster" in engine.error("start-broker", "1", exit_code=ExitCode.FAILED)


def test_an_image_that_can_not_be_pulled_is_the_engines_own_words(engine: StandIn) -> None:
    engine.tell(pull="manifest for apache/kafka:0.0.0 not found")
    assert "manifest for apache/kafka:0.0.0 not found" in engine.error("up", "--docker", exit_code=ExitCode.FAILED)


def test_a_file_that_the_engine_refuses_is_wrong_usage(engine: StandIn) -> None:
    engine.tell(config="services.broker must be a mapping")
    own = engine.folder / "own.yml"
    own.write_bytes(b"\x00\xff not yaml")
    message = engine.error("up", "--docker", "--file", str(own), exit_code=ExitCode.USAGE)
    assert "own.yml can't be used" in message
    assert "services.broker must be a mapping" in message


def test_ctrl_c_while_images_are_pulled_leaves_nothing(engine: StandIn) -> None:
    engine.tell(hangs=True)
    child = subprocess.Popen(
        [sys.executable, "-m", "sensorstream", "cluster", "up", "--docker"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert "starting the containers" in child.stderr.readline()
    child.terminate()
    _, told = child.communicate(timeout=60)
    assert child.returncode == ExitCode.INTERRUPTED
    assert "nothing new was left running" in told
    assert engine.calls_with("down")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--file", "kraft"], "add --docker"),
        (["--docker", "--brokers", "5"], "--brokers does not go with --docker"),
        (["--docker", "--secure", "tls+scram", "--acl"], "--secure does not go with --docker"),
        (["--docker", "--file", "secure", "--acl"], "--acl does not go with --docker"),
        (["--docker", "--acl"], "--docker --file secure"),
        (["--docker", "--links"], "--links does not go with --docker"),
        (["--docker", "--schema-registry"], "--schema-registry does not go with --docker"),
        (["--docker", "--file", "krfat"], "there is no compose file krfat"),
        (["--docker", "--file", "/"], "there is no compose file /"),
        (["--docker", "--name", "My.Lab"], "small letters"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(engine: StandIn, arguments: list[str], told: str) -> None:
    assert told in engine.error("up", *arguments, exit_code=ExitCode.USAGE)
    assert engine.calls_with("up") == []


def test_a_name_is_of_one_kind(engine: StandIn) -> None:
    engine.result("up", "--docker")
    assert "is one of containers" in engine.error("up", exit_code=ExitCode.FAILED)
    assert "was made from" in engine.error("up", "--docker", "--file", "secure", exit_code=ExitCode.FAILED)
    folder = engine.folder / "state" / "clusters" / "local"
    folder.mkdir()
    (folder / "state.json").write_text('{"data_dir": "/nowhere", "ports": {}, "controller_ports": {}, "processes": {}}')
    assert "processes of this machine" in engine.error("up", "--docker", "--name", "local", exit_code=ExitCode.FAILED)
    (folder.parent / "default" / "containers.json").write_text("[]")
    assert "can't be read" in engine.error("status", exit_code=ExitCode.FAILED)
