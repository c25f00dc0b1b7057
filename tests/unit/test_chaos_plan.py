"""Chaos: what is to be broken, and what is seen of it. No broker is needed for that."""

import pytest

from sensorstream.admin.looking import ClusterLook, PartitionLook
from sensorstream.errors import UsageError
from sensorstream.events import Event, Notice
from sensorstream.lab.chaos.plan import Fault, Target, make_plan, parse_bandwidth, parse_target
from sensorstream.lab.chaos.watch import Chronicle, problems
from sensorstream.records import TopicPartition

AIR = TopicPartition("AIR", 0)
DEVICE = TopicPartition("my-device", 11)
KILL = (Fault("kill", Target("random")),)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("random", Target("random")),
        ("controller", Target("controller")),
        ("broker:2", Target("broker", broker=2)),
        ("leader:AIR-0", Target("leader", AIR)),
        ("leader:my-device-11", Target("leader", DEVICE)),
    ],
)
def test_targets_are_what_they_say(text: str, target: Target) -> None:
    assert parse_target(text, "--kill") == target
    assert str(target) == text


@pytest.mark.parametrize(
    "text",
    ["", "2", "broker:", "broker:x", "broker:-1", "leader:AIR", "leader:AIR-", "leader:-0", "leader:a/b-0", "Random"],
)
def test_a_target_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text, "--kill")


def test_a_fault_lasts_half_of_the_time_to_the_next_one() -> None:
    assert make_plan(KILL, every_s=20, for_s=120, hold_s=None, seed=1).hold_s == 10
    assert make_plan(KILL, every_s=20, for_s=120, hold_s=3, seed=1).hold_s == 3


def test_a_plan_that_can_not_be_is_refused() -> None:
    with pytest.raises(UsageError, match="no fault was given"):
        make_plan((), every_s=20, for_s=120, hold_s=None, seed=1)
    with pytest.raises(UsageError, match="--hold 20s is not shorter"):
        make_plan(KILL, every_s=20, for_s=120, hold_s=20, seed=1)


def test_slow_links_are_as_slow_as_is_asked_for_and_a_broker_can_live_with() -> None:
    slow = (Fault("slow-link", Target("random")),)
    plan = make_plan(slow, every_s=20, for_s=120, hold_s=None, seed=1)
    assert (plan.latency_s, plan.bytes_per_s) == (0.2, 1_000_000)
    plan = make_plan(slow, every_s=20, for_s=120, hold_s=None, seed=1, latency_s=0.5, bytes_per_s=50_000)
    assert (plan.latency_s, plan.bytes_per_s) == (0.5, 50_000)
    with pytest.raises(UsageError, match="--latency 2s would take the broker out"):
        make_plan(slow, every_s=20, for_s=120, hold_s=None, seed=1, latency_s=2.0)
    with pytest.raises(UsageError, match="--bandwidth is for slow links"):
        make_plan(KILL, every_s=20, for_s=120, hold_s=None, seed=1, bytes_per_s=50_000)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10000", 10_000), ("100kB", 100_000), ("1.5MB", 1_500_000), ("2 MB/s", 2_000_000), ("64KB", 64_000)],
)
def test_a_bandwidth_is_a_size_a_second(text: str, size: int) -> None:
    assert parse_bandwidth(text, "--bandwidth") == size


@pytest.mark.parametrize("text", ["", "0", "1kB", "-1MB", "fast", "1GBit"])
def test_a_bandwidth_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--bandwidth"):
        parse_bandwidth(text, "--bandwidth")


def look(leader: int | None, *isr: int, epoch: int = 0, brokers: tuple[int, ...] = (1, 2, 3)) -> ClusterLook:
    return ClusterLook(brokers, 1, {AIR: PartitionLook(leader, (1, 2, 3), isr, epoch)})


def test_a_killed_leader_from_its_death_to_its_return() -> None:
    told: list[Event] = []
    chronicle = Chronicle(told.append)
    chronicle.note(look(1, 1, 2, 3), 0.0)
    chronicle.note(look(1, 1, 2, 3), 2.5, {1: 2.0})  # the metadata name the dead one still
    chronicle.note(look(2, 2, 3, epoch=1), 8.0, {1: 2.0})
    chronicle.note(look(2, 2, 3, epoch=1), 9.0, {1: 2.0})
    chronicle.note(look(2, 1, 2, 3, epoch=1), 12.0)
    assert [event.text for event in chronicle.events] == [
        "AIR-0: leader 1 -> 2, in sync 1,2,3 -> 2,3",
        "AIR-0: in sync 2,3 -> 1,2,3",
    ]
    assert len(told) == 2
    assert [(event.leader, event.isr) for event in chronicle.events] == [(2, (2, 3)), (2, (1, 2, 3))]
    [story] = chronicle.stories(20.0)
    assert (story.leaders, story.without_leader_s, story.smallest_isr) == ((1, 2), 6.0, 2)


def test_what_a_broker_tells_that_has_not_heard_of_the_new_leader_is_not_believed() -> None:
    chronicle = Chronicle(lambda _: None)
    for seen in (look(1, 1, 2, 3), look(2, 2, 3, epoch=1), look(1, 1, 2, 3), look(2, 2, 3, epoch=1)):
        chronicle.note(seen, 1.0)
    assert chronicle.stories(2.0)[0].leaders == (1, 2)
    assert len(chronicle.events) == 1


def test_a_partition_without_a_leader_is_counted_up_to_now() -> None:
    chronicle = Chronicle(lambda _: None)
    chronicle.note(look(1, 1), 0.0)
    chronicle.note(look(None, 1, epoch=1), 1.0)
    assert chronicle.events[0].text == "AIR-0: no leader (it was 1)"
    assert chronicle.stories(5.0)[0].without_leader_s == 4.0


def test_the_same_change_of_many_partitions_is_one_line_and_an_event_for_each() -> None:
    told: list[Event] = []
    chronicle = Chronicle(told.append)
    for leader in (1, 2):
        parts = {TopicPartition("T", number): PartitionLook(leader, (1, 2), (1, 2), leader) for number in range(9)}
        parts[TopicPartition("__consumer_offsets", 0)] = PartitionLook(leader, (1, 2), (1, 2), leader)
        chronicle.note(ClusterLook((1, 2), 1, parts), 3.0)
    assert told == [Notice("   3.0 s  T-0, T-1, T-2, T-3, T-4, T-5 and 3 more: leader 1 -> 2")]
    assert len(chronicle.events) == 9


def test_what_is_not_well_is_named() -> None:
    assert problems(look(1, 1, 2, 3), (1, 2, 3)) == ()
    assert problems(look(1, 1, 3, brokers=(1, 3)), (1, 2, 3)) == (
        "broker 2 is not registered",
        "AIR-0 lacks broker 2 in sync",
    )
    assert problems(ClusterLook((1,), None, {AIR: PartitionLook(None, (1,), (), 3)}), (1,)) == (
        "there is no active controller",
        "AIR-0 has no leader",
    )
