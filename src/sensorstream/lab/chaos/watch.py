"""Looks at a cluster several times a second, on a thread of its own, and tells what each partition's leader and
in-sync replicas do."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Final, Self

from sensorstream.admin.looking import ClusterLook, Looker, PartitionLook
from sensorstream.admin.topics import INTERNAL
from sensorstream.config import Settings
from sensorstream.errors import SensorstreamError
from sensorstream.events import Listener, Notice
from sensorstream.lab.chaos.results import ChaosEvent, PartitionStory
from sensorstream.records import TopicPartition

_EVERY_S: Final = 0.25
_NAMED: Final = 6
"""So many partitions are named in a line; of more it is said how many."""


@dataclass(slots=True)
class _Story:
    now: PartitionLook
    leaders: list[int | None]
    smallest_isr: int
    headless_since: float | None = None
    headless_s: float = 0.0


@dataclass(slots=True)
class Chronicle:
    """What was seen, look after look, and all events in order. Pure: it is told the time, seconds since the start."""

    listener: Listener
    events: list[ChaosEvent] = field(default_factory=list)
    _stories: dict[TopicPartition, _Story] = field(default_factory=dict)
    _controller: int | None = None

    def tell(self, event: ChaosEvent) -> None:
        """Add an event and say it."""
        self.events.append(event)
        self.listener(Notice(f"{event.at_s:6.1f} s  {event.text}"))

    def note(self, look: ClusterLook, at_s: float, broken: Mapping[int, float] = MappingProxyType({})) -> None:
        """Compare a look with the one before; ``broken`` are brokers that can't lead now, with the time since when."""
        if look.controller is not None and look.controller != self._controller:
            if self._controller is not None:
                text = f"controller {self._controller} -> {look.controller}"
                self.tell(ChaosEvent(at_s, "controller", text, broker=look.controller))
            self._controller = look.controller
        changes: dict[str, list[TopicPartition]] = {}
        for partition, now in sorted(look.partitions.items()):
            if partition.topic not in INTERNAL and (change := self._note(partition, now, at_s, broken)):
                changes.setdefault(change, []).append(partition)
        for change, partitions in changes.items():
            self.listener(Notice(f"{at_s:6.1f} s  {_named(partitions)}: {change}"))
            for one in partitions:
                now = self._stories[one].now
                self.events.append(
                    ChaosEvent(
                        at_s,
                        "partition",
                        f"{_name(one)}: {change}",
                        topic=one.topic,
                        partition=one.partition,
                        leader=now.leader,
                        isr=now.isr,
                    )
                )

    def _note(self, partition: TopicPartition, now: PartitionLook, at_s: float, broken: Mapping[int, float]) -> str:
        """Take up what a partition is now; the change in words, empty where there is none."""
        story = self._stories.get(partition)
        if story is None:
            self._stories[partition] = _Story(now, [now.leader], len(now.isr), at_s if now.leader is None else None)
            return ""
        since = at_s if now.leader is None else broken.get(now.leader)
        before = story.now
        if now.epoch < before.epoch:  # this broker has not heard of it yet
            return ""
        if since is not None and story.headless_since is None:
            story.headless_since = since
        elif since is None and story.headless_since is not None:
            story.headless_s += at_s - story.headless_since
            story.headless_since = None
        story.now = now
        story.smallest_isr = min(story.smallest_isr, len(now.isr))
        said = []
        if now.leader != before.leader:
            story.leaders.append(now.leader)
            said.append(
                f"no leader (it was {before.leader})"
                if now.leader is None
                else f"leader {_id(before.leader)} -> {now.leader}"
            )
        if now.isr != before.isr:
            said.append(f"in sync {_ids(before.isr)} -> {_ids(now.isr)}")
        return ", ".join(said)

    def stories(self, at_s: float) -> tuple[PartitionStory, ...]:
        """What became of each partition up to now."""
        return tuple(
            PartitionStory(
                one.topic,
                one.partition,
                tuple(story.leaders),
                round(story.headless_s + (at_s - story.headless_since if story.headless_since is not None else 0.0), 2),
                story.smallest_isr,
                story.now.replicas,
                story.now.isr,
            )
            for one, story in sorted(self._stories.items())
        )


class Watch:
    """Looks at the cluster from when the block is entered until it is left."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._chronicle = Chronicle(listener)
        self._began = time.monotonic()
        self._change = threading.Condition(threading.RLock())
        self._look = ClusterLook((), None, {})
        self._looks = 0
        self._broken: Mapping[int, float] = {}
        self._avoid: frozenset[int] = frozenset()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos-watch", daemon=True)

    def __enter__(self) -> Self:
        self._looker = Looker(self._settings)
        try:
            self._take(self._looker.look())
        except BaseException:
            self._looker.close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        self._looker.close()

    @property
    def at_s(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self._began, 2)

    @property
    def look(self) -> ClusterLook:
        """The last look that brought an answer."""
        with self._change:
            return self._look

    @property
    def events(self) -> tuple[ChaosEvent, ...]:
        """All that happened so far."""
        with self._change:
            return tuple(self._chronicle.events)

    @property
    def stories(self) -> tuple[PartitionStory, ...]:
        """What became of each partition so far."""
        with self._change:
            return self._chronicle.stories(self.at_s)

    def tell(self, event: ChaosEvent) -> None:
        """Add an event of one's own."""
        with self._change:
            self._chronicle.tell(event)

    def avoid(self, brokers: Iterable[int]) -> None:
        """Don't ask these from now on."""
        self._avoid = frozenset(brokers)

    def broken(self, *brokers: int) -> None:
        """These can't lead from now on."""
        self._broken = dict.fromkeys(brokers, self.at_s)

    def wait_for(
        self, holds: Callable[[ClusterLook], bool], deadline_s: float, stop: threading.Event | None = None
    ) -> bool:
        """Wait until a look that begins from now on shows this; False after ``deadline_s`` or when ``stop`` is set."""
        deadline = time.monotonic() + deadline_s
        with self._change:
            after = self._looks + 1  # the next one may have been under way already
            while time.monotonic() < deadline and not (stop is not None and stop.is_set()):
                if self._looks > after and holds(self._look):
                    return True
                self._change.wait(0.2)
        return False

    def _run(self) -> None:
        while not self._end.wait(_EVERY_S):
            try:
                look = self._looker.look(self._avoid)
            except SensorstreamError:
                continue  # nobody answers; that shows in what follows
            self._take(look)

    def _take(self, look: ClusterLook) -> None:
        with self._change:
            self._chronicle.note(look, self.at_s, self._broken)
            self._look = look
            self._looks += 1
            self._change.notify_all()


def problems(look: ClusterLook, brokers: Sequence[int]) -> tuple[str, ...]:
    """What a look shows that is not well; ``brokers`` are those that there should be."""
    found = [f"broker {broker} is not registered" for broker in brokers if broker not in look.brokers]
    if look.controller is None:
        found.append("there is no active controller")
    for one, now in sorted(look.partitions.items()):
        if now.leader is None:
            found.append(f"{_name(one)} has no leader")
        elif missing := sorted(set(now.replicas) - set(now.isr)):
            found.append(f"{_name(one)} lacks broker {_ids(missing)} in sync")
    return tuple(found)


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic}-{partition.partition}"


def _named(partitions: Sequence[TopicPartition]) -> str:
    more = len(partitions) - _NAMED
    return ", ".join(map(_name, partitions[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def _id(broker: int | None) -> str:
    return "none" if broker is None else str(broker)


def _ids(brokers: Iterable[int]) -> str:
    return ",".join(map(str, brokers)) or "none"
