"""Connections that are broken in one way each, as students bring them: ``doctor`` names the cause and what to do."""

import http.server
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doctor_labs import Doctor, doctor_in, nobody
from sensorstream.cli.app import run
from sensorstream.cluster.secure.certificates import Authority
from sensorstream.config import Settings
from sensorstream.doctor import network
from sensorstream.doctor.examine import examine
from sensorstream.errors import ExitCode
from sensorstream.events import Event, Notice
from serving import serving


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return doctor_in(tmp_path, monkeypatch, capsys)


def frame(request: bytes, body: bytes) -> bytes:
    """Kafka's answer to a request."""
    return (4 + len(body)).to_bytes(4) + request[8:12] + body


def versions(*keys: int) -> bytes:
    """The body that says which requests are answered."""
    return bytes(2) + len(keys).to_bytes(4) + b"".join(key.to_bytes(2) + bytes(4) for key in keys)


def test_without_a_cluster_it_says_how_to_begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path))
    seen = examine(lambda: Settings((nobody(),)), "0.1.0")
    (one,) = [one for one in seen.checks if one.area == "connection"]
    assert (one.state, seen.problems, seen.reachable) == ("skipped", 0, False)
    assert "sensorstream cluster up" in (one.advice or "")


def test_a_wrong_port(doctor: Doctor) -> None:
    seen = doctor("-b", nobody())
    seen.is_problem("tcp", "refused, nobody listens there", "sensorstream cluster up")
    assert seen.result["reachable"] is False


