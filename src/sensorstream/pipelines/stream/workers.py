"""Stations 6-8-4 on several cores: one process a worker, all members of one group, started and stopped together.

A worker that a signal killed is started again: it takes the slot, and with it the transactional id, that the killed
one has left, so nothing is lost or doubled by it. A worker that ends with an error of its own ends all of them: it
would fail again.
"""

import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Self

from sensorstream.errors import ClusterUnreachable, ExitCode, SensorstreamError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.command_process import CommandProcess
from sensorstream.pipelines.read_timeouts import Ended
from sensorstream.pipelines.stream.job import StreamedPartition, StreamResult

STOP_S: Final = 60.0
"""How long a worker may take to commit what it has and end, before it is killed."""
RESTARTS: Final = 20
"""So often a worker is started again within :data:`RESTARTS_WITHIN_S`; then something kills it on purpose."""
RESTARTS_WITHIN_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.1


class Workers:
    """The worker processes of a stream; leaving the ``with`` block ends every one of them."""

    def __init__(self, count: int, arguments: Sequence[str], listener: Listener = ignore) -> None:
        self._count = count
        self._arguments = arguments
        self._listener = listener
        self._running: dict[int, CommandProcess] = {}
        self._restarted: list[float] = []
        self.results: list[dict[str, Any]] = []
        self.killed = 0

    def __enter__(self) -> Self:
        try:
            for number in range(self._count):
                self._start(number)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def run(self, stop: threading.Event) -> None:
        """Until all have ended by themselves, or ``stop`` is set: then they are stopped, too.

        Raises SensorstreamError when one has failed, did not stop in time, or is killed again and again.
        """
        while self._running and not stop.wait(_LOOK_EVERY_S):
            for number, worker in list(self._running.items()):
                if worker.poll() is None:
                    continue
                del self._running[number]
                code = worker.end(1.0)
                if code < 0:
                    self._start_again(number, signal.Signals(-code).name)
                    continue
                problem = self._take(number, worker, code)
                if problem:
                    # It has said already whether nobody answers or this user has no right.
                    raise (ClusterUnreachable if code == ExitCode.UNREACHABLE else SensorstreamError)(
                        problem, hint="the others were stopped; what they committed is kept; start again to continue"
                    )
        problems = self._stop()
        if problems:
            raise SensorstreamError(problems[0], hint="what was committed is kept; start again to continue")

    def _start(self, number: int) -> None:
        self._running[number] = CommandProcess(self._arguments, self._listener, prefix=f"worker {number} | ")

    def _start_again(self, number: int, by: str) -> None:
        self.killed += 1
        now = time.monotonic()
        self._restarted = [at for at in self._restarted if now - at < RESTARTS_WITHIN_S] + [now]
        if len(self._restarted) > RESTARTS:
            raise SensorstreamError(
                f"workers were killed {len(self._restarted)} times within a minute, the last one by {by}",
                hint="find out what kills them: often memory has run out",
            )
        self._listener(Notice(f"worker {number} was killed by {by}; another one takes its place", "warning"))
        self._start(number)

    def _take(self, number: int, worker: CommandProcess, code: int) -> str | None:
        """Keep the result of a worker that has ended; else what went wrong with it.

        One that has a result has done its work, whatever its exit code: it is 1 when there were dead letters.
        """
        result = worker.result()
        if result is not None:
            self.results.append(result)
        elif code < 0:
            return f"worker {number} was killed by {signal.Signals(-code).name} before it had stopped"
        elif code or not worker.asked:
            return f"worker {number} failed: {worker.error or f'exit code {code}'}"
        return None

    def _stop(self) -> list[str]:
        """Stop all together; those that don't end in time, or when the user insists, are killed. What went wrong."""
        problems: list[str] = []
        try:
            for worker in self._running.values():
                worker.ask_to_stop()
            deadline = time.monotonic() + STOP_S
            for number, worker in self._running.items():
                problem = self._take(number, worker, worker.end(max(0.1, deadline - time.monotonic())))
                if problem:
                    problems.append(problem)
        finally:
            for worker in self._running.values():
                if worker.poll() is None:
                    worker.kill()
            self._running = {}
        return problems


def run_workers(
    count: int, arguments: Sequence[str], template: StreamResult, stop: threading.Event, listener: Listener = ignore
) -> StreamResult:
    """Run ``count`` processes of this program with ``arguments``, which stream and tell their result as JSON.

    ``template`` has the names; its figures become the sums of the workers', its end becomes theirs. What a killed
    worker had committed is not in them: the figures say at least so many. Raises SensorstreamError when a worker fails.
    """
    with Workers(count, arguments, listener) as workers:
        workers.run(stop)
    results = workers.results
    sums = {
        name: sum(int(result[name]) for result in results)
        for name in ("rows_in", "rows_out", "dead_letters", "transactions", "aborted")
    }
    partitions = [StreamedPartition(**one) for result in results for one in result["partitions"]]
    ended = ended_together([str(result["ended"]) for result in results], stopped=stop.is_set())
    kept = {name: value for name, value in asdict(template).items() if name not in sums}
    by_offset = sorted(partitions, key=lambda one: (one.topic, one.partition, one.first_offset))
    return StreamResult(**{**kept, **sums, "ended": ended, "partitions": tuple(by_offset), "killed": workers.killed})


def ended_together(ends: Sequence[str], *, stopped: bool) -> Ended:
    """How a group has ended: a worker that came to the end has seen that everything of the group is committed."""
    if "end" in ends:
        return "end"
    return "timeout" if ends and not stopped and set(ends) == {"timeout"} else "stopped"
