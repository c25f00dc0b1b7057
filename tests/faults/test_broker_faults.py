"""Brokers killed, frozen and rolled, and a bad network, while files are replayed and topics captured: all is counted.

In each case both clients replay one file each, exactly once or at least once, and capture the topic that comes about.
When all brokers are away for longer than a row may wait, each replay ends and says where it goes on, or goes on by
itself.
The long forms are a campaign (``make campaign``), which writes docs/reliability.md.
"""

import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from faults.breaking import Breaker
from faults.counting import write_source
from faults.figures import Figures, kafka_version, write
from faults.proxy import END_TXN, PRODUCE, Proxies, Trap
from faults.workloads import CLIENTS, END_S, MODES, Lane, Load, Outcome
from running import until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import ExitCode
from sensorstream.lab.chaos import plan
from sensorstream.lab.chaos.chaos import chaos
from sensorstream.records import TopicPartition

pytestmark = [pytest.mark.broker, pytest.mark.long]

SEED = 2308
RATE, SHORT_RATE = 200, 20
"""Rows a second of each replay, in the campaign and in the short form, where each row is a request of its own: at 50
they take half of what two cores have."""
FEW = 1500
"""Rows that the short form publishes when nothing is broken any more."""
AT: tuple[Literal["request", "answer"], ...] = ("request", "answer")


@dataclass
class Case:
    """What a fault may use. ``long`` is the campaign's form."""

    load: Load
    breaker: Breaker
    proxies: Proxies
    dice: random.Random
    long: bool

    def pause(self, at_most_s: float) -> None:
        """So that a fault falls on any moment."""
        threading.Event().wait(self.dice.random() * at_most_s)

    def times(self, short: int, long: int) -> range:
        return range(long if self.long else short)

    def hold(self, short_s: float, long_s: float) -> None:
        """How long what is broken stays so. This is the fault itself, and no wait for anything."""
        threading.Event().wait(long_s if self.long else short_s)


def leader_killed_by_chaos(case: Case) -> int:
    """By the command's own code, which mends what it breaks, and tells what it has seen of the partition."""
    hit = TopicPartition(case.load.topics[0], 0)
    kill = plan.Fault("kill", plan.Target("leader", hit))
    result = chaos(case.breaker.cluster, plan.ChaosPlan((kill,), every_s=12, for_s=1, hold_s=9, seed=SEED))
    assert result.healthy, result.problems
    assert result.faults == 1
    story = next(one for one in result.partitions if (one.topic, one.partition) == hit)
    assert len(story.leaders) >= 2
    assert story.without_leader_s > 0
    assert story.smallest_isr < 3
    assert story.isr == (1, 2, 3)
    case.load.flows("after a leader was killed")
    return result.faults


def leader_killed(case: Case) -> int:
    for number in range(5):
        case.pause(1)
        leader = case.breaker.leader(case.load.topics[number % len(case.load.topics)])
        case.breaker.kill(leader)
        for topic in case.load.topics:
            case.breaker.moved(topic, leader)
        case.load.flows(f"while broker {leader} is dead")
        case.breaker.start()
        case.breaker.in_sync()
        case.load.flows(f"after the death of broker {leader}")
    return 5


def rolled(case: Case) -> int:
    brokers = (1, 2, 3) if case.long else (case.breaker.leader(case.load.topics[0]),)
    case.breaker.in_sync()
    case.breaker.roll(*brokers)
    case.load.flows("after the roll")
    return len(brokers)


def leader_frozen(case: Case) -> int:
    for number in case.times(1, 2):
        leader = case.breaker.leader(case.load.topics[number])
        with case.breaker.frozen(leader):
            case.hold(9, 45)
        case.load.flows(f"after broker {leader} was frozen")
        case.breaker.in_sync()
    return len(case.times(1, 2))


def two_frozen(case: Case) -> int:
    for _ in case.times(1, 3):
        leader = case.breaker.leader(case.load.topics[0])
        other = case.dice.choice([broker for broker in (1, 2, 3) if broker != leader])
        with case.breaker.frozen(leader, other):
            case.hold(9, 45)
        case.hold(0, 20)
        case.load.flows(f"after brokers {leader} and {other} were frozen")
        case.breaker.in_sync()
    return len(case.times(1, 3))


def controller_killed(case: Case) -> int:
    for _ in case.times(1, 5):
        case.pause(1)
        controller = case.breaker.controller()
        case.breaker.kill(controller)
        case.breaker.controller()
        case.load.flows(f"while controller {controller} is dead")
        case.breaker.start()
        case.breaker.in_sync()
    return len(case.times(1, 5))


