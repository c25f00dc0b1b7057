"""Asking a schema registry: a small HTTP server on the loopback that wants a password, has TLS, answers anything."""

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sensorstream.clients.schema_registry import Access, SchemaRegistry, access, check_url
from sensorstream.config import Secret, Settings, load
from sensorstream.errors import (
    BrokerError,
    ConfigError,
    DataError,
    ExitCode,
    SchemasRefused,
    SchemasUnreachable,
    SensorstreamError,
    UsageError,
)

PASSWORD = "s3cret:with=signs"


class Server:
    """A registry of one schema, id 1; ``answers`` are given first, and ``asked`` is what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes, dict[str, str]]] = []
        self.asked: list[tuple[str, str, str | None]] = []
        self.wants: str | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                outer.asked.append((self.command, self.path, self.headers.get("Authorization")))
                code, data, headers = outer.answer(self.headers.get("Authorization"), self.path, body)
                self.send_response(code)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _answer  # noqa: N815  # the names that http.server wants

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, authorization: str | None, path: str, body: str) -> tuple[int, bytes, dict[str, str]]:
        if self.answers:
            return self.answers.pop(0)
        if self.wants is not None and authorization != f"Basic {base64.b64encode(self.wants.encode()).decode()}":
            return 401, b'{"error_code":401,"message":"Unauthorized"}', {}
        if path.endswith("/versions"):
            assert json.loads(body) == {"schema": '"string"'}
            return 200, b'{"id":1}', {}
        if path == "/schemas/ids/1":
            return 200, json.dumps({"schema": '"string"'}).encode(), {}
        return 404, b'{"error_code":40403,"message":"Schema not found"}', {}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_a_schema_is_registered_and_asked_for_once(server: Server) -> None:
    registry = SchemaRegistry(Access(server.url))
    assert registry.register("A/B-value", '"string"') == 1
    assert [registry.schema(1), registry.schema(1), registry.schema(2), registry.schema(2)] == ['"string"'] * 2 + [
        None
    ] * 2
    assert [path for _, path, _ in server.asked] == ["/subjects/A%2FB-value/versions", "/schemas/ids/2"]
    assert registry.latest("none") is None
    assert SchemaRegistry(Access(server.url)).schema(1) == '"string"'


def test_the_password_goes_along_and_is_never_told(server: Server) -> None:
    server.wants = f"me:{PASSWORD}"
    assert SchemaRegistry(Access(server.url, "me", Secret(PASSWORD))).schema(1) == '"string"'
    for wrong in (Access(server.url, "me", Secret(f"{PASSWORD}x")), Access(server.url)):
        with pytest.raises(SchemasRefused, match="refuses the credentials") as caught:
            SchemaRegistry(wrong).schema(1)
        assert caught.value.exit_code == ExitCode.UNREACHABLE
        assert PASSWORD not in str(caught.value)
        assert PASSWORD not in repr(wrong)


def test_the_password_goes_nowhere_else(server: Server) -> None:
    other = Server()
    server.answers = [(302, b"", {"Location": f"{other.url}/schemas/ids/1"})]
    with pytest.raises(BrokerError, match="answers 302"):
        SchemaRegistry(Access(server.url, "me", Secret(PASSWORD))).schema(1)
    assert not other.asked
    other.http.shutdown()
    other.http.server_close()


AWAY = (503, b"busy", dict[str, str]())


@pytest.mark.parametrize(
    ("answers", "error", "told"),
    [
        ([AWAY] * 3, SchemasUnreachable, "it answers 503"),
        (
            [(500, b'{"error_code":50001,"message":"Store\\n failed"}', {})] * 3,
            BrokerError,
            "answers 500: Store failed",
        ),
        ([(200, b"<html>", {})], BrokerError, "answers what no schema registry does"),
        ([(200, b"[]", {})], BrokerError, "answers what no schema registry does"),
        ([(200, b'{"schema":7}', {})], BrokerError, "answers what no schema registry does"),
        ([(200, b"[" * 100_000, {})], BrokerError, "answers what no schema registry does"),
        ([(404, b"not here", {})], BrokerError, "answers 404"),
    ],
    ids=str,
)
def test_what_a_registry_answers_otherwise_is_one_line(
    server: Server, answers: list[Any], error: type[SensorstreamError], told: str
) -> None:
    server.answers = list(answers)
    with pytest.raises(error, match=told) as caught:
        SchemaRegistry(Access(server.url)).schema(1)
    assert "\n" not in str(caught.value)


def test_one_that_is_away_for_a_moment_is_asked_again(server: Server) -> None:
    server.answers = [AWAY, AWAY]
    assert SchemaRegistry(Access(server.url)).schema(1) == '"string"'


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (409, "the schema of T-value is not compatible with the one before: Incompatible artifact"),
        (422, "the schema of T-value is refused by the registry: Incompatible artifact"),
    ],
)
def test_a_refused_schema_says_why(server: Server, code: int, told: str) -> None:
    body = {"error_code": code, "message": "io.apicurio.RuleViolationException: Incompatible artifact"}
    server.answers = [(code, json.dumps(body).encode(), {})]
    with pytest.raises(DataError) as caught:
        SchemaRegistry(Access(server.url)).register("T-value", '"string"')
    assert caught.value.message == told
    assert caught.value.exit_code == ExitCode.WRONG_DATA


def test_nobody_there_is_told(server: Server) -> None:
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(SchemasUnreachable, match=r"can't be reached: Connection refused") as caught:
        SchemaRegistry(Access(server.url)).schema(1)
    assert caught.value.exit_code == ExitCode.UNREACHABLE


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
    ]
    subprocess.run(
        [*command, "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    return key, cert


def test_tls_is_trusted_by_its_ca_alone(server: Server, certificate: tuple[Path, Path]) -> None:
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    assert SchemaRegistry(Access(url, ca=str(cert))).schema(1) == '"string"'
    with pytest.raises(SchemasRefused, match="is not trusted") as caught:
        SchemaRegistry(Access(url)).schema(1)
    assert "schema_registry_ca" in caught.value.hint
    for wrong, told in ((key, "it holds no certificates"), (key.parent / "none", "No such file")):
        with pytest.raises(UsageError, match=told):
            SchemaRegistry(Access(url, ca=str(wrong)))
    with pytest.raises(UsageError, match="is for https"):
        SchemaRegistry(Access(server.url, ca=str(cert)))


def test_https_to_a_plain_server_is_told(server: Server) -> None:
    with pytest.raises(SchemasUnreachable, match="no TLS with"):
        SchemaRegistry(Access(server.url.replace("http:", "https:"))).schema(1)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8081", "ftp://x", "http://", "http://x:99999999", "http://x?y=1", "http://["]
)
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        check_url(url)


def test_a_password_in_the_address_is_refused_and_not_told() -> None:
    with pytest.raises(UsageError) as caught:
        check_url(f"http://me:{PASSWORD}@127.0.0.1:8081")
    assert PASSWORD not in str(caught.value)
    assert "SENSORSTREAM_SCHEMA_REGISTRY_PASSWORD" in caught.value.hint


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_file(text: str) -> Path:
        (tmp_path / "sensorstream.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return write_file


def test_settings_name_the_registry_and_the_environment_wins(write: Callable[[str], Path]) -> None:
    text = f'schema_registry = "http://a:1"\nschema_registry_user = "me"\nschema_registry_password = "{PASSWORD}"\n'
    text += '[topics.T]\nvalue_format = "avro"\nschema = "T.avsc"\nschema_registry = "http://b:2/"\n'
    folder = write(text)
    settings = load(start=folder, environ={"SENSORSTREAM_SCHEMA_REGISTRY_USER": "you"})
    assert PASSWORD not in repr(settings)
    assert access(settings) == Access("http://a:1", "you", Secret(PASSWORD))
    assert settings.topic("T").schema == folder / "T.avsc"
    assert access(settings, settings.topic("T").schema_registry) == Access("http://b:2", "you", Secret(PASSWORD))
    assert access(Settings()) is None


def test_a_password_that_is_no_text_is_not_told(write: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(start=write("schema_registry_password = 12345678"), environ={})
    assert "12345678" not in str(caught.value)
