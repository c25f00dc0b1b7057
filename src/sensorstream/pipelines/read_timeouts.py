"""Station 6: how long a reading loop waits: for the next records, and for brokers that can't be reached."""

import threading
import time
from typing import Final, Literal, TypeAlias

from sensorstream.errors import ClusterUnreachable, CredentialsRefused
from sensorstream.events import Listener, Notice, ignore

Ended: TypeAlias = Literal["end", "count", "timeout", "stopped"]
"""How a loop that reads has ended; ``stopped``: because it was asked to."""
POLL_S: Final = 0.5
"""The longest wait of one poll: so long at the most until a wish to stop is seen."""
GIVE_UP_S: Final = 120.0
"""How long a loop that is to end by itself waits for brokers that are away."""


class ReadTimeouts:
    """When a reading loop polls again, when it has heard nothing for too long, when it gives up on the brokers.

    ``idle_timeout_s``: seconds without records after which the loop is to end. ``has_end``: it is to end by itself in
    some other way. A loop that has neither waits for brokers until ``stop`` is set. ``poll_s`` is the longest wait of a
    poll, and of a look at brokers that are away, in seconds.
    """

    def __init__(
        self,
        stop: threading.Event,
        listener: Listener = ignore,
        *,
        idle_timeout_s: float | None = None,
        has_end: bool = False,
        poll_s: float = POLL_S,
    ) -> None:
        self._stop = stop
        self._listener = listener
        self._idle_timeout_s = idle_timeout_s
        self._longest_s = poll_s
        self._bounded = has_end or idle_timeout_s is not None
        self._heard_at = time.monotonic()
        self._away_since: float | None = None

    def heard(self) -> None:
        """Records have come."""
        self._heard_at = time.monotonic()

    def answered(self) -> None:
        """The brokers answer: an outage, if there was one, is over."""
        self._away_since = None

    @property
    def away(self) -> bool:
        """Whether an outage is being sat out."""
        return self._away_since is not None

    @property
    def poll_s(self) -> float:
        """How long the next poll may wait: not past the idle timeout."""
        limit = self._idle_timeout_s
        left = self._longest_s if limit is None else min(self._longest_s, limit - (time.monotonic() - self._heard_at))
        return max(left, 0.0)

    @property
    def idle(self) -> bool:
        """Whether no record has come for the whole idle timeout."""
        limit = self._idle_timeout_s
        return limit is not None and time.monotonic() - self._heard_at >= limit

    def sit_out(self, error: ClusterUnreachable) -> None:
        """Wait a moment for brokers that are away, and tell of it once. Raises ``error`` when it is time to give up.

        That is at once where the brokers are there and turn this user away.
        """
        if isinstance(error, CredentialsRefused):
            raise error
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            self._listener(Notice(f"{error.message}; trying again until the brokers answer", "warning"))
        if self._bounded and now - self._away_since >= max(GIVE_UP_S, self._idle_timeout_s or 0.0):
            raise error
        self._stop.wait(self._longest_s)
        # Brokers that are away say nothing about whether records have come.
        self.heard()
