"""Set-ups that are broken in one way each, as students bring them: ``doctor`` names the cause and what to do."""

import functools
import http.server
import json
import os
import re
import shutil
import socket
import ssl
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from sensorstream.addresses import bracketed
from sensorstream.cli.app import run
from sensorstream.cluster import artifacts, state
from sensorstream.cluster.preflight import free_ports
from sensorstream.cluster.secure.certificates import Authority
from sensorstream.config import Settings
from sensorstream.doctor import extras, folders, machine, network
from sensorstream.doctor.examine import examine
from sensorstream.doctor.results import Check
from sensorstream.errors import ExitCode
from sensorstream.events import Event, Notice

ROOT = Path(__file__).parents[2]
Doctor = Callable[..., "Seen"]
java_once = functools.cache(machine.check_java)
"""Java takes its time to start, and says the same each time."""


class Seen:
    """What a run of ``doctor`` came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.err = err
        answer = json.loads(out)
        self.status = answer["status"]
        self.errors = answer["errors"]
        self.result = answer["result"]
        self.checks = [Check(**one) for one in self.result["checks"]]

    def one(self, name: str, subject: str | None = None) -> Check:
        """The one check of this name."""
        (found,) = [one for one in self.checks if one.name == name and subject in (None, one.subject)]
        return found

    def problems(self) -> list[str]:
        return [one.name for one in self.checks if one.state == "problem"]

    def is_problem(self, name: str, found: str, advice: str, code: ExitCode = ExitCode.UNREACHABLE) -> None:
        """This is the only problem, told with these words, and all behind it was skipped."""
        assert self.problems() == [name], self.result
        one = self.one(name)
        assert found in one.found
        assert advice in (one.advice or ""), one
        assert (self.code, self.status) == (code, "partial")
        assert one.found in self.err
        assert len(self.err.splitlines()) == len(self.errors) == 1
        if one.area == "connection":
            assert all(check.state == "skipped" for check in self.checks[self.checks.index(one) + 1 :])


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs ``doctor`` in a folder of its own, with state of its own and nobody else's clusters."""
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("sensorstream.doctor.examine.check_java", java_once)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def call(*arguments: str) -> Seen:
        code = run(["doctor", "--output", "json", "-q", *arguments])
        captured = capsys.readouterr()
        return Seen(code, captured.out, captured.err)

    return call


@contextmanager
def serving(handle: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[str]:
    """The address of somebody who does this with each connection."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as held, socket.create_server((host, 0), family=family) as listener:

        def take(connection: socket.socket) -> None:
            with closing(connection), suppress(OSError):
                handle(connection)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=take, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        held.callback(listener.close)
        yield bracketed(host, listener.getsockname()[1])


def frame(request: bytes, body: bytes) -> bytes:
    """Kafka's answer to a request."""
    return (4 + len(body)).to_bytes(4) + request[8:12] + body


def versions(*keys: int) -> bytes:
    """The body that says which requests are answered."""
    return bytes(2) + len(keys).to_bytes(4) + b"".join(key.to_bytes(2) + bytes(4) for key in keys)


def nobody() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


# -- the connection ------------------------------------------------------------------------------------------------


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


# -- the settings --------------------------------------------------------------------------------------------------


def test_a_file_that_does_not_parse(doctor: Doctor) -> None:
    Path("sensorstream.toml").write_text("bootstrap = [\n")
    seen = doctor()
    seen.is_problem("settings", "is not valid TOML", "config show", ExitCode.FAILED)
    assert "sensorstream.toml" in seen.one("file").found


def test_a_misspelt_key(doctor: Doctor) -> None:
    Path("sensorstream.toml").write_text('bootstarp = "127.0.0.1:1"\n')
    doctor().is_problem("settings", "unknown key 'bootstarp'", "'bootstrap'", ExitCode.FAILED)


def test_a_variable_that_nobody_reads(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORSTREAM_BOOTSTRAPS", "localhost:9092")
    monkeypatch.setenv("SENSORSTREAM_SCHEMA_REGISTRY_PASSWORD", "hunter2")
    seen = doctor("-b", nobody())
    one = seen.one("environment", "SENSORSTREAM_BOOTSTRAPS")
    assert (one.state, one.advice) == ("warning", "did you mean 'SENSORSTREAM_BOOTSTRAP'?")
    assert "hunter2" not in json.dumps(seen.result)


def test_a_client_that_is_not_installed(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "confluent_kafka" else real(name))
    seen = doctor("-b", nobody(), "--client", "librdkafka")
    seen.is_problem("client", "librdkafka is not installed", "pip install 'sensorstream[fast]'", ExitCode.FAILED)


# -- this machine --------------------------------------------------------------------------------------------------


def test_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "installed", lambda module: module not in ("matplotlib", "plotext", "duckdb"))
    whole, part = extras.check_extras()
    assert whole.state == "ok"
    assert "not installed: plot (plots and reports)" in whole.found
    assert "pip install 'sensorstream[plot]'" in (whole.advice or "")
    assert (part.state, part.subject) == ("warning", "storage")
    assert "duckdb missing" in part.found


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = {one.name: set(one.modules) for one in extras.EXTRAS}
    brought = {"kafka-python[snappy,zstd]": {"python-snappy", "zstandard"}}
    wanted = {
        name: set().union(*(brought.get(one, {re.split("[<>=;]", one)[0].strip()}) for one in packages))
        for name, packages in project.items()
        if name != "all"
    }
    assert told == wanted
    assert all(extras.installed(module) for one in extras.EXTRAS for module in one.modules.values())


def test_a_java_that_does_not_run(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "java"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("SENSORSTREAM_JAVA", str(broken))
    monkeypatch.setattr("sensorstream.doctor.examine.check_java", machine.check_java)
    seen = doctor()
    assert "java" in seen.problems()
    assert "does not run" in seen.one("java").found
    assert "SENSORSTREAM_JAVA" in (seen.one("java").advice or "")


def test_a_script_that_path_does_not_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    one = machine.check_program("0.1.0")[1]
    assert (one.name, one.state) == ("path", "warning")
    other = tmp_path / "sensorstream"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    one = machine.check_program("0.1.0")[1]
    assert one.state == "warning"
    assert f"starts {other}, not this one" in one.found


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 500 << 20)
    one = machine.check_memory(0)
    assert (one.state, one.advice) == ("warning", "close something, or: cluster up --brokers 1")
    assert machine.check_memory(3).state == "ok"


@pytest.mark.parametrize("place", ["file", "/proc/sensorstream"])
def test_a_state_folder_that_can_not_be_used(
    place: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if place == "file":
        (tmp_path / "file").write_text("")
        place = str(tmp_path / "file")
    elif not Path("/proc/self").exists():
        pytest.skip("this system has no /proc, a folder that not even root can write to")
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", place)
    seen = doctor()
    assert "state folder" in seen.problems()
    assert "SENSORSTREAM_STATE_DIR" in (seen.one("state folder").advice or "")
    assert seen.code == ExitCode.FAILED


def test_a_folder_that_others_may_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path))
    tmp_path.chmod(0o777)
    one = folders.check_folders()[0]
    assert (one.state, one.advice) == ("warning", f"chmod go-w {tmp_path}")
    tmp_path.chmod(0o700)
    assert folders.check_folders()[0].state == "ok"


