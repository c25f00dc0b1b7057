import copy
from dataclasses import replace
from pathlib import Path

import pytest

from sensorstream.clients import client_name, open_client
from sensorstream.clients.properties import ClientProperties, parse_properties
from sensorstream.config import Secret, Settings
from sensorstream.errors import ConfigError
from sensorstream.events import Notice

SASL = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "plain"}
JAAS = "org.apache.kafka.common.security.plain.PlainLoginModule required"


def refused(**properties: str | Secret) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_properties({key.replace("_", "."): value for key, value in properties.items()})
    return caught.value


def test_options_are_typed_and_reach_the_client_that_takes_them() -> None:
    parsed = parse_properties(
        {"linger.ms": "5", "fetch.max.wait.ms": "250", "client.id": "lab", "compression.type": "GZIP"}
    )
    assert parsed.for_kafka_python("producer") == {
        "linger_ms": 5,
        "client_id": "lab",
        "compression_type": "gzip",
    }
    assert parsed.for_kafka_python("consumer") == {"fetch_max_wait_ms": 250, "client_id": "lab"}
    assert parsed.for_kafka_python("admin") == {"client_id": "lab"}


def test_fewer_requests_in_flight_reach_both_clients() -> None:
    parsed = parse_properties({"max.in.flight": "1"})
    assert parsed.for_kafka_python("producer") == {"max_in_flight_requests_per_connection": 1}
    assert parsed.for_librdkafka("producer") == {"max.in.flight.requests.per.connection": 1}


def test_every_option_is_one_that_the_client_knows() -> None:
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

    from sensorstream.clients.properties import _OPTIONS

    configs = {
        "producer": KafkaProducer.DEFAULT_CONFIG,
        "consumer": KafkaConsumer.DEFAULT_CONFIG,
        "admin": KafkaAdminClient.DEFAULT_CONFIG,
    }
    for key, option in _OPTIONS.items():
        for role in option.roles if option.name is not None else ():
            assert option.name in configs[role], f"{key} for the {role}"


def test_a_misspelt_key_is_named_with_the_nearest_right_one_and_where_it_came_from() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_properties({"lingr.ms": "5"}, {"properties.lingr.ms": "-X"})
    assert caught.value.message == "-X: unknown client property 'lingr.ms'"
    assert caught.value.hint == "did you mean 'linger.ms'?"


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("linger.ms", "soon", "whole number"),
        ("linger.ms", "-1", "whole number"),
        ("batch.size", "99999999999", "whole number"),
        ("compression.type", "zip", "gzip"),
        ("acks", "2", "all, -1, 1, 0"),
        ("enable.idempotence", "maybe", "true or false"),
        ("security.protocol", "TLS", "SASL_SSL"),
        ("check.crcs", "yes", "true or false"),
        ("client.id", "", "not empty"),
        ("ssl.endpoint.identification.algorithm", "http", "https"),
        ("send.buffer.bytes", "-2", "whole number"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(key: str, value: str, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted) as caught:
        parse_properties({key: value})
    assert key in caught.value.message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("enable.auto.commit", "true"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_uncommitted"),
        ("max.in.flight.requests.per.connection", "6"),
        ("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer"),
        ("group.id", "g"),
        ("transactional.id", "t"),
        ("ssl.truststore.type", "JKS"),
    ],
)
def test_what_would_break_a_promise_is_refused_with_the_reason(key: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_properties({key: value})
    assert key in caught.value.message
    assert caught.value.hint


def test_what_is_done_anyway_may_be_said() -> None:
    said = {
        "enable.auto.commit": "false",
        "auto.offset.reset": "none",
        "isolation.level": "read_committed",
    }
    assert parse_properties(said).values == {}


def test_the_security_protocol_is_checked_and_written_as_the_client_needs_it() -> None:
    parsed = parse_properties({**SASL, "sasl.username": "anna", "sasl.password": Secret("p=w;1")}).for_kafka_python(
        "admin"
    )
    assert parsed == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "anna",
        "sasl_plain_password": "p=w;1",
    }


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ('username="anna" password="a=b;c\\"d";', 'a=b;c"d'),
        ("password='x y' username='anna';", "x y"),
        ("username=anna password=plain;", "plain"),
    ],
)
def test_user_name_and_password_come_out_of_a_jaas_line(written: str, password: str) -> None:
    parsed = parse_properties({**SASL, "sasl.jaas.config": Secret(f"{JAAS} {written}")})
    arguments = parsed.for_kafka_python("producer")
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("anna", password)


