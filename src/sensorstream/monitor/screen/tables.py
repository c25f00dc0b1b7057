"""The tables of brokers, topics, partitions, groups and their partitions, made of a View."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from sensorstream.monitor.lag import PartitionLag
from sensorstream.monitor.screen import figures
from sensorstream.monitor.screen.columns import Cell, Column, Table, Tone
from sensorstream.monitor.snapshot import BrokerState, GroupState, PartitionState, TopicState
from sensorstream.monitor.view import Progress, Status, View
from sensorstream.records import TopicPartition
from sensorstream.visible import visible

TREND: Final = 10
Row = TypeVar("Row")
_MARKS: Final[dict[Status, tuple[str, Tone]]] = {
    "OK": ("✓", "good"),
    "WARN": ("!", "warn"),
    "STALL": ("✗", "bad"),
    "STOP": ("✗", "bad"),
    "REWIND": ("!", "warn"),
    "UNKNOWN": ("?", "dim"),
}
_BADNESS: Final[dict[Status, int]] = {"OK": 0, "UNKNOWN": 1, "WARN": 2, "STOP": 3, "STALL": 4, "REWIND": 5}
_NO_PROGRESS: Final = Progress(None, None, None, None, None, "UNKNOWN")


def name(text: object) -> Cell:
    """A name or a value from outside, as it stands; ``?`` where there is none."""
    return Cell(figures.UNKNOWN, "dim") if text is None else Cell(visible(str(text)))


def figure(text: str, tone: Tone = "plain") -> Cell:
    """A figure; one that is not known is dimmed."""
    return Cell(text, "dim" if text == figures.UNKNOWN else tone)


def status(word: Status) -> Cell:
    """A group's status, as a mark and a word."""
    mark, tone = _MARKS[word]
    return Cell(f"{mark} {word}", tone)


def brokers(view: View) -> Table[BrokerState]:
    """The brokers: who is there, what each leads and keeps."""
    alive = [one for one in view.snapshot.brokers if one.alive]
    mean = sum(one.leaders for one in alive) / len(alive) if alive else 0.0

    def skew(one: BrokerState) -> float | None:
        return one.leaders / mean - 1 if mean and one.alive else None

    def skewed(one: BrokerState) -> Cell:
        value = skew(one)
        return figure(
            figures.UNKNOWN if value is None else f"{value:+.0%}", "warn" if abs(value or 0) > 0.5 else "plain"
        )

    return Table(
        columns=(
            Column("id", lambda one: Cell(str(one.id)), lambda one: one.id, "i", right=True),
            Column(
                "status",
                lambda one: Cell("✓ up", "good") if one.alive else Cell("✗ DOWN", "bad"),
                lambda one: one.alive,
                "s",
            ),
            Column(
                "address",
                lambda one: name(None if one.host is None else f"{one.host}:{one.port}"),
                lambda one: f"{one.host}:{one.port}",
                "d",
            ),
            Column("leads", lambda one: figure(figures.count(one.leaders)), lambda one: one.leaders, "l", True, True),
            Column("skew", skewed, skew, "k", True, True),
            Column(
                "replicas", lambda one: figure(figures.count(one.replicas)), lambda one: one.replicas, "r", True, True
            ),
            Column(
                "in sync",
                lambda one: figure(figures.count(one.in_sync), "warn" if one.in_sync < one.replicas else "plain"),
                lambda one: one.in_sync,
                "y",
                right=True,
            ),
            Column(
                "size", lambda one: figure(figures.size(one.size_bytes)), lambda one: one.size_bytes, "z", True, True
            ),
            Column("role", lambda one: Cell("controller" if one.controller else "")),
        ),
        items=view.snapshot.brokers,
        key=lambda one: one.id,
        text=lambda one: f"{one.id} {one.host}:{one.port} {'up' if one.alive else 'down'}",
        first="i",
    )


def _in_sync(offline: int, under_replicated: int) -> Cell:
    if offline:
        return Cell(f"✗ {offline} OFFLINE", "bad")
    return Cell(f"! {under_replicated} not in sync", "warn") if under_replicated else Cell("✓ ok", "good")


