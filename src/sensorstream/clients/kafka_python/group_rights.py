"""Station 5: whether this user may know of a group, for a client that waits in silence where it may not.

librdkafka asks on for committed offsets that it may not have. Its own admin client is not asked why: whatever that puts
to a coordinator aborts the whole process when the connection to it drops (librdkafka 2.16.0, its issues 4605 and 5040).
The answer about a group's coordinator needs the same right as its offsets, Describe.
"""

import threading
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from typing import Final

import kafka.errors as kafka_errors

from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.own_thread import on_own_thread
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.rights import Denied
from sensorstream.errors import SensorstreamError

_LOOK_S: Final = 3.0
_GROUP: Final = 0


class GroupRights:
    """Asks one cluster what this user may know; one question at a time, however often it is put."""

    def __init__(self, bootstrap: tuple[str, ...], properties: ClientProperties) -> None:
        self._bootstrap = bootstrap
        self._properties = properties
        self._asking = threading.Lock()
        self._under_way: Future[Denied | None] | None = None

    def refusal(self, group: str) -> Denied | None:
        """The brokers' refusal to tell of this group; None where there is none within some seconds. Never raises."""
        with self._asking:
            if self._under_way is None:
                self._under_way = on_own_thread("sensorstream-rights", partial(self._ask, group))
            wait([self._under_way], _LOOK_S)
            if not self._under_way.done():  # it is waited for the next time
                return None
            answer, self._under_way = self._under_way, None
            return answer.result()

    def _ask(self, group: str) -> Denied | None:
        with suppress(SensorstreamError, kafka_errors.KafkaError, RuntimeError, OSError):
            with Session(self._bootstrap, self._properties) as session:
                code = session.coordinator(_GROUP, group).error_code
            if issubclass(kafka_errors.for_code(code), kafka_errors.AuthorizationError):
                return Denied("group", group)
        return None
