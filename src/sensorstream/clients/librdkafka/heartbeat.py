"""Station 6 with librdkafka: find out that a consumer's main thread has stopped for good.

In librdkafka 2.10 to 2.16 two threads of a consumer can wait for each other without an end: one checks the epoch of a
partition's leader while the other drops a broker that has left the cluster (its issue 5476). The consumer then says
nothing, fetches nothing of that partition, and can't even be closed. Its statistics come from the same main thread, so
they are taken for its heartbeat.
"""

import time
from collections.abc import Callable
from typing import Any, Final

from sensorstream.clients.own_thread import on_own_thread

INTERVAL_MS: Final = 5000
SILENT_S: Final = 30.0
"""How long a consumer has to be polled without a heartbeat until it is given up."""
_AT_MOST_S: Final = 1.0
"""What the time between two polls counts for: a process that was frozen or busy has not waited all that time."""


class Heartbeat:
    """Whether a consumer is alive: ``beat`` is its ``stats_cb``, which is called inside its polls."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silent_s = 0.0
        self._looked = clock()

    def options(self) -> dict[str, Any]:
        """What the consumer has to be configured with."""
        return {"statistics.interval.ms": INTERVAL_MS, "stats_cb": self.beat}

    def beat(self, _: str = "") -> None:
        """The main thread has run."""
        self._silent_s = 0.0

    def has_stopped(self) -> bool:
        """Whether it has not for :data:`SILENT_S`; to be asked before each poll."""
        now = self._clock()
        self._silent_s += min(now - self._looked, _AT_MOST_S)
        self._looked = now
        return self._silent_s > SILENT_S


def abandon(consumers: list[Any]) -> None:
    """Let go of consumers that may never end. ``consumers`` must hold the only references to them, and is emptied."""
    on_own_thread("sensorstream-abandoned-consumer", consumers.clear)
