"""Station 6 with librdkafka: find out that a consumer's main thread has stopped for good.

In librdkafka 2.10 to 2.16 two threads of a consumer can wait for each other without an end: one checks the epoch of a
partition's leader while the other drops a broker that has left the cluster (its issue 5476). The consumer then says
nothing, fetches nothing of that partition, and can't even be closed. Its statistics come from the same main thread, so
they are taken for its heartbeat.

Most calls of a consumer are answered by that thread, and the binding holds the interpreter's lock while it waits for
the answer: the whole process would stop with it. Ask :func:`answers` before such a call.
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaException

from sensorstream.clients.own_thread import on_own_thread

INTERVAL_MS: Final = 5000
SILENT_S: Final = 30.0
"""How long a consumer has to be polled without a heartbeat until it is given up."""
_KNOWN_S: Final = 0.2
_SLICES: Final = 5
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

    def stop(self) -> None:
        """It is known that the main thread does not run."""
        self._silent_s = math.inf

    def has_stopped(self) -> bool:
        """Whether it has not for :data:`SILENT_S`; to be asked after each poll."""
        now = self._clock()
        self._silent_s += min(now - self._looked, _AT_MOST_S)
        self._looked = now
        return self._silent_s > SILENT_S


def answers(consumer: Any, timeout_s: float = 5.0) -> bool:
    """Whether the main thread answers within ``timeout_s``; other threads run meanwhile.

    It does within microseconds. Committed offsets of no partition are asked for, which needs no broker but one that is
    known to coordinate the group; else a commit of none, which needs nobody (``rd_kafka_cgrp_offsets_commit``) but has
    no time limit.
    """
    with suppress(KafkaException):
        consumer.committed([], timeout=_KNOWN_S)
        return True
    asked = on_own_thread("sensorstream-heartbeat", lambda: consumer.commit(offsets=[], asynchronous=False))
    # In slices: a process that is frozen meanwhile loses one of them.
    return any(wait([asked], timeout_s / _SLICES).done for _ in range(_SLICES))


def abandon(consumers: list[Any]) -> None:
    """Let go of consumers that may never end. ``consumers`` must hold the only references to them, and is emptied."""
    on_own_thread("sensorstream-abandoned-consumer", consumers.clear)
