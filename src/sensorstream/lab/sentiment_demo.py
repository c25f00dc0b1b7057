"""The sentiment demo on the sample posts, with a verdict: publish, score exactly once, windows, picture, proof.

As :mod:`~sensorstream.lab.demo` it uses free ports and a folder of its own and takes no settings from outside.
"""

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from sensorstream import admin
from sensorstream.clients import open_client
from sensorstream.clients.base import Client
from sensorstream.cluster.local import LocalCluster
from sensorstream.cluster.results import ClusterUp
from sensorstream.config import Settings, TopicSettings, posts_topic
from sensorstream.errors import Interrupted, SensorstreamError, SinkError
from sensorstream.events import Listener, Notice, Step, ignore
from sensorstream.lab.demo import show_nothing
from sensorstream.lab.mix import WINDOWS_OF, PageMix, as_svg, page_mixes
from sensorstream.lab.remover import Remover, clean_up
from sensorstream.lab.scored_once import ScoredOnce, check_scored
from sensorstream.lab.scorers import Scorers
from sensorstream.own_files import make_folder
from sensorstream.pipelines.aggregate.aggregate import aggregate
from sensorstream.pipelines.aggregate.job import AggregateOptions, make_job
from sensorstream.pipelines.aggregate.spec import AggregateResult
from sensorstream.pipelines.aggregate.targets import Kept, table_rows
from sensorstream.pipelines.replay.job import ReplayOptions
from sensorstream.pipelines.replay.job import make_job as make_replay
from sensorstream.pipelines.replay.replay import replay
from sensorstream.pipelines.replay.spec import ReplayResult
from sensorstream.pipelines.stream.job import StreamResult
from sensorstream.pipelines.stream.plan import default_group
from sensorstream.pipelines.stream.records import RecordTransformer, Route
from sensorstream.records import ConsumedRecord, Row, TopicPartition
from sensorstream.sentiment.base import LABELS
from sensorstream.serde.csv_cells import csv_text, to_cell
from sensorstream.serde.json import decode

