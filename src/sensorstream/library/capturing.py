"""``capture``: store the records of a topic, each once."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sensorstream.events import Listener, ignore
from sensorstream.library.connection import Servers, settings_for

if TYPE_CHECKING:
    from sensorstream.pipelines.capture.spec import CaptureResult


def capture(
    topic: str,
    to: str | Path,
    *,
    bootstrap: Servers,
    partitions: Sequence[int] | None = None,
    group: str | None = None,
    offset: str | None = None,
    until_end: bool = True,
    count: int | None = None,
    timeout_s: float | None = None,
    fields: Sequence[str] = (),
    transforms: Sequence[str] = (),
    transform_options: Mapping[str, str] | None = None,
    client: str = "auto",
    properties: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> "CaptureResult":
    """Store each record of a topic exactly once in ``to``: a folder, or a file (.csv, .jsonl, .sqlite, .parquet).

    A capture into files that are there goes on where they end. ``partitions`` None: all of them; with a ``group`` and
    no partitions its members share them. With ``until_end`` it stops at the end of the partitions as it is at the
    start; else at ``count`` records, after ``timeout_s`` seconds without one, or when ``stop`` is set. ``fields`` adds
    columns of the record itself: ``key``, ``timestamp``, ``offset``, ``partition``, ``headers``.

    Raises UsageError, SinkError, UnknownTopic, OffsetOutOfRange, ClusterUnreachable, CredentialsRefused, NotAllowed.
    """
    from sensorstream import admin
    from sensorstream.clients import open_client
    from sensorstream.config import DEFAULT_GROUP
    from sensorstream.pipelines.capture.capture import capture as run
    from sensorstream.pipelines.capture.job import CaptureOptions, make_job

    settings = settings_for(bootstrap, client, properties, group=group or DEFAULT_GROUP, topics=())
    chosen = tuple(partitions or ())
    if not chosen and group is None:
        described = admin.describe_topics(settings, [topic], listener=listener).topics[0]
        chosen = tuple(one.partition for one in described.partitions)
    plan = make_job(
        settings,
        CaptureOptions(
            topic=topic,
            partitions=chosen,
            group_given=group is not None,
            offset=offset,
            exit_at_end=until_end,
            count=count,
            timeout=timeout_s,
            to=str(to),
            with_=",".join(fields) or None,
            transforms=tuple(transforms),
            transform_settings=tuple(f"{key}={value}" for key, value in (transform_options or {}).items()),
            log_rows=False,
        ),
        listener,
    )
    opened = open_client(settings, listener)
    return run(opened, plan.job, plan.make_sink, stop=stop or threading.Event(), listener=listener)
