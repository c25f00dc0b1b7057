"""Station 5 watched: requests to many brokers in parallel, so that a broker that hangs does not delay the others."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.kafka_python.failures import reason
from sensorstream.clients.kafka_python.net import wait_for

K = TypeVar("K", bound=Hashable)

TIMEOUT_S: Final = 2.0
"""How long a broker may take for an answer."""
FIRST_TIMEOUT_S: Final = 10.0
"""How long when it is asked for the first time: a command that looks once has no later look to find out what a busy
machine told too late. A broker that hangs costs this once, as it gets ``SHORT_S`` from then on."""
SHORT_S: Final = 0.4
"""How long one may take that gave none the last time."""
HEDGE_S: Final = 0.7
"""After which time another broker is asked what any of them can tell."""
_AGAIN_S: Final = 0.1


class Answers(Generic[K]):
    """What came back: the answers, and why the others are missing."""

    def __init__(self) -> None:
        self.told: dict[K, Any] = {}
        self.failed: dict[K, BaseException | None] = {}
        """None where no answer came in time."""


class Asker:
    """Asks the brokers of one session, and keeps which of them refuse connections or are silent; for one thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.timeout_s = FIRST_TIMEOUT_S
        self.requests = 0
        self.refusing: set[int] = set()
        """Brokers at whose address nobody listens."""
        self.silent_since: dict[int, float] = {}
        """Brokers that gave no answer, and since when (the monotonic clock)."""
        self._late: dict[int, Any] = {}

    def known(self) -> dict[int, tuple[str, int]]:
        """The brokers that can be asked, with their addresses."""
        brokers = self._session.manager.cluster.brokers()
        return {int(one.node_id): (str(one.host), int(one.port)) for one in brokers}

    def supports(self, request: Any, version: int) -> bool:
        """Whether the brokers know this version of a request."""
        from kafka.errors import KafkaError

        try:
            return int(self._session.manager.broker_version_data.api_version(request)) >= version
        except KafkaError:
            return False

    def all(self, requests: Mapping[K, tuple[int, Any]], timeout_s: float | None = None) -> Answers[K]:
        """Ask all at once; each key's broker and request. Brokers that are known to be silent get little time."""
        found: Answers[K] = Answers()
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        self._hear_late()
        began = time.monotonic()
        sent = {key: (broker, self._send(broker, request, timeout_s)) for key, (broker, request) in requests.items()}
        for key, (broker, future) in sent.items():
            within_s = min(timeout_s, SHORT_S) if broker in self.silent_since else timeout_s
            self._collect(found, key, broker, future, began + within_s - time.monotonic())
        return found

    def ask(self, broker: int, request: Any, timeout_s: float) -> Any:
        """One broker's answer to a question that others have to help it with; None where there is none in time."""
        future = self._send(broker, request, timeout_s)
        return future.value if wait_for(future, timeout_s) and future.succeeded() else None

    def any(self, request: Callable[[], Any], brokers: Collection[int], timeout_s: float) -> Any:
        """What one of the brokers answers first: the next is asked when one takes long. None: nobody does."""
        order = deque(sorted(brokers, key=lambda one: (one in self.refusing, one in self.silent_since)))
        waiting: dict[int, Any] = {}
        news = threading.Event()
        end = time.monotonic() + timeout_s
        while order or waiting:
            if order:
                broker = order.popleft()
                waiting[broker] = self._send(broker, request(), timeout_s)
                waiting[broker].add_both(lambda _: news.set())
            until = min(end, time.monotonic() + HEDGE_S) if order else end
            while waiting and time.monotonic() < until:
                news.wait(until - time.monotonic())
                news.clear()
                for broker, future in [one for one in waiting.items() if one[1].is_done]:
                    del waiting[broker]
                    if future.succeeded():
                        self._heard(broker)
                        return future.value
                    self._note(broker, future.exception)
            if time.monotonic() >= end:
                break
        for broker in waiting:
            self._note(broker, None)
        return None

    def each(self, brokers: Iterable[int], request: Callable[[], Any]) -> Answers[int]:
        """Ask each broker the same; one whose connection breaks is asked again while there is time."""
        found: Answers[int] = Answers()
        end = time.monotonic() + self.timeout_s
        left = list(brokers)
        pause = threading.Event()
        while left:
            now = self.all({one: (one, request()) for one in left}, max(0.05, end - time.monotonic()))
            found.told |= now.told
            found.failed |= now.failed
            left = [one for one, error in now.failed.items() if _is_broken(error) and one not in self.refusing]
            if time.monotonic() >= end - _AGAIN_S:
                break
            pause.wait(_AGAIN_S if left else 0)
        for one in found.told:
            found.failed.pop(one, None)
        return found

    def why(self, broker: int, error: BaseException | None) -> str:
        """Why a broker gave no answer, in plain words."""
        if broker in self.refusing:
            return "nobody listens at its address"
        if error is None or broker in self.silent_since:
            return "it does not answer"
        return reason(error)

    def learn_brokers(self, brokers: Mapping[int, tuple[str, int]]) -> None:
        """Have new brokers looked up, when the cluster consists of others than are known."""
        known = self.known()
        if any(known.get(one) != address for one, address in brokers.items()):
            manager = self._session.manager
            future = manager.call_soon(manager.cluster.request_update)
            wait_for(future, SHORT_S)

    def _send(self, broker: int, request: Any, timeout_s: float) -> Any:
        manager = self._session.manager
        self.requests += 1
        return manager.call_soon(manager.send, request, broker, timeout_s * 1000)

    def _collect(self, found: Answers[K], key: K, broker: int, future: Any, left_s: float) -> None:
        if not wait_for(future, max(left_s, 0.001)):
            found.failed[key] = None
            self._late[broker] = future
            self._note(broker, None)
        elif future.succeeded():
            found.told[key] = future.value
            self._heard(broker)
        else:
            found.failed[key] = future.exception
            self._note(broker, future.exception)

    def _hear_late(self) -> None:
        """Brokers that answered after all, but too late for what was asked, are slow and not silent."""
        for broker, future in [one for one in self._late.items() if one[1].is_done]:
            del self._late[broker]
            if future.succeeded():
                self._heard(broker)

    def _heard(self, broker: int) -> None:
        self.refusing.discard(broker)
        self.silent_since.pop(broker, None)

    def _note(self, broker: int, error: BaseException | None) -> None:
        if _is_refused(error) or (error is not None and self._refused_before(broker)):
            self.refusing.add(broker)
            self.silent_since.pop(broker, None)
        elif error is None or _is_late(error):
            self.silent_since.setdefault(broker, time.monotonic())

    def _refused_before(self, broker: int) -> bool:
        """Whether the last attempt at this broker's address was refused; the library waits a moment between them."""
        from sensorstream.addresses import bracketed

        address = self.known().get(broker)
        return address is not None and _is_refused(self._session.watch.causes.get(bracketed(*address)))


def words(code: int) -> str:
    """What an error code of the protocol means, in plain words where they are known."""
    from kafka.errors import for_code

    name = str(for_code(code).__name__)
    return "this user has no right to it" if "AuthorizationFailed" in name else name


def _is_refused(error: BaseException | None) -> bool:
    return error is not None and "ECONNREFUSED" in str(error)


def _is_late(error: BaseException) -> bool:
    import kafka.errors as kafka_errors

    return isinstance(error, kafka_errors.RequestTimedOutError | kafka_errors.KafkaTimeoutError)


def _is_broken(error: BaseException | None) -> bool:
    """Whether the connection broke, and a new one may do better."""
    import kafka.errors as kafka_errors

    return isinstance(error, kafka_errors.KafkaConnectionError | kafka_errors.NodeNotReadyError)