SCORED: Final = "POSTS_SCORED"
DEAD: Final = "POSTS_SCORED_DEAD"
GROUP: Final = default_group("POSTS", SCORED)
"""That of ``sentiment stream``: whoever goes on with the cluster that was kept scores no post twice."""
WORKERS: Final = 2
READ_S: Final = 60.0
"""How long the proof waits for records that the brokers say are there."""
_SHOWN_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class RankedPost:
    """One post and its score; ``text`` is cut after 200 characters."""

    id: str
    page: str
    compound: float
    text: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What the comparison has found, and the posts with the highest and the lowest score."""

    verification: ScoredOnce
    statuses: Mapping[str, int]
    highest: RankedPost | None
    lowest: RankedPost | None


Part: TypeAlias = admin.TopicsCreated | ReplayResult | StreamResult | AggregateResult | Compared
"""What a step has shown."""


@dataclass(frozen=True, slots=True)
class SentimentDemonstration:
    """What the demonstration showed. ``passed``: every post was published once, scored once, and is in one window.

    The ``rows`` of ``aggregate`` are the windows, ``mix`` is what the picture shows of them. ``statuses`` count the
    scored posts, ``highest`` and ``lowest`` are the posts with the highest and the lowest score; ``files`` were saved.
    ``folder`` and ``cluster_name`` are what is left of it, None where nothing is; ``seconds`` counts from the start to
    the verdict.
    """

    cluster: ClusterUp
    topics: admin.TopicsCreated
    replay: ReplayResult
    stream: StreamResult
    aggregate: AggregateResult
    mix: tuple[PageMix, ...]
    statuses: Mapping[str, int]
    highest: RankedPost | None
    lowest: RankedPost | None
    verification: ScoredOnce
    passed: bool
    seconds: float
    files: tuple[str, ...]
    folder: str | None
    cluster_name: str | None


def demonstrate_sentiment(
    *,
    keep: bool = False,
    to: Path | None = None,
    kafka_version: str | None = None,
    offline: bool = False,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    show: Callable[[Part], None] = show_nothing,
) -> SentimentDemonstration:
    """Run the whole way once; with ``keep`` the cluster stays. ``to`` is a folder for the results (``keep`` alone: one
    in the folder that stays). ``show`` is given each part of the result as soon as its step is done.

    Raises Interrupted, LocalClusterError, SinkError and whatever else ends it early; nothing is left running then.
    """
    stop = stop or threading.Event()
    began = time.monotonic()
    if to is not None:
        _make(to)
    folder = Path(tempfile.mkdtemp(prefix="sensorstream-demo-"))
    cluster = LocalCluster(f"demo-{os.getpid()}", listener=listener)
    remover = Remover(cluster.name, folder)
    stays = False
    try:
        listener(Step(1, "start a real Apache Kafka: three brokers, each a process of its own"))
        up = cluster.up(
            brokers=3,
            kafka_version=kafka_version,
            ports=(0, 0, 0),
            data_dir=folder / "kafka",
            offline=offline,
            stop=stop,
        )
        listener(Notice(f"   Kafka {up.kafka_version} is ready at {','.join(up.bootstrap)} after {up.seconds:.1f} s"))
        posts = posts_topic()
        settings = Settings(bootstrap=up.bootstrap, topics=(posts,), group=GROUP, delay=0.0)
        listener(Step(2, f"create the topics {posts.name}, {SCORED} and {DEAD}: two partitions, three replicas"))
        topics = admin.create_topics(settings, [posts, TopicSettings(SCORED), TopicSettings(DEAD)])
        show(topics)
        client = open_client(settings, listener)
        listener(Step(3, f"start {WORKERS} scorers: one group, and a transaction for all that each writes"))
        with Scorers(settings, (posts.name, SCORED, DEAD), folder, WORKERS, listener) as scorers:
            scorers.wait_until_joined(stop)
            _go_on(stop)
            listener(Step(4, f"publish {Path(str(posts.source)).name}: keyed by page, at the posts' own times"))
            options = ReplayOptions(timestamps="original", rejects_folder=folder)
            replayed = replay(client, make_replay(settings, options), stop=stop, listener=listener)
            streamed = scorers.finish(replayed.acknowledged, stop)
        show(replayed)
        show(streamed)
        listener(Step(5, f"put the scored posts into windows of {WINDOWS_OF} of their own time, page by page"))
        windows, kept = _windows(client, settings, stop, listener)
        mix = page_mixes(windows.rows or ())
        show(windows)
        _go_on(stop)
        listener(Step(6, "compare every post with its source, and every score with one made anew"))
        scored = _read(client, SCORED, stop)
        verification = _verify(client, posts, scored, stop)
        statuses, ranked = _look_at(scored)
        highest, lowest = (ranked[-1], ranked[0]) if ranked else (None, None)
        show(Compared(verification, statuses, highest, lowest))
        counted = {page.page: page.parts for page in mix} == _counted(scored)
        passed = replayed.delivered and verification.exactly_once and counted and not windows.late
        files: tuple[str, ...] = ()
        if keep or to is not None:
            files = _save(to or _make(folder / "results"), kept, mix, scored)
        stays = keep
        return SentimentDemonstration(
            up,
            topics,
            replayed,
            streamed,
            windows,
            mix,
            statuses,
            highest,
            lowest,
            verification,
            passed,
            round(time.monotonic() - began, 2),
            files,
            str(folder) if stays else None,
            cluster.name if stays else None,
        )
    finally:
        if not stays:
            listener(Step(7, "stop the brokers and clean up"))
            clean_up(cluster.name, folder)
        remover.done()


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise Interrupted("interrupted before the verdict")


def _windows(
    client: Client, settings: Settings, stop: threading.Event, listener: Listener
) -> tuple[AggregateResult, Kept]:
    options = AggregateOptions(SCORED, WINDOWS_OF, sentiment=True, time_column="time", exit_at_end=True)
    kept = Kept()
    result = aggregate(client, make_job(settings, options), kept, stop=stop, listener=listener)
    return replace(result, rows=table_rows(kept.rows)), kept


def _verify(
    client: Client, posts: TopicSettings, scored: Sequence[ConsumedRecord], stop: threading.Event
) -> ScoredOnce:
    from sensorstream.sentiment.transform import make

    route = Route(posts.name, posts.partitions, SCORED, posts.partitions, DEAD, posts.partitions)
    lines = Path(str(posts.source)).read_bytes().splitlines()
    return check_scored(
        lines, _read(client, posts.name, stop), scored, _read(client, DEAD, stop), RecordTransformer(make({}), route)
    )


def _read(client: Client, topic: str, stop: threading.Event) -> list[ConsumedRecord]:
    """All records of a topic as it is, each partition's in order."""
    found: list[ConsumedRecord] = []
    deadline = time.monotonic() + READ_S
    with client.reader() as reader:
        parts = [TopicPartition(topic, number) for number in range(reader.partitions_for(topic))]
        ends = reader.end_offsets(parts)
        reader.assign(reader.beginning_offsets(parts))
        while any(reader.position(tp) < ends[tp] for tp in parts):
            _go_on(stop)
            if time.monotonic() > deadline:
                raise SensorstreamError(f"{topic} could not be read to its end within {READ_S:g} s")
            for records in reader.poll(0.5).values():
                found += records
    return found