def topics(view: View) -> Table[TopicState]:
    """The topics: whether all partitions are there, how much comes in."""

    def trend(one: TopicState) -> Cell:
        values = [point.value for point in view.topic_series.get(one.name, ())[-TREND:]]
        return Cell(figures.sparkline(values, TREND), "plot")

    return Table(
        columns=(
            Column(
                "topic",
                lambda one: Cell(visible(one.name), "dim" if one.internal else "plain"),
                lambda one: one.name.casefold(),
                "t",
                widest=48,
            ),
            Column(
                "status",
                lambda one: _in_sync(one.offline, one.under_replicated),
                lambda one: 1_000_000 * one.offline + one.under_replicated,
                "s",
                falling=True,
            ),
            Column(
                "parts",
                lambda one: Cell(figures.count(len(one.partitions))),
                lambda one: len(one.partitions),
                "a",
                True,
                True,
            ),
            Column("rows", lambda one: figure(figures.count(one.rows)), lambda one: one.rows, "o", True, True),
            Column(
                "/second",
                lambda one: figure(figures.rate(view.topic_rate.get(one.name))),
                lambda one: view.topic_rate.get(one.name),
                "c",
                True,
                True,
            ),
            Column("trend", trend),
            Column(
                "newest",
                lambda one: figure(_ago(view.age_s.get(one.name))),
                lambda one: view.age_s.get(one.name),
                "n",
                right=True,
            ),
            Column(
                "size", lambda one: figure(figures.size(one.size_bytes)), lambda one: one.size_bytes, "z", True, True
            ),
            Column(
                "copies",
                lambda one: Cell(str(one.replication_factor)),
                lambda one: one.replication_factor,
                "i",
                right=True,
            ),
        ),
        items=view.snapshot.topics,
        key=lambda one: one.name,
        text=lambda one: one.name,
        first="t",
    )


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return figures.UNKNOWN
    return "now" if seconds < 1 else f"{figures.duration(seconds)} ago"


def partitions(view: View, which: Sequence[PartitionState], *, with_topic: bool) -> Table[PartitionState]:
    """Partitions of one topic, or of many ``with_topic``."""

    def state(one: PartitionState) -> Cell:
        return _in_sync(int(one.offline), len(one.replicas) - len(one.isr))

    topic = Column[PartitionState](
        "topic", lambda one: name(one.topic), lambda one: one.topic.casefold(), "t", widest=48
    )
    columns = (
        Column[PartitionState]("part", lambda one: Cell(str(one.partition)), lambda one: one.partition, "r", True),
        Column[PartitionState](
            "status",
            state,
            lambda one: 1_000_000 * one.offline + len(one.replicas) - len(one.isr),
            "s",
            falling=True,
        ),
        Column[PartitionState]("leader", lambda one: name(one.leader), lambda one: one.leader, "l", True),
        Column[PartitionState]("in sync", lambda one: Cell(_ids(one.isr)), lambda one: len(one.isr), "i"),
        Column[PartitionState]("replicas", lambda one: Cell(_ids(one.replicas))),
        Column[PartitionState](
            "first", lambda one: figure(figures.count(one.first_offset)), lambda one: one.first_offset, "f", True, True
        ),
        Column[PartitionState](
            "next", lambda one: figure(figures.count(one.end_offset)), lambda one: one.end_offset, "n", True, True
        ),
        Column[PartitionState](
            "rows", lambda one: figure(figures.count(one.rows)), lambda one: one.rows, "o", True, True
        ),
        Column[PartitionState](
            "/second",
            lambda one: figure(figures.rate(view.partition_rate.get(one.where))),
            lambda one: view.partition_rate.get(one.where),
            "c",
            True,
            True,
        ),
        Column[PartitionState](
            "size", lambda one: figure(figures.size(one.size_bytes)), lambda one: one.size_bytes, "z", True, True
        ),
    )
    return Table(
        columns=(topic, *columns) if with_topic else columns,
        items=which,
        key=lambda one: one.where,
        text=lambda one: str(one.where),
        first="t" if with_topic else "",
    )