def test_a_damaged_cache(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jars = artifacts.fetch(artifacts.DEFAULT_VERSION)
    (tmp_path / "cache" / "jars").mkdir(parents=True)
    for jar in jars:
        (tmp_path / "cache" / "jars" / jar.name).symlink_to(jar)
    monkeypatch.setenv("SENSORSTREAM_CACHE_DIR", str(tmp_path / "cache"))
    assert artifacts.DEFAULT_VERSION in doctor().one("kafka").found
    damaged = tmp_path / "cache" / "jars" / jars[0].name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.unlink()
    damaged.write_bytes(content)
    one = doctor().one("kafka")
    assert (one.state, one.found) == ("warning", f"damaged in the cache: {damaged.name}")
    assert "cluster up fetches it again" in (one.advice or "")
    shutil.rmtree(tmp_path / "cache")
    assert "in the cache: none" in doctor().one("kafka").found


# -- clusters ------------------------------------------------------------------------------------------------------


def remember(name: str, ports: dict[int, int], processes: dict[int, state.NodeProcess]) -> Path:
    """A cluster as an earlier command has left it."""
    folder = state.cluster_folder(name)
    state.save_state(folder, state.ClusterState(str(folder / "data"), ports, {}, processes))
    return folder


def test_a_cluster_whose_brokers_have_died(doctor: Doctor) -> None:
    ports = dict(zip((1, 2, 3), free_ports(3), strict=True))
    remember("lab", ports, {number: state.NodeProcess(os.getpid(), psutil.boot_time() - 1) for number in ports})
    seen = doctor("-b", f"127.0.0.1:{ports[1]}")
    one = seen.one("cluster", "lab")
    assert one.state == "warning"
    assert "brokers 1, 2, 3 have died without being stopped" in one.found
    assert "sensorstream cluster up --name lab" in (one.advice or "")
    assert seen.one("tcp").advice == "its broker does not run; start it: sensorstream cluster up --name lab"


def test_a_port_that_somebody_else_has(doctor: Doctor) -> None:
    with serving(lambda connection: None) as address:
        port = int(address.rpartition(":")[2])
        remember("lab", {1: port}, {})
        seen = doctor("-b", nobody())
    one = seen.one("ports", "lab")
    assert one.state == "warning"
    assert f"broker 1 wants port {port}: it is in use by" in one.found
    assert f"(pid {os.getpid()})" in one.found
    assert seen.one("cluster", "lab").found.startswith("stopped")


def test_a_cluster_that_can_not_be_read(doctor: Doctor) -> None:
    (remember("lab", {1: 1}, {}) / "state.json").write_text("{")
    seen = doctor("-b", nobody())
    one = seen.one("cluster", "lab")
    assert (one.state, one.advice) == ("problem", "move it away to start over")
    assert seen.code == ExitCode.UNREACHABLE, "both are told, and the cluster is what a script waits for"


# -- how it is shown -----------------------------------------------------------------------------------------------


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
