"""A secured cluster as ``cluster up --secure`` makes it, and what each client says when something is not right.

One broker for all of it; listeners with other certificates and mechanisms are added beside its own.
"""

import datetime
import json
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from looking import commit, seen, whole
from running import cli, ok
from sensorstream import admin
from sensorstream.cli.app import run
from sensorstream.clients import open_client
from sensorstream.clients.kafka_python.admin import Session
from sensorstream.clients.properties import parse_properties
from sensorstream.cluster import LocalCluster
from sensorstream.cluster import plan as plans
from sensorstream.cluster.secure.certificates import LOOPBACK_NAMES, Authority
from sensorstream.config import Settings, TopicSettings
from sensorstream.doctor.examine import examine
from sensorstream.errors import ClusterUnreachable, CredentialsRefused
from sensorstream.monitor.gather import take
from sensorstream.monitor.snapshot import Snapshot
from sensorstream.pipelines.replay.job_records import JOBS_TOPIC
from sensorstream.pipelines.replay.retries import GIVE_UP_S
from sensorstream.records import TopicPartition

pytestmark = [pytest.mark.broker, pytest.mark.long]
WAIT_S = 60.0
NAME = "secured"
NOWHERE = "kafka-1.invalid"
"""What the listener ``lost`` is advertised as: a name that holds in some other network."""
DAY = datetime.timedelta(days=1)
RIGHTS = {
    "TOPIC": ("READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"),
    "GROUP": ("READ", "DESCRIBE"),
    "TRANSACTIONAL_ID": ("WRITE", "DESCRIBE"),
    "CLUSTER": ("DESCRIBE",),
}
LESSER = {
    "no-write": {"TOPIC WRITE"},
    "no-read": {"TOPIC READ"},
    "no-topic": {f"TOPIC {operation}" for operation in RIGHTS["TOPIC"]},
    "no-group": {"GROUP READ", "GROUP DESCRIBE"},
    "no-commit": {"GROUP READ"},
    "no-transaction": {"TRANSACTIONAL_ID WRITE", "TRANSACTIONAL_ID DESCRIBE"},
    "no-cluster": {"CLUSTER DESCRIBE"},
}
"""Users who may do everything that the program asks for, but for these."""


@dataclass(frozen=True)
class Secured:
    """The cluster, the addresses of its further listeners, and a folder with certificates."""

    local: LocalCluster
    at: dict[str, str]
    files: Path

    def settings(self, client: str, user: str = "admin", **other: str) -> Settings:
        """How a user comes to the cluster's own listener; ``other`` replaces properties (``_`` for dots)."""
        known = json.loads((self.local.folder / "client.properties.json").read_text())[user]
        return Settings(self.local.bootstrap, client=client, properties={**known, **dotted(other)})

    def named_otherwise(self, client: str) -> Settings:
        """The same as librdkafka's documentation writes it."""
        known = dict(self.settings(client).properties)
        other = {"security.protocol": "sasl_ssl", "ssl.ca.location": known.pop("ssl.truststore.location")}
        return Settings(self.local.bootstrap, client=client, properties={**known, **other})

    def plain(self, client: str, password: str, user: str = "user") -> Settings:
        """How a user comes to the listener that takes SASL PLAIN."""
        how = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": user}
        return Settings((self.at["plain"],), client=client, properties={**how, "sasl.password": password})

    def tls(self, client: str, listener: str, **other: str) -> Settings:
        """How one comes to a listener by TLS alone."""
        trust = {"security.protocol": "SSL", "ssl.truststore.location": str(self.files / "ca.pem")}
        return Settings((self.at[listener],), client=client, properties={**trust, **dotted(other)})


def dotted(properties: dict[str, str]) -> dict[str, str]:
    return {key.replace("_", "."): value for key, value in properties.items()}


def grant(super_user: Settings) -> None:
    """Give each of the users in LESSER every right but one kind."""
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType

    acls = [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=ACLOperation[operation],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(
                ResourceType[kind], "kafka-cluster" if kind == "CLUSTER" else "*", ACLResourcePatternType.LITERAL
            ),
        )
        for user, without in LESSER.items()
        for kind, operations in RIGHTS.items()
        for operation in operations
        if f"{kind} {operation}" not in without
    ]
    with Session(super_user.bootstrap, parse_properties(super_user.properties)) as session:
        assert not session.client.create_acls(acls)["failed"]


