"""One consumer process per partition, owned by this process: started, listened to, stopped and reaped together."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from sensorstream.errors import SensorstreamError
from sensorstream.events import Listener, Notice
from sensorstream.pipelines.owner import OWNER_VARIABLE
from sensorstream.records import TopicPartition

STOP_S: Final = 20.0
"""How long a consumer may take to store what it has and end, before it is killed."""


@dataclass(frozen=True, slots=True)
class ConsumerEnd:
    """How one consumer process ended. ``rows`` and ``file`` are None where it could not say."""

    topic: str
    partition: int
    exit_code: int
    rows: int | None
    rejected: int | None
    file: str | None
    error: str | None


class ConsumerProcess:
    """One ``sensorstream consume`` of one pinned partition; its stderr becomes prefixed notices."""

    def __init__(
        self,
        tp: TopicPartition,
        folder: Path,
        arguments: Sequence[str],
        listener: Listener,
        *,
        quiet: bool,
        environment: Mapping[str, str],
    ) -> None:
        self.tp = tp
        self._listener = listener
        command = [
            *(sys.executable, "-m", "sensorstream", "consume"),
            *("--topic", tp.topic, "--partition", str(tp.partition)),
            *("--to", str(folder), "--output", "json", *arguments),
        ]
        if quiet:
            command.append("--quiet")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            # A session of its own: the terminal's Ctrl-C reaches the owner alone, who stops all in the right order.
            start_new_session=True,
            env={**os.environ, **environment, OWNER_VARIABLE: str(os.getpid())},
        )
        self._asked = False
        self._output = ""
        self._last_error: str | None = None
        self._threads = [
            threading.Thread(target=self._read_notices, args=(self._process.stderr,), daemon=True),
            threading.Thread(target=self._read_result, args=(self._process.stdout,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Ask for a clean stop: what has been read is stored first."""
        if self.poll() is None:
            self._asked = True
            self._process.send_signal(signal.SIGTERM)

    def end(self, timeout_s: float) -> ConsumerEnd:
        """Wait for the end, kill it after ``timeout_s``, and say how it ended."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(1.0)
        part = self._captured()
        code = self._process.returncode
        if self._asked and code == -signal.SIGTERM:
            # It was not up yet, or already done: without its handler there is nothing that could be half.
            code = 0
        return ConsumerEnd(
            *self.tp,
            exit_code=code,
            rows=part.get("rows"),
            rejected=part.get("rejected"),
            file=part.get("target"),
            error=self._last_error,
        )

    def _captured(self) -> dict[str, Any]:
        try:
            result = json.loads(self._output)["result"]
            return dict(result["partitions"][0])
        except (ValueError, KeyError, IndexError, TypeError):
            return {}

    def _read_notices(self, stream: IO[str]) -> None:
        for line in stream:
            text = line.rstrip("\n").removeprefix(f"{self.tp}: ")
            if text.startswith("error: "):
                self._last_error = text.removeprefix("error: ")
            loud = text.startswith(("error: ", "warning: "))
            self._listener(Notice(f"{self.tp} | {text.removeprefix('warning: ')}", "warning" if loud else "info"))

    def _read_result(self, stream: IO[str]) -> None:
        self._output = stream.read()


class Consumers:
    """The consumer processes of a lab; leaving the ``with`` block ends every one of them."""

    def __init__(
        self,
        partitions: Sequence[TopicPartition],
        folder: Path,
        arguments: Sequence[str],
        listener: Listener,
        *,
        quiet: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._partitions = partitions
        self._folder = folder
        self._arguments = arguments
        self._listener = listener
        self._quiet = quiet
        self._environment = environment or {}
        self._processes: list[ConsumerProcess] = []
        self._ends: list[ConsumerEnd] | None = None

    def __enter__(self) -> Self:
        try:
            for tp in self._partitions:
                self._processes.append(
                    ConsumerProcess(
                        tp,
                        self._folder,
                        self._arguments,
                        self._listener,
                        quiet=self._quiet,
                        environment=self._environment,
                    )
                )
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise the error of the first consumer that has ended although nobody asked it to."""
        for process in self._processes:
            code = process.poll()
            if code is not None:
                end = process.end(1.0)
                reason = end.error or f"it ended with exit code {code}"
                raise SensorstreamError(f"the consumer of {process.tp} stopped: {reason}")

    def stop(self) -> list[ConsumerEnd]:
        """Stop all together and say how each ended."""
        if self._ends is None:
            for process in self._processes:
                process.ask_to_stop()
            deadline = time.monotonic() + STOP_S
            self._ends = [process.end(max(0.1, deadline - time.monotonic())) for process in self._processes]
        return self._ends
