"""The compose files: a real docker-compose reads them, and they are set as the local cluster is."""

import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sensorstream.cluster.compose_files import compose_folder, compose_names
from sensorstream.cluster.java_runtime import java_executable
from sensorstream.cluster.properties import server_properties
from sensorstream.monitor.prometheus import gauges
from sensorstream.monitor.snapshot import Snapshot
from sensorstream.monitor.view import View

BROKERS = ("broker-1", "broker-2", "broker-3")
PORTS = {1: 29092, 2: 39092, 3: 49092}
PASSWORDS = {"ADMIN_PASSWORD": "for-tests", "STUDENT_PASSWORD": "for-tests"}
WHERE_IT_IS = {
    *("process.roles", "node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"),
    *("listener.security.protocol.map", "controller.listener.names", "inter.broker.listener.name"),
    *("broker.id", "zookeeper.connect"),
}
"""Settings that differ, since they are about addresses, folders and roles."""
OF_THE_PROCESS = {"heap.opts", "jmx.port", "jmx.hostname", "node.id", "broker.id"}


def read_by_docker_compose(name: str) -> Any:
    program = shutil.which("docker-compose")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("docker-compose is missing")
        pytest.skip("docker-compose is not installed")
    done = subprocess.run(
        [program, "-f", str(compose_folder() / f"{name}.yml"), "--profile", "metrics", "config"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **PASSWORDS},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout) if done.stdout.strip() else None


@functools.cache
def content_of(name: str) -> dict[str, Any]:
    """A compose file as docker-compose reads it, with its variables and anchors worked out."""
    content = read_by_docker_compose(name)
    assert isinstance(content, dict)
    return content


@pytest.fixture(params=["kraft", "zookeeper", "secure"])
def read(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """A compose file's name and what docker-compose makes of it."""
    return request.param, content_of(request.param)


def kafka_settings(environment: dict[str, Any]) -> dict[str, str]:
    """What the images make of KAFKA_* variables: _ is a dot, __ an underscore, ___ a dash."""
    found = {}
    for name, value in environment.items():
        if name.startswith("KAFKA_"):
            key = name.removeprefix("KAFKA_").replace("___", "-").replace("__", "%").replace("_", ".").replace("%", "_")
            found[key.lower()] = str(value)
    return found


def local_settings(version: tuple[int, ...], zookeeper: str | None = None) -> dict[str, str]:
    text = server_properties(
        1,
        ports=PORTS,
        controller_ports={1: 1, 2: 2, 3: 3},
        log_dir=Path("/data"),
        kafka_version=version,
        zookeeper=zookeeper,
    )
    pairs = dict(line.split("=", 1) for line in text.splitlines())
    return {key: value for key, value in pairs.items() if key not in WHERE_IT_IS}


def test_there_are_the_three_labs() -> None:
    assert set(compose_names()) == {"kraft", "zookeeper", "secure"}


def test_brokers_are_set_as_the_local_cluster_is(read: tuple[str, dict[str, Any]]) -> None:
    name, content = read
    expected = local_settings((3, 6, 1), "zookeeper:2181") if name == "zookeeper" else local_settings((4, 3, 1))
    for broker in BROKERS:
        settings = kafka_settings(content["services"][broker]["environment"])
        assert {key: settings.get(key) for key in expected} == expected
        more = {
            key
            for key in settings.keys() - expected.keys() - WHERE_IT_IS - OF_THE_PROCESS
            if not re.match(r"ssl\.|sasl\.|listener\.name\.|authorizer|super\.users", key)
        }
        assert more == set()
        assert settings["heap.opts"].endswith("-Xmx256m")


def test_each_broker_is_reached_at_its_own_port(read: tuple[str, dict[str, Any]]) -> None:
    name, content = read
    for number, broker in enumerate(BROKERS, 1):
        service = content["services"][broker]
        settings = kafka_settings(service["environment"])
        assert settings.get("node.id", settings.get("broker.id")) == str(number)
        listens = dict(one.split("://") for one in settings["listeners"].split(","))
        advertised = dict(one.split("://") for one in settings["advertised.listeners"].split(","))
        protocols = dict(one.split(":") for one in settings["listener.security.protocol.map"].split(","))
        assert listens["EXTERNAL"] == f":{PORTS[number]}"
        assert advertised == {"INTERNAL": f"{broker}:19092", "EXTERNAL": f"127.0.0.1:{PORTS[number]}"}
        assert protocols.keys() == listens.keys()
        assert service["hostname"] == broker
        if name != "zookeeper":
            voters = settings["controller.quorum.voters"].split(",")
            assert voters == [f"{voter}@broker-{voter}:9093" for voter in PORTS]
            assert listens["CONTROLLER"] == ":9093"
        if name == "secure":
            assert protocols == {"INTERNAL": "SSL", "EXTERNAL": "SASL_SSL", "CONTROLLER": "SSL"}


def test_nothing_is_published_but_on_the_loopback(read: tuple[str, dict[str, Any]]) -> None:
    _, content = read
    published = [port for service in content["services"].values() for port in service.get("ports", ())]
    assert len(published) >= 3
    for port in published:
        host = port.get("host_ip") if isinstance(port, dict) else port.rpartition(":")[0].rpartition(":")[0]
        assert host == "127.0.0.1", port


def test_images_are_pinned_and_data_is_kept(read: tuple[str, dict[str, Any]]) -> None:
    _, content = read
    for name, service in content["services"].items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), (name, service["image"])
    for broker in BROKERS:
        service = content["services"][broker]
        assert any("broker" in str(volume) and "/var/lib/kafka/data" in str(volume) for volume in service["volumes"])
        assert f"{broker}-data" in content["volumes"]
        assert service["healthcheck"]["test"]
        assert set(service["networks"]) == {"kafka"}
    assert set(content["networks"]) == {"kafka"}
    assert not any((network or {}).get("external") for network in content["networks"].values())


