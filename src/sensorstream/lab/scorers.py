"""Stations 6-8-4 as processes: ``sentiment stream`` and its workers, started, listened to, stopped and reaped."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from sensorstream.config import FILE_NAME
from sensorstream.errors import ExitCode, Interrupted, SensorstreamError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.owner import OWNER_VARIABLE
from sensorstream.pipelines.stream_job import StreamedPartition, StreamResult

STOP_S: Final = 70.0
"""How long the workers may take to commit what they have and end, before they are killed."""
_LOOK_EVERY_S: Final = 0.1


def score_topic(
    bootstrap: Sequence[str],
    topics: tuple[str, str, str],
    group: str,
    folder: Path,
    *,
    workers: int = 2,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> StreamResult:
    """Score all that is in a topic with ``workers`` processes of one group, exactly once.

    ``topics`` are the posts', the scored posts' and the dead letters'. The processes see no settings of the user's:
    their configuration and their state are in ``folder``. Raises Interrupted when ``stop`` is set first, and
    SensorstreamError when the workers fail; none of them is left running.
    """
    stop = stop or threading.Event()
    source, target, dead = topics
    arguments = [
        *("--from", source, "--to", target, "--dead-letters", dead, "--group", group, "--exit"),
        *("--workers", str(workers), "--bootstrap", ",".join(bootstrap)),
    ]
    process = _Process(arguments, folder, listener)
    try:
        while process.poll() is None and not stop.wait(_LOOK_EVERY_S):
            pass
    finally:
        process.end(STOP_S)
    if stop.is_set():
        raise Interrupted("interrupted before everything was scored")
    return process.result()


class _Process:
    """One ``sentiment stream``; its stderr becomes notices, its stdout its result."""

    def __init__(self, arguments: Sequence[str], folder: Path, listener: Listener) -> None:
        self._listener = listener
        configuration = folder / FILE_NAME
        configuration.write_text("", encoding="utf-8")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SENSORSTREAM_")}
        own = {
            "SENSORSTREAM_CONFIG": str(configuration),
            "SENSORSTREAM_STATE_DIR": str(folder / "state"),
            OWNER_VARIABLE: str(os.getpid()),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sensorstream", "sentiment", "stream", *arguments, "--output", "json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            # A session of its own: the terminal's Ctrl-C reaches the owner alone.
            start_new_session=True,
            env={**inherited, **own},
        )
        self._output = ""
        self._error: str | None = None
        self._threads = [
            threading.Thread(target=self._read_notices, args=(self._process.stderr,), daemon=True),
            threading.Thread(target=self._read_result, args=(self._process.stdout,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def end(self, timeout_s: float) -> None:
        """Ask it to stop, if it still runs, and wait; after ``timeout_s`` it is killed, and its workers end, too."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(2.0)

    def result(self) -> StreamResult:
        """What it came to. Raises SensorstreamError when it failed; dead letters are no failure."""
        code = self._process.returncode
        found: dict[str, Any] | None = None
        with suppress(ValueError, KeyError, TypeError):
            found = json.loads(self._output)["result"]
        if found is None or code not in (ExitCode.DONE, ExitCode.FAILED):
            raise SensorstreamError(f"the scorers failed: {self._error or f'exit code {code}'}")
        parts = tuple(StreamedPartition(**part) for part in found["partitions"])
        return StreamResult(**{**found, "partitions": parts})

    def _read_notices(self, stream: IO[str]) -> None:
        for line in stream:
            text = line.rstrip("\n")
            if text.startswith("error: "):
                self._error = text.removeprefix("error: ")
            loud = text.startswith(("error: ", "warning: "))
            self._listener(Notice(text.removeprefix("warning: "), "warning" if loud else "info"))

    def _read_result(self, stream: IO[str]) -> None:
        self._output = stream.read()
