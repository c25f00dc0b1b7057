"""Views of a cluster that was never there, for tests of what shows them."""

import time
from collections.abc import Iterable
from dataclasses import replace

from sensorstream.admin import GroupMember
from sensorstream.monitor.lag import GroupLag, PartitionLag
from sensorstream.monitor.snapshot import BrokerState, GroupState, PartitionState, Snapshot, TopicState
from sensorstream.monitor.view import Point, Progress, View
from sensorstream.records import TopicPartition

SCRIPT = "<script>alert(1)</script>"
RED = "[red]stopped[/red]"
NOW = 1_800_000_000.0


def topic(name: str, *, dead: Iterable[int] = (), partitions: int = 2, internal: bool = False) -> TopicState:
    made = []
    for number in range(partitions):
        replicas = tuple((number + shift) % 3 + 1 for shift in range(3))
        isr = tuple(one for one in replicas if one not in set(dead))
        leader = isr[0] if isr else None
        made.append(PartitionState(name, number, leader, replicas, isr, 0, 100 * (number + 1), 1000))
    return TopicState(name, internal, tuple(made))


def view(*, dead: Iterable[int] = (), reachable: bool = True, at: float | None = None) -> View:
    """Three brokers, three topics, two groups, one of them of an unknown lag."""
    dead = set(dead)
    topics = (topic("AIR", dead=dead), topic("POSTS_SCORED", dead=dead), topic("__consumer_offsets", internal=True))
    brokers = tuple(
        BrokerState(
            id=number,
            host="127.0.0.1",
            port=9000 + number,
            alive=reachable and number not in dead,
            controller=number == 1,
            leaders=sum(part.leader == number for one in topics for part in one.partitions),
            replicas=6,
            in_sync=0 if number in dead else 6,
            size_bytes=None,
        )
        for number in (1, 2, 3)
    )
    where = TopicPartition("AIR", 0)
    groups = (
        _group(SCRIPT, 40, GroupMember("member-1", "client-1", "127.0.0.1", (where,))),
        _group(RED, None),
    )
    shot = Snapshot(
        taken_at=time.time() if at is None else at,
        took_s=0.02,
        requests=7,
        reachable=reachable,
        cluster_id="abc",
        version="4.2",
        controller=1,
        brokers=brokers,
        topics=topics,
        groups=groups,
        problems=() if reachable else ("nobody answers",),
    )
    progress = Progress(40, 10.0, 12.0, 20.0, 4.0, "OK")
    points = tuple(Point(NOW + step, None if step == 1 else 10.0 * step) for step in range(3))
    return View(
        snapshot=shot,
        rate=20.0,
        topic_rate={"AIR": 20.0, "POSTS_SCORED": None},
        partition_rate={where: 11.0},
        group_progress={SCRIPT: progress},
        progress={(SCRIPT, where): replace(progress, lag=40)},
        rate_series=points,
        topic_series={"AIR": points},
        lag_series={SCRIPT: points},
        age_s={"AIR": 0.5},
    )


def _group(name: str, lag: int | None, *members: GroupMember) -> GroupState:
    end = None if lag is None else 60 + lag
    row = PartitionLag("AIR", 0, "client-1", "laptop", lag, 60, end)
    return GroupState(GroupLag(name, "Stable" if members else "Empty", lag, (row,)), members, 1)
