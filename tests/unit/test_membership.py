"""What is noted of brokers that join and leave, and what is refused before anything is touched."""

import dataclasses
import itertools
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka.errors import UnknownTopicOrPartitionError

from sensorstream.admin import MovedPartition, moving
from sensorstream.cluster import plan as plan_module
from sensorstream.cluster import state
from sensorstream.cluster.membership import add_broker, check_removable, forget_broker
from sensorstream.cluster.plan import Wanted, make_plan
from sensorstream.cluster.preflight import free_ports
from sensorstream.cluster.properties import Listens, server_properties
from sensorstream.cluster.secure import Security
from sensorstream.config import Settings
from sensorstream.errors import BrokerError, ClusterUnreachable, Interrupted, LocalClusterError, UsageError
from sensorstream.events import Notice
from sensorstream.records import TopicPartition


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SENSORSTREAM_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def made(*, ids: tuple[int, ...] = (), mode: state.Mode = "kraft", ports: dict[int, int] | None = None) -> Path:
    """A cluster that was made of three, as far as files tell."""
    folder = state.cluster_folder("c")
    data = folder / "data"
    state.save_formatted(data, state.Formatted("c", "x", "3.9.2", 3, complete=True, mode=mode, ids=ids))
    free = iter(free_ports(3 + len(ids or (1, 2, 3))))
    controllers = {n: next(free) for n in (1, 2, 3)} if mode == "kraft" else {}
    noted = {n: next(free) for n in ids or (1, 2, 3)} if ports is None else ports
    state.save_state(folder, state.ClusterState(str(data), noted, controllers))
    return folder


def test_the_layout_comes_back_as_it_was(home: Path) -> None:
    formatted = state.Formatted("c", "x", "3.9.2", 3, complete=True, ids=(1, 2, 3, 4))
    state.save_formatted(home, formatted)
    assert state.load_formatted(home) == formatted
    assert formatted.broker_ids == (1, 2, 3, 4)
    plain = dataclasses.replace(formatted, ids=())
    assert plain.broker_ids == plain.first_ids == (1, 2, 3)


def test_an_added_broker_is_started_with_the_others_and_changes_no_voter() -> None:
    made(ids=(1, 2, 3, 4))
    plan = make_plan("c", Wanted(ports="auto"))
    assert plan.missing == (1, 2, 3, 4)
    assert tuple(plan.known.controller_ports) == (1, 2, 3)
    assert plan.replicas == 3
    assert make_plan("c", Wanted(brokers=4, ports="auto")).missing == (1, 2, 3, 4)
    with pytest.raises(LocalClusterError, match="has 4 brokers, not 5") as caught:
        make_plan("c", Wanted(brokers=5))
    assert "add-broker" in caught.value.hint


@pytest.mark.parametrize(("ids", "noted"), [((1, 2, 3, 4), (1, 2, 3)), ((), (1, 2, 3, 4))])
def test_a_command_that_was_killed_between_its_two_notes_leaves_a_cluster_to_go_on_with(
    ids: tuple[int, ...], noted: tuple[int, ...]
) -> None:
    ports = dict(zip(noted, free_ports(len(noted)), strict=True))
    made(ids=ids, ports=ports)
    plan = make_plan("c", Wanted())
    assert plan.missing == (ids or (1, 2, 3))
    assert {n: plan.known.ports[n] for n in (1, 2, 3)} == {n: ports[n] for n in (1, 2, 3)}


