"""Rates, status and ages out of successive snapshots."""

from collections.abc import Mapping

import pytest

from sensorstream.admin import GroupMember
from sensorstream.monitor.lag import GroupLag, PartitionLag, lag
from sensorstream.monitor.rates import History, catch_up, readable, worst
from sensorstream.monitor.snapshot import GroupState, PartitionState, Snapshot, TopicState
from sensorstream.monitor.view import View
from sensorstream.records import TopicPartition

AIR0 = TopicPartition("AIR", 0)
MEMBER = GroupMember("m-1", "m", "h", (AIR0,))


def snapshot(  # what a test says of AIR[0] and of the group that reads it
    at: float,
    end: int | None,
    commit: int | None = None,
    *,
    first: int = 0,
    topic_id: str = "a",
    live: bool = True,
    unread: Mapping[tuple[str, TopicPartition], int] | None = None,
    newest: int | None = None,
) -> Snapshot:
    partition = PartitionState("AIR", 0, 1, (1,), (1,), first, end, 0)
    row = PartitionLag("AIR", 0, None, None, lag(commit, end), commit, end)
    group = GroupState(GroupLag("g", "Stable", row.lag, (row,)), (MEMBER,) if live else (), 1)
    return Snapshot(
        at,
        0.0,
        1,
        True,
        topics=(TopicState("AIR", False, (partition,), topic_id),),
        groups=(group,),
        oldest_unread_ms=unread or {},
        newest_ms={} if newest is None else {AIR0: newest},
    )


def watched(*snapshots: Snapshot) -> View:
    history = History()
    views = [history.add(one) for one in snapshots]
    return views[-1]


def status(*course: tuple[float, int, int], live: bool = True) -> str:
    view = watched(*(snapshot(at, end, commit, live=live) for at, end, commit in course))
    return view.progress["g", AIR0].status


def test_one_snapshot_has_no_rates() -> None:
    view = watched(snapshot(0, 100, 40))
    assert (view.rate, view.topic_rate["AIR"], view.partition_rate[AIR0]) == (None, None, None)
    assert view.progress["g", AIR0].lag == 60
    assert view.group_progress["g"].status == "UNKNOWN"


def test_rates_are_those_of_the_last_ten_seconds() -> None:
    view = watched(*(snapshot(at, 1000 * (at > 8) + at * 10, at * 30) for at in range(0, 21, 2)))
    assert view.topic_rate["AIR"] == view.rate == pytest.approx(10)
    assert view.progress["g", AIR0].rate_out == pytest.approx(30)
    assert view.group_progress["g"].catch_up_s == pytest.approx((1200 - 600) / 20)
    assert view.rate_series[5].value == pytest.approx((1100 - 80) / 2)
    assert [point.value for point in view.lag_series["g"]][-1] == 600


def test_a_topic_made_anew_has_no_negative_rate() -> None:
    fell = watched(snapshot(0, 100), snapshot(2, 200), snapshot(4, 10))
    assert fell.topic_rate["AIR"] is None
    assert fell.rate_series[-1].value is None
    assert watched(snapshot(0, 100), snapshot(2, 10), snapshot(4, 30)).topic_rate["AIR"] == pytest.approx(10)
    larger = watched(snapshot(0, 100, 50), snapshot(2, 5000, 0, topic_id="b"))
    assert larger.topic_rate["AIR"] is None
    assert larger.progress["g", AIR0].status != "REWIND"


def test_rows_that_retention_has_removed_are_not_waited_for() -> None:
    view = watched(snapshot(0, 5000, 100, first=5000), snapshot(60, 5000, 100, first=5000))
    assert (view.progress["g", AIR0].lag, view.progress["g", AIR0].status) == (0, "OK")
    assert view.snapshot.groups[0].partitions[0].lag == 4900, "as Kafka's own tool has it"
    assert readable(100, 4990, 5000) == 10
    assert readable(None, 0, 5) is readable(1, 0, None) is readable(6, 0, 5) is None


