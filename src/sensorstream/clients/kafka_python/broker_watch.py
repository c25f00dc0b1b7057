"""Stations 4 and 6: what is known of one kafka-python client's connections: who went, who came back, and why.

The library tells the cause of a failed connection to its log only.
"""

import threading
import time
from collections.abc import Mapping
from typing import Final

from sensorstream.clients import refusals, tls
from sensorstream.clients.kafka_python.failures import is_final, is_quick, is_refusal, reason
from sensorstream.clients.throttles import Throttles
from sensorstream.errors import ClusterUnreachable
from sensorstream.events import Listener, Notice, ignore

CONNECT_S: Final = 8.0
"""How long to look for a broker before giving up; the command line promises an answer within 10 s."""
REFUSED_S: Final = 1.0
"""How long to go on when every address refuses at once: a broker that restarts may be back by then."""


class BrokerWatch:
    """What happens to one client's connections: why a broker can't be reached, who went and who came back."""

    def __init__(self, listener: Listener = ignore) -> None:
        self.listener = listener
        self._lock = threading.Lock()
        self._away: set[str] = set()
        self._known: dict[str, int] = {}
        self.causes: dict[str, BaseException] = {}
        self.hopeless: BaseException | None = None
        self.throttles = Throttles()
        self.connected = False
        self.closing = False
        self.side = tls.Side()
        self.began = time.monotonic()

    def reached(self, node_id: int | str, address: str) -> None:
        """A connection is up and, where asked for, authenticated."""
        with self._lock:
            self.causes.pop(address, None)
            back = address in self._away
            self._away.discard(address)
            name = self._name(node_id, address)
        if back and not self.closing:
            self.listener(Notice(f"{name} is back"))

    def is_away(self, address: str) -> bool:
        """Whether the broker at this address went and has not come back."""
        with self._lock:
            return address in self._away

    def failed(self, node_id: int | str, address: str, error: BaseException) -> bool:
        """A connection could not be made, or was lost; whether that is news of a broker that was there."""
        with self._lock:
            self.causes[address] = error
            if not self.connected:
                if is_final(error):
                    self.hopeless = error
                return False
            if self.closing or address in self._away:
                return False
            self._away.add(address)
            name = self._name(node_id, address)
            others = len(self._known) - len(self._away)
        going_on = "continuing with the others" if others > 0 else "waiting for a broker to come back"
        self.listener(Notice(f"{name} can't be reached; {going_on}", "warning"))
        return True

    def throttled(self, node_id: int | str, address: str, throttle_ms: int) -> None:
        """A broker has said in an answer for how long it makes this client wait."""
        if throttle_ms:
            self.throttles.note(self._name(node_id, address), throttle_ms)

    def brokers(self, addresses: Mapping[str, int]) -> None:
        """The brokers (address to id) that the cluster consists of now."""
        with self._lock:
            self._known = dict(addresses)

    def give_up(self, addresses: int) -> BaseException | None:
        """The reason to stop connecting before the time is over, if there is one."""
        with self._lock:
            if self.hopeless is not None:
                return self.hopeless
            quick = len(self.causes) >= addresses and all(is_quick(error) for error in self.causes.values())
            if quick and time.monotonic() - self.began > REFUSED_S:
                return next(iter(self.causes.values()))
            return None

    def error(self, bootstrap: tuple[str, ...]) -> ClusterUnreachable:
        """What to tell the user after connecting has failed: which address, and why."""
        with self._lock:
            causes = dict(self.causes)
        for address, cause in causes.items():
            if is_refusal(cause):
                return refusals.credentials_refused(address, self._why(address, cause))
        silent = f"no answer within {CONNECT_S:.0f} s"
        told = [
            f"{address}: {self._why(address, causes[address]) if address in causes else silent}"
            for address in bootstrap
        ]
        return ClusterUnreachable(
            f"no broker can be reached ({'; '.join(told)})",
            hint="check -b/--bootstrap, start a cluster with: sensorstream cluster up, or ask: sensorstream doctor",
        )

    def _why(self, address: str, cause: BaseException) -> str:
        return tls.plainly(str(cause), address, self.side) or reason(cause)

    def _name(self, node_id: int | str, address: str) -> str:
        number = self._known.get(address, node_id)
        return f"broker {number} ({address})" if isinstance(number, int) else f"broker {address}"
