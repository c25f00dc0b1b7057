"""Questions about partitions that are put to librdkafka until they are answered."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import KafkaException

from sensorstream.clients import refusals
from sensorstream.clients.librdkafka.failures import broker_error, passes
from sensorstream.clients.librdkafka.net import ASK_S
from sensorstream.clients.librdkafka.topics import GONE
from sensorstream.errors import ClusterUnreachable, UnknownTopic

_UNKNOWN_S: Final = 1.0
"""How long librdkafka may not know a topic before the brokers are asked whether it is gone."""


def ask(
    what: str, question: Callable[[float], Iterable[Any] | None], topic: str, still_there: Callable[[str], object]
) -> list[Any]:
    """Put a question about partitions of ``topic`` until all are answered; again, for ASK_S, while brokers come and go.

    librdkafka says that it knows no such partition also when it has lost its brokers (_UNKNOWN_PARTITION). So they are
    asked: ``still_there`` raises UnknownTopic when it is gone, ClusterUnreachable when nobody answers.
    """
    began = time.monotonic()
    while True:
        try:
            found = list(question(max(0.1, began + ASK_S - time.monotonic())) or ())
            failed = next((one.error for one in found if one.error is not None), None)
            if failed is None:
                return found
            error = KafkaException(failed)
        except KafkaException as failure:
            error = failure
        inner, waited = error.args[0], time.monotonic() - began
        if inner.code() in GONE:
            if waited >= _UNKNOWN_S:
                try:
                    still_there(topic)
                except UnknownTopic as gone:
                    raise refusals.topic_gone(topic) from gone
                if time.monotonic() - began >= ASK_S:
                    raise ClusterUnreachable(
                        f"{what}: no leader of {topic!r} is known for {ASK_S:.0f} s",
                        hint="look at: sensorstream cluster status",
                    ) from error
        elif waited >= ASK_S or not passes(inner):
            raise broker_error(what, error) from error
        threading.Event().wait(0.1)
