"""What librdkafka's errors mean to the one who asked: wait for the brokers, or give up."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sensorstream.clients.librdkafka_net import PASSING, broker_error
from sensorstream.clients.librdkafka_reader import _ask
from sensorstream.errors import BrokerError, ClusterUnreachable, UnknownTopic


@pytest.mark.parametrize("code", sorted(PASSING))
def test_what_passes_is_an_outage_that_a_capture_sits_out(code: int) -> None:
    assert isinstance(broker_error("asked", KafkaException(KafkaError(code))), ClusterUnreachable)


@pytest.mark.parametrize("code", [KafkaError.TOPIC_EXCEPTION, KafkaError.POLICY_VIOLATION, KafkaError._STATE])
def test_what_stays_is_an_error_of_the_cluster(code: int) -> None:
    error = broker_error("asked", KafkaException(KafkaError(code)))
    assert isinstance(error, BrokerError)
    assert not isinstance(error, ClusterUnreachable)


def test_a_question_is_put_again_while_a_new_leader_catches_up() -> None:
    """Right after an election a leader does not know yet how far its log is committed (OFFSET_NOT_AVAILABLE)."""
    answers: list[Any] = [
        KafkaException(KafkaError(KafkaError.OFFSET_NOT_AVAILABLE)),
        [SimpleNamespace(error=KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))],
        [SimpleNamespace(error=None, offset=7)],
    ]

    def question(_: float) -> Iterable[Any]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: Iterable[Any] = answer
        return found

    assert [one.offset for one in _ask("asked", question, "AIR")] == [7]


def test_a_topic_that_brokers_no_longer_know_is_gone() -> None:
    def question(_: float) -> Iterable[Any]:
        return [SimpleNamespace(error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))]

    with pytest.raises(UnknownTopic, match="AIR"):
        _ask("asked", question, "AIR")


def test_a_refusal_is_told_at_once() -> None:
    def question(_: float) -> Iterable[Any]:
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(BrokerError, match="not allowed"):
        _ask("asked", question, "AIR")
