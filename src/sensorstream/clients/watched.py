"""The parts of a real broker's client that are kept to explain why it waits."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sensorstream.clients.causes import Cause, Waited
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.throttles import Throttling, Watches
from sensorstream.events import Listener, ignore

if TYPE_CHECKING:
    from sensorstream.clients.kafka_python.diagnosis import Diagnosis


class _Made(Protocol):
    @property
    def watch(self) -> Throttling: ...


P = TypeVar("P", bound=_Made)
T = TypeVar("T", bound=_Made)
R = TypeVar("R", bound=_Made)
W = TypeVar("W", bound=_Made)


class WatchedClient(ABC, Generic[P, T, R]):
    """A :class:`~sensorstream.clients.base.Client`; it connects when a publisher or reader is made.

    ``P``, ``T`` and ``R`` are what its library's publishers, publishers of transactions and readers are.
    """

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

    def publisher(self, *, client_id: str = "sensorstream", listener: Listener = ignore) -> P:
        """A connected publisher. Raises ClusterUnreachable or CredentialsRefused within 10 s."""
        return self._watched(self._make_publisher(client_id, listener))

    def transactional_publisher(
        self, transactional_id: str, *, client_id: str = "sensorstream", listener: Listener = ignore
    ) -> T:
        """A connected publisher of transactions; older ones of the same id are fenced by now.

        Raises ClusterUnreachable or CredentialsRefused within 10 s, BrokerError when the id can't be had within 30 s.
        """
        return self._watched(self._make_transactional_publisher(transactional_id, client_id, listener))

    def reader(
        self,
        *,
        group: str | None = None,
        client_id: str = "sensorstream",
        listener: Listener = ignore,
        fetch_wait_ms: int | None = None,
    ) -> R:
        """A connected reader. Raises ClusterUnreachable or CredentialsRefused within 10 s."""
        return self._watched(self._make_reader(group, client_id, listener, fetch_wait_ms))

    @abstractmethod
    def _make_publisher(self, client_id: str, listener: Listener) -> P:
        """A connected publisher."""

    @abstractmethod
    def _make_transactional_publisher(self, transactional_id: str, client_id: str, listener: Listener) -> T:
        """A connected publisher of transactions."""

    @abstractmethod
    def _make_reader(self, group: str | None, client_id: str, listener: Listener, fetch_wait_ms: int | None) -> R:
        """A connected reader."""

    def _watched(self, made: W) -> W:
        self._watches.add(made.watch)
        return made
