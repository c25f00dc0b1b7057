"""Station 4: the librdkafka producers behind one publisher; one, and more for a topic of many partitions.

A broker works on one request of a connection at a time: it reads the next only when the first is answered, which with
``acks=all`` takes until the followers have the records (``SocketServer`` mutes the channel). librdkafka sends a request
for each partition, so into many partitions one connection spends its time waiting, however many requests it may have
under way. A topic of many partitions is spread over several producers, each with connections of its own. A partition
stays with its producer, so its records keep their order and their sequence.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

MOST: Final = 8
"""So many producers at the most: each has a thread and a connection a broker."""
PARTITIONS: Final = 6
"""So many partitions keep one producer's connections busy."""
_TURN_S: Final = 0.005


class Producers:
    """Behaves as one producer where all of them are meant; :meth:`of` gives the one of a partition.

    ``first`` is connected; ``make`` makes another one like it, which connects when it is used.
    """

    def __init__(self, first: Any, make: Callable[[], Any], *, spread: bool) -> None:
        """``spread`` False: there is never another one, as in a transaction."""
        self.first = first
        self._all = [first]
        self._make = make
        self._spread = spread
        self._shares: dict[str, int] = {}
        self._growing = threading.Lock()

    def of(self, topic: str, partition: int, partitions: int) -> Any:
        """The producer of a partition of a topic that had so many ``partitions`` when it was first asked for."""
        share = self._shares.get(topic)
        if share is None:
            share = min(max(1, partitions // PARTITIONS), MOST) if self._spread else 1
            self._shares[topic] = share
        if share == 1:
            return self.first
        if len(self._all) < share:
            with self._growing:
                while len(self._all) < share:
                    self._all.append(self._make())
        return self._all[partition % share]

    def poll(self, timeout_s: float) -> None:
        """Let them call back; wait for a callback of any of them, so long at the most."""
        if len(self._all) == 1:
            self.first.poll(timeout_s)
            return
        deadline = time.monotonic() + timeout_s
        while not sum(producer.poll(0) for producer in self._all):
            left = deadline - time.monotonic()
            if left <= 0 or self.first.poll(min(left, _TURN_S)):
                return

    def flush(self, timeout_s: float) -> int:
        """Wait until nothing is open, so long at the most; how much still is."""
        deadline = time.monotonic() + timeout_s
        return sum(producer.flush(max(0.0, deadline - time.monotonic())) for producer in self._all)

    def purge(self) -> None:
        """Give up what is open."""
        for producer in self._all:
            producer.purge()

    def close(self) -> None:
        """Let go of them."""
        for producer in self._all:
            producer.close()

    def __len__(self) -> int:
        """How many records and callbacks are open."""
        return sum(map(len, self._all))