def test_a_secret_is_never_shown() -> None:
    parsed = parse_properties({**SASL, "sasl.username": "anna", "sasl.password": "hunter2"})
    assert "hunter2" not in repr(parsed)
    assert "hunter2" not in repr(copy.deepcopy(parsed))
    for properties in (
        {**SASL, "sasl.jaas.config": "hunter2"},
        {**SASL, "sasl.username": "anna", "sasl.password": ""},
        {"sasl.pasword": Secret("hunter2")},
    ):
        with pytest.raises(ConfigError) as caught:
            parse_properties(properties)
        assert "hunter2" not in str(caught.value)


def test_credentials_that_would_go_nowhere_are_refused() -> None:
    assert "PLAINTEXT" in refused(sasl_mechanism="PLAIN").message
    assert "sasl.mechanism" in refused(security_protocol="SASL_SSL").message
    assert (
        "sasl.password" in refused(security_protocol="SASL_SSL", sasl_mechanism="PLAIN", sasl_username="anna").message
    )


def test_certificates_are_pem_files_that_exist(tmp_path: Path) -> None:
    missing = refused(security_protocol="SSL", ssl_ca_location=str(tmp_path / "no.pem"))
    assert "ssl.ca.location" in missing.message
    store = tmp_path / "store.jks"
    store.write_bytes(b"\xfe\xed\xfe\xed")
    assert "PEM" in refused(security_protocol="SSL", ssl_truststore_location=str(store)).message
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\n")
    parsed = parse_properties(
        {
            "security.protocol": "ssl",
            "ssl.ca.location": str(pem),
            "ssl.endpoint.identification.algorithm": "",
        }
    )
    assert parsed.for_kafka_python("consumer") == {
        "security_protocol": "SSL",
        "ssl_cafile": str(pem),
        "ssl_check_hostname": False,
    }
    assert "nothing would be encrypted" in refused(ssl_ca_location=str(pem)).message


def test_the_client_is_opened_without_connecting_and_wrong_options_are_told_then() -> None:
    for name in ("kafka-python", "librdkafka"):
        assert open_client(Settings(bootstrap=("127.0.0.1:1",), client=name)).name == name
    assert open_client(Settings(bootstrap=("127.0.0.1:1",))).name == "librdkafka"
    with pytest.raises(ConfigError, match="linger"):
        open_client(Settings(properties={"linger.ms": "x"}))
    with pytest.raises(ConfigError, match="pigeon"):
        open_client(Settings(client="pigeon"))


def test_no_properties_are_no_arguments() -> None:
    assert ClientProperties().for_kafka_python("producer") == {}


def test_the_same_options_reach_librdkafka_under_its_own_names(tmp_path: Path) -> None:
    pem = tmp_path / "store.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n")
    parsed = parse_properties(
        {
            "security.protocol": "sasl_ssl",
            "sasl.mechanism": "plain",
            "sasl.jaas.config": Secret(f'{JAAS} username="anna" password="p=w";'),
            "ssl.truststore.location": str(pem),
            "ssl.keystore.location": str(pem),
            "ssl.key.password": "secret",
            "ssl.endpoint.identification.algorithm": "",
            "max.request.size": "500",
            "batch.size": "0",
            "compression.type": "none",
            "linger.ms": "7",
            "request.timeout.ms": "2000",
            "send.buffer.bytes": "-1",
            "fetch.max.wait.ms": "250",
            "fetch.min.bytes": "0",
            "max.poll.records": "10",
            "queued.min.messages": "1000",
            "metadata.max.age.ms": "300",
        }
    )
    everywhere = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "anna",
        "sasl.password": "p=w",
        "ssl.ca.location": str(pem),
        "ssl.certificate.location": str(pem),
        "ssl.key.location": str(pem),
        "ssl.key.password": "secret",
        "ssl.endpoint.identification.algorithm": "none",
        "socket.timeout.ms": 2000,
        "socket.send.buffer.bytes": 0,
        "metadata.max.age.ms": 300,
        "topic.metadata.refresh.interval.ms": 300,
    }
    producer = {"message.max.bytes": 1000, "batch.size": 1, "compression.type": "none", "linger.ms": 7}
    consumer = {"fetch.wait.max.ms": 250, "fetch.min.bytes": 1, "queued.min.messages": 1000}
    assert parsed.for_librdkafka("producer") == everywhere | producer
    assert parsed.for_librdkafka("consumer") == everywhere | consumer
    assert parsed.for_librdkafka("admin") == everywhere


