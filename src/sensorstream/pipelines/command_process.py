"""A command of this program in a child process: started, read from, asked to stop, and reaped by its owner."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

from sensorstream.events import Listener, Notice
from sensorstream.pipelines.owner import OWNER_VARIABLE

_LAST_WORDS_S: Final = 2.0
"""How long to wait for what a process has told before it ended."""


class CommandProcess:
    """One ``sensorstream`` command, run with ``--output json``; each line of its stderr becomes a notice.

    ``prefix`` stands before each of these lines, and ``own`` is left out where one begins with it. ``environment`` is
    the whole of the process's; None: this one's. ``error`` is the last error that it told, in one line; ``asked`` says
    that it was asked to stop while it ran.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        listener: Listener,
        *,
        prefix: str = "",
        own: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._listener = listener
        self._prefix = prefix
        self._own = own
        self.asked = False
        self._output = ""
        self.error: str | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sensorstream", *arguments, "--output", "json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            # A session of its own: the terminal's Ctrl-C reaches the owner alone, who stops all in the right order.
            start_new_session=True,
            env={**(os.environ if environment is None else environment), OWNER_VARIABLE: str(os.getpid())},
        )
        self._threads = [
            threading.Thread(target=self._read_notices, args=(self._process.stderr,), daemon=True),
            threading.Thread(target=self._read_result, args=(self._process.stdout,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Ask for a clean stop: what it has read is stored or committed first."""
        if self.poll() is None:
            self.asked = True
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, and reap it."""
        self._process.kill()
        self._process.wait()

    def end(self, timeout_s: float) -> int:
        """Wait for the end, kill it after ``timeout_s``; the exit code, below 0 when a signal has killed it."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        for thread in self._threads:
            thread.join(_LAST_WORDS_S)
        code = self._process.returncode
        # Asked before its handler was there, or after it was gone: there was nothing that could be half.
        return 0 if self.asked and code == -signal.SIGTERM else code

    def result(self) -> dict[str, Any] | None:
        """The result that it told before it ended, None where it could not tell one."""
        try:
            found = json.loads(self._output)["result"]
        except (ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, dict) else None

    def _read_notices(self, stream: IO[str]) -> None:
        for line in stream:
            text = line.rstrip("\n").removeprefix(self._own)
            if text.startswith("error: "):
                self.error = text.removeprefix("error: ")
            loud = text.startswith(("error: ", "warning: "))
            told = text.removeprefix("warning: ")
            self._listener(Notice(f"{self._prefix}{told}", "warning" if loud else "info"))

    def _read_result(self, stream: IO[str]) -> None:
        self._output = stream.read()
