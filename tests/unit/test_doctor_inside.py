"""What ``doctor`` makes of a cluster's answers: clocks, versions, brokers that are missing, addresses of elsewhere."""

from dataclasses import replace

import pytest

from sensorstream.admin.checkup import Introduction, Look
from sensorstream.clients.properties import ClientProperties
from sensorstream.cluster.preflight import free_ports
from sensorstream.doctor import inside
from sensorstream.doctor.clusters import Clusters
from sensorstream.doctor.connection import Way
from sensorstream.doctor.results import Check

WHOLE = Look(2, (), 0, 0, (), 0.01, 0.005)
HERE = {1: "127.0.0.1:29092", 2: "127.0.0.1:39092"}
TOLD = Introduction("one", "4.3 or later", (4, 3), HERE)


def way(address: str, told: Introduction, *ips: str) -> Way:
    return Way(address, ClientProperties(), Clusters(), ips=ips, introduction=told)


@pytest.fixture
def everybody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "silent", lambda addresses, timeout_s: {})


def look(monkeypatch: pytest.MonkeyPatch, seen: Look, told: Introduction = TOLD) -> dict[str, Check]:
    """The checks of a cluster that answers so, by name; the last one of several."""
    monkeypatch.setattr(inside, "look", lambda addresses, properties: seen)
    checks = inside.look_inside([way("127.0.0.1:29092", told, "127.0.0.1")], ClientProperties())
    return {one.name: one for one in checks}


@pytest.mark.usefixtures("everybody_answers")
@pytest.mark.parametrize(
    ("ahead", "within", "state", "found"),
    [
        (0.02, 0.01, "ok", "agree within 0.1 s"),
        (-9.0, 0.01, "ok", "agree within 9.0 s"),
        (3600.0, 0.01, "warning", "3600 s ahead of this machine's"),
        (-60.0, 0.01, "warning", "60 s behind this machine's"),
        (12.0, 4.0, "ok", "agree within 12.0 s"),  # the answer took so long that it may be less
        (None, 0.0, "skipped", "ZooKeeper"),
    ],
)
def test_the_controllers_clock(
    ahead: float | None, within: float, state: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = look(monkeypatch, replace(WHOLE, clock_ahead_s=ahead, clock_within_s=within))["clock"]
    assert one.state == state
    assert found in one.found


@pytest.mark.usefixtures("everybody_answers")
def test_brokers_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(monkeypatch, WHOLE)["brokers"].found == "2 brokers (1, 2), broker 2 is the controller"
    one = look(monkeypatch, replace(WHOLE, missing=(3,), under_replicated=4))["brokers"]
    assert (one.state, one.advice) == ("warning", "start broker 3")
    assert "broker 3 missing" in one.found
    one = look(monkeypatch, replace(WHOLE, missing=(3,), offline=1))["brokers"]
    assert one.state == "problem"
    assert "1 partition without a leader" in one.found
    one = look(monkeypatch, replace(WHOLE, under_replicated=4, controller=None))["brokers"]
    assert one.state == "warning"
    assert "4 partitions with too few replicas in sync" in one.found
    assert "the controller is not known" in one.found


@pytest.mark.usefixtures("everybody_answers")
def test_an_old_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    one = look(monkeypatch, WHOLE, replace(TOLD, version="2.8", line=(2, 8)))["version"]
    assert one.state == "warning"
    assert "Kafka 2.8; this program is tested with 3.6 and later" in one.found
    assert look(monkeypatch, WHOLE, replace(TOLD, version="3.6", line=(3, 6)))["version"].state == "ok"


@pytest.mark.usefixtures("everybody_answers")
def test_another_cluster_at_an_advertised_address(monkeypatch: pytest.MonkeyPatch) -> None:
    one = look(monkeypatch, replace(WHOLE, elsewhere=(2,)))["advertised"]
    assert (one.subject, one.state) == ("broker 2", "problem")
    assert one.found == "at 127.0.0.1:39092 another cluster answers"
    assert "ports must be equal inside and outside" in (one.advice or "")


def test_addresses_of_two_clusters() -> None:
    ways = [way("a:1", TOLD, "192.0.2.1"), way("b:1", replace(TOLD, cluster_id="two"), "192.0.2.2")]
    first, *rest = inside.look_inside(ways, ClientProperties())
    assert (first.name, first.state) == ("identity", "problem")
    assert first.found == "a:1: cluster one; b:1: cluster two"
    assert {one.state for one in rest} == {"skipped"}


@pytest.mark.usefixtures("everybody_answers")
def test_a_broker_of_another_machine_that_advertises_localhost() -> None:
    told = replace(TOLD, brokers={1: "localhost:9092"})
    seen = inside.look_inside([way("kafka.example.org:9092", told, "192.0.2.1")], ClientProperties())
    (one,) = [one for one in seen if one.name == "advertised"]
    assert one.state == "problem"
    assert "localhost:9092 is this machine itself, and the broker is on another one" in one.found
    assert "set advertised.listeners of broker 1" in (one.advice or "")


def test_a_broker_that_has_just_stopped_is_no_wrong_address(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (f"127.0.0.1:{port}" for port in free_ports(2))
    told = replace(TOLD, brokers={1: first, 2: second})
    ways = [way(first, told, "127.0.0.1")]
    one, two = [one for one in inside.look_inside(ways, ClientProperties()) if one.name == "advertised"]
    assert (one.state, two.state) == ("warning", "problem"), "the first one was given, the second one was not"
    assert "start it" in (one.advice or "")
    assert two.found == f"it advertises {second}: the connection is refused, nobody listens there"
