"""Station 4 for one source: what was sent, bounded, until its outcome is known.

The client does not bound its queue, so this does, in rows and in bytes. Every delivery is looked at; what is not
known to be stored decides where the next run goes on.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from sensorstream.clients.base import Delivery
from sensorstream.errors import DeliveryError, DeliveryTimeout

MAX_OPEN_ROWS: Final = 50_000
MAX_OPEN_BYTES: Final = 48 * 1024 * 1024
"""What may be sent and unanswered, per source; each row counts its share of the client's bookkeeping, too."""
_ROW_BYTES: Final = 500
_LOOK_S: Final = 0.2


class _Sent(NamedTuple):
    row: int
    rows: int
    size: int
    at: float
    delivery: Delivery
    then: Callable[[int], None] | None


class Outbox:
    """The rows of one source that are on their way. ``name`` is for messages; ``answer_s`` is how long one may take."""

    def __init__(self, name: str, answer_s: float) -> None:
        self.sent = self.acknowledged = self.failed = 0
        self._name = name
        self._answer_s = answer_s
        self._open: deque[_Sent] = deque()
        self._open_rows = 0
        self._open_bytes = 0
        self._first_failed: int | None = None

    @property
    def open_rows(self) -> int:
        """Rows that were sent and have no outcome yet."""
        return self._open_rows

    def first_unsafe(self, next_row: int) -> int:
        """The first row that is not safely stored, when everything before ``next_row`` has been sent."""
        waiting = self._open[0].row if self._open else next_row
        return waiting if self._first_failed is None else min(waiting, self._first_failed)

    def add(
        self, row: int, rows: int, size: int, delivery: Delivery, then: Callable[[int], None] | None = None
    ) -> None:
        """Take what was just sent: ``rows`` rows of ``size`` bytes, the first of them ``row``.

        ``then`` is called with the offset when it has been acknowledged.
        """
        self.sent += rows
        self._open.append(_Sent(row, rows, size + rows * _ROW_BYTES, time.monotonic(), delivery, then))
        self._open_rows += rows
        self._open_bytes += size + rows * _ROW_BYTES

    def make_room(self, stop: threading.Event) -> None:
        """Wait until more may be sent, or ``stop`` is set. Raises DeliveryError as :meth:`reap` does."""
        while (self._open_rows >= MAX_OPEN_ROWS or self._open_bytes >= MAX_OPEN_BYTES) and not stop.is_set():
            self.wait_a_moment()

    def wait_a_moment(self) -> None:
        """Wait a little for the oldest outcome, and take what has come. Raises DeliveryError as :meth:`reap` does."""
        if self._open:
            try:
                self._open[0].delivery.wait(_LOOK_S)
            except DeliveryTimeout:
                pass
            except DeliveryError:
                # It is counted, and raised, where all outcomes are: in reap.
                pass
            self.reap()

    def reap(self) -> None:
        """Take the outcomes that are there, oldest first.

        Raises the first failure, after counting it, and DeliveryTimeout when an answer is overdue.
        """
        problem: DeliveryError | None = None
        while self._open and self._open[0].delivery.done():
            problem = self._take(self._open.popleft()) or problem
        if problem is not None:
            raise problem
        if self._open and time.monotonic() - self._open[0].at > self._answer_s:
            raise DeliveryTimeout(
                f"{self._name}: row {self._open[0].row} was not acknowledged within {self._answer_s:g} s",
                hint="start the brokers again, then continue with --from-row",
            )

    def settle(self) -> None:
        """Take every outcome that is there, also behind one that is not. Raises the first failure."""
        problem: DeliveryError | None = None
        waiting: deque[_Sent] = deque()
        for sent in self._open:
            if sent.delivery.done():
                problem = self._take(sent) or problem
            else:
                waiting.append(sent)
        self._open = waiting
        if problem is not None:
            raise problem

    def _take(self, sent: _Sent) -> DeliveryError | None:
        self._open_rows -= sent.rows
        self._open_bytes -= sent.size
        try:
            offset = sent.delivery.wait(0)
        except DeliveryError as error:
            failed = getattr(sent.delivery, "failed", 1)
            self.failed += failed
            self.acknowledged += sent.rows - failed
            self._first_failed = sent.row if self._first_failed is None else min(self._first_failed, sent.row)
            return error
        self.acknowledged += sent.rows
        if sent.then is not None:
            sent.then(offset)
        return None
