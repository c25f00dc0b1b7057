"""What kafka-python's exceptions mean, in plain words and as errors of this program."""

import re
import socket
import ssl
from typing import Final

import kafka.errors as kafka_errors

from sensorstream.clients.kafka_python.denied import denied
from sensorstream.errors import (
    BrokerError,
    ClusterUnreachable,
    CredentialsRefused,
    SensorstreamError,
)


def is_refusal(error: BaseException) -> bool:
    """Whether a broker turns this user or its certificate away."""
    if isinstance(error, kafka_errors.SaslAuthenticationFailedError | kafka_errors.AuthorizationError):
        return True
    if isinstance(error, kafka_errors.UnsupportedSaslMechanismError):
        return True
    text = str(error)
    return "CERTIFICATE_VERIFY_FAILED" in text or "certificate required" in text.lower() or "ALERT_" in text


def is_final(error: BaseException) -> bool:
    """Whether no later attempt, nor another address of the cluster, can do better."""
    return is_refusal(error) or isinstance(error, ssl.SSLError | FileNotFoundError | PermissionError)


def is_quick(error: BaseException) -> bool:
    """Whether the address says no at once, and most likely will again."""
    marks = (
        "ECONNREFUSED",
        "DNS ",
        "UNREACH",
        "EADDRNOTAVAIL",
        "socket disconnected",
        "IllegalSaslState",
        "UNEXPECTED_EOF",
        "Invalid frame",
    )
    return any(mark in str(error) for mark in marks)


_PLAIN_WORDS: Final = (
    ("ECONNREFUSED", "the connection is refused, nobody listens there"),
    ("DNS ", "the host name is not known"),
    ("EHOSTUNREACH", "there is no route to the host"),
    ("ENETUNREACH", "there is no route to the network"),
    ("EADDRNOTAVAIL", "there is no route to the network"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate can't be verified"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS there"),
    ("UNEXPECTED_EOF", "it does not speak TLS there"),
    ("record layer failure", "it does not speak TLS there"),
    ("IllegalSaslState", "it does not ask for a user name there, see security.protocol"),
    ("UnsupportedSaslMechanism", "it does not take this sasl.mechanism"),
    ("socket disconnected", "it closes the connection, see security.protocol and sasl.mechanism"),
    ("Invalid frame length", "its answer is not Kafka's; it may want TLS, see security.protocol"),
    ("I/O wait timed out", "no answer in time"),
    ("Connection timed out", "no answer in time"),
    ("Request timed out", "no answer in time"),
)


def reason(error: BaseException) -> str:
    """A foreign exception in one line of plain words."""
    text = " ".join(str(error).split())
    for mark, words in _PLAIN_WORDS:
        if mark in text:
            detail = text.split(mark, 1)[1].strip(" :]'()\"") if mark == "CERTIFICATE_VERIFY_FAILED" else ""
            detail = detail.split(" (_ssl", 1)[0].removeprefix("certificate verify failed:").strip()
            return f"{words} ({detail})" if detail else words
    if isinstance(error, kafka_errors.SaslAuthenticationFailedError):
        return f"authentication failed ({text.rpartition(': ')[2] or 'no reason given'})"
    if isinstance(error, kafka_errors.KafkaError):
        text = re.sub(r"^\[Error -?\d+\] ", "", text)  # as in: [Error 7] RequestTimedOutError: what happened
        name, _, said = text.partition(":")
        return said.strip() or name or type(error).__name__
    return text or type(error).__name__


def broker_error(what: str, error: BaseException, operation: str = "") -> SensorstreamError:
    """An exception of the library, as ours: ``what`` could not be done, and why.

    ``operation`` is the right on a topic that it takes, as ACLs call it.
    """
    if isinstance(error, SensorstreamError):
        return error
    refused = denied(error)
    if refused is not None:
        return refused.error(what, operation)
    if isinstance(error, kafka_errors.SaslAuthenticationFailedError):
        return CredentialsRefused(f"{what}: {reason(error)}")
    if isinstance(error, kafka_errors.KafkaTimeoutError | kafka_errors.KafkaConnectionError | socket.error):
        return ClusterUnreachable(f"{what}: {reason(error)}", hint="look at: sensorstream cluster status")
    return BrokerError(f"{what}: {reason(error)}")
