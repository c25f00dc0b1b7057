"""Station 6 with librdkafka: find out that a consumer's main thread has stopped for good.

In librdkafka 2.10 to 2.16 two threads of a consumer can wait for each other without an end: one checks the epoch of a
partition's leader while the other drops a broker that has left the cluster (its issue 5476). The consumer then says
nothing, fetches nothing of that partition, and can't even be closed. So its main thread is asked now and then.

Most calls of a consumer are answered by that thread, and the binding holds the interpreter's lock while it waits for
the answer: the whole process would stop with it. Ask :meth:`Heartbeat.answers` before such a call.
"""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Any, Final

from confluent_kafka import KafkaException

from sensorstream.clients.own_thread import on_own_thread
from sensorstream.errors import ClusterUnreachable

EVERY_S: Final = 5.0
"""How often a consumer that is polled is asked."""
SILENT_S: Final = 30.0
"""How long it has to be polled without an answer until it is given up."""
ANSWER_S: Final = 5.0
_KNOWN_S: Final = 0.2
_SLICES: Final = 5
_AT_MOST_S: Final = 1.0
"""What the time between two polls counts for: a process that was frozen or busy has not waited all that time."""


class Heartbeat:
    """Whether a consumer is alive. ``in_group``: it belongs to a group, so that group's coordinator may be known."""

    def __init__(self, *, in_group: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._in_group = in_group
        self._clock = clock
        self._looked = self._asked_at = clock()
        self._asked: Future[object] | None = None
        self._silent_s = 0.0

    def has_stopped(self, consumer: Any) -> bool:
        """Whether its main thread has not answered for :data:`SILENT_S`; to be asked before each poll."""
        now = self._clock()
        waited_s, self._looked = min(now - self._looked, _AT_MOST_S), now
        if self._silent_s < math.inf and (self._asked is None or self._asked.done()):
            self._silent_s = 0.0
            if now - self._asked_at >= EVERY_S:
                self._asked, self._asked_at = ask(consumer), now
            return False
        self._silent_s += waited_s
        return self._silent_s > SILENT_S

    def answers(self, consumer: Any, timeout_s: float = ANSWER_S, *, in_callback: bool = False) -> bool:
        """Whether its main thread answers in time, so that it may be called; if not, it is taken for stopped.

        In a callback of the consumer's it is not asked anew: it has just called, and another thread might have to wait
        for the end of the call.
        """
        if self._silent_s == math.inf or in_callback:
            return self._silent_s < math.inf
        if not answers(consumer, timeout_s, in_group=self._in_group):
            self._silent_s = math.inf
            return False
        return True

    def begin(self) -> None:
        """From now on it is another consumer's."""
        self._asked, self._asked_at, self._silent_s = None, self._clock(), 0.0

    def settle(self, timeout_s: float) -> bool:
        """Wait until nothing is asked any more, so that the consumer can be closed; whether that has come about."""
        if self._silent_s == math.inf:
            return False
        return self._asked is None or bool(wait([self._asked], timeout_s).done)


def ask(consumer: Any) -> "Future[object]":
    """Ask the main thread for something that it answers at once, whether there is any broker or not.

    A commit of no offsets is refused (``rd_kafka_cgrp_offsets_commit``). It has no time limit, but other threads run
    meanwhile.
    """
    return on_own_thread("sensorstream-heartbeat", lambda: consumer.commit(offsets=[], asynchronous=False))


def answers(consumer: Any, timeout_s: float, *, in_group: bool) -> bool:
    """Whether the main thread answers within ``timeout_s``; other threads run meanwhile.

    Where the group's coordinator is known it does within microseconds, asked for the committed offsets of no partition
    (``rd_kafka_OffsetFetchRequest``); else see :func:`ask`.
    """
    if in_group:
        with suppress(KafkaException):
            consumer.committed([], timeout=_KNOWN_S)
            return True
    asked = ask(consumer)
    # In slices: a process that is frozen meanwhile loses one of them.
    return any(wait([asked], timeout_s / _SLICES).done for _ in range(_SLICES))


@contextmanager
def questioned(answers: Callable[[], bool]) -> Iterator[None]:
    """A question that gets no answer in time: find out whether that is the consumer's own fault."""
    try:
        yield
    except ClusterUnreachable:
        answers()
        raise


def abandon(consumers: list[Any]) -> None:
    """Let go of consumers that may never end. ``consumers`` is emptied, and holds the last references to them, but
    for those of questions without an answer."""
    on_own_thread("sensorstream-abandoned-consumer", consumers.clear)
