"""Station 5: requests through kafka-python's admin client, with bounded waits and with retries where it has none.

A :class:`Session` is one connected admin client. :func:`administer` runs one action on it and, when a controller or
coordinator has moved or a broker has just died, once more on a new client: kafka-python 3.0.12 keeps a dead
controller or coordinator in its cache for ever.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import kafka.errors as kafka_errors
from kafka.admin import KafkaAdminClient
from kafka.protocol.metadata import FindCoordinatorRequest
from kafka.structs import TopicPartition as KafkaPartition

from sensorstream.clients.causes import Waited
from sensorstream.clients.kafka_python.broker_watch import BrokerWatch
from sensorstream.clients.kafka_python.denied import denied
from sensorstream.clients.kafka_python.failures import broker_error
from sensorstream.clients.kafka_python.net import connect, metadata, release
from sensorstream.clients.properties import ClientProperties, parse_properties
from sensorstream.clients.rights import Denied
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.closing import Closing
from sensorstream.config import Settings
from sensorstream.errors import BrokerError, SensorstreamError
from sensorstream.events import Listener, ignore
from sensorstream.records import TopicPartition

T = TypeVar("T")

REQUEST_MS: Final = 10000
RETRY_S: Final = 20.0
"""How long an action is tried again while brokers are elected or restarted."""
_EARLIEST: Final = -2
_LATEST: Final = -1
_READ_COMMITTED: Final = 1
_KEY_TYPES: Final = {"group": 0, "transactional id": 1}
"""What a coordinator may be asked for, as the protocol numbers it (KIP-98)."""

_PASSING: Final = (
    kafka_errors.NotControllerError,
    kafka_errors.NotCoordinatorError,
    kafka_errors.CoordinatorNotAvailableError,
    kafka_errors.CoordinatorLoadInProgressError,
    kafka_errors.NodeNotReadyError,
    kafka_errors.KafkaConnectionError,
    kafka_errors.RequestTimedOutError,
    kafka_errors.KafkaTimeoutError,
    kafka_errors.NotLeaderForPartitionError,
    kafka_errors.LeaderNotAvailableError,
    kafka_errors.UnknownBrokerIdError,
)


class Session(Closing):
    """One connected admin client of kafka-python."""

    def __init__(
        self,
        bootstrap: tuple[str, ...],
        properties: ClientProperties,
        *,
        in_flight: int = 5,
        listener: Listener = ignore,
    ) -> None:
        """Connect. ``in_flight`` is how many requests may be under way to a broker; ``listener`` is told who goes."""
        options = {
            "max_in_flight_requests_per_connection": in_flight,
            "client_id": "sensorstream-admin",
            "request_timeout_ms": REQUEST_MS,
            "reconnect_backoff_max_ms": 1000,
            **properties.for_kafka_python("admin"),
        }
        self.watch = BrokerWatch(listener)
        self.client = connect(KafkaAdminClient, bootstrap, self.watch, **options)
        self.manager = self.client._manager

    def metadata(self, topics: list[str] | None) -> Any:
        """The cluster's answer about these topics (None: all)."""
        return metadata(self.manager, topics)

    def refuse_hidden(self, topic: str) -> None:
        """Raise NotAllowed for a topic that is not among all topics because this user may not know of it."""
        for row in self.metadata([topic]).topics:
            kind = kafka_errors.for_code(row.error_code)
            if issubclass(kind, kafka_errors.AuthorizationError):
                raise broker_error(f"topic {topic!r} can't be used", kind(topic), "Describe")

    def ask(self, request: Any, node_id: int | None = None) -> Any:
        """Send one request to a broker (None: any) and return its answer."""
        return self.manager.run(self.manager.send, request, node_id)

    def coordinator(self, kind: str, name: str, node_id: int | None = None) -> Any:
        """What a broker (None: any) says of the coordinator of a ``group`` or a ``transactional id``."""
        request = FindCoordinatorRequest(key=name, key_type=_KEY_TYPES[kind], coordinator_keys=[name])
        answer = self.ask(request, node_id)
        return answer.coordinators[0] if getattr(answer, "coordinators", None) else answer

    def offsets(self, partitions: Iterable[TopicPartition], *, first: bool) -> dict[TopicPartition, int]:
        """The first, or the last stable, offset of each partition; a partition that does not tell is left out.

        The last stable offset is where a read_committed reader ends.
        """
        wanted = {KafkaPartition(*one): _EARLIEST if first else _LATEST for one in partitions}
        if not wanted:
            return {}
        found: dict[Any, Any] = {}
        try:
            found = self._list_offsets(wanted)
        except kafka_errors.KafkaError:
            for partition, spec in wanted.items():  # one that has no leader must not hide the others
                with suppress(kafka_errors.KafkaError):
                    found.update(self._list_offsets({partition: spec}))
        return {TopicPartition(*partition): int(one.offset) for partition, one in found.items() if one.offset >= 0}

    def _list_offsets(self, wanted: Mapping[Any, int]) -> dict[Any, Any]:
        from kafka.protocol.consumer import IsolationLevel

        found: dict[Any, Any] = self.client.list_partition_offsets(
            dict(wanted), isolation_level=IsolationLevel(_READ_COMMITTED), timeout_ms=2000
        )
        return found

    def close(self) -> None:
        """Let go of everything; never raises."""
        self.watch.closing = True
        with suppress(Exception):
            self.client.close()
        release(self.client._client)


def administer(
    settings: Settings,
    what: str,
    action: Callable[[Session], T],
    listener: Listener = ignore,
    waited: Waited | None = None,
) -> T:
    """Run ``action`` on a connected admin client; again on a new one after a passing fault.

    ``what`` says what could not be done, for the message of an error. The action must bear being run twice.
    ``listener`` is told what is waited for when it takes long; ``waited`` is what the action needs besides brokers.
    """
    from sensorstream.clients.kafka_python.diagnosis import Diagnosis

    properties = parse_properties(settings.properties, settings.origins)
    deadline = time.monotonic() + RETRY_S
    with Waiting(
        Diagnosis(settings.bootstrap, properties).causes,
        lambda: [Open("the brokers", None, waited or Waited())],
        listener,
    ):
        while True:
            with Session(settings.bootstrap, properties) as session:
                try:
                    return action(session)
                except SensorstreamError:
                    raise
                except _PASSING as error:
                    if time.monotonic() >= deadline:
                        raise broker_error(what, error) from error
                except (kafka_errors.KafkaError, RuntimeError, OSError) as error:
                    raise broker_error(what, error) from error


def answered(what: str, kind: str, row: Mapping[str, Any] | None = None, operation: str = "") -> SensorstreamError:
    """``what`` could not be done, as the answer has an error of this ``kind``, with whatever its ``row`` says of it.

    ``operation`` is the right on the row's topic that it takes, as ACLs call it.
    """
    refused = denied(Exception(kind))
    if refused is not None:
        return Denied(refused.kind, str(row["name"]) if row else "").error(what, operation)
    return BrokerError(f"{what}: {(row or {}).get('error_message') or kind}")


def answer_error(code: int) -> type[Exception]:
    """The library's exception for an error code of the protocol."""
    kind: type[Exception] = kafka_errors.for_code(code)
    if issubclass(kind, _PASSING):
        raise kind
    return kind
