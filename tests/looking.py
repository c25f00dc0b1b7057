"""Commits and looks at real brokers that a busy machine does not spoil: both are tried again until they are right."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from running import until
from sensorstream import admin
from sensorstream.clients.base import Reader
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import BrokerError, ClusterUnreachable, CredentialsRefused
from sensorstream.monitor.snapshot import Snapshot
from sensorstream.records import TopicPartition

_numbers = itertools.count()


@contextmanager
def topic_of_its_own(settings: Settings, prefix: str, partitions: int = 2) -> Iterator[str]:
    """A new topic with a name that nobody else has; it is deleted at the end, unless the test has done so."""
    name = f"{prefix}-{os.getpid()}-{next(_numbers)}"
    admin.create_topics(settings, [TopicSettings(name, partitions=partitions)])
    yield name
    if name in {one.name for one in admin.list_topics(settings).topics}:
        admin.delete_topics(settings, [name])


def commit(reader: Reader, positions: Mapping[TopicPartition, int], note: str = "") -> None:
    """Commit; the first group of a cluster has no settled coordinator for a moment."""

    def accepted() -> bool:
        try:
            reader.commit(positions, note=note)
        except CredentialsRefused:
            raise
        except (BrokerError, ClusterUnreachable):
            return False
        return True

    until(accepted, "an accepted commit")


def seen(take: Callable[[], Snapshot], holds: Callable[[Snapshot], object], what: str) -> Snapshot:
    """The first snapshot for which this holds. One that nobody answered in time is no snapshot."""
    found: list[Snapshot] = []

    def taken() -> bool:
        try:
            found.append(take())
        except CredentialsRefused:
            raise
        except ClusterUnreachable:
            return False
        return bool(holds(found[-1]))

    until(taken, what)
    return found[-1]


def whole(take: Callable[[], Snapshot]) -> Snapshot:
    """A snapshot in which everything is known."""
    return seen(take, lambda snapshot: not snapshot.problems, "a snapshot without problems")
