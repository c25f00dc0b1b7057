"""Takes snapshots of a cluster over one connection; if a broker does not answer in time, its values are unknown.

How many requests that takes does not depend on how many partitions and groups there are, see
:mod:`sensorstream.admin.watching`.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from sensorstream.admin import GroupDescription
from sensorstream.admin.watched_groups import GroupSeen
from sensorstream.admin.watching import Seen, Watcher
from sensorstream.closing import Closing
from sensorstream.config import Settings
from sensorstream.events import Listener, ignore
from sensorstream.monitor.lag import lag_of
from sensorstream.monitor.snapshot import BrokerState, GroupState, PartitionState, Snapshot, TopicState
from sensorstream.records import TopicPartition

SIZES_EVERY_S: Final = 15.0
"""How often brokers are asked for the sizes of their logs, for which they look at every file."""
SILENT_S: Final = 3.0
"""After how long without an answer a broker that is listed counts as gone."""
_OWN: Final = "_sensorstream"


def take(settings: Settings, *, listener: Listener = ignore) -> Snapshot:
    """One snapshot. Raises ClusterUnreachable, CredentialsRefused, BrokerError."""
    with Gatherer(settings, listener=listener) as gatherer:
        return gatherer.take()


class Gatherer(Closing):
    """One connection for many snapshots, made with the first one and made anew when a look fails; for one thread."""

    def __init__(self, settings: Settings, *, listener: Listener = ignore) -> None:
        self._settings = settings
        self._listener = listener
        self._watcher: Watcher | None = None
        self._sizes: Mapping[int, Mapping[TopicPartition, int]] = {}
        self._sizes_at: float | None = None
        self._addresses: dict[int, tuple[str, int]] = {}
        self._groups: dict[str, GroupState] = {}

    @property
    def io_thread(self) -> int | None:
        """The thread that talks to the brokers, as ``threading.get_ident`` names it; None before there is one."""
        return None if self._watcher is None else self._watcher.io_thread

    def connect(self) -> None:
        """Connect, where that has not been done. Raises ClusterUnreachable, CredentialsRefused, ConfigError."""
        if self._watcher is None:
            self._watcher = Watcher(self._settings, self._listener)

    def take(self) -> Snapshot:
        """A snapshot of now. Raises ClusterUnreachable, CredentialsRefused, BrokerError; then it connects anew."""
        began, at = time.monotonic(), time.time()
        self.connect()
        watcher = self._watcher
        assert watcher is not None  # noqa: S101  connect() has made it
        before = watcher.requests
        sized = self._sizes_at is None or began - self._sizes_at >= SIZES_EVERY_S
        try:
            seen = watcher.look(sizes=sized)
        except Exception:  # a client whose thread has ended fails for ever
            self.close()
            raise
        if seen.sizes is not None:
            self._sizes, self._sizes_at = seen.sizes, began
        self._addresses |= seen.brokers
        groups = self._group_states(seen)
        return Snapshot(
            taken_at=at,
            took_s=time.monotonic() - began,
            requests=watcher.requests - before,
            reachable=True,
            cluster_id=seen.cluster_id,
            version=seen.version,
            controller=seen.controller,
            brokers=self._broker_states(seen),
            topics=self._topic_states(seen),
            groups=groups,
            problems=seen.problems,
            oldest_unread_ms=_oldest_unread(groups, seen),
            newest_ms=seen.newest_ms,
        )

    def _broker_states(self, seen: Seen) -> tuple[BrokerState, ...]:
        leaders = Counter(one.leader for one in seen.partitions.values())
        replicas = Counter(broker for one in seen.partitions.values() for broker in one.replicas)
        in_sync = Counter(broker for one in seen.partitions.values() for broker in one.isr)
        states = []
        for broker in sorted(seen.brokers.keys() | replicas.keys()):
            host, port = self._addresses.get(broker, (None, None))
            listed = broker in seen.brokers
            gone = broker in seen.down or seen.silent.get(broker, 0.0) >= SILENT_S
            sizes = self._sizes.get(broker)
            states.append(
                BrokerState(
                    broker,
                    host,
                    port,
                    listed and not gone,
                    broker == seen.controller,
                    leaders[broker],
                    replicas[broker],
                    in_sync[broker],
                    None if sizes is None else sum(sizes.values()),
                )
            )
        return tuple(states)

    def _topic_states(self, seen: Seen) -> tuple[TopicState, ...]:
        partitions: dict[str, list[PartitionState]] = {name: [] for name in sorted(seen.topic_ids)}
        for where, one in seen.partitions.items():
            sizes = self._sizes.get(one.leader) if one.leader is not None else None
            partitions[where.topic].append(
                PartitionState(
                    where.topic,
                    where.partition,
                    one.leader,
                    one.replicas,
                    one.isr,
                    seen.first.get(where),
                    seen.end.get(where),
                    None if sizes is None else sizes.get(where),
                )
            )
        return tuple(
            TopicState(name, name in seen.internal or name.startswith(_OWN), tuple(states), seen.topic_ids[name])
            for name, states in partitions.items()
        )

    def _group_states(self, seen: Seen) -> tuple[GroupState, ...]:
        """The groups; those of a coordinator that does not tell are kept, with nothing known but their names."""
        states = {one.group: _group_state(one, seen) for one in seen.groups}
        if not seen.groups_whole:
            for name, before in self._groups.items():
                if name not in states:
                    states[name] = _unknown(before, seen)
        self._groups = states
        return tuple(states[name] for name in sorted(states))

    def close(self) -> None:
        """Let go of the connection; never raises. The next snapshot makes a new one."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None


def _group_state(group: GroupSeen, seen: Seen) -> GroupState:
    described = GroupDescription(group.group, group.state, group.members or (), group.committed or {})
    lag = lag_of(described, seen.end)
    if group.committed is None:
        lag = replace(lag, total_lag=None)
    return GroupState(lag, group.members, group.coordinator)


def _unknown(before: GroupState, seen: Seen) -> GroupState:
    partitions = tuple(
        replace(one, lag=None, current_offset=None, end_offset=seen.end.get(TopicPartition(one.topic, one.partition)))
        for one in before.partitions
    )
    return GroupState(replace(before.lag, state="Unknown", total_lag=None, partitions=partitions), None, None)


def _oldest_unread(groups: Iterable[GroupState], seen: Seen) -> dict[tuple[str, TopicPartition], int]:
    found = {}
    for group in groups:
        for one in group.partitions:
            where = TopicPartition(one.topic, one.partition)
            if one.current_offset is not None:
                stamp = seen.unread_ms.get((where, max(one.current_offset, seen.first.get(where, 0))))
                if stamp is not None:
                    found[group.name, where] = stamp
    return found
