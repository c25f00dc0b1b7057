"""Station 5: reading the brokers' logs, also while they grow and are rotated."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TextIO

from sensorstream.cluster.results import LogLine

_POLL_S: Final = 0.2


class _Tail:
    """One growing file, read line by line; goes on in the new file when it is rolled."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._inode = 0
        self._rest = ""

    def lines(self) -> Iterator[str]:
        """The whole lines that have come since the last call."""
        while True:
            if self._file is None:
                try:
                    self._file = self._path.open(encoding="utf-8", errors="replace")
                except FileNotFoundError:
                    return
                self._inode = self._path.stat().st_ino
            for piece in self._file:
                self._rest += piece
                if self._rest.endswith("\n"):
                    yield self._rest[:-1]
                    self._rest = ""
            if not self._path.exists() or self._path.stat().st_ino == self._inode:
                return
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def read_logs(
    files: Mapping[int | None, Path], *, last: int | None, follow: bool, stop: threading.Event
) -> Iterator[LogLine]:
    """The lines of several brokers' logs, broker by broker: the ``last`` ones of each (None: all).

    With ``follow`` those that are still to come as well, until ``stop`` is set.
    """
    tails = {broker: _Tail(path) for broker, path in files.items()}
    try:
        for broker, tail in tails.items():
            lines = list(tail.lines())
            for text in lines if last is None else lines[max(0, len(lines) - last) :]:
                if stop.is_set():
                    return
                yield LogLine(broker, text)
        while follow and not stop.wait(_POLL_S):
            for broker, tail in tails.items():
                for text in tail.lines():
                    yield LogLine(broker, text)
    finally:
        for tail in tails.values():
            tail.close()
