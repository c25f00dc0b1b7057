"""Station 5 managed: which brokers hold the partitions of a new topic, and which one leads each. Pure, no Kafka.

Kafka's own choice begins at a random broker for each topic, so in a small cluster one broker may lead nothing. Racks
are not looked at.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

Assignment: TypeAlias = tuple[tuple[int, ...], ...]
"""For each partition the brokers that hold it; the first is its preferred leader."""


def spread(brokers: Collection[int], partitions: int, replicas: int, existing: Iterable[Sequence[int]]) -> Assignment:
    """Choose brokers for each of ``partitions``, so that replicas and leaders are even over all.

    ``existing`` are the replicas of each partition that is there already, its preferred leader first. Where these are
    even, the numbers of replicas on any two brokers differ by one at the most; in an empty cluster, and where each
    broker has a replica of everything, so do the numbers of leaders. Needs ``replicas`` brokers or more.
    """
    held = dict.fromkeys(sorted(brokers), 0)
    led = dict(held)
    for there in existing:
        for place, broker in enumerate(there):
            if broker in held:
                held[broker] += 1
                led[broker] += place == 0
    sets: list[set[int]] = []
    leaders: list[int] = []
    for _ in range(partitions):
        # The fewest replicas first, so these stay even; then the fewest leaders.
        chosen = sorted(held, key=lambda broker: (held[broker], led[broker], broker))[:replicas]
        leader = min(chosen, key=lambda broker: (led[broker], broker))
        led[leader] += 1
        for broker in chosen:
            held[broker] += 1
        sets.append(set(chosen))
        leaders.append(leader)
    _level(sets, leaders, led)
    return tuple(_ordered(leader, chosen) for leader, chosen in zip(leaders, sets, strict=True))


def _level(sets: Sequence[Collection[int]], leaders: list[int], led: dict[int, int]) -> None:
    """Pass leaderships on, partition by partition, until no chain of them leads to a broker that has two fewer.

    Then no other choice of leaders is more even (as with any convex cost of a flow).
    """
    while True:
        for high in sorted(led, key=lambda broker: (-led[broker], broker)):
            chain = _chain(high, sets, leaders, led)
            if chain:
                led[high] -= 1
                led[chain[-1][1]] += 1
                for partition, taker in chain:
                    leaders[partition] = taker
                break
        else:
            return


def _chain(
    high: int, sets: Sequence[Collection[int]], leaders: Sequence[int], led: Mapping[int, int]
) -> list[tuple[int, int]]:
    """The partitions and who takes each, from ``high`` to a broker that leads two fewer; empty where there is none."""
    if all(led[high] - count < 2 for count in led.values()):
        return []
    leading: dict[int, list[int]] = {}
    for partition, leader in enumerate(leaders):
        leading.setdefault(leader, []).append(partition)
    came: dict[int, tuple[int, int]] = {high: (-1, high)}  # from which broker, by which partition
    waiting = [high]
    for giver in waiting:
        for partition in leading.get(giver, ()):
            for taker in sorted(sets[partition]):
                if taker in came:
                    continue
                came[taker] = (partition, giver)
                if led[high] - led[taker] >= 2:
                    return _back(taker, high, came)
                waiting.append(taker)
    return []


def _back(low: int, high: int, came: Mapping[int, tuple[int, int]]) -> list[tuple[int, int]]:
    chain = []
    taker = low
    while taker != high:
        partition, giver = came[taker]
        chain.append((partition, taker))
        taker = giver
    return chain[::-1]


def _ordered(leader: int, chosen: set[int]) -> tuple[int, ...]:
    """The leader, then the others as they follow it in a ring: each is the next leader of a different one."""
    return (leader, *sorted(chosen - {leader}, key=lambda one: (one < leader, one)))


def relieve(leaving: int, onto: Collection[int], there: Sequence[Sequence[int]]) -> Assignment:
    """Where these partitions, given by their replicas, go when the broker ``leaving`` is to hold none of them.

    Each replica that it has goes to the one of ``onto`` that holds the fewest; where it was the preferred leader, the
    new one is who leads the fewest. All else stays. Needs as many in ``onto`` as a partition has replicas.
    """
    held = dict.fromkeys(sorted(onto), 0)
    led = dict(held)
    for one in there:
        for place, broker in enumerate(one):
            if broker in held:
                held[broker] += 1
                led[broker] += place == 0
    after = []
    for before in there:
        if leaving not in before:
            after.append(tuple(before))
            continue
        taker = min((one for one in held if one not in before), key=lambda one: (held[one], one))
        held[taker] += 1
        if before[0] != leaving:
            after.append(tuple(taker if one == leaving else one for one in before))
            continue
        chosen = {taker, *before} - {leaving}
        leader = min(chosen, key=lambda one: (led.get(one, 0), one))
        led[leader] = led.get(leader, 0) + 1
        after.append(_ordered(leader, chosen))
    return tuple(after)


def rebalance(brokers: Collection[int], there: Sequence[Sequence[int]]) -> Assignment:
    """Where these partitions, given by their replicas, go so that they are even over ``brokers``, moving few of them.

    What lies on other brokers moves; then replicas move from the fullest to the emptiest until they are even within
    one, and so are leaders. Needs as many brokers as a partition has replicas.
    """
    sets = [set(one) & set(brokers) for one in there]
    held = dict.fromkeys(sorted(brokers), 0)
    for chosen in sets:
        for broker in chosen:
            held[broker] += 1
    for chosen, before in zip(sets, there, strict=True):
        while len(chosen) < len(before):
            emptiest = min((one for one in held if one not in chosen), key=lambda one: (held[one], one))
            chosen.add(emptiest)
            held[emptiest] += 1
    while held:
        full = max(held, key=lambda one: (held[one], -one))
        empty = min(held, key=lambda one: (held[one], one))
        if held[full] - held[empty] < 2:
            break
        chosen = next(one for one in sets if full in one and empty not in one)  # there is one: it holds more
        chosen.remove(full)
        chosen.add(empty)
        held[full] -= 1
        held[empty] += 1
    led = dict.fromkeys(held, 0)
    leaders = []
    for chosen, before in zip(sets, there, strict=True):
        stays = [one for one in before if one in chosen]
        leader = stays[0] if stays else min(chosen, key=lambda one: (led[one], one))
        led[leader] += 1
        leaders.append(leader)
    _level(sets, leaders, led)
    # A partition that keeps its brokers and its leader keeps their order: it need not be touched.
    return tuple(
        tuple(before) if set(before) == chosen and before[0] == leader else _ordered(leader, chosen)
        for before, leader, chosen in zip(there, leaders, sets, strict=True)
    )
