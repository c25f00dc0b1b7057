"""The Kubernetes manifests: valid by the published schemas, in step with one another and with the program.

Nothing is deployed here. The schemas are in ``schemas/``, which says where they are from.
"""

import copy
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from command_lines import program
from sensorstream.cli.app import run
from sensorstream.cluster.properties import server_properties
from sensorstream.pipelines.own_topics import _COMPACTED
from sensorstream.pipelines.replay.job_records import JOBS_PARTITIONS, JOBS_TOPIC, transactional_id

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy").glob("*.yaml"))
SCHEMAS = Path(__file__).parent / "schemas"
FORBIDDEN = (
    *("listeners", "advertised.", "broker.", "listener.", "host.name", "port", "inter.broker.listener.name", "sasl."),
    *("ssl.", "security.", "password.", "log.dir", "authorizer.", "super.user", "node.id", "process.roles"),
    *("controller.", "metadata.log.dir"),
)
"""Prefixes of settings that the operator keeps to itself (KafkaClusterSpec.FORBIDDEN_PREFIXES)."""


def documents() -> list[dict[str, Any]]:
    return [one for path in FILES for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in documents() if one["kind"] == kind}


def closed(schema: Any) -> Any:
    """The schema of a custom resource, in which a property that it does not name is wrong: the server drops these."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        made["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    return made


def validator(document: dict[str, Any]) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # takes seconds, which each process of the tests would spend

    kubernetes = json.loads((SCHEMAS / "kubernetes-1.33.json").read_text(encoding="utf-8"))
    if document["apiVersion"].startswith("kafka.strimzi.io/"):
        assert document["apiVersion"] == "kafka.strimzi.io/v1"
        return Draft202012Validator(
            closed(json.loads((SCHEMAS / "strimzi-v1.json").read_text(encoding="utf-8"))["kinds"][document["kind"]])
        )
    return Draft202012Validator({**kubernetes["kinds"][document["kind"]], "$defs": kubernetes["$defs"]})


@pytest.mark.parametrize("document", documents(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_a_manifest_is_valid(document: dict[str, Any]) -> None:
    check = validator(document)
    assert [f"{error.json_path}: {error.message}" for error in check.iter_errors(document)] == []
    wrong = copy.deepcopy(document)
    wrong["spec" if "spec" in wrong else "metadata"]["misspelt"] = 1
    assert list(check.iter_errors(wrong)), "the schema would let a misspelt key pass"


def test_the_kinds_that_are_promised_are_there() -> None:
    kinds = [one["kind"] for one in documents()]
    assert set(kinds) >= {"Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser", "Deployment", "Job"}
    (pool,) = of_kind("KafkaNodePool").values()
    assert pool["spec"]["replicas"] == 3
    assert pool["spec"]["roles"] == ["controller", "broker"]


def test_brokers_are_set_as_the_local_cluster_is() -> None:
    config = of_kind("Kafka")["lab"]["spec"]["kafka"]["config"]
    text = server_properties(
        1, ports={1: 1, 2: 2, 3: 3}, controller_ports={1: 1, 2: 2, 3: 3}, log_dir=Path("/d"), kafka_version=(4, 3, 1)
    )
    local = dict(line.split("=", 1) for line in text.splitlines())
    assert {key: str(value).lower() for key, value in config.items()} == {key: local[key] for key in config}
    assert [key for key in config if key.startswith(FORBIDDEN)] == []
    promises = {key for key in local if re.search("replica|min.isr|unclean|auto.create|retention", key)}
    assert promises <= config.keys()


def test_topics_are_those_of_the_program() -> None:
    topics = {one["spec"]["topicName"]: one["spec"] for one in of_kind("KafkaTopic").values()}
    assert topics.keys() == {"AIR", "EARTH", "WATER", JOBS_TOPIC}
    jobs = topics[JOBS_TOPIC]
    assert jobs["partitions"] == JOBS_PARTITIONS
    assert {key: str(value) for key, value in jobs["config"].items()} == {**_COMPACTED, "min.insync.replicas": "2"}
    assert {one["replicas"] for one in topics.values()} == {3}


def pods() -> dict[str, dict[str, Any]]:
    return {
        name: one["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for name, one in of_kind(kind).items()
    }


@pytest.mark.parametrize("name", ["capture", "replay-air"])
def test_a_pod_refers_to_what_is_there(name: str) -> None:
    pod = pods()[name]
    (listener,) = of_kind("Kafka")["lab"]["spec"]["kafka"]["listeners"]
    (container,) = pod["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["SENSORSTREAM_BOOTSTRAP"] == f"lab-kafka-bootstrap:{listener['port']}"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for one in (*pod["initContainers"], *pod["containers"]):
        assert {mount["name"] for mount in one["volumeMounts"]} <= volumes.keys()
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
    assert volumes["user"]["secret"]["secretName"] in of_kind("KafkaUser")
    assert volumes["ca"]["secret"]["secretName"] == "lab-cluster-ca-cert"
    if "persistentVolumeClaim" in volumes.get("data", {}):
        assert volumes["data"]["persistentVolumeClaim"]["claimName"] in of_kind("PersistentVolumeClaim")
    assert pod["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("name", ["capture", "replay-air"])
def test_a_pods_command_is_one_of_the_program(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pod = pods()[name]
    words = list(pod["containers"][0]["args"])
    command: Any = program().commands[words[0]]
    command.make_context(words[0], words[1:])
    # What the first container writes is what the second one reads.
    (tmp_path / "password").write_text("secret")
    (tmp_path / "ca.crt").write_text("")
    user = pod["volumes"][[volume["name"] for volume in pod["volumes"]].index("user")]["secret"]["secretName"]
    script = pod["initContainers"][0]["args"][0]
    for place in ("/client/", "/user/", "/ca/"):
        script = script.replace(place, f"{tmp_path}/")
    subprocess.run(["/bin/sh", "-euc", script], check=True, timeout=60)
    written = tmp_path / "client.properties"
    assert written.stat().st_mode & 0o077 == 0
    capsys.readouterr()
    assert run(["config", "show", "--command-config", str(written), "--output", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)["result"]["properties"]
    assert shown["sasl.username"] == user
    assert shown["sasl.password"] == "********"
    assert shown["security.protocol"] == "SASL_SSL"


def test_users_may_do_what_their_pods_do_and_no_more() -> None:
    users = {
        name: {
            (acl["resource"]["type"], acl["resource"].get("name", "")): set(acl["operations"])
            for acl in one["spec"]["authorization"]["acls"]
        }
        for name, one in of_kind("KafkaUser").items()
    }
    capture = pods()["capture"]["containers"][0]["args"]
    assert ("group", capture[capture.index("-g") + 1]) in users["capture"]
    assert not any("Write" in operations for operations in users["capture"].values())
    (prefix,) = (name for kind, name in users["replay"] if kind == "transactionalId")
    assert transactional_id("any").startswith(prefix)
    assert ("topic", JOBS_TOPIC) in users["replay"]
    given = {right for one in users.values() for rights in one.values() for right in rights}
    assert given <= {"Read", "Write", "Describe", "DescribeConfigs", "IdempotentWrite"}


def test_the_image_takes_what_is_there() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    assert copied
    assert all((ROOT / name).exists() for names in copied for name in names)
    images = {one["image"] for pod in pods().values() for one in (*pod["initContainers"], *pod["containers"])}
    from sensorstream import __version__

    assert images == {f"sensorstream:{__version__}"}
    assert f"-t sensorstream:{__version__}" in text
