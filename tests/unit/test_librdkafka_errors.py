"""What librdkafka's errors mean to the one who asked: wait for the brokers, or give up."""

import base64
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sensorstream.clients import librdkafka
from sensorstream.clients.librdkafka import group_offsets
from sensorstream.clients.librdkafka.asking import ask
from sensorstream.clients.librdkafka.failures import PASSING, broker_error
from sensorstream.clients.librdkafka.net import BrokerWatch
from sensorstream.clients.rights import Denied
from sensorstream.errors import BrokerError, ClusterUnreachable, NotAllowed, UnknownTopic


@pytest.mark.parametrize("code", sorted(PASSING))
def test_what_passes_is_an_outage_that_a_capture_sits_out(code: int) -> None:
    assert isinstance(broker_error("asked", KafkaException(KafkaError(code))), ClusterUnreachable)


@pytest.mark.parametrize("code", [KafkaError.TOPIC_EXCEPTION, KafkaError.POLICY_VIOLATION, KafkaError._STATE])
def test_what_stays_is_an_error_of_the_cluster(code: int) -> None:
    error = broker_error("asked", KafkaException(KafkaError(code)))
    assert isinstance(error, BrokerError)
    assert not isinstance(error, ClusterUnreachable)


def test_a_question_is_put_again_while_a_new_leader_catches_up() -> None:
    """Right after an election a leader does not know yet how far its log is committed (OFFSET_NOT_AVAILABLE).

    And one that dies leaves the cluster's list (_DESTROY_BROKER).
    """
    answers: list[Any] = [
        KafkaException(KafkaError(KafkaError.OFFSET_NOT_AVAILABLE)),
        KafkaException(KafkaError(KafkaError._DESTROY_BROKER)),
        [SimpleNamespace(error=KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))],
        [SimpleNamespace(error=None, offset=7)],
    ]

    def question(_: float) -> Iterable[Any]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: Iterable[Any] = answer
        return found

    assert [one.offset for one in ask("asked", question, "AIR", is_there)] == [7]


def is_there(_: str) -> None:
    """What a broker says of a topic that it has."""


def test_a_topic_that_brokers_no_longer_know_is_gone() -> None:
    def question(_: float) -> Iterable[Any]:
        return [SimpleNamespace(error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))]

    def is_gone(topic: str) -> None:
        raise UnknownTopic(f"topic {topic!r} does not exist")

    with pytest.raises(UnknownTopic, match="'AIR' has been deleted"):
        ask("asked", question, "AIR", is_gone)


def test_a_refusal_is_told_at_once() -> None:
    def question(_: float) -> Iterable[Any]:
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(NotAllowed, match="not allowed"):
        ask("asked", question, "AIR", is_there)


def test_the_most_telling_cause_is_kept_whatever_comes_after_it() -> None:
    watch = BrokerWatch()
    where = "ssl://127.0.0.1:9092/bootstrap: "
    said = (
        "Disconnected",
        "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
        "Broken pipe",
    )
    for text in said:
        watch.told(KafkaError(KafkaError._TRANSPORT, where + text))
    assert "it does not speak TLS there" in watch.error(("127.0.0.1:9092",)).message
    watch.told(KafkaError(KafkaError._AUTHENTICATION, where + "SASL authentication error: wrong"))
    watch.told(KafkaError(KafkaError._TRANSPORT, where + "Send failed: Broken pipe"))
    assert "refuses the connection" in watch.error(("127.0.0.1:9092",)).message


@pytest.mark.parametrize("text", ["Send failed: Broken pipe", "Receive failed: Connection reset by peer"])
def test_an_address_that_hangs_up_leads_to_the_security_options(text: str) -> None:
    watch = BrokerWatch()
    watch.told(KafkaError(KafkaError._TRANSPORT, f"127.0.0.1:9092/bootstrap: {text} (after 0ms in state UP)"))
    assert "security.protocol" in watch.error(("127.0.0.1:9092",)).message


def test_a_topic_has_the_same_id_whichever_client_asks() -> None:
    """Else a topic would pass for one that was made anew, and an exactly-once replay by the other client begin anew."""
    from types import SimpleNamespace
    from uuid import UUID

    from sensorstream.clients.kafka_python.reader import topic_id_text
    from sensorstream.clients.librdkafka.topics import _id_of

    raw = bytes.fromhex("fbefbefbefbefbefbefbffffffffffff")
    as_librdkafka = SimpleNamespace(topic_id=base64.b64encode(raw).decode().rstrip("="))
    assert _id_of(as_librdkafka) == topic_id_text(UUID(bytes=raw))


TO_A_COORDINATOR = re.compile(r"\.((?:describe|delete|alter|list)_consumer_groups?(?:_offsets)?|list_groups)\(")


def test_its_admin_client_is_asked_nothing_that_goes_to_a_coordinator() -> None:
    """It aborts the process when the connection to the coordinator drops (librdkafka 2.16.0, its issue 4605)."""
    files = sorted(Path(librdkafka.__path__[0]).glob("*.py"))
    assert len(files) > 10
    assert [(file.name, TO_A_COORDINATOR.findall(file.read_text(encoding="utf-8"))) for file in files] == [
        (file.name, []) for file in files
    ]
    assert TO_A_COORDINATOR.search("admin.list_consumer_group_offsets([])")


def test_a_commit_that_nobody_answers_is_a_missing_right_where_that_is_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine librdkafka takes longer to tell that it may not know than a commit is waited for."""
    monkeypatch.setattr(group_offsets, "COMMIT_S", 0.05)
    over = threading.Event()

    def commit(refusal: Callable[[], Denied | None] | None) -> None:
        silent = SimpleNamespace(commit=lambda **_: over.wait(60))
        group_offsets.commit(silent, "readers", [], in_callback=False, refusal=refusal)

    try:
        with pytest.raises(NotAllowed, match="group authorization failed") as caught:
            commit(lambda: Denied("group", "readers"))
        assert "Read on group readers" in str(caught.value)
        for refusal in (lambda: None, None):
            with pytest.raises(BrokerError, match="no answer within"):
                commit(refusal)
    finally:
        over.set()