@pytest.mark.parametrize("name", ["kraft", "zookeeper"])
def test_the_user_interface_waits_for_healthy_brokers(name: str) -> None:
    service = content_of(name)["services"]["kafka-ui"]
    assert {broker: how["condition"] for broker, how in service["depends_on"].items()} == dict.fromkeys(
        BROKERS, "service_healthy"
    )
    assert "127.0.0.1" in str(service["ports"])
    assert "8080" in str(service["ports"])


def test_metrics_are_a_profile() -> None:
    content = yaml.safe_load((compose_folder() / "kraft.yml").read_text(encoding="utf-8"))
    with_profile = {name for name, service in content["services"].items() if service.get("profiles")}
    assert with_profile == {"exporter-configs", "exporter-1", "exporter-2", "exporter-3", "prometheus", "grafana"}


def test_files_that_are_mounted_are_there(read: tuple[str, dict[str, Any]]) -> None:
    _, content = read
    mounted = [str(volume) for service in content["services"].values() for volume in service.get("volumes", ())]
    paths = [Path(volume.split(":")[0]) for volume in mounted if volume.startswith("/")]
    assert all(path.exists() for path in paths), paths


def test_the_dashboard_asks_for_what_the_rules_and_metrics_export() -> None:
    metrics = compose_folder() / "metrics"
    rules = yaml.safe_load((metrics / "kafka-rules.yml").read_text(encoding="utf-8"))["rules"]
    for rule in rules:
        re.compile(rule["pattern"])
    # A name's $1 is one of those in the pattern: the dashboard's names must be made by some rule.
    made = [re.compile(re.sub(r"\$\d", r"\\w+", rule["name"]).lower()) for rule in rules]
    board = json.loads((metrics / "grafana" / "dashboards" / "kafka.json").read_text(encoding="utf-8"))
    asked = {
        word
        for panel in board["panels"]
        for target in panel["targets"]
        for word in re.findall(r"\b(?:kafka|jvm|kminion|sensorstream)_\w+", target["expr"])
    }
    assert asked
    ours = {gauge.name for gauge in gauges(View(Snapshot(0.0, 0.0, 0, True)))}
    assert [word for word in asked - ours if not any(name.fullmatch(word) for name in made)] == []
    assert not [name for name in ours if any(one.fullmatch(name) for one in made)], "both would tell the same name"
    assert {"kafka_consumergroup_lag", "sensorstream_capture_waiting_rows", "sensorstream_replay_rows"} <= asked
    scraped = yaml.safe_load((metrics / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert [one["targets"] for one in scraped[0]["static_configs"]] == [[f"exporter-{n}:5556"] for n in PORTS]
    assert scraped[1]["static_configs"] == [{"targets": ["host.docker.internal:9308"]}]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(places) == len(set(places)) == len({panel["id"] for panel in board["panels"]})


def test_passwords_must_be_given() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in PASSWORDS}
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed")
    done = subprocess.run(
        [program, "-f", str(compose_folder() / "secure.yml"), "config", "-q"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert done.returncode != 0
    assert "ADMIN_PASSWORD" in done.stderr


def test_certificates_are_made_once_and_name_their_node(tmp_path: Path) -> None:
    keytool = java_executable().executable.parent / "keytool"
    script = compose_folder() / "secure" / "certificates.sh"
    environment = {
        **os.environ,
        "SECRETS_FOLDER": str(tmp_path),
        "NODES": "broker-2",
        "PATH": f"{keytool.parent}:{os.environ['PATH']}",
    }

    def run() -> str:
        words = ["bash", str(script)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "made a CA" in run()
    first = (tmp_path / "broker-2.p12").read_bytes()
    assert "are there" in run()
    assert (tmp_path / "broker-2.p12").read_bytes() == first
    shown = subprocess.run(
        [str(keytool), "-list", "-v", "-keystore", "broker-2.p12", "-storepass:file", "password"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    for word in (
        "CN=broker-2",
        "DNSName: broker-2",
        "IPAddress: 127.0.0.1",
        "serverAuth",
        "Certificate chain length: 2",
    ):
        assert word in shown
    assert not (tmp_path / "ca.p12").exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