def test_every_option_is_one_that_librdkafka_takes(tmp_path: Path) -> None:
    from confluent_kafka import Consumer, Producer

    from sensorstream.clients.properties import _OPTIONS

    samples = {
        "client.dns.lookup": "use_all_dns_ips",
        "compression.type": "lz4",
        "acks": "all",
        "enable.idempotence": "true",
        "security.protocol": "PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "check.crcs": "true",
        "socket.keepalive.enable": "true",
        "broker.address.family": "v4",
        "ssl.endpoint.identification.algorithm": "https",
        "max.poll.interval.ms": "300000",
        "session.timeout.ms": "6000",
        "heartbeat.interval.ms": "1000",
        "max.request.size": "1000000",
        "max.partition.fetch.bytes": "1000000",
        "fetch.max.bytes": "1000000",
        "batch.size": "100000",
        "linger.ms": "5",
        "max.in.flight.requests.per.connection": "5",
    }
    skipped = {key for key in _OPTIONS if key.startswith("ssl.") and key.endswith(("location", "password"))}
    values = {key: option.check(samples.get(key, "1000")) for key, option in _OPTIONS.items() if key not in skipped}
    Producer(ClientProperties(values).for_librdkafka("producer")).close()
    Consumer({"group.id": "g", **ClientProperties(values).for_librdkafka("consumer")}).close()


def test_an_option_of_librdkafka_alone_is_refused_with_the_other_client() -> None:
    only = {"queued.min.messages": "5"}
    open_client(Settings(client="librdkafka", properties=only))
    assert parse_properties(only).for_kafka_python("consumer") == {}
    with pytest.raises(ConfigError, match="librdkafka only") as caught:
        open_client(Settings(client="kafka-python", properties=only))
    assert "--client librdkafka" in caught.value.hint


def test_auto_takes_librdkafka_where_it_is_installed_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    told: list[object] = []
    open_client(Settings(), told.append)
    assert told == [Notice("Kafka client: librdkafka (auto)", "debug")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert client_name(Settings()) == "kafka-python"
    with pytest.raises(ConfigError) as caught:
        client_name(Settings(client="librdkafka"))
    assert "sensorstream[fast]" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "acks", "idempotence", "lost"),
    [
        ({}, -1, True, None),
        ({"acks": "all", "enable.idempotence": "true"}, -1, True, None),
        ({"acks": "1"}, 1, False, "acks=1, no idempotence: a row that only the leader has is lost"),
        ({"acks": "0"}, 0, False, "acks=0, no idempotence: a row counts as sent without an answer"),
        ({"enable.idempotence": "false"}, -1, False, "no idempotence: a retry can duplicate or reorder rows"),
    ],
)
def test_a_promise_that_is_given_up_is_told_and_is_no_way_to_exactly_once(
    given: dict[str, str], acks: int, idempotence: bool, lost: str | None
) -> None:
    parsed = parse_properties(given)
    python, c = parsed.for_kafka_python("producer"), parsed.for_librdkafka("producer")
    assert (python.get("acks", -1), python.get("enable_idempotence", True)) == (acks, idempotence)
    assert (c.get("acks", -1), c.get("enable.idempotence", True)) == (acks, idempotence)
    for name in ("kafka-python", "librdkafka"):
        told = parsed.check_publishing(name)
        assert told is None if lost is None else (told is not None and told.startswith(lost))
        if lost is None:
            parsed.check_publishing(name, exactly_once=True)
        else:
            with pytest.raises(ConfigError, match="exactly once is not possible"):
                parsed.check_publishing(name, exactly_once=True)


def test_idempotence_that_is_asked_for_needs_all_acks() -> None:
    assert "acks=all" in refused(acks="1", enable_idempotence="true").message


def test_a_codec_that_kafka_python_cannot_write_here_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sensorstream.clients import check_publishing, properties

    monkeypatch.setattr(properties, "find_spec", lambda name: None)
    for codec, package in (("zstd", "zstandard"), ("snappy", "python-snappy"), ("lz4", "lz4")):
        settings = Settings(client="kafka-python", properties={"compression.type": codec})
        with pytest.raises(ConfigError, match=package) as caught:
            check_publishing(settings, lambda _: None)
        assert "pip install" in caught.value.hint
        with pytest.raises(ConfigError, match=package):
            open_client(replace(settings, bootstrap=("127.0.0.1:1",))).publisher()
    for codec in ("gzip", "none"):
        check_publishing(Settings(client="kafka-python", properties={"compression.type": codec}), lambda _: None)
