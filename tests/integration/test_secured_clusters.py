"""A secured cluster as ``cluster up --secure`` makes it, and what each client says when something is not right.

One broker for all of it; listeners with other certificates and mechanisms are added beside its own.
"""

import json
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from looking import commit, seen, whole
from running import cli, ok
from secured_listeners import LESSER, NAME, NOWHERE, WAIT_S, Secured, denied, refused, secured_cluster, there_and_back
from sensorstream import admin
from sensorstream.cli.app import run
from sensorstream.clients import open_client
from sensorstream.config import Settings, TopicSettings
from sensorstream.doctor.examine import examine
from sensorstream.monitor.gather import take
from sensorstream.monitor.snapshot import Snapshot
from sensorstream.pipelines.replay.job_records import JOBS_TOPIC
from sensorstream.pipelines.replay.retries import GIVE_UP_S
from sensorstream.records import TopicPartition

pytestmark = [pytest.mark.broker, pytest.mark.long]


@pytest.fixture(scope="module")
def secured(_own_surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_cluster(tmp_path_factory.mktemp("certificates")) as cluster:
        yield cluster


@pytest.fixture(params=["kafka-python", "librdkafka"])
def client(request: pytest.FixtureRequest) -> str:
    """The name of each client in turn."""
    return str(request.param)


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
