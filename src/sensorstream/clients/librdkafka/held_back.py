"""Station 4: records that are kept from librdkafka while a broker does not answer.

Of a partition that has five records or more on their way, an idempotent producer sends no more until they are answered.
If more are queued, a thread of librdkafka looks for room without a pause meanwhile
(``rd_kafka_toppar_producer_serve``, librdkafka 2.16; its issue 3692): a broker that was frozen took one to two cores of
the producer's machine. So of records that are to be sent at once (``linger.ms=0``), those that can't be sent yet are
not queued there, but here.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeAlias

from confluent_kafka import KafkaError

from sensorstream.clients.librdkafka.delivery import RdDelivery
from sensorstream.records import TopicPartition

ON_THEIR_WAY: Final = 5
"""``RD_KAFKA_IDEMP_MAX_INFLIGHT``: it is compared with the number of records, not of requests."""
SILENT_S: Final = 0.02
"""So long after its last answer a partition is held back: until then, an answer is likely to be near."""

HandOver: TypeAlias = Callable[[], object]
"""Queues one record with librdkafka. Raises BufferError where its queue is full."""


class Window:
    """The records of one partition that have no outcome yet: those that librdkafka has, and those held back."""

    __slots__ = ("_answered", "_heard", "_sent", "held")

    def __init__(self) -> None:
        # Each is written by one thread at a time: by that which hands records over, by that which polls.
        self._sent = self._answered = 0
        self._heard = 0.0
        self.held: deque[tuple[WindowDelivery, HandOver]] = deque()

    @property
    def open(self) -> int:
        """How many records librdkafka has."""
        return self._sent - self._answered

    def must_wait(self) -> bool:
        """Whether the next record is to be held back."""
        return bool(self.held) or (
            self._sent - self._answered >= ON_THEIR_WAY and time.monotonic() - self._heard > SILENT_S
        )

    def count_sent(self) -> None:
        """Count a record that was handed over."""
        if self._sent == self._answered:
            self._heard = time.monotonic()  # before the first one, silence says nothing
        self._sent += 1

    def count_answered(self) -> None:
        """Count a record that has its outcome."""
        self._heard = time.monotonic()
        self._answered += 1


class WindowDelivery(RdDelivery):
    """The fate of one record that counts in its partition's window."""

    __slots__ = ("window",)

    def __init__(self, publisher: Any, where: TopicPartition, window: Window) -> None:
        RdDelivery.__init__(self, publisher, where, 1)
        self.window = window

    def __call__(self, error: KafkaError | None, message: Any) -> None:
        """librdkafka's delivery report."""
        self.window.count_answered()
        RdDelivery.__call__(self, error, message)

    def refuse(self, error: KafkaError) -> None:
        """The outcome of a record that librdkafka has never had, where the producer's death was not that already."""
        if self.open:
            RdDelivery.__call__(self, error, None)


class HeldBack:
    """The records of a publisher that are held back. May be used from several threads."""

    def __init__(self) -> None:
        self._windows: dict[TopicPartition, Window] = {}
        self._waiting: set[Window] = set()
        # Kept while a record is handed over, so that none overtakes another.
        self._order = threading.RLock()

    def window(self, where: TopicPartition) -> Window:
        """The window of a partition."""
        return self._windows.get(where) or self._windows.setdefault(where, Window())

    def send(self, delivery: WindowDelivery, produce: Callable[..., object], *words: Any, **options: Any) -> None:
        """Have ``produce`` queue a record now, or keep it until there is room. Raises what that does."""
        window = delivery.window
        with self._order:
            if window.must_wait():
                window.held.append((delivery, partial(produce, *words, **options)))
                self._waiting.add(window)
            else:
                produce(*words, **options)
                window.count_sent()

    def release(self, refused: Callable[[BaseException], KafkaError], only: Window | None = None) -> int:
        """Hand over what there is room for, or all of one window; how much it was.

        ``refused`` gives the error of a record that librdkafka does not take: that is its outcome.
        """
        if not self._waiting:
            return 0
        count = 0
        with self._order:
            for window in list(self._waiting) if only is None else [only]:
                if only is not None or window.open < ON_THEIR_WAY:
                    count += self._release(window, refused)
        return count

    def _release(self, window: Window, refused: Callable[[BaseException], KafkaError]) -> int:
        count = 0
        while window.held:
            delivery, hand_over = window.held[0]
            try:
                hand_over()
            except BufferError:
                return count
            except Exception as error:
                window.held.popleft()
                delivery.refuse(refused(error))
            else:
                window.held.popleft()
                window.count_sent()
            count += 1
        self._waiting.discard(window)
        return count

    def give_up(self) -> None:
        """Let all records that are held end as those do that librdkafka purges from its queue."""
        with self._order:
            for window in self._waiting:
                while window.held:
                    window.held.popleft()[0].refuse(KafkaError(KafkaError._PURGE_QUEUE))
            self._waiting.clear()
