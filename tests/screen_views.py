"""Views of made-up clusters, and a watcher that brings those which a test gives it."""

import threading
from dataclasses import dataclass, field, replace

from sensorstream.admin import GroupMember
from sensorstream.monitor.lag import GroupLag, PartitionLag
from sensorstream.monitor.snapshot import BrokerState, GroupState, PartitionState, Snapshot, TopicState
from sensorstream.monitor.view import Point, Progress, Status, View
from sensorstream.records import TopicPartition

AT = 1_790_000_000.0
STATUSES: tuple[Status, ...] = ("OK", "WARN", "STALL", "STOP", "REWIND", "UNKNOWN")


def view(
    topics: int = 6,
    partitions: int = 3,
    groups: int = 6,
    *,
    down: tuple[int, ...] = (),
    reachable: bool = True,
    step: int = 0,
    names: tuple[str, ...] = (),
    problems: tuple[str, ...] = (),
) -> View:
    """A cluster of three brokers; ``step`` moves its figures on, ``names`` are of its first topics and groups."""
    topic_names = [*names, *(f"topic-{number:03}" for number in range(topics))][:topics]
    group_names = [*names, *(f"group-{number:03}" for number in range(groups))][:groups]
    made = tuple(_topic(name, number, partitions, down, step) for number, name in enumerate(topic_names))
    leading = [one.leader for topic in made for one in topic.partitions]
    kept = [one for topic in made for one in topic.partitions]
    brokers = tuple(
        BrokerState(
            number,
            "127.0.0.1",
            29092 + number,
            reachable and number not in down,
            number == 1,
            leading.count(number),
            sum(number in one.replicas for one in kept),
            sum(number in one.isr for one in kept),
            1_500_000 * number,
        )
        for number in (1, 2, 3)
    )
    group_states = tuple(_group(name, number, made, step) for number, name in enumerate(group_names))
    progress = {}
    for number, group in enumerate(group_states):
        for one in group.partitions:
            progress[group.name, TopicPartition(one.topic, one.partition)] = Progress(
                one.lag, 120.0, 130.5, 42.0 * (number + 1), 3.5, STATUSES[number % 6]
            )
    snapshot = Snapshot(
        AT + 2 * step, 0.12, 9, reachable, "cluster-id", "4.3.1", 1, brokers, made, group_states, problems
    )
    series = tuple(Point(AT + 2 * at, 1000.0 + 37 * ((at + step) % 17)) for at in range(120))
    return View(
        snapshot,
        rate=1234.5,
        topic_rate={one.name: 10.0 * number + step for number, one in enumerate(made)},
        partition_rate={one.where: 3.25 for one in kept},
        group_progress={
            one.name: Progress(one.lag.total_lag, 120.0, 130.5, 42.0, 3.5, STATUSES[number % 6])
            for number, one in enumerate(group_states)
        },
        progress=progress,
        rate_series=series,
        topic_series={one.name: series[-20:] for one in made},
        lag_series={one.name: series[-20:] for one in group_states},
        age_s={one.name: 1.5 * number for number, one in enumerate(made)},
    )


def _topic(name: str, number: int, partitions: int, down: tuple[int, ...], step: int) -> TopicState:
    return TopicState(name, False, tuple(_partition(name, number, one, down, step) for one in range(partitions)))


def _partition(topic: str, number: int, partition: int, down: tuple[int, ...], step: int) -> PartitionState:
    replicas = tuple(1 + (partition + shift) % 3 for shift in range(3))
    isr = tuple(one for one in replicas if one not in down)
    end = 1000 * (number + 1) + 10 * partition + step
    return PartitionState(topic, partition, isr[0] if isr else None, replicas, isr, 0, end, 4096 * (partition + 1))


def _group(name: str, number: int, topics: tuple[TopicState, ...], step: int) -> GroupState:
    member = GroupMember(f"member-{number}", "client", "/10.0.0.1", ())
    read = topics[number % len(topics)].partitions if topics else ()
    parts = tuple(
        PartitionLag(
            one.topic,
            one.partition,
            member.member_id if one.partition else None,
            "/10.0.0.1",
            7 * number,
            (one.end_offset or 0) - 7 * number,
            one.end_offset,
        )
        for one in read
    )
    total = sum(one.lag or 0 for one in parts)
    return GroupState(GroupLag(name, "Stable", total, parts), (member,), 1 + number % 3)


@dataclass
class Brought:
    """A watcher whose views are put into it with :meth:`bring`."""

    every_s: float = 2.0
    view: View | None = None
    paused: bool = False
    asked: int = 0
    _new: threading.Condition = field(default_factory=threading.Condition)

    def bring(self, new: View) -> None:
        with self._new:
            self.view = replace(new)
            self._new.notify_all()

    def wait(self, timeout_s: float, after: View | None = None) -> View | None:
        with self._new:
            self._new.wait_for(lambda: self.view is not None and self.view is not after, timeout_s)
            return self.view

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def refresh_now(self) -> None:
        self.asked += 1
