"""Partitions are even over the brokers, whatever their numbers: within one, replicas and leaders alike."""

from collections import Counter
from collections.abc import Iterable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from sensorstream.admin.spreading import rebalance, relieve, spread


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[int], int, int]:
    brokers = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=12, unique=True))
    return brokers, draw(st.integers(1, 60)), draw(st.integers(1, len(brokers)))


def difference(brokers: Iterable[int], numbers: Iterable[int]) -> int:
    counts = Counter(dict.fromkeys(brokers, 0))
    counts.update(numbers)
    return max(counts.values()) - min(counts.values())


def everyone(assignment: Iterable[Sequence[int]]) -> list[int]:
    return [broker for partition in assignment for broker in partition]


def leaders(assignment: Iterable[Sequence[int]]) -> list[int]:
    return [partition[0] for partition in assignment]


@given(clusters())
@settings(max_examples=300, deadline=None)
def test_an_empty_cluster_is_filled_within_one(cluster: tuple[list[int], int, int]) -> None:
    brokers, partitions, replicas = cluster
    found = spread(brokers, partitions, replicas, ())
    assert len(found) == partitions
    assert all(len(set(one)) == len(one) == replicas and set(one) <= set(brokers) for one in found)
    assert difference(brokers, everyone(found)) <= 1
    assert difference(brokers, leaders(found)) <= 1


@given(st.lists(st.integers(0, 99), min_size=1, max_size=9, unique=True), st.lists(st.integers(1, 20), max_size=8))
@settings(deadline=None)
def test_topics_made_one_after_the_other_share_leaders_evenly(brokers: list[int], topics: list[int]) -> None:
    there: list[tuple[int, ...]] = []
    for partitions in topics:
        there += spread(brokers, partitions, min(3, len(brokers)), there)
    assert difference(brokers, everyone(there)) <= 1
    if len(brokers) <= 3:
        assert difference(brokers, leaders(there)) <= 1


@given(clusters(), st.randoms())
@settings(deadline=None)
def test_what_is_uneven_gets_no_worse(cluster: tuple[list[int], int, int], random: "object") -> None:
    brokers, partitions, replicas = cluster
    crowded = [(brokers[0],)] * 5 + [(brokers[-1], -1)]  # broker -1 is away
    found = spread(brokers, partitions, replicas, crowded)
    before = difference(brokers, [one for one in everyone(crowded) if one != -1])
    assert difference(brokers, [one for one in everyone([*crowded, *found]) if one != -1]) <= max(before, 1)


@given(clusters(), st.integers(0, 6), st.integers(0, 1000))
@settings(max_examples=300, deadline=None)
def test_what_is_moved_is_even_within_one_and_at_rest(
    cluster: tuple[list[int], int, int], added: int, new: int
) -> None:
    before, partitions, replicas = cluster
    there = spread(before, partitions, replicas, ())
    after = [*before[added:], *range(new + 2000, new + 2000 + added)]  # some go, as many come
    found = rebalance(after, there)
    assert all(len(set(one)) == len(one) == replicas and set(one) <= set(after) for one in found)
    assert difference(after, everyone(found)) <= 1
    assert difference(after, leaders(found)) <= 1
    assert rebalance(after, found) == found, "what is even stays"


@given(clusters())
@settings(max_examples=300, deadline=None)
def test_a_broker_that_leaves_is_emptied_and_nothing_else_moves(cluster: tuple[list[int], int, int]) -> None:
    onto, partitions, replicas = cluster
    leaving = 5000
    there = spread([*onto, leaving], partitions, replicas, ())
    found = relieve(leaving, onto, there)
    for before, after in zip(there, found, strict=True):
        assert len(set(after)) == len(after) == replicas
        assert leaving not in after
        assert set(before) - {leaving} <= set(after), "what lies elsewhere stays"
        assert leaving in before or before == after
        assert before[0] in (leaving, after[0]), "a leader that stays leads"


def test_one_more_broker_takes_its_share_and_no_more_moves() -> None:
    there = spread((1, 2, 3), 12, 2, ())
    found = rebalance((1, 2, 3, 4), there)
    moved = sum(len(set(new) - set(old)) for old, new in zip(there, found, strict=True))
    assert Counter(everyone(found))[4] == moved == 6


def test_the_labs_three_topics_give_each_of_three_brokers_two_leaders() -> None:
    there: list[tuple[int, ...]] = []
    for _ in ("AIR", "EARTH", "WATER"):
        there += spread((1, 2, 3), 2, 3, there)
    assert Counter(leaders(there)) == {1: 2, 2: 2, 3: 2}


def test_a_thousand_partitions_take_no_time() -> None:
    assert len(spread(range(9), 1000, 3, ())) == 1000
