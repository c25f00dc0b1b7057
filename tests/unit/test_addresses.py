"""What is a broker's address, and what a user is told to write instead of what is none."""

from collections.abc import Mapping

import pytest

from sensorstream.addresses import bracketed, parse_addresses
from sensorstream.config import ENVIRONMENT, load
from sensorstream.errors import ConfigError, ExitCode


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("localhost:9092", ("localhost:9092",)),
        (" a-1.example.org:9092 , b_2:1 ", ("a-1.example.org:9092", "b_2:1")),
        ("[::1]:9092,127.0.0.1:65535", ("[::1]:9092", "127.0.0.1:65535")),
        ("bücher.example:09092", ("bücher.example:9092",)),
        (["a:1", "b:2"], ("a:1", "b:2")),
    ],
)
def test_addresses_are_taken_as_they_are_written(text: object, found: tuple[str, ...]) -> None:
    assert parse_addresses(text, "command line") == found


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("https://localhost:9092", "write localhost:9092"),
        ("http://localhost", "write localhost:9092"),
        ("http://localhost:8080/topics?x#y", "write localhost:8080"),
        ("kafka://", "write HOST:9092"),
        ("PLAINTEXT://broker:9092", "write broker:9092"),
        ("sasl_ssl://[::1]:9093", "write [::1]:9093 and -X security.protocol=SASL_SSL"),
        ("localhost:9092/", "write localhost:9092"),
        ("localhost/a", "write localhost:9092"),
        ("localhost", "add the broker's port: localhost:9092"),
        ("localhost:", "add the broker's port: localhost:9092"),
        ("[::1]", "add the broker's port: [::1]:9092"),
        ("[::1]:", "add the broker's port: [::1]:9092"),
        ("localhost:0", "ports are 1 to 65535"),
        ("localhost:65536", "ports are 1 to 65535"),
        ("localhost:" + "9" * 5000, "ports are 1 to 65535"),
        ("localhost:-1", "for example 127.0.0.1:29092"),
        ("localhost:٣", "for example 127.0.0.1:29092"),
        (":9092", "for example 127.0.0.1:29092"),
        ("*:9092", "for example 127.0.0.1:29092"),
        ("a:1 b:2", "separate addresses by commas"),
        ("a:1;b:2", "for example 127.0.0.1:29092"),
        ("a:1,,b:2", "is there a comma too many?"),
        ("a:1,", "is there a comma too many?"),
        ("", "is there a comma too many?"),
        ("::1:9092", "write [::1]:9092"),
        ("fe80::1", "write [fe80::1]:9092"),
        ("[localhost]:9092", "for example [::1]:29092"),
        ("[::1:9092", "for example [::1]:29092"),
        ([], "for example 127.0.0.1:29092"),
        (9092, "for example 127.0.0.1:29092"),
    ],
)
def test_what_is_no_address_is_told_with_what_to_write(text: object, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_addresses(text, "command line")
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint == hint
    assert caught.value.message.startswith("command line: bootstrap")


@pytest.mark.parametrize("text", ["https://me:hunter2@broker:9092", "me:hunter2@broker:9092", "x,https://a:hunter2@b"])
def test_a_password_in_an_address_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_addresses(text, "command line")
    assert "hunter2" not in str(caught.value)


def test_an_ipv6_host_has_brackets() -> None:
    assert (bracketed("::1", 1), bracketed("[::1]", 1), bracketed("a", 1)) == ("[::1]:1", "[::1]:1", "a:1")


def test_an_environment_variable_that_is_set_and_empty_counts_as_not_set() -> None:
    nothing: Mapping[str, str] = dict.fromkeys((*ENVIRONMENT, "SENSORSTREAM_PROFILE", "SENSORSTREAM_CONFIG"), "")
    assert load(environ=nothing) == load(environ={})
