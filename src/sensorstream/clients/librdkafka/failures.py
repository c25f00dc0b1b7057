"""What librdkafka's errors mean, in plain words and as errors of this program."""

import re
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from sensorstream.clients.rights import Denied
from sensorstream.errors import BrokerError, ClusterUnreachable, CredentialsRefused, SensorstreamError

WHO: Final = re.compile(r"(?:\w+://)?(?P<address>\S+:\d+)/(?P<id>bootstrap|\d+): (?P<what>.*)", re.DOTALL)
FINAL: Final = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL)


def is_refusal(error: KafkaError) -> bool:
    """Whether a broker turns this user or its certificate away."""
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        return True
    text = error.str().lower()
    return "certificate verify failed" in text or "certificate required" in text or "alert" in text


def is_quick(error: KafkaError) -> bool:
    """Whether the address says no at once, and most likely will again."""
    text = error.str()
    return error.code() == KafkaError._RESOLVE or any(
        mark in text
        for mark in (
            "refused",
            "unreachable",
            "Cannot assign",
            "Disconnected",
            "Invalid response size",
            "Broken pipe",
            "reset by peer",
        )
    )


_PLAIN_WORDS: Final = (
    ("Connection refused", "the connection is refused, nobody listens there"),
    ("Failed to resolve", "the host name is not known"),
    ("No route to host", "there is no route to the host"),
    ("Network is unreachable", "there is no route to the network"),
    ("Cannot assign requested address", "there is no route to the network"),
    ("certificate verify failed", "its certificate can't be verified"),
    ("wrong version number", "it does not speak TLS there"),
    ("connecting to a PLAINTEXT broker", "it does not speak TLS there"),
    ("connecting to a SSL listener", "it closes the connection, it may want TLS, see security.protocol"),
    ("Invalid response size", "its answer is not Kafka's; it may want TLS, see security.protocol"),
    ("Unsupported SASL mechanism", "it does not take this sasl.mechanism"),
    ("not supported by broker", "it does not take this sasl.mechanism"),
    ("Connection setup timed out", "no answer in time"),
    ("timed out", "no answer in time"),
    ("Disconnected", "it closes the connection, see security.protocol and sasl.mechanism"),
    ("Broken pipe", "it closes the connection, see security.protocol and sasl.mechanism"),
    ("Connection reset", "it closes the connection, see security.protocol and sasl.mechanism"),
)
"""What librdkafka's texts mean, the most telling ones first."""


def vagueness(error: KafkaError) -> int:
    """How little an error says of why an address can't be used: 0 for a refusal, else its place in the list."""
    if is_refusal(error):
        return 0
    text = error.str().lower()
    places = (place for place, (mark, _) in enumerate(_PLAIN_WORDS, start=1) if mark.lower() in text)
    return next(places, len(_PLAIN_WORDS) + 1)


def error_of(error: BaseException) -> KafkaError | None:
    """librdkafka's error inside an exception of the binding."""
    inner = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return inner if isinstance(inner, KafkaError) else None


def reason(error: KafkaError | BaseException) -> str:
    """A foreign error in one line of plain words."""
    inner = error if isinstance(error, KafkaError) else error_of(error)
    text = " ".join((inner.str() if inner is not None else str(error)).split())
    match = WHO.match(text)
    if match is not None:
        text = match["what"]
    for mark, words in _PLAIN_WORDS:
        if mark.lower() in text.lower():
            if mark == "certificate verify failed":
                return f"{words} ({text})" if len(text) < 200 else words
            return words
    if inner is not None and inner.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        said = re.sub(r" \(after .*", "", text.removeprefix("SASL authentication error: "))
        return f"authentication failed ({said})"
    return text.removeprefix("Broker: ").removeprefix("Local: ") or type(error).__name__


PASSING: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._WAIT_COORD,
        KafkaError._DESTROY_BROKER,  # it is no longer in the cluster's list, which a dead broker leaves, too
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
"""What brokers answer while they come and go: asked again, they give another answer (the protocol's retriable errors;
librdkafka marks none of a consumer's so)."""


def passes(error: KafkaError) -> bool:
    """Whether the same question may find another answer in a moment."""
    return error.code() in PASSING or bool(error.retriable())


_KINDS: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
}


def denied(error: KafkaError, name: str = "") -> Denied | None:
    """The refusal in an error of librdkafka, of the thing of this name; None for any other error."""
    kind = _KINDS.get(error.code())
    return None if kind is None else Denied(kind, name)


def broker_error(what: str, error: BaseException, operation: str = "", name: str = "") -> SensorstreamError:
    """An exception of the library, as ours: ``what`` could not be done, and why.

    ``operation`` is the right on a topic that it takes, as ACLs call it, ``name`` that of the topic or group.
    """
    if isinstance(error, SensorstreamError):
        return error
    inner = error_of(error)
    if inner is None:
        return BrokerError(f"{what}: {reason(error)}")
    refused = denied(inner, name)
    if refused is not None:
        return refused.error(what, operation)
    code = inner.code()
    if code in FINAL:
        return CredentialsRefused(f"{what}: {reason(inner)}")
    if passes(inner):
        return ClusterUnreachable(f"{what}: {reason(inner)}", hint="look at: sensorstream cluster status")
    return BrokerError(f"{what}: {reason(inner)}")
