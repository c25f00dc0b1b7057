"""Station 5: whether this user may know of a group, for a client that waits in silence where it may not.

librdkafka asks on for committed offsets that it may not have. Its own admin client is not asked why: whatever that puts
to a coordinator aborts the whole process when the connection to it drops (librdkafka 2.16.0, its issues 4605 and 5040).
The answer about a group's coordinator needs the same right as its offsets, Describe.
"""

from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Final

from sensorstream.clients.own_thread import on_own_thread
from sensorstream.clients.properties import ClientProperties
from sensorstream.clients.rights import Denied
from sensorstream.errors import SensorstreamError

_LOOK_S: Final = 3.0


class GroupRights:
    """Asks one cluster whether this user may know of one group; one question at a time, however often it is put."""

    def __init__(self, bootstrap: tuple[str, ...], properties: ClientProperties, group: str) -> None:
        self._bootstrap = bootstrap
        self._properties = properties
        self._group = group
        self._under_way: Future[Denied | None] | None = None

    def refusal(self) -> Denied | None:
        """The brokers' refusal to tell of the group; None where there is none within some seconds. Never raises."""
        if self._under_way is None:
            self._under_way = on_own_thread("sensorstream-rights", self._ask)
        wait([self._under_way], _LOOK_S)
        if not self._under_way.done():  # it is waited for the next time
            return None
        answer, self._under_way = self._under_way, None
        return answer.result()

    def _ask(self) -> Denied | None:
        # The library is imported by those who ask: most readers with librdkafka never do.
        import kafka.errors as kafka_errors

        from sensorstream.clients.kafka_python.admin import Session

        with suppress(SensorstreamError, kafka_errors.KafkaError, RuntimeError, OSError):
            with Session(self._bootstrap, self._properties) as session:
                code = session.coordinator("group", self._group).error_code
            if issubclass(kafka_errors.for_code(code), kafka_errors.AuthorizationError):
                return Denied("group", self._group)
        return None