def _ids(brokers: Sequence[int]) -> str:
    return ",".join(map(str, brokers))


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group, and how it does."""

    group: GroupState
    progress: Progress


def groups(view: View) -> Table[GroupRow]:
    """The consumer groups: how far behind, whether they catch up."""

    def trend(one: GroupRow) -> Cell:
        values = [point.value for point in view.lag_series.get(one.group.name, ())[-TREND:]]
        return Cell(figures.sparkline(values, TREND), "plot")

    return Table(
        columns=(
            Column("group", lambda one: name(one.group.name), lambda one: one.group.name.casefold(), "g", widest=48),
            Column("status", lambda one: status(one.progress.status), _worst, "s", falling=True),
            Column("lag", lambda one: figure(figures.count(_lag(one))), _lag, "l", True, True),
            *_progress_columns(lambda one: one.progress, Column("trend", trend)),
            Column("state", lambda one: name(one.group.state), lambda one: one.group.state, "e"),
            Column(
                "members",
                lambda one: figure(figures.count(_members(one))),
                _members,
                "m",
                True,
                True,
            ),
            Column(
                "parts",
                lambda one: Cell(str(len(one.group.partitions))),
                lambda one: len(one.group.partitions),
                "r",
                True,
                True,
            ),
            Column(
                "coordinator", lambda one: name(one.group.coordinator), lambda one: one.group.coordinator, "d", True
            ),
        ),
        items=[GroupRow(one, view.group_progress.get(one.name, _NO_PROGRESS)) for one in view.snapshot.groups],
        key=lambda one: one.group.name,
        text=lambda one: one.group.name,
        first="g",
    )


def _lag(one: GroupRow) -> int | None:
    return one.group.lag.total_lag


def _members(one: GroupRow) -> int | None:
    return None if one.group.members is None else len(one.group.members)


def _worst(one: GroupRow) -> int:
    return _BADNESS[one.progress.status]


def _progress_columns(of: Callable[[Row], Progress], trend: Column[Row] | None = None) -> list[Column[Row]]:
    columns: list[Column[Row]] = [
        Column("in/s", lambda one: figure(figures.rate(of(one).rate_in)), lambda one: of(one).rate_in, "i", True, True),
        Column(
            "out/s", lambda one: figure(figures.rate(of(one).rate_out)), lambda one: of(one).rate_out, "o", True, True
        ),
        Column("catch up", lambda one: _catch_up(of(one)), lambda one: of(one).catch_up_s, "c", True, True),
        Column("age", lambda one: figure(figures.duration(of(one).age_s)), lambda one: of(one).age_s, "a", True, True),
    ]
    return [*columns, trend] if trend is not None else columns


def _catch_up(progress: Progress) -> Cell:
    """Kafkatop's bands: under a minute, under ten, beyond."""
    seconds = progress.catch_up_s
    if progress.lag == 0:
        return Cell("-")
    if seconds is None:
        return figure(figures.UNKNOWN)
    tone: Tone = "good" if seconds < 60 else "warn" if seconds < 600 else "bad"
    return Cell(figures.duration(seconds), tone)


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """A partition that a group reads, and how it does there."""

    lag: PartitionLag
    progress: Progress
    client_id: str | None

    @property
    def where(self) -> TopicPartition:
        """Its topic and number."""
        return TopicPartition(self.lag.topic, self.lag.partition)


def group_partitions(view: View, group: GroupState | None) -> Table[ReadingRow]:
    """A group's partitions: who reads them, how far; the first columns are those of rpk's ``group describe``."""
    rows = []
    if group is not None:
        clients = {member.member_id: member.client_id for member in group.members or ()}
        for one in group.partitions:
            progress = view.progress.get((group.name, TopicPartition(one.topic, one.partition)), _NO_PROGRESS)
            rows.append(ReadingRow(one, progress, clients.get(one.consumer_id or "")))
    return Table(
        columns=(
            Column("topic", lambda one: name(one.lag.topic), lambda one: one.lag.topic.casefold(), "t", widest=48),
            Column("part", lambda one: Cell(str(one.lag.partition)), lambda one: one.lag.partition, "r", True),
            Column(
                "status",
                lambda one: status(one.progress.status),
                lambda one: _BADNESS[one.progress.status],
                "s",
                falling=True,
            ),
            Column("lag", lambda one: figure(figures.count(one.lag.lag)), lambda one: one.lag.lag, "l", True, True),
            Column("current", lambda one: figure(figures.count(one.lag.current_offset)), right=True),
            Column(
                "end",
                lambda one: figure(figures.count(one.lag.end_offset)),
                lambda one: one.lag.end_offset,
                "n",
                True,
                True,
            ),
            *_progress_columns(lambda one: one.progress),
            Column("consumer", lambda one: name(one.lag.consumer_id), lambda one: one.lag.consumer_id, "u"),
            Column("host", lambda one: name(one.lag.host), lambda one: one.lag.host, "h"),
            Column("client", lambda one: name(one.client_id)),
        ),
        items=rows,
        key=lambda one: one.where,
        text=lambda one: f"{one.where} {one.lag.consumer_id} {one.lag.host}",
        first="",
    )