@pytest.fixture(scope="module")
def secured(_own_surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    from sensorstream.cluster.preflight import free_ports

    files = tmp_path_factory.mktemp("certificates")
    ours, other = Authority("ours"), Authority("other")
    now = datetime.datetime.now(datetime.UTC)
    stores = {
        "mutual": ours.issue("broker", hosts=LOOPBACK_NAMES),
        "expired": ours.issue("broker", hosts=LOOPBACK_NAMES, begins=now - 9 * DAY, ends=now - DAY),
        "early": ours.issue("broker", hosts=LOOPBACK_NAMES, begins=now + DAY, ends=now + 9 * DAY),
        "elsewhere": ours.issue("broker", hosts=["broker.example.org"]),
        "user": ours.issue("user"),
        "late-user": ours.issue("user", begins=now - 9 * DAY, ends=now - DAY),
        "foreign-user": other.issue("user"),
    }
    for name, issued in stores.items():
        (files / f"{name}.pem").write_bytes(issued.store)
    (files / "ca.pem").write_bytes(ours.certificate)
    (files / "other-ca.pem").write_bytes(other.certificate)
    listeners = ("mutual", "expired", "early", "elsewhere")
    ports = dict(zip((*listeners, "plain", "lost"), free_ports(6), strict=True))
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    advertised = {**at, "lost": f"{NOWHERE}:{ports['lost']}"}
    own_lines = plans.Plan.security_lines

    def lines(self: plans.Plan, node_id: int) -> dict[str, str]:
        found = own_lines(self, node_id)
        for key, addresses in (("listeners", at), ("advertised.listeners", advertised)):
            found[key] += "".join(f",{name.upper()}://{address}" for name, address in addresses.items())
        found["listener.security.protocol.map"] += ",PLAIN:SASL_PLAINTEXT,LOST:PLAINTEXT"
        for name in listeners:
            found["listener.security.protocol.map"] += f",{name.upper()}:SSL"
            found[f"listener.name.{name}.ssl.keystore.location"] = str(files / f"{name}.pem")
            found[f"listener.name.{name}.ssl.truststore.location"] = str(files / "ca.pem")
        return found | {
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.plain.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                + " ".join(f'user_{name}="rights"' for name in ("user", *LESSER))
                + ";"
            ),
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans.Plan, "security_lines", lines)
        local = LocalCluster(NAME)
        local.up(brokers=1, ports="auto", secure="tls+scram", acl=True)
        try:
            cluster = Secured(local, at, files)
            grant(cluster.settings("kafka-python"))
            yield cluster
        finally:
            local.down(delete_data=True)


@pytest.fixture(params=["kafka-python", "librdkafka"])
def client(request: pytest.FixtureRequest) -> str:
    """The name of each client in turn."""
    return str(request.param)


def there_and_back(settings: Settings, topic: str, value: bytes) -> None:
    """Publish a record and read it again."""
    opened = open_client(settings)
    with opened.publisher() as publisher, opened.reader() as reader:
        offset = publisher.publish(topic, value, partition=0).wait(WAIT_S)
        assert offset is not None
        reader.assign({TopicPartition(topic, 0): offset})
        deadline = time.monotonic() + WAIT_S
        read: list[bytes | None] = []
        while not read:
            assert time.monotonic() < deadline
            read = [one.value for batch in reader.poll(0.2).values() for one in batch]
        assert read[0] == value


def refused(settings: Settings, *, refusal: bool = True) -> str:
    """Connecting fails within 10 s (twice that where the machine has no time); what is said."""
    threads = set(threading.enumerate())
    began = time.monotonic()
    with pytest.raises(ClusterUnreachable) as caught:
        open_client(settings).reader()
    assert time.monotonic() - began < 20
    assert set(threading.enumerate()) <= threads
    assert isinstance(caught.value, CredentialsRefused) == refusal, caught.value
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_each_mechanism_lets_the_right_one_in(client: str, secured: Secured) -> None:
    topic = f"secured-{client}"
    admin.create_topics(secured.settings(client), [TopicSettings(topic, replication_factor=1)])
    there_and_back(secured.settings(client), topic, b"SCRAM-SHA-512")
    there_and_back(secured.settings(client, "user", sasl_mechanism="SCRAM-SHA-256"), topic, b"SCRAM-SHA-256")
    there_and_back(secured.plain(client, "rights"), topic, b"PLAIN")
    own = str(secured.files / "user.pem")
    there_and_back(secured.tls(client, "mutual", ssl_keystore_location=own), topic, b"mutual TLS")
    there_and_back(secured.named_otherwise(client), topic, b"librdkafka's names")


