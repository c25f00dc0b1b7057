"""Station 6 with librdkafka: how a consumer is configured: what may be changed, and what a reader promises."""

from typing import Any, Final

from sensorstream.clients.base import GROUP_SESSION_MS
from sensorstream.clients.properties import ClientProperties

DEFAULTS: Final = {
    "max.partition.fetch.bytes": 4 * 1024 * 1024,
    "queued.min.messages": 100000,
    "queued.max.messages.kbytes": 32768,
    "fetch.queue.backoff.ms": 5,
    "fetch.error.backoff.ms": 200,
    "fetch.wait.max.ms": 200,  # how late the end behind control records is told
    "session.timeout.ms": GROUP_SESSION_MS,
}
PROMISED: Final = {
    "auto.offset.reset": "error",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "partition.assignment.strategy": "cooperative-sticky",
    "allow.auto.create.topics": False,
    "enable.partition.eof": True,
}
NO_GROUP: Final = "sensorstream-no-group"
"""librdkafka wants a group's name even where there is no group; nothing is asked or told under it."""


def consumer_options(
    properties: ClientProperties, group: str | None, client_id: str, fetch_wait_ms: int | None = None
) -> dict[str, Any]:
    """A consumer's options; addresses and callbacks are not among them. Without ``group`` it belongs to none."""
    options = {**DEFAULTS, "client.id": client_id, **properties.for_librdkafka("consumer"), **PROMISED}
    if fetch_wait_ms is not None:
        options["fetch.wait.max.ms"] = fetch_wait_ms
    options["group.id"] = group or NO_GROUP
    if group is None:
        options.pop("group.instance.id", None)
    return options
