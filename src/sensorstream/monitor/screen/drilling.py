"""Which table a place shows, and which place a drill-down into an item opens."""

from typing import Any

from sensorstream.monitor.screen import tables
from sensorstream.monitor.screen.columns import Table
from sensorstream.monitor.screen.places import Place, Tab
from sensorstream.monitor.snapshot import BrokerState, PartitionState, TopicState
from sensorstream.monitor.view import View
from sensorstream.records import TopicPartition


def table_of(view: View, tab: Tab, place: Place) -> Table[Any]:
    """The table of a place in one of the tabs of brokers, topics or groups; an empty one of what is gone."""
    if place.broker is not None:
        kept = [one for topic in view.snapshot.topics for one in topic.partitions if place.broker in one.replicas]
        return tables.partitions(view, kept, with_topic=True)
    if place.topic is not None:
        topic = view.snapshot.topic(place.topic)
        return tables.partitions(view, () if topic is None else topic.partitions, with_topic=False)
    if place.group is not None:
        return tables.group_partitions(view, view.snapshot.group(place.group))
    if tab == "brokers":
        return tables.brokers(view)
    return tables.topics(view) if tab == "topics" else tables.groups(view)


def empty_words(tab: Tab, place: Place) -> str:
    """What a table without items says."""
    if place.search:
        return f"nothing here holds {place.search!r}"
    if place.topic is not None or place.broker is not None:
        return "no partitions"
    return "no partitions are read" if place.group is not None else f"no {tab}"


def inside(item: object) -> Place | None:
    """Where opening an item leads; None where it leads nowhere."""
    if isinstance(item, BrokerState):
        return Place(broker=item.id)
    if isinstance(item, TopicState):
        return Place(topic=item.name)
    if isinstance(item, tables.GroupRow):
        return Place(group=item.group.name)
    if isinstance(item, PartitionState | tables.ReadingRow):
        where: TopicPartition = item.where
        return Place(topic=where.topic, partition=where.partition)
    return None


def likely_topic(view: View) -> str | None:
    """Whose rows are shown until the user chooses: the busiest topic's, else those of the one with the most."""
    found = [one for one in view.snapshot.topics if not one.internal]
    best = max(found, key=lambda one: (view.topic_rate.get(one.name) or 0.0, one.rows or 0), default=None)
    return None if best is None else best.name