def test_who_is_turned_away_is_told_why(client: str, secured: Secured) -> None:
    said = refused(secured.settings(client, sasl_password="wr0ng"))
    assert "authentication failed" in said
    assert "wr0ng" not in said
    assert "authentication failed" in refused(secured.plain(client, "wr0ng"))
    assert "sasl.mechanism" in refused(secured.settings(client, sasl_mechanism="PLAIN"))
    foreign = str(secured.files / "other-ca.pem")
    said = refused(secured.settings(client, ssl_truststore_location=foreign))
    assert "certificate can't be verified" in said
    assert "unable to get local issuer" in said
    assert "certificate has expired" in refused(secured.tls(client, "expired"))
    assert "not yet valid" in refused(secured.tls(client, "early"))
    assert "not valid for '127.0.0.1'" in refused(secured.tls(client, "elsewhere"))
    assert "wants a certificate" in refused(secured.tls(client, "mutual"))
    late = str(secured.files / "late-user.pem")
    assert "certificate, which has expired" in refused(secured.tls(client, "mutual", ssl_keystore_location=late))
    stranger = str(secured.files / "foreign-user.pem")
    assert "certificate" in refused(secured.tls(client, "mutual", ssl_keystore_location=stranger))


def test_the_wrong_protocol_is_named(client: str, secured: Secured) -> None:
    wants = "it wants TLS there, see security.protocol"
    assert wants in refused(Settings(secured.local.bootstrap, client=client), refusal=False)
    assert "it does not speak TLS there" in refused(secured.tls(client, "plain"), refusal=False)
    unnamed = Settings((secured.at["plain"],), client=client)
    assert "see security.protocol" in refused(unnamed, refusal=False)


def examined(settings: Settings) -> dict[str, tuple[str, str, str | None]]:
    """What ``doctor`` says of the way to the cluster and of the cluster: state, finding and advice of each check."""
    seen = examine(lambda: replace(settings, origins={"bootstrap": "command line"}), "0.1.0")
    return {
        one.name: (one.state, one.found, one.advice) for one in seen.checks if one.area in ("connection", "cluster")
    }


def test_doctor_finds_nothing_wrong_for_who_comes_rightly(client: str, secured: Secured) -> None:
    own = str(secured.files / "user.pem")
    for settings in (
        secured.settings(client),
        secured.plain(client, "rights"),
        secured.tls(client, "mutual", ssl_keystore_location=own),
    ):
        seen = examined(settings)
        assert {state for state, _, _ in seen.values()} <= {"ok", "skipped"}, seen
        assert seen["client"][0] == "ok"
    assert examined(secured.settings(client))["sasl"][1] == "SCRAM-SHA-512, logged in as admin"