def test_a_broker_whose_port_was_not_noted_takes_the_default_one_only_where_it_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any program may hold a default port, for an outgoing connection, too: the cluster must start all the same."""
    *others, free = free_ports(4)
    ports = dict(zip((1, 2, 3), others, strict=True))
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy: int = other.getsockname()[1]
        monkeypatch.setattr(plan_module, "default_port", {**ports, 4: busy}.__getitem__)
        made(ids=(1, 2, 3, 4), ports=ports)
        chosen = make_plan("c", Wanted()).known.ports[4]
        assert chosen not in (busy, *ports.values())
        monkeypatch.setattr(plan_module, "default_port", {**ports, 4: free}.__getitem__)
        assert make_plan("c", Wanted()).known.ports[4] == free


def test_the_configuration_of_a_broker_alone_has_no_controller_of_its_own() -> None:
    text = server_properties(
        4,
        ports={n: 20000 + n for n in (1, 4)},
        controller_ports={1: 21001},
        log_dir=Path("/d"),
        kafka_version=(4, 4, 0),
        replicas=1,
    )
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["process.roles"] == "broker"
    assert lines["listeners"] == "PLAINTEXT://127.0.0.1:20004"
    assert lines["controller.quorum.voters"] == "1@127.0.0.1:21001"
    assert lines["default.replication.factor"] == lines["min.insync.replicas"] == "1"


def test_an_added_broker_has_a_certificate_of_the_clusters_own_authority(home: Path) -> None:
    from cryptography import x509

    secured = Security("tls")
    secured.create(home, "c")
    secured.admit(home, 4)
    files = home / "secure"
    authority = x509.load_pem_x509_certificate((files / "ca.pem").read_bytes())
    own = x509.load_pem_x509_certificate((files / "broker-4.pem").read_bytes())
    own.verify_directly_issued_by(authority)
    lines = secured.lines(home, 4, Listens(1), None, (4, 4, 0))
    assert lines["ssl.keystore.location"].endswith("/broker-4.pem")
    assert "CONTROLLER" not in lines["listeners"]
    lines = secured.lines(home, 1, Listens(1, 2), None, (4, 4, 0))
    assert lines["ssl.keystore.location"].endswith("/broker.pem")
    secured.dismiss(home, 4)
    assert not (files / "broker-4.pem").exists()
    (files / "ca.key").write_text("no key")
    with pytest.raises(LocalClusterError, match="certificate authority"):
        secured.admit(home, 4)


def test_what_can_not_be_removed_is_refused_with_the_reason() -> None:
    made(ids=(1, 2, 3, 4))
    with pytest.raises(UsageError, match="vote in the quorum is fixed") as caught:
        check_removable("c", 1)
    assert "4" in caught.value.hint
    with pytest.raises(UsageError, match="no broker 7"):
        check_removable("c", 7)
    with pytest.raises(LocalClusterError, match="broker 1 does not run"):
        check_removable("c", 4)
    made(mode="zookeeper")
    with pytest.raises(UsageError, match="2 brokers would be left"):
        check_removable("c", 3)


@pytest.mark.parametrize(
    "act", [lambda: add_broker("c"), lambda: check_removable("c", 4), lambda: forget_broker("c", 4)]
)
def test_where_there_is_no_cluster_nothing_is_changed(act: Callable[[], object], home: Path) -> None:
    with pytest.raises(LocalClusterError, match="there is no cluster"):
        act()


# -- waiting for replicas ---------------------------------------------------------------------------------------

A, B = TopicPartition("T", 0), TopicPartition("T", 1)


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stops_at = float("inf")

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.now >= self.stops_at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(moving, "time", clock)
    return clock


def waits(clock: Clock, monkeypatch: pytest.MonkeyPatch, looks: "itertools.chain[moving._Look]") -> list[str]:
    """Wait for ``looks``, one after the other; what was told. The move is cancelled where that is told last."""
    told: list[str] = []
    left = 2

    def ask(*_: object) -> moving._Look:
        nonlocal left
        look = next(looks)
        left = len(look.adding)
        return look

    def cancel(*_: object) -> int:
        told.append("cancelled")
        return left

    monkeypatch.setattr(moving, "_ask", ask)
    monkeypatch.setattr(moving, "_cancel", cancel)
    stop: threading.Event = clock  # type: ignore[assignment]

    def listener(event: object) -> None:
        told.append(event.text if isinstance(event, Notice) else "")

    try:
        moving.wait_moved(Settings(), (A, B), stop=stop, listener=listener)
    except (BrokerError, Interrupted) as error:
        told.append(str(error))
    return told


def test_a_broker_that_comes_back_in_time_is_waited_for(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    away = moving._Look({A: (4,), B: (4,)}, away=(4,))
    there = moving._Look({A: (4,)}, copied=5)
    told = waits(clock, monkeypatch, itertools.chain([away] * 50, [there] * 3, [moving._Look({})]))
    assert told[0] == (
        "moving: 0 of 2 partitions in place; broker 4 does not run: the others wait for that, 60 s at the most"
    )
    assert told[-1] == "moving: 1 of 2 partitions in place"
    assert len(told) < 10


def test_a_broker_that_stays_away_ends_it(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    began = clock.now
    told = waits(clock, monkeypatch, itertools.chain(itertools.repeat(moving._Look({A: (4,)}, away=(4,)))))
    assert told[-2:] == [
        "cancelled",
        "broker 4 does not run: moved 1 of 2 partitions, the others stay; start it, then run it again",
    ]
    assert 60 <= clock.now - began < 63


def test_a_partition_without_a_leader_ends_it(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    told = waits(clock, monkeypatch, itertools.chain(itertools.repeat(moving._Look({A: (4,)}, headless=(A,)))))
    assert told[-1].startswith("T[0] is without a leader to copy from: moved 1 of 2 partitions, ")


def test_brokers_that_run_and_copy_nothing_end_it_and_slow_ones_do_not(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = (moving._Look({A: (4,), B: (5,)}, copied=n // 60) for n in range(600))
    assert waits(clock, monkeypatch, itertools.chain(slow, [moving._Look({})]))[-1].startswith("moving: ")
    unknown = [moving._Look({A: (4,), B: (5,)})] * 600
    assert waits(clock, monkeypatch, itertools.chain(unknown, [moving._Look({})]))[-1].startswith("moving: ")
    told = waits(clock, monkeypatch, itertools.chain(itertools.repeat(moving._Look({A: (4,), B: (5,)}, copied=7))))
    assert told[-1].startswith("nothing was copied to brokers 4, 5 for 120 s: moved 0 of 2 partitions, ")
    assert any("nothing is copied to brokers 4, 5 just now, T[0] and 1 more are to come" in line for line in told)


def test_ctrl_c_takes_back_what_has_not_moved(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.stops_at = clock.now + 3
    told = waits(clock, monkeypatch, itertools.chain(itertools.repeat(moving._Look({A: (4,)}, copied=1))))
    assert told[-2:] == [
        "cancelled", "cancelled: moved 1 of 2 partitions, the others stay; run it again to continue"
    ]  # fmt: skip


class Controller:
    """It knows no topic GONE, and moves the others for as long as nobody takes that back."""

    def __init__(self, *, dies: bool = False) -> None:
        self.moving: set[object] = set()
        self.client = self
        self.dies = dies

    def alter_partition_reassignments(
        self, asked: dict[tuple[str, int], list[int] | None]
    ) -> dict[tuple[str, int], type[Exception] | None]:
        answers: dict[tuple[str, int], type[Exception] | None] = {}
        for where, brokers in asked.items():
            if where[0] == "GONE":
                answers[where] = UnknownTopicOrPartitionError
                continue
            answers[where] = None
            (self.moving.discard if brokers is None else self.moving.add)(tuple(where))
        return answers

    def list_partition_reassignments(self, asked: list[tuple[str, int]]) -> dict[tuple[str, int], dict[str, list[int]]]:
        if self.dies:
            raise ClusterUnreachable("no broker answers")
        return {where: {"adding_replicas": [4]} for where in asked if tuple(where) in self.moving}


@pytest.mark.parametrize("dies", [False, True])
def test_nothing_moves_on_where_a_part_of_the_move_was_refused(monkeypatch: pytest.MonkeyPatch, dies: bool) -> None:
    controller = Controller(dies=dies)
    monkeypatch.setattr(moving, "administer", lambda _, __, action, *___: action(controller))
    plan = [MovedPartition(topic, 0, (1,), (4,)) for topic in ("GONE", "T")]
    with pytest.raises(BrokerError, match=r"GONE\[0\] was not moved: UnknownTopicOrPartitionError") as caught:
        moving.carry_out(Settings(), plan, stop=threading.Event())
    assert bool(controller.moving) is dies
    assert ("continues in the background" in caught.value.hint) is dies