def _look_at(scored: Sequence[ConsumedRecord]) -> tuple[dict[str, int], list[RankedPost]]:
    """How many have which status, and those with a score, the lowest first."""
    rows = [decode(record.value) for record in scored if record.value is not None]
    statuses = Counter(str(row.get("status")) for row in rows)
    ranked = [_post(row) for row in rows if row.get("compound") is not None]
    return dict(statuses.most_common()), sorted(ranked, key=lambda post: (post.compound, post.id))


def _counted(scored: Sequence[ConsumedRecord]) -> dict[str, tuple[int, ...]]:
    """What the mix must be: the labels of each page, counted post by post and not window by window."""
    labels: dict[str, Counter[object]] = {}
    for record in scored:
        row = decode(record.value or b"{}")
        labels.setdefault(str(row.get("page")), Counter())[row.get("label")] += 1
    return {page: tuple(found[label] for label in (*reversed(LABELS), None)) for page, found in labels.items()}


def _post(row: Row) -> RankedPost:
    text = " ".join(str(row.get("text")).split())
    return RankedPost(str(row.get("id")), str(row.get("page")), float(str(row["compound"])), text[:_SHOWN_TEXT])


def _make(folder: Path) -> Path:
    try:
        make_folder(folder)
    except OSError as error:
        raise SinkError(f"{folder} can't be made: {error.strerror}", hint="name another folder with --to") from error
    return folder


def _save(folder: Path, kept: Kept, mix: Sequence[PageMix], scored: Sequence[ConsumedRecord]) -> tuple[str, ...]:
    """Write the scored posts, the windows and the picture. Raises SinkError."""
    in_order = sorted(scored, key=lambda record: (record.timestamp_ms, record.partition, record.offset))
    table = [kept.columns, *([to_cell(row[name]) for name in kept.columns] for row in kept.rows)]
    files = {
        "scored.jsonl": b"".join((record.value or b"") + b"\n" for record in in_order),
        "windows.csv": csv_text(table).encode(),
        "mix.svg": as_svg(mix, "What the town wrote: the posts of each page").encode(),
    }
    try:
        for name, data in files.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise SinkError(f"{error.filename} can't be written: {error.strerror}", hint="name another --to") from error
    return tuple(str(folder / name) for name in files)
