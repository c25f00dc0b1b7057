"""What every client does in a consumer group, stated once and run on the broker in memory and on real ones."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from contract_labs import FROM_THE_START, KafkaLab, Lab, Member, group_name, numbered, publish, read
from running import until
from sensorstream.clients.base import Rebalance
from sensorstream.clients.kafka_python.reader import KafkaPythonReader
from sensorstream.errors import BrokerError, UsageError
from sensorstream.records import Commit, TopicPartition, commit_note

pytestmark = pytest.mark.long


def test_what_a_group_has_committed_is_there_for_the_next_reader(lab: Lab) -> None:
    topic, group = lab.topic(3), group_name()
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    with lab.client.reader(group=group) as reader:
        assert reader.committed(zero) is None
        reader.assign({zero: 0})
        reader.commit({zero: 3}, note="sensorstream 1 AIR_Consumer_0 here")
    with lab.client.reader(group=group) as reader:
        assert reader.committed(zero) == 3
        assert reader.committed(one) is None
        reader.commit({zero: 4, one: 1}, note="n")
        assert (reader.committed(zero), reader.committed(one)) == (4, 1)
        two = TopicPartition(topic, 2)
        assert reader.committed_offsets([two, one, zero]) == {zero: 4, one: 1, two: None}
        assert reader.committed_offsets([]) == {}
        reader.commit({zero: 5, one: 2}, {zero: "of zero", one: "of one"})
        assert reader.commits([two, one, zero]) == {zero: Commit(5, "of zero"), one: Commit(2, "of one"), two: None}
        assert reader.commits([]) == {}
        reader.commit({zero: 4}, note="n")
    assert lab.note(group, topic, 0) == "n"


def test_a_note_is_the_same_whichever_client_reads_what_another_has_committed(lab: Lab) -> None:
    topic, group = lab.topic(1), group_name()
    where, note = TopicPartition(topic, 0), commit_note("AIR_Consumer_0", "here", "0a1b", 300)
    with lab.client.reader(group=group) as reader:
        reader.commit({where: 3}, note=note)
    for client in lab.clients():
        with client.reader(group=group) as reader:
            assert reader.commits([where]) == {where: Commit(3, note)}
    assert lab.note(group, topic, 0) == note


def test_without_a_group_nothing_can_be_committed_or_shared(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.reader() as reader:
        with pytest.raises(UsageError):
            reader.commit({TopicPartition(topic, 0): 1})
        with pytest.raises(UsageError):
            reader.subscribe([topic], Rebalance(lambda _: {}, lambda _: None, lambda _: None))


def test_two_members_share_the_partitions_and_no_record_is_lost_or_doubled(lab: Lab) -> None:
    topic, group = lab.topic(4), group_name()
    stored: dict[TopicPartition, int] = {}
    everything = {TopicPartition(topic, number) for number in range(4)}
    for number in range(4):
        publish(lab, topic, numbered(25), partition=number)
    first = Member(lab, group, topic, stored)
    second: Member | None = None
    try:

        def first_has_all() -> bool:
            first.poll()
            return first.owned == everything and len(first.records) == 100

        until(first_has_all, "the first member has read everything")
        assert first.told == [("assigned", sorted(everything))]
        second = Member(lab, group, topic, stored)

        def shared() -> bool:
            assert second is not None
            first.poll()
            second.poll()
            return len(first.owned) == 2 and len(second.owned) == 2

        until(shared, "the two members have two partitions each")
        assert first.owned | second.owned == everything
        given = first.told[1]
        assert given == ("revoked", sorted(second.owned))
        assert {lab.note(group, topic, partition.partition) for partition in given[1]} == {"revoked"}
        assert all(stored[partition] == 25 for partition in given[1])
        for number in range(4):
            publish(lab, topic, numbered(5), partition=number)

        def all_read() -> bool:
            assert second is not None
            first.poll()
            second.poll()
            return len(first.records) + len(second.records) >= 120

        until(all_read, "the new records have been read")
        offsets = sorted((one.partition, one.offset) for one in first.records + second.records)
        assert offsets == [(number, offset) for number in range(4) for offset in range(30)]
        assert {one.partition for one in second.records} == {one.partition for one in second.owned}
        stored.update({partition: first.reader.position(partition) for partition in first.owned})
        first.reader.close()

        def second_has_all() -> bool:
            assert second is not None
            second.poll()
            return second.owned == everything

        until(second_has_all, "the second member has taken over")
        assert [what for what, _ in first.told] == ["assigned", "revoked"]
        assert "lost" not in [what for what, _ in second.told]
        assert len(second.records) == 10
    finally:
        first.reader.close()
        if second is not None:
            second.reader.close()


def test_partitions_that_come_back_are_not_paused(lab: Lab) -> None:
    topic, group = lab.topic(2), group_name()
    member = Member(lab, group, topic, {})
    try:
        publish(lab, topic, numbered(5))

        def has(records: int) -> bool:
            member.poll()
            return len(member.owned) == 2 and len(member.records) == records

        until(lambda: has(5), "the member reads")
        member.reader.pause(sorted(member.owned))
        lab.evict(group)

        def is_back() -> bool:
            member.poll()
            return [what for what, _ in member.told] == ["assigned", "lost", "assigned"]

        until(is_back, "its partitions come back")
        publish(lab, topic, numbered(5), partition=1)
        until(lambda: has(15), "it reads both of them: one again, one for the first time")
    finally:
        member.reader.close()


@pytest.mark.broker
def test_kafka_python_joins_once_though_it_knew_the_topic_before(broker: tuple[str, ...]) -> None:
    """A second round, right after the first, makes nothing of a transaction that was begun in between."""
    lab = KafkaLab(broker, "kafka-python")
    topic = lab.topic(1)
    try:
        publish(lab, topic, numbered(3))
        with lab.client.reader(group=group_name()) as reader:
            assert isinstance(reader, KafkaPythonReader)
            reader.end_offsets([TopicPartition(topic, 0)])
            reader.subscribe([topic], FROM_THE_START)
            read(reader, 3)
            for _ in range(20):
                reader.poll(0.1)
            assert reader.membership().generation_id == 1
    finally:
        lab.clean()


@pytest.mark.broker
def test_kafka_python_taken_out_while_it_rejoins_loses_what_it_had(broker: tuple[str, ...]) -> None:
    """As one that is frozen in the middle of a rebalance: it may come back, but not with what it had."""
    lab = KafkaLab(broker, "kafka-python")
    topic, group = lab.topic(4), group_name()
    everything = {TopicPartition(topic, number) for number in range(4)}
    for number in range(4):
        publish(lab, topic, numbered(5), partition=number)
    first = Member(lab, group, topic, {})
    others: list[Member] = []
    try:

        def first_has_all() -> bool:
            first.poll()
            return first.owned == everything and len(first.records) == 20

        until(first_has_all, "the first member has read everything")
        assert isinstance(first.reader, KafkaPythonReader)
        coordinator = first.reader._consumer._coordinator
        others.append(Member(lab, group, topic, {}))

        def has_heard_of_the_other() -> bool:
            others[0].poll()
            return bool(coordinator.rejoin_needed)

        until(has_heard_of_the_other, "a heartbeat has told the first that the group rebalances")
        lab.evict(group)
        others.pop().reader.close()

        def is_back() -> bool:
            first.poll()
            return coordinator.stable() and not coordinator.rejoin_needed

        until(is_back, "it is a member again")
        all_of_it = sorted(everything)
        assert first.told == [("assigned", all_of_it), ("lost", all_of_it), ("assigned", all_of_it)]
        first.reader.membership()
    finally:
        first.reader.close()
        for other in others:
            other.reader.close()
        lab.clean()


@pytest.mark.broker
def test_kafka_python_commits_nothing_of_what_the_caller_has_not_heard_to_be_lost(broker: tuple[str, ...]) -> None:
    """The library joins again on a thread of its own: it is a member of the new generation before the next poll."""
    lab = KafkaLab(broker, "kafka-python")
    topic, group = lab.topic(1), group_name()
    where = TopicPartition(topic, 0)
    try:
        publish(lab, topic, numbered(3))
        with lab.client.reader(group=group) as reader:
            assert isinstance(reader, KafkaPythonReader)
            reader.subscribe([topic], FROM_THE_START)
            read(reader, 3)
            reader.membership()
            reader._consumer._subscription.rebalance_listener.on_partitions_lost([where])
            with pytest.raises(BrokerError):
                reader.membership()
            with pytest.raises(BrokerError):
                reader.commit({where: 3})
            reader.poll(0)
            reader.membership()
            assert reader.committed(where) is None
    finally:
        lab.clean()


def test_a_group_member_can_not_be_assigned_partitions_by_hand(lab: Lab) -> None:
    topic = lab.topic()
    with lab.client.reader(group=group_name()) as reader:
        reader.subscribe([topic], Rebalance(lambda _: {}, lambda _: None, lambda _: None))
        with pytest.raises(UsageError):
            reader.assign({TopicPartition(topic, 0): 0})


@pytest.mark.broker
def test_librdkafka_asks_nothing_through_the_consumer_in_its_own_callback(broker: tuple[str, ...]) -> None:
    """The binding forgets the call in progress when list_topics is called inside of it: the next callback aborts."""
    from sensorstream.clients.librdkafka.reader import LibrdkafkaReader

    kafka = KafkaLab(broker, "librdkafka")
    topic = kafka.topic(2)
    asked: list[bool] = []
    inside = False

    class Watched:
        def __init__(self, consumer: Any) -> None:
            self.consumer = consumer

        def __getattr__(self, name: str) -> Any:
            if name == "list_topics":
                asked.append(inside)
            return getattr(self.consumer, name)

    with kafka.client.reader(group=group_name()) as reader:
        assert isinstance(reader, LibrdkafkaReader)
        reader._consumer = Watched(reader._consumer)

        def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
            nonlocal inside
            inside = True
            reader.identity(topic)
            reader.end_offsets(partitions)
            first = reader.beginning_offsets(partitions)
            inside = False
            positions.update(first)
            return first

        positions: dict[TopicPartition, int] = {}
        reader.subscribe([topic], Rebalance(assigned, lambda _: None, lambda _: None))
        until(lambda: bool(reader.poll(0.2)) or bool(positions), "partitions have come")
    kafka.clean()
    assert asked, "outside of callbacks it is asked"
    assert not any(asked)


def test_a_member_that_can_not_begin_gives_its_partitions_up_like_any_other(lab: Lab) -> None:
    topic, group = lab.topic(4), group_name()
    asked: list[int] = []

    def assigned(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        asked.append(len(partitions))
        raise BrokerError("not now")

    second: Member | None = None
    with lab.client.reader(group=group) as first:
        first.subscribe([topic], Rebalance(assigned, lambda _: None, lambda _: None))
        try:

            def tried(times: int) -> bool:
                with suppress(BrokerError):
                    first.poll(0.1)
                if second is not None:
                    second.poll()
                return len(asked) >= times

            until(lambda: tried(2), "the first member is asked again")
            second = Member(lab, group, topic, {})
            until(lambda: tried(0) and second is not None and len(second.owned) == 2, "the second one has its share")
            until(lambda: tried(len(asked) + 1) and asked[-1] == 2, "the first one is asked for what is left to it")
        finally:
            if second is not None:
                second.reader.close()


CLOSED_UNPOLLED = """
import sys
from contract_labs import group_name
from running import until
from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Rebalance
from sensorstream.config import Settings