def test_doctor_names_who_is_turned_away_and_why(secured: Secured) -> None:
    client = "kafka-python"

    def problem(name: str, settings: Settings) -> str:
        """Finding and advice of the one check that has failed; what is behind it is skipped."""
        seen = examined(settings)
        assert [one for one, (state, _, _) in seen.items() if state == "problem"] == [name], seen
        behind = list(seen)[list(seen).index(name) + 1 :]
        assert all(seen[one][0] == "skipped" for one in behind)
        return f"{seen[name][1]}; {seen[name][2]}"

    said = problem("sasl", secured.settings(client, sasl_password="wr0ng"))
    assert "authentication failed" in said
    assert "check sasl.username and sasl.password" in said
    assert "wr0ng" not in said
    said = problem("sasl", secured.settings(client, sasl_mechanism="PLAIN"))
    assert "PLAIN is not taken there; it takes SCRAM-SHA-" in said
    said = problem("kafka", Settings((secured.at["plain"],), client=client))
    assert "it wants a user name and password (PLAIN), and security.protocol is PLAINTEXT" in said
    assert "-X security.protocol=SASL_PLAINTEXT" in said
    assert "speaks TLS, and security.protocol is PLAINTEXT" in problem("protocol", Settings(secured.local.bootstrap))
    assert "Kafka without TLS, and security.protocol is SSL" in problem("protocol", secured.tls(client, "plain"))
    foreign = str(secured.files / "other-ca.pem")
    said = problem("tls", secured.settings(client, ssl_truststore_location=foreign))
    assert "unable to get local issuer" in said
    assert "-X ssl.truststore.location=ca.pem" in said
    assert "certificate has expired; the broker needs a new" in problem("tls", secured.tls(client, "expired"))
    assert "not yet valid; compare the clocks" in problem("tls", secured.tls(client, "early"))
    said = problem("tls", secured.tls(client, "elsewhere"))
    assert "not valid for '127.0.0.1'" in said
    assert "it is for broker.example.org: use a host name" in said
    login = secured.plain(client, "rights").properties
    said = problem("sasl", Settings((secured.at["lost"],), properties=login))
    assert "this listener takes no user name and password; set security.protocol=PLAINTEXT" in said
    assert "wants a certificate" in problem("tls", secured.tls(client, "mutual"))
    late = str(secured.files / "late-user.pem")
    said = problem("tls", secured.tls(client, "mutual", ssl_keystore_location=late))
    assert "certificate, which has expired" in said


def test_doctor_names_an_advertised_address_that_leads_nowhere(secured: Secured) -> None:
    seen = examined(Settings((secured.at["lost"],)))
    assert (seen["kafka"][0], seen["advertised"][0], seen["brokers"][0]) == ("ok", "problem", "skipped")
    port = secured.at["lost"].rpartition(":")[2]
    assert seen["advertised"][1] == f"it advertises {NOWHERE}:{port}: the host name is not known"
    assert "set advertised.listeners of broker 1" in (seen["advertised"][2] or "")


def test_its_profiles_are_found_and_say_who_comes(secured: Secured, tmp_path: Path) -> None:
    ok("topics", "create", "secured-cli", "--replication-factor", "1", "--profile", NAME, cwd=tmp_path)
    rows = tmp_path / "rows.csv"
    rows.write_text("Time,v\n1,2\n3,4\n")
    user = ("--profile", f"{NAME}-user")
    for more in ((), ("--exactly-once", "--client", "kafka-python")):
        sent = ok("produce", "--source", f"secured-cli={rows}", "--delay", "0", *user, *more, cwd=tmp_path)
        assert sent["acknowledged"] == 2
    told = cli("consume", "-t", "secured-cli", "-p", "0", "-e", "--to", "-", "-q", *user, cwd=tmp_path)
    assert told.stdout.splitlines() == 2 * ['{"Time":1,"v":2}'], told.stderr
    refusal = cli("topics", "create", "secured-never", "--replication-factor", "1", *user, cwd=tmp_path)
    assert refusal.returncode == 3
    assert "not allowed for this user (topic authorization failed)" in refusal.stderr
    assert "Create on topic secured-never" in refusal.stderr
    assert ok("cluster", "status", "--name", NAME)["secure"] == "tls+scram"
    assert secured.local.up().already_running


def test_nothing_shows_its_passwords(secured: Secured, tmp_path: Path) -> None:
    folder, data = secured.local.folder, Path(secured.local.status().data_dir or "")
    passwords = set(json.loads((data / "secure" / "passwords.json").read_text()).values())
    assert len(passwords) == 3
    for word in ("text", "json"):
        shown = cli("config", "show", "--profile", NAME, "--output", word, cwd=tmp_path)
        assert "********" in shown.stdout
        failed = cli("topics", "list", "--profile", NAME, "-X", "ssl.ca.location=/none", "-v", "--output", word)
        assert failed.returncode == 2
        for text in (shown.stdout, shown.stderr, failed.stdout, failed.stderr):
            assert not any(password in text for password in passwords)
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        assert not any(password in line for password in passwords), line
    held = [path for root in (folder, data) for path in root.rglob("*") if path.is_file() and path.stat().st_size]
    for path in held:
        if any(password.encode() in path.read_bytes() for password in passwords):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert path.suffix != ".log", path
    for private in (folder, data / "secure"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (data / "secure").iterdir())
    assert not list(folder.rglob("format.arguments"))


