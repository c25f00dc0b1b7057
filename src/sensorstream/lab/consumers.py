"""One consumer process per partition, owned by this process: started, listened to, stopped and reaped together."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sensorstream.errors import ClusterUnreachable, ExitCode, SensorstreamError
from sensorstream.events import Listener
from sensorstream.pipelines.command_process import CommandProcess
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
        command = ["consume", "--topic", tp.topic, "--partition", str(tp.partition), "--to", str(folder), *arguments]
        if quiet:
            command.append("--quiet")
        self._process = CommandProcess(
            command, listener, prefix=f"{tp} | ", own=f"{tp}: ", environment={**os.environ, **environment}
        )

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Ask for a clean stop: what has been read is stored first."""
        self._process.ask_to_stop()

    def end(self, timeout_s: float) -> ConsumerEnd:
        """Wait for the end, kill it after ``timeout_s``, and say how it ended."""
        code = self._process.end(timeout_s)
        partitions = (self._process.result() or {}).get("partitions") or [{}]
        part: dict[str, Any] = partitions[0]
        return ConsumerEnd(
            *self.tp,
            exit_code=code,
            rows=part.get("rows"),
            rejected=part.get("rejected"),
            file=part.get("target"),
            error=self._process.error,
        )


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
                message = f"the consumer of {process.tp} stopped: {reason}"
                # It has said already whether nobody answers or this user has no right.
                raise (ClusterUnreachable if code == ExitCode.UNREACHABLE else SensorstreamError)(message)

    def stop(self) -> list[ConsumerEnd]:
        """Stop all together and say how each ended."""
        if self._ends is None:
            for process in self._processes:
                process.ask_to_stop()
            deadline = time.monotonic() + STOP_S
            self._ends = [process.end(max(0.1, deadline - time.monotonic())) for process in self._processes]
        return self._ends
