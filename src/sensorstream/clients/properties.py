"""One set of client options under their Java names, checked once and mapped onto each client.

The names are those of Apache Kafka's producer, consumer and admin configuration
(https://kafka.apache.org/documentation/#configuration); librdkafka's names for credentials and
certificates, and for a few things that it alone has, are understood too. An option that would break what this
program promises (nothing lost, nothing doubled, nothing skipped) is refused with the reason.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from sensorstream.config import Secret, nearest
from sensorstream.errors import ConfigError
from sensorstream.producer_options import COMPRESSIONS, DEFAULT_COMPRESSION, given_up

Role: TypeAlias = Literal["producer", "consumer", "admin"]
_Check: TypeAlias = Callable[[str], Any]

SECURITY_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_SECRET_NAMES: Final = frozenset(
    (
        "sasl.jaas.config",
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.truststore.password",
    )
)


def _whole(low: int, high: int = 2**31 - 1) -> _Check:
    def check(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return check


def _buffer(text: str) -> int | None:
    size = _whole(-1)(text)
    return None if size == -1 else int(size)


def _one_of(*words: str) -> _Check:
    def check(text: str) -> str:
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return check


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("true or false")
    return text.lower() == "true"


def _text(text: str) -> str:
    if not text:
        raise ValueError("a text that is not empty")
    return text


def _file(text: str) -> str:
    if not Path(text).expanduser().is_file():
        raise ValueError("the path of a file that exists")
    return str(Path(text).expanduser())


def _pem(mark: str) -> _Check:
    def check(text: str) -> str:
        path = _file(text)
        if f"{mark}-----" not in Path(path).read_text("ascii", "replace"):
            raise ValueError(f"a PEM file with a {mark}")
        return path

    return check


def _protocol(text: str) -> str:
    if text.upper() not in SECURITY_PROTOCOLS:
        raise ValueError(f"one of {', '.join(SECURITY_PROTOCOLS)}")
    return text.upper()


def _mechanism(text: str) -> str:
    if text.upper() not in SASL_MECHANISMS:
        raise ValueError(f"one of {', '.join(SASL_MECHANISMS)}")
    return text.upper()


def _acks(text: str) -> int:
    return {"all": -1, "-1": -1, "1": 1, "0": 0}[_one_of("all", "-1", "1", "0")(text.lower())]


def _compression(text: str) -> str | None:
    word = _one_of(*COMPRESSIONS)(text.lower())
    return None if word == "none" else str(word)


@dataclass(frozen=True, slots=True)
class _Option:
    """One option: how its text is checked, each client's name for it (None: it has none), and who takes it.

    ``rdkafka`` None stands for the option's own name; the least value that librdkafka takes is ``least``.
    """

    check: _Check
    name: str | None
    roles: tuple[Role, ...]
    rdkafka: str | None = None
    least: int | None = None


_ALL: Final[tuple[Role, ...]] = ("producer", "consumer", "admin")
_PRODUCER: Final[tuple[Role, ...]] = ("producer",)
_CONSUMER: Final[tuple[Role, ...]] = ("consumer",)

_OPTIONS: Final[Mapping[str, _Option]] = {
    "client.id": _Option(_text, "client_id", _ALL),
    "client.rack": _Option(_text, "client_rack", _CONSUMER),
    "client.dns.lookup": _Option(
        _one_of("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"), "client_dns_lookup", _ALL
    ),
    "request.timeout.ms": _Option(_whole(1), "request_timeout_ms", _ALL, "socket.timeout.ms", 10),
    "retry.backoff.ms": _Option(_whole(0), "retry_backoff_ms", _ALL, least=1),
    "reconnect.backoff.ms": _Option(_whole(0), "reconnect_backoff_ms", _ALL),
    "reconnect.backoff.max.ms": _Option(_whole(0), "reconnect_backoff_max_ms", _ALL),
    "connections.max.idle.ms": _Option(_whole(1), "connections_max_idle_ms", _ALL),
    "metadata.max.age.ms": _Option(_whole(1), "metadata_max_age_ms", _ALL),
    "send.buffer.bytes": _Option(_buffer, "send_buffer_bytes", _ALL, "socket.send.buffer.bytes"),
    "receive.buffer.bytes": _Option(_buffer, "receive_buffer_bytes", _ALL, "socket.receive.buffer.bytes"),
    "linger.ms": _Option(_whole(0), "linger_ms", _PRODUCER),
    "batch.size": _Option(_whole(0), "batch_size", _PRODUCER, least=1),
    "compression.type": _Option(_compression, "compression_type", _PRODUCER),
    "acks": _Option(_acks, "acks", _PRODUCER),
    "enable.idempotence": _Option(_truth, "enable_idempotence", _PRODUCER),
    "max.in.flight.requests.per.connection": _Option(_whole(1), "max_in_flight_requests_per_connection", _PRODUCER),
    "max.request.size": _Option(_whole(1), "max_request_size", _PRODUCER, "message.max.bytes", 1000),
    "delivery.timeout.ms": _Option(_whole(1), "delivery_timeout_ms", _PRODUCER),
    "fetch.min.bytes": _Option(_whole(0), "fetch_min_bytes", _CONSUMER, least=1),
    "fetch.max.bytes": _Option(_whole(1), "fetch_max_bytes", _CONSUMER),
    "fetch.max.wait.ms": _Option(_whole(0), "fetch_max_wait_ms", _CONSUMER, "fetch.wait.max.ms"),
    "max.partition.fetch.bytes": _Option(_whole(1), "max_partition_fetch_bytes", _CONSUMER),
    "max.poll.records": _Option(_whole(1), "max_poll_records", _CONSUMER),
    "max.poll.interval.ms": _Option(_whole(1), "max_poll_interval_ms", _CONSUMER),
    "session.timeout.ms": _Option(_whole(1), "session_timeout_ms", _CONSUMER),
    "heartbeat.interval.ms": _Option(_whole(1), "heartbeat_interval_ms", _CONSUMER),
    "check.crcs": _Option(_truth, "check_crcs", _CONSUMER),
    "group.instance.id": _Option(_text, "group_instance_id", _CONSUMER),
    "security.protocol": _Option(_protocol, "security_protocol", _ALL),
    "sasl.mechanism": _Option(_mechanism, "sasl_mechanism", _ALL),
    "sasl.username": _Option(_text, "sasl_plain_username", _ALL),
    "sasl.password": _Option(_text, "sasl_plain_password", _ALL),
    "ssl.truststore.location": _Option(_pem("CERTIFICATE"), "ssl_cafile", _ALL, "ssl.ca.location"),
    "ssl.keystore.location": _Option(_pem("CERTIFICATE"), "ssl_certfile", _ALL, "ssl.certificate.location"),
    "ssl.key.location": _Option(_pem("PRIVATE KEY"), "ssl_keyfile", _ALL),
    "ssl.key.password": _Option(_text, "ssl_password", _ALL),
    "ssl.endpoint.identification.algorithm": _Option(
        lambda text: _one_of("https", "", "none")(text.lower()) == "https", "ssl_check_hostname", _ALL
    ),
    "ssl.crl.location": _Option(_pem("CRL"), "ssl_crlfile", _ALL),
    "batch.num.messages": _Option(_whole(1, 1_000_000), None, _PRODUCER),
    "queue.buffering.max.messages": _Option(_whole(1), None, _PRODUCER),
    "queue.buffering.max.kbytes": _Option(_whole(1), None, _PRODUCER),
    "queued.min.messages": _Option(_whole(1, 10_000_000), None, _CONSUMER),
    "queued.max.messages.kbytes": _Option(_whole(1, 2_097_151), None, _CONSUMER),
    "fetch.queue.backoff.ms": _Option(_whole(0, 300_000), None, _CONSUMER),
    "broker.address.family": _Option(_one_of("any", "v4", "v6"), None, _ALL),
    "socket.keepalive.enable": _Option(_truth, None, _ALL),
}

_CODEC_MODULES: Final = {"lz4": ("lz4", "lz4"), "snappy": ("snappy", "python-snappy"), "zstd": ("zstandard",) * 2}
"""The Python module that kafka-python needs for a codec, and the package that it comes with."""

_ALIASES: Final = {
    "sasl.mechanisms": "sasl.mechanism",
    "ssl.ca.location": "ssl.truststore.location",
    "ssl.certificate.location": "ssl.keystore.location",
    "ssl.keystore.password": "ssl.key.password",
    "compression.codec": "compression.type",
    "queue.buffering.max.ms": "linger.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
}
"""librdkafka's (and one of Java's) names for the same thing."""

_PROMISES: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "max.in.flight.requests.per.connection": (
        ("1", "2", "3", "4", "5"), "above 5 the brokers can't keep the order of a retried batch"
    ),
    "enable.auto.commit": (("false",), "positions are stored with the captured rows, never on a timer"),
    "auto.offset.reset": (
        ("none",), "it would skip rows in silence; say where to begin with -o beginning, end, N or @TIME"
    ),
    "isolation.level": (("read_committed",), "rows of aborted transactions must not be captured"),
    "allow.auto.create.topics": (("false",), "a misspelt name must not create a topic"),
    "group.protocol": (("classic",), "both clients do the same so"),
    "partition.assignment.strategy": (
        ("cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"),
        "members keep their files while others come and go",
    ),
    "ssl.truststore.type": (("PEM",), "convert the store, e.g. keytool -exportcert -rfc"),
    "ssl.keystore.type": (("PEM",), "convert the store, e.g. openssl pkcs12 -in STORE -out FILE.pem"),
}  # fmt: skip
"""Options with one right answer here: the values that say what is done anyway, and why no other will do."""

_REFUSED: Final[Mapping[str, str]] = {
    "group.id": "name the group with -g or in the configuration file",
    "transactional.id": "transactions are opened by the commands that need them",
    "retries": "a row is tried until delivery.timeout.ms is over",
    "key.serializer": "keys and values are bytes here; the format is chosen with --format",
    "value.serializer": "keys and values are bytes here; the format is chosen with --format",
    "key.deserializer": "keys and values are bytes here; the format is chosen with --format",
    "value.deserializer": "keys and values are bytes here; the format is chosen with --format",
    "buffer.memory": "the backlog is bounded by the command itself",
    "auto.commit.interval.ms": "positions are stored with the captured rows, never on a timer",
    "interceptor.classes": "Java classes can't be loaded",
    "partitioner.class": "choose the partition with --partition-by or --key",
    "ssl.truststore.password": "a PEM file of certificates has none",
    "ssl.cipher.suites": "the system's own list is used",
    "enable.ssl.certificate.verification": "certificates are always verified",
}


@dataclass(frozen=True, slots=True)
class ClientProperties:
    """The client options of a run, typed and checked; ``values`` are under their Java names."""

    values: Mapping[str, Any] = field(default_factory=dict)

    def for_kafka_python(self, role: Role) -> dict[str, Any]:
        """Keyword arguments for kafka-python's client of this role; secrets are revealed here."""
        arguments = {}
        for key, value in self.values.items():
            option = _OPTIONS[key]
            if role in option.roles and option.name is not None:
                arguments[option.name] = value.reveal() if isinstance(value, Secret) else value
        return arguments

    def for_librdkafka(self, role: Role) -> dict[str, Any]:
        """librdkafka's configuration for a client of this role; secrets are revealed here."""
        configuration: dict[str, Any] = {}
        for key, value in self.values.items():
            option = _OPTIONS[key]
            if role not in option.roles or key == "max.poll.records":
                continue
            plain = value.reveal() if isinstance(value, Secret) else value
            if key == "ssl.endpoint.identification.algorithm":
                plain = "https" if plain else "none"
            elif key == "compression.type":
                plain = plain or "none"
            elif plain is None:  # a socket buffer of the system's own size
                plain = 0
            elif option.least is not None:
                plain = max(plain, option.least)
            configuration[option.rdkafka or key] = plain
        if "metadata.max.age.ms" in configuration:
            configuration["topic.metadata.refresh.interval.ms"] = configuration["metadata.max.age.ms"]
        if "ssl.certificate.location" in configuration:
            # A PEM key store may hold the key, too.
            configuration.setdefault("ssl.key.location", configuration["ssl.certificate.location"])
        return configuration

    def check_for(self, client: str) -> None:
        """Raise ConfigError for an option that this client (its name for ``--client``) does not have."""
        if client == "librdkafka":
            return
        for key in self.values:
            if _OPTIONS[key].name is None:
                raise ConfigError(f"{key} is an option of librdkafka only", hint="use --client librdkafka")

    def check_publishing(self, client: str, *, exactly_once: bool = False) -> str | None:
        """What rows can suffer because fewer promises are asked for, in one line; None when all are kept.

        Raises ConfigError when this client can't write the codec here, and when ``exactly_once`` needs a promise
        that is given up.
        """
        codec = self.values.get("compression.type", DEFAULT_COMPRESSION)
        module, package = _CODEC_MODULES.get(codec, ("", ""))
        if client == "kafka-python" and module and find_spec(module) is None:
            raise ConfigError(
                f"kafka-python can't compress with {codec}: the Python package {package} is not installed",
                hint="install it with: pip install 'sensorstream[codecs]', or use --client librdkafka",
            )
        acks, idempotence = self.values.get("acks", -1), self.values.get("enable.idempotence", True)
        lost = given_up(acks=acks, idempotence=idempotence)
        if exactly_once and lost is not None:
            raise ConfigError(f"exactly once is not possible with {lost}", hint="it needs acks=all and idempotence")
        return lost