def test_its_broker_listens_on_loopback_only_and_comes_back(secured: Secured) -> None:
    before = secured.local.status()
    (broker,) = before.brokers
    assert broker.pid is not None
    listening = [one.laddr for one in psutil.Process(broker.pid).net_connections("inet") if one.status == "LISTEN"]
    assert len(listening) == 8  # its own two, and the six of this test
    # As IPv6 a Java program shows an IPv4 address inside one of IPv6.
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    secured.local.stop_broker(1, kill=True)
    assert secured.local.status().state == "stopped"
    assert secured.local.start_broker(1).state == "running"
    assert secured.local.status().state == "running"


@contextmanager
def denied(secured: Secured, kind: str, name: str, *operations: str) -> Iterator[None]:
    """The lesser user may not do this to a resource, as long as the block lasts."""
    from kafka.admin import (
        ACL,
        ACLFilter,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePattern,
        ResourceType,
    )

    settings = secured.settings("kafka-python")
    pattern = ResourcePattern(ResourceType[kind], name, ACLResourcePatternType.LITERAL)
    who = {"principal": "User:user", "host": "*", "permission_type": ACLPermissionType.DENY}
    with Session(settings.bootstrap, parse_properties(settings.properties, settings.origins)) as session:
        for operation in operations:
            session.client.create_acls([ACL(operation=ACLOperation[operation], resource_pattern=pattern, **who)])
        try:
            yield
        finally:
            session.client.delete_acls([ACLFilter(operation=ACLOperation.ANY, resource_pattern=pattern, **who)])


@pytest.mark.usefixtures("patient_looks")
def test_a_snapshot_says_what_this_user_may_not_see(secured: Secured) -> None:
    ours, theirs = secured.settings("kafka-python"), secured.settings("kafka-python", "user")
    admin.create_topics(ours, [TopicSettings("seen", 1, 1)])
    for group in ("open", "closed"):
        with open_client(ours).reader(group=group) as reader:
            commit(reader, {TopicPartition("seen", 0): 0})

    def told(*words: str) -> Snapshot:
        """A snapshot with a problem of these words."""
        return seen(
            lambda: take(theirs),
            lambda snapshot: any(all(word in problem for word in words) for problem in snapshot.problems),
            f"{words} among the problems",
        )

    whole(lambda: take(theirs))
    with denied(secured, "GROUP", "closed", "DESCRIBE", "READ"):
        snapshot = told("closed", "no right")
        lags = {group.name: group.lag.total_lag for group in snapshot.groups}
        assert lags["open"] == 0
        assert lags.get("closed") is None
    whole(lambda: take(theirs))  # the right is back
    with denied(secured, "CLUSTER", "kafka-cluster", "DESCRIBE"):
        snapshot = told("may not describe the cluster")
        assert snapshot.controller is None
        assert [one.size_bytes for one in snapshot.brokers] == [None]
        topic = snapshot.topic("seen")
        assert topic is not None
        assert (topic.rows, topic.size_bytes) == (0, None)


