"""Commands of the program as processes: run to their end, or started, watched and stopped."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import warm

PROGRAM = [sys.executable, "-m", "sensorstream"]


def cli(
    *arguments: str, cwd: Path | None = None, timeout: float = 300, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process forked from one that has imported the program (``warm.py``).

    ``environment`` is added to this process's own.
    """
    env = {**os.environ, **(environment or {})}
    if warm.fits(env):
        return warm.run(arguments, cwd, env, timeout)
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=timeout, cwd=cwd, env=env, check=False
    )


def ok(*arguments: str, cwd: Path | None = None, timeout: float = 300) -> dict[str, Any]:
    """Run a command that must succeed, with ``--output json``; its result."""
    done = cli(*arguments, "--output", "json", cwd=cwd, timeout=timeout)
    assert done.returncode == 0, done.stderr + done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["status"] == "ok"
    result: dict[str, Any] = answer["result"]
    return result


def total_lag(group: str, *options: str) -> int | None:
    """A group's lag as ``lag`` tells it; None where it is not known, also because the command was not answered."""
    done = cli("lag", "-g", group, *options, "--output", "json")
    lag: int | None = json.loads(done.stdout)["result"]["total_lag"] if done.returncode == 0 else None
    return lag


def until(holds: Callable[[], object], what: str, deadline_s: float = 120) -> None:
    """Wait for a condition. Fails, naming it, after the deadline."""
    end = time.monotonic() + deadline_s
    began = time.monotonic()
    while not holds():
        now = time.monotonic()
        assert now < end, f"{what} did not come about within {deadline_s:g} s"
        time.sleep(min(max(0.05, 2 * (now - began)), 1.0))  # looking, at brokers too, takes a third of the time at most
        began = time.monotonic()


def catches_sigterm(pid: int) -> bool:
    """Whether a process has a handler of its own for SIGTERM; true where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def as_text(stream: IO[Any] | None) -> IO[str]:
    assert stream is not None
    return stream if isinstance(stream, io.TextIOBase) else io.TextIOWrapper(stream)


class Started:
    """A command that runs; its stderr is collected while it does."""

    def __init__(self, process: subprocess.Popen[str] | warm.Forked) -> None:
        self.process = process
        self.stdout = as_text(process.stdout)
        self.stderr = as_text(process.stderr)
        self.told = ""
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        for line in self.stderr:
            self.told += line

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone, as a shell's job control does.

        One that asks it to end waits until the command takes it: on its way up it ends as any process does.
        """
        if number in (signal.SIGINT, signal.SIGTERM):
            until(lambda: self.process.poll() is not None or catches_sigterm(self.process.pid), "a signal handler")
        self.process.send_signal(number)

    def end(self, timeout_s: float = 120) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(timeout_s)
        self._thread.join(5)
        return code


@contextmanager
def started(*arguments: str, cwd: Path | None = None) -> Iterator[Started]:
    """Start a command; it is ended, with everything it started, when the block is left."""
    process: subprocess.Popen[str] | warm.Forked
    if warm.fits(os.environ):
        process = warm.Forked(arguments, cwd, os.environ, session=True)
    else:
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=os.environ,
            start_new_session=True,
        )
    running = Started(process)
    try:
        yield running
    except BaseException:
        # pytest shows it with the failure.
        print(f"{' '.join(arguments)}:\n{running.told}")
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        running.stdout.close()
