"""Stations 6-8-4 as processes: ``sentiment stream`` and its workers, started, listened to, stopped and reaped."""

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sensorstream import admin
from sensorstream.config import FILE_NAME, Settings
from sensorstream.errors import BrokerError, ExitCode, Interrupted, SensorstreamError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.command_process import CommandProcess
from sensorstream.pipelines.stream.job import StreamedPartition, StreamResult

STOP_S: Final = 70.0
"""How long the workers may take to commit what they have and end, before they are killed."""
JOINED_S: Final = 60.0
"""How long to wait until each worker has partitions of its own; it makes a better show, and no other difference."""
SCORED_S: Final = 120.0
"""How long the workers may take without making any progress."""
_LOOK_EVERY_S: Final = 0.2


class Scorers:
    """A ``sentiment stream`` of several workers in one group; leaving the ``with`` block ends every one of them.

    ``topics`` are the posts', the scored posts' and the dead letters'. The processes see no settings of the user's:
    their configuration and their state are in ``folder``.
    """

    def __init__(
        self, settings: Settings, topics: tuple[str, str, str], folder: Path, workers: int, listener: Listener = ignore
    ) -> None:
        self._settings = settings
        self._source, target, dead = topics
        self._workers = workers
        self._listener = listener
        self._folder = folder
        self._arguments = [
            *(
                "sentiment",
                "stream",
                "--from",
                self._source,
                "--to",
                target,
                "--dead-letters",
                dead,
                "--group",
                settings.group,
            ),
            *("--workers", str(workers), "--bootstrap", ",".join(settings.bootstrap)),
        ]

    def __enter__(self) -> Self:
        self._process = CommandProcess(self._arguments, self._listener, environment=_environment(self._folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait_until_joined(self, stop: threading.Event) -> None:
        """Wait until each worker has a partition. Raises SensorstreamError when they have ended."""
        deadline = time.monotonic() + JOINED_S
        while not stop.wait(_LOOK_EVERY_S):
            self._check()
            group = self._described()
            if group is not None and sum(1 for member in group.members if member.partitions) >= self._workers:
                return
            if time.monotonic() > deadline:
                self._listener(
                    Notice(
                        f"not all of the {self._workers} workers have joined yet; continuing without them", "warning"
                    )
                )
                return

    def finish(self, records: int, stop: threading.Event) -> StreamResult:
        """Wait until ``records`` of the source are done, stop the workers, and say what it came to.

        Raises Interrupted when ``stop`` is set first, and SensorstreamError when the workers fail or hang.
        """
        seen, moved_at = -1, time.monotonic()
        while not stop.wait(_LOOK_EVERY_S):
            self._check()
            group = self._described()
            done = (
                0 if group is None else sum(at for tp, (at, _) in group.committed.items() if tp.topic == self._source)
            )
            if done >= records:
                return self._result(self._stop())
            if done != seen:
                seen, moved_at = done, time.monotonic()
            if time.monotonic() - moved_at > SCORED_S:
                raise SensorstreamError(f"the scorers have not moved for {SCORED_S:g} s; {done} of {records} are done")
        raise Interrupted("interrupted before everything was scored")

    def _check(self) -> None:
        if self._process.poll() is not None:
            code = self._process.end(1.0)
            raise SensorstreamError(f"the scorers have ended: {self._process.error or f'exit code {code}'}")

    def _stop(self) -> int:
        self._process.ask_to_stop()
        return self._process.end(STOP_S)

    def _result(self, code: int) -> StreamResult:
        """What it came to. Raises SensorstreamError when it failed; dead letters are no failure."""
        found = self._process.result()
        if found is None or code not in (ExitCode.DONE, ExitCode.FAILED):
            raise SensorstreamError(f"the scorers failed: {self._process.error or f'exit code {code}'}")
        parts = tuple(StreamedPartition(**part) for part in found["partitions"])
        return StreamResult(**{**found, "partitions": parts})

    def _described(self) -> admin.GroupDescription | None:
        try:
            return admin.describe_group(self._settings, self._settings.group)
        except (UsageError, BrokerError):
            # The group is not known before the first worker has come, and its coordinator may still be on its way.
            return None


def _environment(folder: Path) -> dict[str, str]:
    """This process's, without any settings of the user's."""
    configuration = folder / FILE_NAME
    configuration.write_text("", encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SENSORSTREAM_")}
    return {
        **inherited,
        "SENSORSTREAM_CONFIG": str(configuration),
        "SENSORSTREAM_STATE_DIR": str(folder / "state"),
    }
