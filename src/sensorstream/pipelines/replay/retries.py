"""Station 4, exactly once: whether a transaction that has failed is tried again, and how soon."""

import time
from typing import Final, Literal

from sensorstream.errors import CredentialsRefused, DeliveryTimeout, RecordTooLarge, SensorstreamError
from sensorstream.events import Listener, Notice

GIVE_UP_S: Final = 120.0
"""How long a transaction is tried again before the replay ends; nothing that is committed is lost by that."""
_PAUSES_S: Final = (0.1, 0.3, 1.0)


class Retries:
    """The failures of a source's transactions since its last commit. ``topic`` is for messages."""

    def __init__(self, topic: str, listener: Listener) -> None:
        self._topic = topic
        self._listener = listener
        self._failing_since: float | None = None
        self._failures = 0

    @property
    def pause_s(self) -> float:
        """How long to wait, after a failure, before it is tried again, in seconds."""
        return _PAUSES_S[min(self._failures, len(_PAUSES_S)) - 1]

    def succeeded(self) -> None:
        """A transaction is committed."""
        self._failing_since, self._failures = None, 0

    def failed(self, error: SensorstreamError) -> None:
        """A transaction has failed: tell of it. Raises ``error`` where it is of no use to try again, DeliveryTimeout
        when that has been done for too long.
        """
        if isinstance(error, CredentialsRefused | RecordTooLarge) or isinstance(error.__cause__, RecordTooLarge):
            raise error
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        self._failures += 1
        if now - self._failing_since >= GIVE_UP_S:
            raise DeliveryTimeout(
                f"{self._topic}: nothing could be committed for {GIVE_UP_S:g} s: {error.message}",
                hint="start the brokers again, then run the same command again",
            ) from error
        level: Literal["debug", "warning"] = "debug" if self._failures > 1 else "warning"
        self._listener(
            Notice(f"{self._topic}: a transaction failed and is repeated from the last commit: {error.message}", level)
        )