def parse_properties(
    properties: Mapping[str, str | Secret], origins: Mapping[str, str] | None = None
) -> ClientProperties:
    """Check options as they were written.

    ``origins`` tells (under ``properties.<key>``) where each came from, for the message. Raises ConfigError
    for an unknown key (with the nearest right one), a wrong value, an option that breaks a promise, or
    credentials and protocol that don't fit each other.
    """
    values: dict[str, Any] = {}
    for written, given in properties.items():
        where = (origins or {}).get(f"properties.{written}", "client properties")
        text = given.reveal() if isinstance(given, Secret) else given
        key = _ALIASES.get(written, written)
        if key in _PROMISES:
            allowed, why = _PROMISES[key]
            if text not in allowed and text.upper() not in allowed:
                raise ConfigError(f"{where}: {written}={text} is refused, it must be {allowed[0]}", hint=why)
        if key in _OPTIONS:
            values[key] = _checked(key, written, text, where, secret=isinstance(given, Secret))
        elif key in _REFUSED:
            raise ConfigError(f"{where}: {written} can't be set", hint=_REFUSED[key])
        elif key == "sasl.jaas.config":
            values.update(_credentials(text, where))
        elif key not in _PROMISES:
            known = (*_OPTIONS, *_ALIASES, *_PROMISES, *_REFUSED, "sasl.jaas.config", "bootstrap.servers")
            raise ConfigError(
                f"{where}: unknown client property {written!r}",
                hint=nearest(written, known) or "the names are those of Apache Kafka's Java clients",
            )
    _check_security(values)
    if values.get("acks", -1) != -1 and values.setdefault("enable.idempotence", False):
        raise ConfigError(
            f"idempotence needs acks=all, not acks={values['acks']}",
            hint="leave one of them out, or add --no-idempotence",
        )
    return ClientProperties(values)


