"""Station 4: whether a transaction of a stream that has failed is done again, and how soon."""

import time
from typing import Final, Literal

from sensorstream.errors import ClusterUnreachable, DeliveryTimeout, Fenced, NotAllowed, SensorstreamError
from sensorstream.events import Listener, Notice

GIVE_UP_S: Final = 120.0
"""How long the same rows are tried again."""
FENCED_TIMES: Final = 3
"""So many times within :data:`FENCED_WITHIN_S` a stream is fenced; then somebody else is using its transactional id."""
FENCED_WITHIN_S: Final = 60.0
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 2.0


class Retries:
    """The failures of a stream's transactions since its last commit. ``transactional_id`` is for messages."""

    def __init__(self, transactional_id: str, listener: Listener) -> None:
        self._transactional_id = transactional_id
        self._listener = listener
        self._failing_since: float | None = None
        self._failures = 0
        self._fenced: list[float] = []

    @property
    def pause_s(self) -> float:
        """How long to wait before it is tried again, in seconds: longer with each failure."""
        return min(_FIRST_PAUSE_S * 2.0**self._failures, _LONGEST_PAUSE_S)

    def succeeded(self) -> None:
        """A transaction is committed."""
        self._failing_since, self._failures = None, 0

    def away(self) -> None:
        """No broker answers, so nobody says whether the rows would be taken: the time until then does not count."""
        self._failing_since = None

    def failed(self, error: SensorstreamError) -> None:
        """A transaction has failed: tell of it. Raises ``error`` where that has gone on for too long or is final,
        Fenced when another process keeps using the transactional id.
        """
        self._failures += 1
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        if isinstance(error, Fenced):
            # Alone, it is only when it was frozen or cut off until its transaction had timed out.
            self._fenced = [at for at in self._fenced if now - at < FENCED_WITHIN_S] + [now]
        if len(self._fenced) >= FENCED_TIMES:
            raise Fenced(
                f"another process keeps using {self._transactional_id}",
                hint="give each its own --instance",
            ) from error
        if isinstance(error, NotAllowed):
            raise error
        unclear = isinstance(error, DeliveryTimeout | ClusterUnreachable)
        if not unclear and now - self._failing_since >= GIVE_UP_S:
            raise error
        level: Literal["debug", "warning"] = "debug" if self._failures > 1 else "warning"
        self._listener(Notice(f"a transaction failed and is repeated: {error.message}", level))
