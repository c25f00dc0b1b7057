"""Commands that are forked behave as those that are started: the tests that use them would not see a difference."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

import warm
from running import PROGRAM, started, until


@pytest.fixture(autouse=True)
def _warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENSORSTREAM_TEST_COLD", raising=False)
    assert warm.fits(os.environ)


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "air.csv", "--output", "json"],
        ["topics", "list", "-b", "127.0.0.1:1"],
        ["produce", "--source", "ä b"],
    ],
    ids=" ".join,
)
def test_it_says_what_it_says_when_it_is_started_from_cold(arguments: Sequence[str], tmp_path: Path) -> None:
    (tmp_path / "air.csv").write_text("Time,n\n1,2\n")
    cold = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
    forked = warm.run(arguments, tmp_path, os.environ, 60)
    assert (forked.returncode, forked.stdout, forked.stderr) == (cold.returncode, cold.stdout, cold.stderr)


def test_it_has_the_environment_that_it_is_given(tmp_path: Path) -> None:
    given = {**os.environ, "SENSORSTREAM_BOOTSTRAP": "127.0.0.1:1"}
    assert "127.0.0.1:1" in warm.run(["config", "show"], tmp_path, given, 60).stdout
    assert "127.0.0.1:1" not in warm.run(["config", "show"], tmp_path, os.environ, 60).stdout
    assert not warm.fits({**os.environ, "LC_ALL": "C"}), "Python has read the language already"


def test_it_takes_signals_and_its_pid_stays_its_own_until_its_end_is_heard_of(tmp_path: Path) -> None:
    with started("produse", cwd=tmp_path) as ended:
        until(lambda: psutil.Process(ended.process.pid).status() == psutil.STATUS_ZOMBIE, "its end")
        assert ended.end() == 2
    for number in (signal.SIGTERM, signal.SIGKILL):  # a shell has those that it runs in the background ignore SIGINT
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            with started("topics", "list", "-b", address, cwd=tmp_path) as waiting, silent.accept()[0]:
                assert os.getsid(waiting.process.pid) == waiting.process.pid
                waiting.process.send_signal(number)
                assert waiting.end() == -number


def test_one_that_is_over_before_its_pid_is_read_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = socket.socket.makefile

    def late(answers: socket.socket, *how: Any, **more: Any) -> Any:
        until(lambda: answers.recv(100, socket.MSG_PEEK).count(b"\n") == 2, "its pid and its end")
        return make(answers, *how, **more)

    monkeypatch.setattr(socket.socket, "makefile", late)
    forked = warm.Forked(["produse"], tmp_path, os.environ)
    assert forked.wait(60) == 2
    forked.close()


def test_a_program_for_a_shell_is_the_script_with_the_shells_streams(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import atexit, sys; atexit.register(print, 'the end'); print(sys.argv[1:], sys.stdin.read(), sys.path[0])\n"
        "sys.exit(int(sys.argv[2]) if sys.argv[2:] else 'told')"
    )
    warm.write_program(tmp_path / "program", script)
    line = f"echo said | {tmp_path}/program 'a b' 7; echo $?; {tmp_path}/program 'ä' 2>/dev/null; echo $?"
    done = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert done.stdout == f"['a b', '7'] said\n {tmp_path}\nthe end\n7\n['ä']  {tmp_path}\nthe end\n1\n"


def test_what_is_forked_has_been_given_no_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import warm; warm.import_ahead()"], cwd=Path(warm.__file__).parent, check=False
    )
    assert done.returncode == 0
