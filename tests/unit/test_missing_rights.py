"""A missing right in whatever form a client tells it, and what is made of it."""

import kafka.errors as kafka_errors
import pytest
from confluent_kafka import KafkaError, KafkaException

from sensorstream.clients import refusals
from sensorstream.clients.kafka_python import failures as kafka_python
from sensorstream.clients.kafka_python.delivery import delivery_error
from sensorstream.clients.kafka_python.denied import denied
from sensorstream.clients.librdkafka import failures as librdkafka
from sensorstream.clients.librdkafka.delivery import delivery_error as rd_delivery_error
from sensorstream.clients.rights import Denied
from sensorstream.errors import DeliveryError, ExitCode, NotAllowed, WriteNotAllowed
from sensorstream.records import TopicPartition

AIR = TopicPartition("AIR", 0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (kafka_errors.TopicAuthorizationFailedError({"AIR"}), Denied("topic", "AIR")),
        (kafka_errors.TopicAuthorizationFailedError("AIR"), Denied("topic", "AIR")),
        (kafka_errors.GroupAuthorizationFailedError("my.group-1"), Denied("group", "my.group-1")),
        (kafka_errors.GroupAuthorizationFailedError(), Denied("group")),
        (kafka_errors.TransactionalIdAuthorizationFailedError(), Denied("transactional id")),
        (
            kafka_errors.ClusterAuthorizationFailedError("The producer is not authorized to do idempotent sends"),
            Denied("cluster"),
        ),
        (
            kafka_errors.KafkaError(
                f"Unexpected error in InitProducerIdResponse: {kafka_errors.ClusterAuthorizationFailedError()}"
            ),
            Denied("cluster"),
        ),
        (
            kafka_errors.KafkaError(
                "Cannot execute transactional method because we are in an error state: "
                f"{kafka_errors.TopicAuthorizationFailedError({'OUT'})}"
            ),
            Denied("topic", "OUT"),
        ),
        (kafka_errors.NotLeaderForPartitionError(), None),
        (kafka_errors.KafkaError("authorization"), None),
    ],
)
def test_kafka_python_wraps_it_in_many_ways(error: Exception, expected: Denied | None) -> None:
    assert denied(error) == expected


def test_several_topics_are_all_named() -> None:
    found = denied(kafka_errors.TopicAuthorizationFailedError({"AIR", "EARTH"}))
    assert found is not None
    assert sorted(found.name.split(" and ")) == ["AIR", "EARTH"]


def test_both_clients_say_the_same() -> None:
    told = [
        kafka_python.broker_error("reading failed", kafka_errors.TopicAuthorizationFailedError({"AIR"}), "Read"),
        librdkafka.broker_error(
            "reading failed", KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)), "Read", "AIR"
        ),
    ]
    assert [type(one) for one in told] == [NotAllowed, NotAllowed]
    assert {str(one) for one in told} == {
        "reading failed: not allowed for this user (topic authorization failed); "
        "come as another user, or have Read on topic AIR granted by an ACL"
    }


def test_a_record_that_may_not_be_written_is_a_failed_delivery_with_the_code_of_a_missing_right() -> None:
    told = [
        delivery_error(AIR, kafka_errors.TopicAuthorizationFailedError("AIR")),
        rd_delivery_error(AIR, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)),
    ]
    for one in told:
        assert isinstance(one, WriteNotAllowed)
        assert isinstance(one, DeliveryError)
        assert one.exit_code is ExitCode.UNREACHABLE
        assert "have Write on topic AIR granted" in one.hint
    assert str(told[0]) == str(told[1])


def test_another_topic_of_a_transaction_is_named_as_that() -> None:
    error = delivery_error(TopicPartition("_jobs", 0), kafka_errors.TopicAuthorizationFailedError({"AIR"}))
    assert "Write on topic AIR" in error.hint
    both = Denied("topic").delivery_error(AIR, "_jobs", "AIR")
    assert both.message.startswith("AIR and _jobs: a record was not delivered")
    assert "Write on topic AIR and _jobs" in both.hint


def test_an_aborted_transaction_keeps_the_reason() -> None:
    refused = refusals.aborted(Denied("topic", "AIR").delivery_error(AIR))
    assert isinstance(refused, WriteNotAllowed)
    assert refused.message.startswith("the transaction was aborted: AIR[0]: a record was not delivered")
    assert type(refusals.aborted(DeliveryError("lost"))) is DeliveryError
