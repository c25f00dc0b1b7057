"""Station 5: which brokers throttle a client because it is over its quota, according to their responses."""

import threading
import time
from collections.abc import Iterable
from typing import Final, Protocol
from weakref import WeakSet

from sensorstream.clients.causes import Cause, Throttled

_LEAST_MS: Final = 500
"""Shorter throttling holds nobody up for long enough to be told."""


class Throttles:
    """What one connection of a client was told about its quota."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, tuple[float, float]] = {}

    def note(self, broker: str, throttle_ms: float) -> None:
        """A broker has said for how long it makes this client wait."""
        if throttle_ms >= _LEAST_MS:
            with self._lock:
                self._until[broker] = (time.monotonic() + throttle_ms / 1000, throttle_ms / 1000)

    def causes(self) -> list[Cause]:
        """Those who do so now."""
        now = time.monotonic()
        with self._lock:
            return [Throttled(broker, told) for broker, (until, told) in sorted(self._until.items()) if until > now]


class Throttling(Protocol):
    """A connection, or several, whose brokers may throttle it."""

    throttles: Throttles


class Watches:
    """The connections that a client has made and that are still in use."""

    def __init__(self) -> None:
        self._all: WeakSet[Throttling] = WeakSet()

    def add(self, watch: Throttling) -> None:
        """Another connection."""
        self._all.add(watch)

    def causes(self) -> Iterable[Cause]:
        """Who throttles any of them."""
        return dict.fromkeys(cause for watch in tuple(self._all) for cause in watch.throttles.causes())
