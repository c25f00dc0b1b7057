"""Station 9: one writer at a time, for files that can't be locked themselves because other programs lock them."""

import fcntl
import os
from pathlib import Path

from sensorstream.errors import SinkError
from sensorstream.own_files import open_own
from sensorstream.sinks.positioned_file import FileBusy


class FileLock:
    """A lock that is a file of its own; the file is there while the lock is held, or after a kill, and means nothing.

    The system lets go of the lock when the process ends, however it ends.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._descriptor = -1

    def take(self, *, wait: bool = False) -> None:
        """Take the lock. Raises FileBusy where another process holds it, unless it may ``wait``; SinkError."""
        if self._descriptor >= 0:
            return
        while True:
            try:
                descriptor = open_own(self._path, os.O_RDWR)
            except OSError as error:
                raise SinkError(f"{self._path} can't be made: {error.strerror}", hint="give another --to") from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                # Whoever held it may have removed the file between open and lock.
                if self._path.exists() and os.fstat(descriptor).st_ino == self._path.stat().st_ino:
                    self._descriptor = descriptor
                    return
            except BlockingIOError as error:
                os.close(descriptor)
                raise FileBusy(
                    f"{self._what} is being written by another capture", hint="stop that one, or give another --to"
                ) from error
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def release(self) -> None:
        """Let go of the lock."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1
