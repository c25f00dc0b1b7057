"""Stations 6-8-4 on several cores: one process a worker, all members of one group, started and stopped together.

A worker that a signal killed is started again: it takes the seat, and with it the transactional id, that the killed
one has left, so nothing is lost or doubled by it. A worker that ends with an error of its own ends all of them: it
would fail again.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import IO, Any, Final, Self

from sensorstream.errors import SensorstreamError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.owner import OWNER_VARIABLE
from sensorstream.pipelines.stream_job import StreamedPartition, StreamResult

STOP_S: Final = 60.0
"""How long a worker may take to commit what it has and end, before it is killed."""
RESTARTS: Final = 20
"""So often a worker is started again within :data:`RESTARTS_WITHIN_S`; then something kills it on purpose."""
RESTARTS_WITHIN_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.1


class WorkerProcess:
    """One process that streams and tells its result as JSON; its stderr becomes prefixed notices."""

    def __init__(self, number: int, arguments: Sequence[str], listener: Listener) -> None:
        self.number = number
        self._listener = listener
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sensorstream", *arguments, "--output", "json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            # A session of its own: the terminal's Ctrl-C reaches the owner alone, who stops all of them.
            start_new_session=True,
            env={**os.environ, OWNER_VARIABLE: str(os.getpid())},
        )
        self._output = ""
        self.error: str | None = None
        self._threads = [
            threading.Thread(target=self._read_notices, args=(self.process.stderr,), daemon=True),
            threading.Thread(target=self._read_result, args=(self.process.stdout,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def ask_to_stop(self) -> None:
        """Ask for a clean stop: what is open is committed first."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def end(self, timeout_s: float) -> dict[str, Any] | None:
        """Wait for the end, kill it after ``timeout_s``; its result, or None when it could not tell one."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(1.0)
        try:
            found = json.loads(self._output)["result"]
        except (ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, dict) else None

    def _read_notices(self, stream: IO[str]) -> None:
        for line in stream:
            text = line.rstrip("\n")
            if text.startswith("error: "):
                self.error = text.removeprefix("error: ")
            loud = text.startswith(("error: ", "warning: "))
            told = text.removeprefix("warning: ")
            self._listener(Notice(f"worker {self.number} | {told}", "warning" if loud else "info"))

    def _read_result(self, stream: IO[str]) -> None:
        self._output = stream.read()


class Workers:
    """The worker processes of a stream; leaving the ``with`` block ends every one of them."""

    def __init__(self, count: int, arguments: Sequence[str], listener: Listener = ignore) -> None:
        self._count = count
        self._arguments = arguments
        self._listener = listener
        self._running: list[WorkerProcess] = []
        self._restarted: list[float] = []
        self.results: list[dict[str, Any]] = []
        self.killed = 0

    def __enter__(self) -> Self:
        try:
            for number in range(self._count):
                self._running.append(WorkerProcess(number, self._arguments, self._listener))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, stop: threading.Event) -> None:
        """Until all have ended by themselves, or ``stop`` is set.

        Raises SensorstreamError when one has failed, or is killed again and again.
        """
        while self._running and not stop.wait(_LOOK_EVERY_S):
            for worker in list(self._running):
                code = worker.process.poll()
                if code is None:
                    continue
                result = worker.end(1.0)
                self._running.remove(worker)
                if code < 0:
                    self._start_again(worker.number, signal.Signals(-code).name)
                elif result is None or code:
                    raise SensorstreamError(
                        f"worker {worker.number} failed: {worker.error or f'exit code {code}'}",
                        hint="the others were stopped; what they committed stands, start again to go on",
                    )
                else:
                    self.results.append(result)

    def _start_again(self, number: int, by: str) -> None:
        self.killed += 1
        now = time.monotonic()
        self._restarted = [at for at in self._restarted if now - at < RESTARTS_WITHIN_S] + [now]
        if len(self._restarted) > RESTARTS:
            raise SensorstreamError(
                f"workers were killed {len(self._restarted)} times within a minute, the last one by {by}",
                hint="look for what kills them: often the memory is full",
            )
        self._listener(Notice(f"worker {number} was killed by {by}; another one goes on in its place", "warning"))
        self._running.append(WorkerProcess(number, self._arguments, self._listener))

    def stop(self) -> None:
        """Stop all together; those that don't end in time, or when the user insists, are killed."""
        try:
            for worker in self._running:
                worker.ask_to_stop()
            deadline = time.monotonic() + STOP_S
            for worker in self._running:
                result = worker.end(max(0.1, deadline - time.monotonic()))
                if result is not None:
                    self.results.append(result)
        finally:
            for worker in self._running:
                if worker.process.poll() is None:
                    worker.process.kill()
                    worker.process.wait()
            self._running = []


def run_workers(
    count: int, arguments: Sequence[str], template: StreamResult, stop: threading.Event, listener: Listener = ignore
) -> StreamResult:
    """Run ``count`` processes of this program with ``arguments``, which stream and tell their result as JSON.

    ``template`` has the names; its figures become the sums of the workers'. What a killed worker had committed is not
    in them: the figures say at least so many. Raises SensorstreamError when a worker fails.
    """
    with Workers(count, arguments, listener) as workers:
        workers.run(stop)
    results = workers.results
    sums = {
        name: sum(int(result[name]) for result in results)
        for name in ("rows_in", "rows_out", "dead_letters", "transactions", "aborted")
    }
    partitions = [StreamedPartition(**part) for result in results for part in result["partitions"]]
    ended = "stopped" if stop.is_set() else template.ended
    kept = {name: value for name, value in asdict(template).items() if name not in sums}
    by_offset = sorted(partitions, key=lambda part: (part.topic, part.partition, part.first_offset))
    return StreamResult(**{**kept, **sums, "ended": ended, "partitions": tuple(by_offset), "killed": workers.killed})