def test_status_by_the_rules_of_burrow() -> None:
    assert status((0, 10, 10), (2, 20, 10)) == "OK", "it was caught up within the window"
    assert status((0, 100, 10), (2, 100, 20), (4, 100, 40)) == "OK", "the lag falls"
    assert status((0, 100, 50), (2, 100, 20)) == "REWIND"
    assert status((0, 100, 100), (2, 100, 20)) == "REWIND"
    assert status((0, 100, 50), (2, 100, 20), (4, 100, 100)) == "OK", "it has caught up since"
    assert status((0, 100, 50), (6, 100, 50), (12, 100, 50)) == "STALL"
    assert status((0, 100, 50), (6, 100, 50), (12, 100, 50), live=False) == "STOP"
    assert status((0, 100, 50), (4, 100, 50)) == "UNKNOWN", "a consumer may commit every five seconds only"
    assert status((0, 100, 50), (5, 120, 60), (10, 140, 70), (15, 160, 80)) == "WARN"
    assert status((0, 100, 50), (5, 120, 60), (10, 140, 95), (15, 190, 100)) == "OK", "it fell once"
    assert status((0, 100, 10), (2, 100, 20), (4, 100, 30), (20, 100, 30)) == "STALL", "quiet for longer than it spans"


def test_a_group_without_a_commit_is_unknown() -> None:
    view = watched(snapshot(0, 100), snapshot(20, 120))
    one = view.progress["g", AIR0]
    assert (one.lag, one.rate_out, one.catch_up_s, one.age_s, one.status) == (None, None, None, None, "UNKNOWN")
    assert view.group_progress["g"].lag is None
    assert view.lag_series["g"][-1].value is None


def test_ages_are_those_of_the_records() -> None:
    view = watched(snapshot(100, 20, 10, unread={("g", AIR0): 70_000}, newest=95_000))
    assert view.progress["g", AIR0].age_s == view.group_progress["g"].age_s == pytest.approx(30)
    assert view.age_s["AIR"] == pytest.approx(5)
    caught_up = watched(snapshot(100, 20, 20))
    assert (caught_up.progress["g", AIR0].age_s, caught_up.age_s["AIR"]) == (0, None)
    assert watched(snapshot(100, 20, 10)).progress["g", AIR0].age_s is None
    assert watched(snapshot(100, 20, 10, newest=200_000)).age_s["AIR"] == 0, "a clock that is ahead"


def test_a_cluster_that_does_not_answer_has_gaps() -> None:
    history = History()
    last = history.add(snapshot(0, 10, 5)).snapshot
    away = history.add(Snapshot(2, 0.0, 0, False, topics=last.topics, groups=last.groups))
    assert (away.rate, away.topic_rate["AIR"], away.group_progress["g"].lag) == (None, None, None)
    assert [point.value for point in away.lag_series["g"]] == [5, None]
    assert history.add(snapshot(4, 30, 5)).topic_rate["AIR"] == pytest.approx(5)


def test_a_partition_that_is_not_told_makes_the_sum_unknown() -> None:
    view = watched(snapshot(0, 10, 5), snapshot(2, None, 5), snapshot(4, None, 5))
    assert (view.topic_rate["AIR"], view.rate, view.progress["g", AIR0].lag) == (None, None, None)


def test_series_are_bounded() -> None:
    history = History(points=5)
    for at in range(20):
        view = history.add(snapshot(at, at, at))
    assert len(view.rate_series) == len(view.topic_series["AIR"]) == len(view.lag_series["g"]) == 5


def test_catch_up_and_the_worst() -> None:
    assert catch_up(0, None, None) == 0
    assert catch_up(100, 10, 60) == 2
    assert catch_up(100, 10, 10) is catch_up(100, None, 10) is catch_up(None, 1, 2) is None
    assert worst(["OK", "WARN", "UNKNOWN"]) == "WARN"
    assert worst([]) == "UNKNOWN"