def _checked(key: str, written: str, text: str, where: str, *, secret: bool) -> Any:
    secret = secret or key in _SECRET_NAMES
    try:
        value = _OPTIONS[key].check(text)
    except ValueError as wrong:
        shown = "" if secret else f"={text!r}"
        raise ConfigError(f"{where}: {written}{shown} is not {wrong}") from None
    return Secret(str(value)) if secret else value


def _credentials(text: str, where: str) -> dict[str, Any]:
    """User name and password out of a line for Java's login module."""
    found = {}
    for name in ("username", "password"):
        match = re.search(rf"""\b{name}\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s;]+))""", text)
        if match is None:
            raise ConfigError(
                f"{where}: sasl.jaas.config names no {name}",
                hint='it is written: org.apache...LoginModule required username="U" password="P";',
            )
        quoted, single, bare = match.groups()
        found[name] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else single if bare is None else bare
    return {"sasl.username": found["username"], "sasl.password": Secret(found["password"])}


def _check_security(values: dict[str, Any]) -> None:
    protocol = values.get("security.protocol", "PLAINTEXT")
    sasl = [key for key in values if key.startswith("sasl.")]
    ssl = [key for key in values if key.startswith("ssl.")]
    if sasl and not protocol.startswith("SASL_"):
        raise ConfigError(
            f"{sasl[0]} is set, but security.protocol is {protocol}: it would not be used",
            hint="set security.protocol to SASL_SSL or SASL_PLAINTEXT",
        )
    if ssl and not protocol.endswith("SSL"):
        raise ConfigError(
            f"{ssl[0]} is set, but security.protocol is {protocol}: nothing would be encrypted",
            hint="set security.protocol to SSL or SASL_SSL",
        )
    if protocol.startswith("SASL_"):
        for key in ("sasl.mechanism", "sasl.username", "sasl.password"):
            if key not in values:
                raise ConfigError(f"security.protocol is {protocol}, but {key} is not set")
    if "ssl.key.location" in values and "ssl.keystore.location" not in values:
        raise ConfigError("ssl.key.location is set, but ssl.certificate.location is not")
