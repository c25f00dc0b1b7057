"""Stations 6-8-4: from the user's options to a stream with a transactional id, checked before anything starts."""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from sensorstream import admin
from sensorstream.clients import open_client, refusals
from sensorstream.clients.base import GROUP_SESSION_MS
from sensorstream.clients.sizes import RECORD_LIMIT
from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import BrokerError, SensorstreamError, UnknownTopic, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.pipelines.stream.job import BATCH_ROWS, COMMIT_EVERY_S, StreamJob, StreamResult
from sensorstream.pipelines.stream.stream import stream
from sensorstream.pipelines.stream.worker_slot import WorkerSlot, check_instance, default_instance, take_slot
from sensorstream.records import ConsumedRecord, check_topic_name
from sensorstream.transforms.base import Transform, get_ready
from sensorstream.wording import counted

DEAD_ENDING: Final = "_DEAD"


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The options of ``stream``, as they were given. ``timeout`` and ``commit_every`` are seconds.

    ``plain`` names the column for records that are plain text; ``create`` makes the target when it is missing;
    ``arrived`` is given the records at once when they have been read, in one process only.
    """

    source: str
    target: str
    dead_letters: str | None = None
    instance: str | None = None
    plain: str | None = None
    exit_at_end: bool = False
    count: int | None = None
    timeout: float | None = None
    commit_every: float = COMMIT_EVERY_S
    batch_rows: int = BATCH_ROWS
    workers: int = 1
    create: bool = False
    arrived: Callable[[Iterable[ConsumedRecord]], None] | None = None

    @property
    def dead(self) -> str:
        """The topic of the dead letters."""
        return self.dead_letters or self.target + DEAD_ENDING


def default_group(source: str, target: str) -> str:
    """The group of a stream that was given none: nobody else's, be it a capture's or another stream's.

    A group's committed offsets say where a stream goes on; with those of somebody else it would leave records out.
    """
    return f"{source}_to_{target}"


def check(options: StreamOptions) -> StreamOptions:
    """``options`` themselves, when they make sense. Raises UsageError."""
    for topic in (options.source, options.target, options.dead):
        check_topic_name(topic)
    if options.source == options.target:
        raise UsageError(
            f"--from and --to are both {options.source}: it would read its own output forever",
            hint="give another --to",
        )
    if options.dead in (options.source, options.target):
        raise UsageError(f"--dead-letters {options.dead} is the source or target topic", hint="give another name")
    if options.timeout is not None and not 0 < options.timeout < float("inf"):
        raise UsageError(f"--timeout {options.timeout:g} is no time", hint="it is seconds, more than 0")
    if not 0 <= options.commit_every <= 30:
        raise UsageError(
            f"--commit-every {options.commit_every:g} is no time for it", hint="it is seconds, from 0 to 30"
        )
    if options.workers > 1 and options.count is not None:
        raise UsageError(
            "-c counts the records of one worker, so it can't be used with --workers", hint="leave one of them out"
        )
    if options.workers > 1 and options.arrived is not None:
        raise UsageError(
            "--latency is measured in one process, so it can't be used with --workers", hint="leave one of them out"
        )
    if options.instance is not None:
        check_instance(options.instance)
    return options


def make_topics(settings: Settings, options: StreamOptions, listener: Listener = ignore) -> int:
    """Make the topics that are missing, with the partitions and replicas of the one they follow.

    The dead letters' topic follows the target, the target (where it may be made) the source. Which are to be made, and
    what for, is told first. Gives the number of the source's partitions. Raises UnknownTopic.
    """
    known = {topic.name: topic for topic in admin.list_topics(settings, listener=listener).topics}
    source = known.get(options.source)
    if source is None:
        raise _missing(settings, options.source, known, listener)
    target = known.get(options.target, source)
    if options.target not in known and not options.create:
        missing = _missing(settings, options.target, known, listener)
        missing.hint = f"{missing.hint}; or make it with --create"
        raise missing
    uses = {options.target: "", options.dead: " (for records that can't be used)"}
    missing_ones = [name for name in uses if name not in known]
    size = f"{counted(target.partitions, 'partition')}, {counted(target.replication_factor, 'replica')}"
    if missing_ones:
        told = " and ".join(f"{name}{uses[name]}" for name in missing_ones)
        listener(Notice(f"creating topic{'s' * (len(missing_ones) > 1)} {told}: {size}"))
    for name in missing_ones:
        made = TopicSettings(name, target.partitions, target.replication_factor)
        admin.create_topics(settings, [made], listener=listener)
        listener(Notice(f"created topic {name}: {size}"))
    return source.partitions


def _missing(settings: Settings, topic: str, known: Iterable[str], listener: Listener) -> UnknownTopic:
    """That the topic is not there. Raises NotAllowed where this user may not know that."""
    with suppress(UnknownTopic):
        admin.describe_topics(settings, [topic], listener=listener)
    return refusals.unknown_topic(topic, known)


def run(
    settings: Settings,
    options: StreamOptions,
    make_transform: Callable[[], Transform],
    worker: Sequence[str],
    *,
    stop: threading.Event,
    listener: Listener = ignore,
) -> StreamResult:
    """Check, make the topics that may be made, and stream: in this process, or in ``options.workers`` of them.

    ``worker`` are the arguments that make this program one such worker. Raises UsageError, UnknownTopic, and what
    :func:`~sensorstream.pipelines.stream.stream.stream` raises.
    """
    check(options)
    transform = make_transform()  # so that a wrong option is told before anything is connected
    if options.workers == 1:
        get_ready(transform)
    partitions = make_topics(settings, options, listener)
    if options.workers == 1:
        return run_worker(settings, options, lambda: transform, stop=stop, listener=listener)
    if options.workers > partitions:
        listener(
            Notice(
                f"{options.source} has {counted(partitions, 'partition')}: only so many of the {options.workers} "
                "workers are busy"
            )
        )
    from sensorstream.pipelines.stream.workers import run_workers

    names = (options.source, options.target, options.dead, settings.group)
    nothing = StreamResult(*names, "stopped", 0, 0, 0, 0, 0, ())
    return run_workers(options.workers, worker, nothing, stop, listener)


def run_worker(
    settings: Settings,
    options: StreamOptions,
    make_transform: Callable[[], Transform],
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> StreamResult:
    """Stream in this process, under a slot of its own, until ``stop`` is set or the options' end is reached.

    The topics must exist. Raises what :func:`~sensorstream.pipelines.stream.stream.stream` raises.
    """
    cluster_id = admin.describe_cluster(settings, listener=listener).cluster_id or ",".join(settings.bootstrap)
    with take_slot(cluster_id, settings.group, options.instance or default_instance()) as slot:
        listener(Notice(f"group {settings.group}, transactional id {slot.transactional_id}", "debug"))
        limit, dead_limit = (_limit_of(settings, topic) for topic in (options.target, options.dead))
        job = StreamJob(
            source=options.source,
            target=options.target,
            dead_letters=options.dead,
            group=settings.group,
            transactional_id=slot.transactional_id,
            client_id=slot.client_id,
            plain=options.plain,
            stop_at_end=options.exit_at_end,
            count=options.count,
            idle_timeout_s=options.timeout,
            batch_rows=options.batch_rows,
            commit_every_s=options.commit_every,
            target_limit=limit,
            dead_limit=dead_limit,
            arrived=options.arrived,
        )
        _clear(settings, slot, listener)
        settings = _as_member(settings)
        for known in (limit, dead_limit):
            if known is not None:
                settings = _within(settings, known)
        return stream(open_client(settings, listener), job, make_transform, stop=stop, listener=listener)


def _as_member(settings: Settings) -> Settings:
    """Without a name in the group that its workers would have to share."""
    left = {name: given for name, given in settings.properties.items() if name != "group.instance.id"}
    return replace(settings, properties=left)


def _limit_of(settings: Settings, topic: str) -> int | None:
    """The topic's ``max.message.bytes``, where it is below the client's own limit, and this user may know it."""
    try:
        told = admin.topic_config(settings, topic, "max.message.bytes")
    except BrokerError:
        return None
    ours = int(str(settings.properties.get("max.request.size", RECORD_LIMIT)))
    return None if told is None or int(told) >= ours else int(told)


def _within(settings: Settings, limit: int) -> Settings:
    """With batches that such a topic takes: the brokers hold its limit against a whole batch, and refuse it whole."""
    if limit >= RECORD_LIMIT:
        return settings
    size = min(limit, int(str(settings.properties.get("batch.size", limit))))
    return replace(settings, properties={**settings.properties, "batch.size": str(size)})


def _clear(settings: Settings, slot: WorkerSlot, listener: Listener) -> None:
    """Take one out of the group that was killed in this slot and is still waited for."""
    try:
        if admin.remove_members(settings, slot.group, slot.client_id):
            listener(Notice(f"removed {slot.client_id} from group {slot.group}: it was killed", "debug"))
    except SensorstreamError as error:
        wait = f"the group waits {GROUP_SESSION_MS // 1000} s for one that was killed"
        listener(Notice(f"{wait}: {error.message}", "debug"))