bootstrap, topic = sys.argv[1:]
settings = Settings(bootstrap=(bootstrap,), client="librdkafka", properties={"group.instance.id": "member"})
client = open_client(settings)
rebalance = Rebalance(lambda partitions: dict.fromkeys(partitions, 0), lambda _: None, lambda _: None)
for _ in range(30):
    group = group_name()
    with client.reader(group=group) as reader:
        reader.subscribe([topic], rebalance)
        until(lambda: group in admin.list_groups(settings), "the group is known")
        until(lambda: admin.describe_group(settings, group).state == "Stable", "the member has joined")
print("all closed")
"""


@pytest.mark.broker
def test_librdkafka_is_closed_with_partitions_that_it_has_not_been_told_of(broker: tuple[str, ...]) -> None:
    """A callback inside of its close waits for an answer that may be lost, and stops the whole interpreter meanwhile.

    So it runs in a process of its own: the fault, which is a race, would stop this one as well.
    """
    kafka = KafkaLab(broker, "librdkafka")
    topic = kafka.topic(2)
    command = [sys.executable, "-c", CLOSED_UNPOLLED, broker[0], topic]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=90, cwd=Path(__file__).parents[1], check=False
    )
    kafka.clean()
    assert done.stdout == "all closed\n", done.stderr
