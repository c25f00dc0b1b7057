"""Station 4: where a transactional publisher stands, and when what it committed is seen: the same for every client."""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from sensorstream.clients.base import TransactionalPublisher
from sensorstream.errors import DeliveryError, Fenced, SensorstreamError, UsageError

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
                f"the publisher of {self.transactional_id} is spent, after an abort or an error", hint="open another"
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
            hint="let the other one go on, or stop it and start again",
        )


def close_when_seen(publisher: TransactionalPublisher, open_next: Callable[[], TransactionalPublisher]) -> None:
    """Close a publisher when committed readers see all that it has committed.

    Brokers acknowledge a commit before they write it into the logs of its partitions (KIP-98, PrepareCommit), so for a
    moment readers find an earlier end. They give the id to the next publisher, which ``open_next`` opens, only after
    that. Where it can't be opened nothing is lost, and nothing raised.
    """
    publisher.close()
    with suppress(SensorstreamError):
        open_next().close()