def all_killed(case: Case) -> int:
    for _ in range(3):
        case.pause(1)
        case.breaker.kill_all()
        case.breaker.start()
        case.load.flows("after all brokers were killed")
    return 3


def coordinator_killed(case: Case) -> int:
    """Just when it is asked to commit: before it has heard of it, or when it has answered and nobody has heard that."""
    points = [(client, at) for client in CLIENTS for at in AT]
    done = 0
    for client, at in points * 3 if case.long else [case.dice.choice(points)]:
        case.pause(1)
        trap = Trap(END_TXN, client, at, lambda broker: case.breaker.process(broker).kill())
        case.proxies.set_trap(trap)
        until(trap.sprung.is_set, f"a commit of {client}")
        case.load.flows(f"after a coordinator's death at the {at} of a commit of {client}")
        if case.long:  # else all brokers are killed next
            case.breaker.start()
            case.breaker.in_sync()
        done += 1
    return done


def bad_network(case: Case) -> int:
    done = 0
    for _ in case.times(1, 3):
        with case.proxies.slow(0.1, 4096):
            case.hold(2, 15)
        for _ in case.times(2, 10):
            case.pause(1)
            case.proxies.cut()
        case.load.flows("after cut connections")
        with case.proxies.refusing():
            case.hold(1, 10)
        for ways, then_cut in ((("answers",), True), (("requests",), True), (("requests", "answers"), False)):
            case.pause(1)
            with case.proxies.half_open(*ways, then_cut=then_cut):
                case.hold(3, 15)
            case.load.flows(f"after the {' and '.join(ways)} were held")
        done += 5 + len(case.times(2, 10))
    return done


@dataclass(frozen=True)
class Fault:
    """``number`` and ``allowed_s``, the longest stall, are those of the page."""

    number: int
    name: str
    do: Callable[[Case], int]
    allowed_s: float | None = None
    modes: tuple[str, ...] = tuple(MODES)


FAULTS = (
    Fault(13, "slow, cut, half-open network", bad_network),
    Fault(1, "leader killed", leader_killed, 15),
    Fault(2, "clean roll of all brokers", rolled, 5),
    Fault(3, "leader frozen", leader_frozen),
    Fault(4, "two of three brokers frozen", two_frozen),
    Fault(5, "active controller killed", controller_killed),
    Fault(8, "transaction coordinator killed at commit", coordinator_killed, modes=("exactly once",)),
    Fault(6, "all brokers killed and started", all_killed),
)


def make(
    breaker: Breaker,
    proxies: Proxies,
    folder: Path,
    name: str,
    rows: int,
    modes: Sequence[str],
    *,
    rate: int = RATE,
    few: int | None = None,
    options: Sequence[str] = (),
) -> Load:
    return Load(
        breaker.cluster.bootstrap,
        proxies.bootstrap,
        write_source(folder / f"{name}.csv", rows),
        rows,
        name=name,
        rate=rate,
        modes=modes,
        options=options,
        few=few,
    )


IMPATIENT = ("-X", "delivery.timeout.ms=6000", "-X", "request.timeout.ms=2000")


@pytest.mark.timeout(400)
def test_brokers_and_network_broken_one_after_the_other(breaker: Breaker, proxies: Proxies, tmp_path: Path) -> None:
    """The short form of all: one load lives through every fault.

    At least once it lives through those after which a client sends rows again that may be stored already. Exactly once
    it lives through all of them, at last through an outage that is longer than the rows of a third load may wait. Each
    broker leads a partition of each topic, so the controller that is killed is a leader, too.
    """
    at_a_pace = partial(make, breaker, proxies, tmp_path, rate=SHORT_RATE, few=FEW)
    load = at_a_pace("short", 50_000, tuple(MODES))
    impatient = at_a_pace("impatient", 50_000, ("at least once",), options=IMPATIENT)

    def inject(*faults: Callable[[Case], int]) -> None:
        for number, fault in enumerate(faults):
            print(f"{time.monotonic():.1f} s: {fault.__name__}")  # shown when it fails
            fault(Case(load, breaker, proxies, random.Random(SEED + number), long=False))

    with load.running():
        inject(bad_network, leader_frozen, leader_killed_by_chaos)
        load.end("at least once")
        inject(rolled, two_frozen, controller_killed, coordinator_killed)
        live_through_outage(impatient, breaker, 10)
        load.flows("after all brokers were killed")
    for lane in load.lanes:
        outcome = lane.outcome()
        assert outcome.is_zero, outcome
    for lane in impatient.lanes:
        check_after_outage(lane.outcome())


