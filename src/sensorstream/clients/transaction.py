"""Station 4: the state of a transactional publisher, and when its commits become visible: the same for every client."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

from sensorstream.clients.base import PlacedDelivery, Reader
from sensorstream.errors import DeliveryError, Fenced, SensorstreamError, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.records import TopicPartition

TRANSACTION_S = 60.0
"""After this long the brokers abort a transaction by themselves, unless the client is given another time."""


class Stage:
    """Whether a publisher is between transactions, in one, or spent."""

    def __init__(self, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self._now: Literal["ready", "open", "spent"] = "ready"

    @property
    def is_open(self) -> bool:
        """Whether a transaction has begun."""
        return self._now == "open"

    def begin(self) -> None:
        """A transaction begins."""
        if self._now == "open":
            raise UsageError(f"a transaction of {self.transactional_id} has begun already")
        if self._now == "spent":
            raise DeliveryError(
                f"the publisher of {self.transactional_id} can't be used any more after an abort or an error",
                hint="open another",
            )
        self._now = "open"

    def require_open(self) -> None:
        """Raise unless a transaction has begun."""
        if self._now == "spent":
            self.begin()
        if self._now != "open":
            raise UsageError(f"no transaction of {self.transactional_id} has begun")

    def committed(self) -> None:
        """The transaction is committed; another may begin."""
        self._now = "ready"

    def spend(self) -> None:
        """No other transaction may begin."""
        self._now = "spent"

    def fenced(self) -> Fenced:
        """What to tell when another publisher has taken the id."""
        self.spend()
        return Fenced(
            f"another run has taken over {self.transactional_id}; what this one had not committed is aborted",
            hint="let the other run continue, or stop it and start again",
        )


SEEN_S: Final = 10.0
"""So long at the most :func:`wait_until_seen` waits: an older transaction that is still open hides what lies behind."""
_PAUSE_S: Final = 0.005


def ends_of(deliveries: Iterable[PlacedDelivery]) -> dict[TopicPartition, int]:
    """The offset behind the last record in each partition, of deliveries whose outcomes are known.

    Raises the first failure among them.
    """
    ends: dict[TopicPartition, int] = {}
    for delivery in deliveries:
        offset = delivery.wait(0)
        if offset >= 0:
            ends[delivery.where] = offset + 1
    return ends


def wait_until_seen(
    reader: Reader, ends: Mapping[TopicPartition, int], listener: Listener = ignore, wait_s: float = SEEN_S
) -> None:
    """Wait until committed readers see these partitions up to their ``ends``, for ``wait_s`` seconds at the most.

    Brokers acknowledge a commit before they write it into the logs of its partitions (KIP-98, PrepareCommit), so for
    some milliseconds readers find an earlier end. Nothing is lost where it can't be waited for, and nothing raised:
    ``listener`` is told which partitions readers do not see to their end.
    """
    deadline = time.monotonic() + wait_s
    pause = threading.Event()
    with suppress(SensorstreamError):
        while True:
            seen = reader.end_offsets(ends)
            hidden = sorted(partition for partition, end in ends.items() if seen[partition] < end)
            if not hidden:
                return
            if time.monotonic() >= deadline:
                listener(_hidden(hidden))
                return
            pause.wait(_PAUSE_S)


def _hidden(partitions: Sequence[TopicPartition]) -> Notice:
    named = ", ".join(map(str, partitions[:3])) + (f" and {len(partitions) - 3} more" if len(partitions) > 3 else "")
    return Notice(
        f"readers do not see the last committed records of {named} yet: a transaction that another process left open "
        f"stands before them; the brokers end it within {TRANSACTION_S:g} s",
        "warning",
    )
