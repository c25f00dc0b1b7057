"""The parts of a real broker's client that are kept to explain why it waits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from sensorstream.clients.causes import Cause, Waited
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.throttles import Throttling, Watches

if TYPE_CHECKING:
    from sensorstream.clients.kafka_python.diagnosis import Diagnosis


class _Made(Protocol):
    @property
    def watch(self) -> Throttling: ...


T = TypeVar("T", bound=_Made)


class WatchedClient:
    """Half of a :class:`~sensorstream.clients.base.Client`; the other half makes publishers and readers."""

    def __init__(self, bootstrap: tuple[str, ...], properties: ClientProperties | None = None) -> None:
        self._bootstrap = bootstrap
        self._properties = properties or ClientProperties()
        self._watches = Watches()
        self._diagnosis: Diagnosis | None = None

    def causes(self, waited: Waited) -> Sequence[Cause]:
        """Why what is waited for does not come; within a few seconds, and never raises."""
        if self._diagnosis is None:
            # Asked by the one client that is always installed, whichever waits.
            from sensorstream.clients.kafka_python.diagnosis import Diagnosis

            self._diagnosis = Diagnosis(self._bootstrap, self._properties)
        return (*self._diagnosis.causes(waited), *self._watches.causes())

    def _watched(self, made: T) -> T:
        self._watches.add(made.watch)
        return made
