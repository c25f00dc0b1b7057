"""Station 6: the offsets that a group has committed, asked for and committed through librdkafka."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from sensorstream.clients import refusals
from sensorstream.clients.librdkafka.asking import ask
from sensorstream.clients.librdkafka.failures import denied, error_of, reason
from sensorstream.clients.own_thread import on_own_thread
from sensorstream.clients.rights import Denied
from sensorstream.errors import BrokerError, SensorstreamError
from sensorstream.records import Commit, TopicPartition, note_in

COMMIT_S: Final = 5.0
_COMMITTED_S: Final = 2.0
"""So long one question for committed offsets may take, until it is asked whether this user may know them at all."""
_NOT_COMMITTED: Final = "the group's positions were not committed"


def commits(
    consumer: Any,
    partitions: Sequence[TopicPartition],
    refusal: Callable[[], Denied | None],
    still_there: Callable[[str], object],
) -> dict[TopicPartition, Commit]:
    """The group's committed offsets with their notes, of those partitions that have one.

    ``refusal`` is asked whether this user may know of the group: librdkafka asks on where not, and says nothing.
    ``still_there`` is asked whether a topic is there. Raises UnknownTopic, BrokerError, ClusterUnreachable, NotAllowed.
    """
    what, wanted = f"{refusals.whose(partitions)} can't be read", [KafkaPartition(*one) for one in partitions]

    def question(left: float) -> list[Any]:
        try:
            return list(consumer.committed(wanted, timeout=min(left, _COMMITTED_S)))
        except KafkaException as error:
            inner = error_of(error)
            if inner is not None and inner.code() == KafkaError._TIMED_OUT:
                refused = refusal()
                if refused is not None:
                    raise refused.error(what) from error
            raise

    return {
        TopicPartition(one.topic, one.partition): Commit(int(one.offset), note_in(one.metadata))
        for one in ask(what, question, wanted[0].topic, still_there)
        if one.offset >= 0
    }


def commit(
    consumer: Any,
    group: str,
    offsets: list[KafkaPartition],
    *,
    in_callback: bool,
    refusal: Callable[[], Denied | None] | None,
) -> None:
    """Commit these offsets for the group; ``in_callback``: this is called in a callback of the consumer's.

    Where nobody has answered, ``refusal``, if given, is asked whether this user may know of the group: librdkafka asks
    on who coordinates it, also when the answer is each time that the user may not know. Raises BrokerError when they
    were not accepted within ``COMMIT_S``, NotAllowed.
    """

    def call() -> list[Any]:
        return list(consumer.commit(offsets=offsets, asynchronous=False) or ())

    answers: list[Any] = []
    try:
        if in_callback:
            answers = call()  # another thread would have to wait for the end of consume
        else:
            with suppress(TimeoutError):
                answers = on_own_thread("sensorstream-commit", call).result(COMMIT_S)
    except (KafkaException, RuntimeError) as error:
        raise _not_committed(group, error) from error
    if not answers:
        refused = None if refusal is None else refusal()
        if refused is not None:
            raise refused.error(_NOT_COMMITTED, "Read")
        raise BrokerError(f"{_NOT_COMMITTED}: no answer within {COMMIT_S:.0f} s")
    for answer in answers:
        if answer.error is not None:
            raise _not_committed(group, KafkaException(answer.error))


def _not_committed(group: str, error: BaseException) -> SensorstreamError:
    inner = error_of(error)
    refused = None if inner is None else denied(inner, group)
    if refused is not None:
        return refused.error(_NOT_COMMITTED, "Read")
    return BrokerError(f"{_NOT_COMMITTED}: {reason(error)}")
