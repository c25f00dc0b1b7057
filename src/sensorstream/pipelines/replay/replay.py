"""Stations 1-4: publish the rows of source files, each source in its own order and at its own pace.

Threads share the sources: whoever is free takes the source that is due next, publishes what is due, checks what has
been acknowledged, and puts it back. A source is in one thread's hands at a time, so its rows stay in order.
"""

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Final

from sensorstream.clients.base import Client
from sensorstream.clients.causes import Waited
from sensorstream.clients.waiting import Open, Waiting
from sensorstream.errors import UsageError
from sensorstream.events import Listener, ignore
from sensorstream.pipelines.replay.exactly_once_replay import ExactlyOnceReplay
from sensorstream.pipelines.replay.followed_replay import replay_for
from sensorstream.pipelines.replay.job_identity import this_run
from sensorstream.pipelines.replay.job_log import open_log
from sensorstream.pipelines.replay.local_checks import check_local
from sensorstream.pipelines.replay.spec import Begin, ReplayJob, ReplayResult
from sensorstream.pipelines.replay.threads import ReplayThreads
from sensorstream.records import TopicPartition

FLUSH_S: Final = 30.0
"""How long a stopped job waits for the answers to what it has sent."""
_OPENED_AT_ONCE: Final = 8


def replay(
    client: Client,
    job: ReplayJob,
    *,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
    when_open: Callable[[], None] = lambda: None,
) -> ReplayResult:
    """Publish all sources; return when they have ended or ``stop`` is set, with every outcome known.

    ``when_open`` is called when all sources are open, before the first row is sent. Raises, before that, SourceError,
    UnknownTopic, UsageError and ClusterUnreachable. What goes wrong later is in the result.
    """
    if job.threads < 1:
        raise UsageError(f"--thread {job.threads} is too few", hint="it is a whole number of 1 or more")
    stop = stop or threading.Event()
    check_local(job)
    if job.exactly_once:
        return _replay_exactly_once(client, job, stop, listener, when_open)
    with client.publisher(listener=listener) as publisher:
        topics = list(dict.fromkeys(source.topic for source in job.sources))
        with Waiting(client.causes, lambda: [Open("the topics", None, Waited(tuple(topics)))], listener):
            partitions = publisher.partitions_of(topics)
        made = [
            replay_for(source.rules)(
                source.topic,
                source.make_source,
                Begin(source.first_row),
                source.rules,
                rejected=source.rejected,
                publisher=publisher,
                partitions=partitions[source.topic],
                listener=listener,
                loop=job.loop,
                log_rows=job.log_rows,
            )
            for source in job.sources
        ]
        with ReplayThreads(client, made, job.threads, listener, settle=lambda: publisher.flush(FLUSH_S)) as threads:
            return threads.run(stop, when_open)


def _replay_exactly_once(
    client: Client, job: ReplayJob, stop: threading.Event, listener: Listener, when_open: Callable[[], None]
) -> ReplayResult:
    run = this_run()
    with closing(open_log(client, job.make_jobs_topic, listener)) as log:
        made = [
            ExactlyOnceReplay(
                source,
                source.once,
                client=client,
                log=log,
                run=run,
                restart=job.restart,
                listener=listener,
                loop=job.loop,
                log_rows=job.log_rows,
            )
            for source in job.sources
            if source.once is not None
        ]
        with ReplayThreads(client, made, job.threads, listener, at_once=_OPENED_AT_ONCE) as threads:
            result = threads.run(stop, when_open)
        ends: dict[TopicPartition, int] = {}
        for source in made:
            ends |= source.ends
        if ends and not result.problem:
            log.wait_until_seen(ends)
    return result