@pytest.mark.parametrize("client", CLIENTS)
def test_a_second_request_for_a_partition_waits_for_the_answer_to_the_first(
    breaker: Breaker, proxies: Proxies, client: str
) -> None:
    """librdkafka can double rows where a second one comes out of its turn; see its publisher."""
    topic = f"one-request-{client}"
    admin.create_topics(breaker.settings, [TopicSettings(topic, partitions=1)])
    settings = Settings(bootstrap=proxies.bootstrap, client=client, properties={"linger.ms": "0"})
    with open_client(settings).publisher() as publisher:
        publisher.publish(topic, b"connected", partition=0).wait(30)
        before = proxies.requests[PRODUCE]
        with proxies.half_open("answers", then_cut=False):
            publisher.publish(topic, b"first", partition=0)
            until(lambda: proxies.requests[PRODUCE] > before, "the first request")
            for number in range(10):
                publisher.publish(topic, b"%d" % number, partition=0)
                threading.Event().wait(0.02)  # so that each would be a request of its own
            assert proxies.requests[PRODUCE] - before == 1
        publisher.flush(30)


@pytest.mark.campaign
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"fault-{fault.number}")
def test_campaign_of_brokers_and_network(breaker: Breaker, proxies: Proxies, tmp_path: Path, fault: Fault) -> None:
    load = make(breaker, proxies, tmp_path, f"fault-{fault.number}", 240_000, fault.modes)
    seed = SEED + fault.number
    with load.running():
        done = fault.do(Case(load, breaker, proxies, random.Random(seed), long=True))
    outcomes = [lane.outcome() for lane in load.lanes]
    for one in outcomes:
        line = Figures(
            fault.number, fault.name, one.client, f"replay, {one.mode}", done, one.replayed,
            one.stall_s, fault.allowed_s, seed, kafka_version(breaker.cluster),
        )  # fmt: skip
        write(line)
        write(
            replace(
                line, command=f"capture of the replay, {one.mode}", count=one.captured, stall_s=None, allowed_s=None
            )
        )
    for one in outcomes:
        assert one.is_zero, one
        assert fault.allowed_s is None or one.stall_s <= fault.allowed_s, one


@pytest.mark.campaign
@pytest.mark.timeout(1200)  # the outage, then all rows at their pace
def test_campaign_of_an_outage_longer_than_the_delivery_timeout(
    breaker: Breaker, proxies: Proxies, tmp_path: Path
) -> None:
    load = make(breaker, proxies, tmp_path, "outage", 60_000, tuple(MODES), rate=250)
    outage_s = 150.0
    live_through_outage(load, breaker, outage_s)
    for lane in load.lanes:
        outcome = lane.outcome()
        line = Figures(
            7, f"outage of {outage_s:g} s, longer than the delivery timeout", lane.client,
            f"replay, {lane.mode}", 1, outcome.replayed, None, None, None, kafka_version(breaker.cluster),
        )  # fmt: skip
        write(line)
        write(replace(line, command=f"capture of the replay, {lane.mode}", count=outcome.captured))
        check_after_outage(outcome)


def live_through_outage(load: Load, breaker: Breaker, outage_s: float) -> None:
    """Kill all brokers and start them again: each replay ends and says where it goes on, or goes on by itself."""
    with ExitStack() as stack:
        for lane in load.lanes:
            lane.start(stack)
        load.flows("at the start")
        breaker.kill_all()
        threading.Event().wait(outage_s)  # the fault itself
        breaker.start()
        for lane in load.lanes:
            running = lane.replaying
            before = len(lane.watch.seen)
            until(partial(has_gone_on_or_ended, lane, before), f"the end of {lane.replay.topic}, or new rows", END_S)
            running.signal(signal.SIGTERM)  # does nothing to one that has ended
            code = running.end(END_S)
            if "to go on" in running.told and code != ExitCode.INTERRUPTED:
                # It may have been on its way out, where the signal ends it as it ends any process.
                assert code in (ExitCode.FAILED, -signal.SIGTERM), running.told
            else:
                assert code == ExitCode.INTERRUPTED, running.told
            lane.replay.rest(running.told, lane.watch.numbers())
            lane.finish_capture()


def has_gone_on_or_ended(lane: Lane, before: int) -> bool:
    return lane.replaying.process.poll() is not None or len(lane.watch.seen) > before


def check_after_outage(outcome: Outcome) -> None:
    """At least once, what was without an answer for too long may come twice when the next run goes on."""
    if outcome.mode == "exactly once":
        assert outcome.is_zero, outcome
    assert outcome.replayed.lost == outcome.captured.lost == 0, outcome
    assert outcome.replayed.doubled == outcome.captured.doubled, "the capture holds what is in the topic, once"
