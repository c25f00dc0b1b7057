"""Work that a process does and is killed at: what it has left behind is what the tests look at."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import ParamSpec

_P = ParamSpec("_P")
_SINKS = ("csv_file", "parquet_files", "segments", "sqlite_file")
AHEAD = ["pytest", *(f"sensorstream.sinks.{name}" for name in _SINKS)]
"""Imported by the process that forks, for its forks. Nothing that starts a thread, as pyarrow does."""


def killed_after(work: Callable[_P, object], *arguments: _P.args, **named: _P.kwargs) -> None:
    """Do it in a process of its own that is killed at once when it has done it, if not before.

    ``work`` is a function of a module. It is not done in a fork of this process: other threads run here, and what one
    of them holds when a process is forked (a lock of a library, say) is never let go of in the copy.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(AHEAD)
    process = context.Process(target=_work_and_die, args=(work, arguments, named))
    process.start()
    try:
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, process.exitcode
    finally:
        process.kill()
        process.join()


def _work_and_die(work: Callable[..., object], arguments: tuple[object, ...], named: dict[str, object]) -> None:
    work(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