@pytest.fixture
def lab(secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows, and a profile for each user that lacks a right; the topics are there, with rows in them."""
    if not (secured.files / "lab").exists():
        admin.create_topics(
            secured.settings("kafka-python"),
            [TopicSettings(name, partitions=1, replication_factor=1) for name in (FROM, TO, f"{TO}_DEAD", JOBS_TOPIC)],
        )
        with open_client(secured.settings("kafka-python")).publisher() as publisher:
            publisher.publish(FROM, b'{"Time":"2024-01-01T00:00:00Z","text":"good"}', partition=0).wait(WAIT_S)
        (secured.files / "lab").touch()
    profiles = []
    for name in LESSER:
        how = secured.plain("auto", "rights", name)
        lines = "".join(f'"{key}" = "{value}"\n' for key, value in how.properties.items())
        profiles.append(f'[profiles.{name}]\nbootstrap = "{how.bootstrap[0]}"\n[profiles.{name}.properties]\n{lines}')
    (tmp_path / "sensorstream.toml").write_text("".join(profiles))
    (tmp_path / "rows.csv").write_text("Time,text\n2024-01-01T00:00:00Z,good\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


FROM, TO = "rights-from", "rights-to"
PRODUCE = f"produce --source {FROM}=rows.csv --delay 0"
CAPTURE = f"consume -t {FROM} -e --to captured"
RUN = f"run --source {FROM}=rows.csv --delay 0 -e --to lab"
STREAM = f"sentiment stream --from {FROM} --to {TO} -e"
AGGREGATE = f"aggregate -t {FROM} --window 1m --count -e --time-column Time --time-format iso"
WRITE_FROM, READ_FROM, SEE_FROM = (f"{right} on topic {FROM}" for right in ("Write", "Read", "Describe"))
MISSING = [
    ("no-write", PRODUCE, WRITE_FROM),
    ("no-write", f"{PRODUCE} -X enable.idempotence=false", WRITE_FROM),
    ("no-write", f"{PRODUCE} --exactly-once --job never", "Write on topic"),
    ("no-write", f"{PRODUCE} --exactly-once --loop --job never-either", "Write on topic"),
    ("no-topic", PRODUCE, SEE_FROM),
    ("no-transaction", f"{PRODUCE} --exactly-once --job nor-this", "Write on the transactional id"),
    ("no-read", f"{CAPTURE} -p 0", READ_FROM),
    ("no-read", f"consume -t {FROM} -p 0 -e --to -", READ_FROM),
    ("no-read", f"{CAPTURE} -g rights-a", READ_FROM),
    ("no-topic", f"{CAPTURE} -p 0", SEE_FROM),
    ("no-group", f"{CAPTURE} -p 0 -g rights-b", "Read on group rights-b"),
    ("no-group", f"{CAPTURE} -g rights-c", "Read on group rights-c"),
    ("no-commit", f"{CAPTURE} -p 0 -g rights-d", "Read on group rights-d"),
    ("no-write", RUN, WRITE_FROM),
    ("no-read", RUN, READ_FROM),
    ("no-topic", RUN, SEE_FROM),
    ("no-write", f"{STREAM} -g rights-e", f"Write on topic {TO}"),
    ("no-read", f"{STREAM} -g rights-f", READ_FROM),
    ("no-group", f"{STREAM} -g rights-g", "Read on group rights-g"),
    ("no-transaction", f"{STREAM} -g rights-h", "Write on the transactional id"),
    ("no-topic", f"{STREAM} -g rights-i", SEE_FROM),
    ("no-read", f"{AGGREGATE} --to windows.csv", READ_FROM),
    ("no-write", f"{AGGREGATE} --to topic:{TO}", f"Write on topic {TO}"),
]
MANAGING = [
    ("no-group", "lag -g rights-j", "group authorization failed"),
    ("no-topic", f"topics describe {FROM}", SEE_FROM),
    ("no-cluster", "topics create rights-new --replication-factor 1", "Create on topic rights-new"),
    ("no-cluster", f"topics delete {FROM} -y", f"Delete on topic {FROM}"),
    ("no-cluster", f"topics alter {FROM} --partitions 2", "topic authorization failed"),
    ("no-cluster", f"topics alter {FROM} --set retention.ms=86400000", f"AlterConfigs on topic {FROM}"),
    ("no-topic", "jobs list", f"Describe on topic {JOBS_TOPIC}"),
]


@pytest.mark.parametrize(("user", "line", "right"), MISSING)
def test_a_missing_right_is_named(
    client: str, user: str, line: str, right: str, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    code = run([*line.split(), "--client", client, "--profile", user, "-q"])
    said = capsys.readouterr().err
    assert code == 3, said
    assert "not allowed for this user (" in said
    assert right in said
    assert time.monotonic() - began < GIVE_UP_S, "it was tried again and again"


@pytest.mark.parametrize(("user", "line", "right"), MANAGING)
def test_a_missing_right_to_manage_is_named(
    user: str, line: str, right: str, lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*line.split(), "--profile", user, "-q"]) == 3
    said = capsys.readouterr().err
    assert "not allowed for this user (" in said
    assert right in said


def test_who_may_not_describe_the_cluster_is_told_no_controller(secured: Secured) -> None:
    known = admin.describe_cluster(secured.plain("auto", "rights", "no-group"))
    assert known.controller == 1
    unknown = admin.describe_cluster(secured.plain("auto", "rights", "no-cluster"))
    assert unknown.controller is None
    assert [broker.id for broker in unknown.brokers] == [1]
