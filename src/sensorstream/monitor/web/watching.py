"""Readers that run while they are needed: opened at the first request, closed after a while without one."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

IDLE_S: Final = 30.0
MOST: Final = 4
"""So many are open at once; a further one takes the place of the one that was asked for the longest ago."""


class Watch(Protocol):
    """One thing that reads on."""

    def payload(self) -> dict[str, Any]:
        """What it shows now."""

    def stop(self) -> None:
        """Have it stop; does not wait."""

    def close(self, within_s: float = ...) -> None:
        """Stop, and wait until it has, so long at the most."""


class Watches:
    """The open ones, by kind and topic. Used from several threads."""

    def __init__(self, make: Callable[[str, str], Watch], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], tuple[Watch, float]] = {}

    def payload(self, kind: str, topic: str) -> dict[str, Any]:
        """What this one shows; it is opened where it is not."""
        key = (kind, topic)
        gone: list[Watch] = []
        with self._lock:
            found = self._open.get(key)
            if found is None and len(self._open) >= MOST:
                oldest = min(self._open, key=lambda one: self._open[one][1])
                gone.append(self._open.pop(oldest)[0])
            watch = self._make(kind, topic) if found is None else found[0]
            self._open[key] = (watch, self._clock())
        for one in gone:
            one.close()
        return watch.payload()

    def sweep(self) -> None:
        """Close those that nobody has asked for."""
        now = self._clock()
        with self._lock:
            idle = [key for key, (_, asked_at) in self._open.items() if now - asked_at > IDLE_S]
            gone = [self._open.pop(key)[0] for key in idle]
        for one in gone:
            one.close()

    def stop(self) -> None:
        """Have all of them stop; does not wait."""
        with self._lock:
            for watch, _ in self._open.values():
                watch.stop()

    def close(self, within_s: float) -> None:
        """Close all of them: they stop at the same time, and are waited for so long together."""
        deadline = time.monotonic() + within_s
        self.stop()
        with self._lock:
            gone = [watch for watch, _ in self._open.values()]
            self._open.clear()
        for one in gone:
            one.close(max(0.0, deadline - time.monotonic()))