@pytest.mark.parametrize(("answer", "found"), [("silent", "no answer within"), ("no route", "there is no route")])
def test_a_wrong_host(answer: network.Answer, found: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_connect", lambda ip, port: answer)
    doctor("-b", "192.0.2.1:9092").is_problem("tcp", found, "firewall" if answer == "silent" else "VPN")


def test_a_name_that_is_not_known(doctor: Doctor) -> None:
    doctor("-b", "kafka-1.invalid:9092").is_problem("dns", "the host name is not known", "check the spelling")


def test_a_name_of_a_container(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: str, port: int) -> tuple[str, ...]:
        raise network.Unresolved("the host name is not known")

    monkeypatch.setattr(network, "resolve", unknown)
    doctor("-b", "kafka-1:9092").is_problem("dns", "the host name is not known", "in a network of containers only")


def test_an_address_that_is_none(doctor: Doctor) -> None:
    seen = doctor("-b", "http://localhost:9092")
    seen.is_problem("settings", "http:// does not belong there", "write localhost:9092", ExitCode.FAILED)
    assert seen.result["bootstrap"] is None
    assert seen.one("bootstrap").state == "skipped"


def test_localhost_is_ipv6_and_the_broker_is_not(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "resolve", lambda host, port: ("::1", "127.0.0.1"))
    with serving(lambda connection: None) as address:
        port = address.rpartition(":")[2]
        seen = doctor("-b", f"localhost:{port}")
    one = seen.one("tcp")
    assert one.state == "warning"
    assert one.found == "localhost is ::1 (refused), 127.0.0.1 (connected)"
    assert f"write 127.0.0.1:{port}" in (one.advice or "")


def test_somebody_listens_at_the_other_loopback_only(doctor: Doctor) -> None:
    with serving(lambda connection: None, "::1") as address:
        port = address.rpartition(":")[2]
        doctor("-b", f"127.0.0.1:{port}").is_problem("tcp", "refused", f"a process listens only at [::1]:{port}:")


def test_a_web_server(doctor: Doctor) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            seen = doctor("-b", f"127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    seen.is_problem("protocol", "a web server, not Kafka (SimpleHTTP", "often 9092")


def test_a_schema_registry(doctor: Doctor) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n\r\n[]"

    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(page)

    with serving(answer) as address:
        doctor("-b", address).is_problem("protocol", "a schema registry, not Kafka", "--schema-registry")


def test_a_zookeeper(doctor: Doctor) -> None:
    def answer(connection: socket.socket) -> None:
        if connection.recv(100) == b"srvr\n":
            connection.sendall(b"Zookeeper version: 3.8.3-, built on 2023\n")

    with serving(answer) as address:
        doctor("-b", address).is_problem("protocol", "ZooKeeper, not Kafka", "clients don't go to ZooKeeper any more")


def test_a_controller(doctor: Doctor) -> None:
    def answer(connection: socket.socket) -> None:
        request = connection.recv(100)
        connection.sendall(frame(request, versions(18, 55, 60)))

    with serving(answer) as address:
        doctor("-b", address).is_problem("protocol", "a KRaft controller", "take a broker's port")


def test_something_else(doctor: Doctor) -> None:
    with serving(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")) as address:
        doctor("-b", address).is_problem("protocol", "it is not Kafka: it answers 'SSH-2.0-OpenSSH", "often 9092")


def test_one_who_never_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path))
    told: list[Event] = []

    def wait(connection: socket.socket) -> None:
        while connection.recv(100):
            pass

    with serving(wait) as address:
        seen = examine(lambda: Settings((address,)), "0.1.0", told.append)
    checks = [(one.name, one.state) for one in seen.checks if one.area == "connection"]
    assert checks == [("dns", "ok"), ("tcp", "ok"), ("protocol", "problem"), ("kafka", "skipped")]
    protocol = next(one for one in seen.checks if one.name == "protocol")
    assert protocol.found == "takes the connection and does not answer"
    assert "frozen or just starting" in (protocol.advice or "")
    assert told == [Notice(f"waiting for an answer of {address}")]


def test_one_who_closes(doctor: Doctor) -> None:
    with serving(lambda connection: None) as address:
        doctor("-b", address).is_problem("protocol", "takes the connection and closes it", "no broker behind it")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("ours")


@contextmanager
def tls(authority: Authority, folder: Path, answer: bytes = b"") -> Iterator[str]:
    """Somebody who speaks TLS and nothing that Kafka does."""
    store = folder / "broker.pem"
    store.write_bytes(authority.issue("broker", hosts=["127.0.0.1"]).store)
    (folder / "ca.pem").write_bytes(authority.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(store)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(100)
            encrypted.sendall(answer)

    with serving(handle) as address:
        yield address


def test_tls_where_none_is_spoken(doctor: Doctor, authority: Authority, tmp_path: Path) -> None:
    with tls(authority, tmp_path) as address:
        seen = doctor("-b", address)
    seen.is_problem("protocol", "it speaks TLS, and security.protocol is PLAINTEXT", "security.protocol=SSL")


def test_no_tls_where_it_is_spoken(doctor: Doctor) -> None:
    def answer(connection: socket.socket) -> None:
        request = connection.recv(100)
        if request[4:6] == b"\x00\x12":
            connection.sendall(frame(request, versions(3, 18)))

    with serving(answer) as address:
        seen = doctor("-b", address, "-X", "security.protocol=SSL")
    seen.is_problem("protocol", "Kafka without TLS, and security.protocol is SSL", "security.protocol=PLAINTEXT")


def test_an_authority_that_is_not_trusted(doctor: Doctor, authority: Authority, tmp_path: Path) -> None:
    with tls(authority, tmp_path) as address:
        seen = doctor("-b", address, "-X", "security.protocol=SSL")
    seen.is_problem("tls", "can't be verified: unable to get local issuer", "-X ssl.truststore.location=ca.pem")


def test_tls_without_kafka(doctor: Doctor, authority: Authority, tmp_path: Path) -> None:
    with tls(authority, tmp_path, b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        trust = f"ssl.truststore.location={tmp_path / 'ca.pem'}"
        seen = doctor("-b", address, "-X", "security.protocol=SSL", "-X", trust)
    seen.is_problem("tls", "the port uses TLS, but it is not Kafka", "port of a broker's listener")


def test_one_address_of_several_is_no_problem_by_itself(doctor: Doctor) -> None:
    """Both fail here, so each is one: that a good one softens the other is seen on brokers."""
    with serving(lambda connection: None) as address:
        seen = doctor("-b", f"{nobody()},{address}")
    assert seen.problems() == ["tcp", "protocol"]
    assert seen.err.startswith("error: 2 problems: tcp of 127.0.0.1:")


def test_a_cluster_by_a_name_that_nobody_has(doctor: Doctor) -> None:
    doctor("-b", "cluster:nobodys").is_problem(
        "bootstrap", "there is no cluster 'nobodys'", "cluster up --name nobodys"
    )


def test_it_fits_80_columns_and_needs_no_colours(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from sensorstream.cli import render

    def narrow(stream: object = None) -> Console:
        return Console(file=sys.stdout, width=80, highlight=False, markup=False, no_color=True)

    monkeypatch.setattr(render, "console", narrow)
    assert run(["doctor", "-b", f"{nobody()},kafka-1.invalid:9092"]) == ExitCode.UNREACHABLE
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    for words in ("This machine", "Connection to kafka-1.invalid:9092", "problem  dns", "-> ", "2 problems, "):
        assert words in shown
