"""``replay``: publish the rows of files."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sensorstream.events import Listener, ignore
from sensorstream.library.connection import Servers, settings_for

if TYPE_CHECKING:
    from sensorstream.pipelines.replay.spec import ReplayResult


def replay(
    sources: Mapping[str, str | Path],
    *,
    bootstrap: Servers,
    delay_s: float = 0.0,
    rate: float | None = None,
    speed: float | None = None,
    limit: int | None = None,
    threads: int = 3,
    partition_by: str | None = None,
    key: str | None = None,
    time_column: str | None = None,
    timestamps: Literal["now", "original"] = "now",
    exactly_once: bool = False,
    job: str | None = None,
    restart: bool = False,
    rejects_folder: str | Path = ".",
    client: str = "auto",
    properties: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> "ReplayResult":
    """Publish the rows of each file to its topic (``{"AIR": "AIR2308.csv"}``) and check each delivery.

    The topics must exist. ``delay_s`` is the time between two rows of a source, ``rate`` rows a second, ``speed`` the
    recording's own pace times this; the other options are those of ``sensorstream produce``. Setting ``stop`` ends it
    cleanly. The result's ``delivered`` says whether every row was acknowledged.

    Raises UsageError, SourceError, UnknownTopic, ClusterUnreachable, CredentialsRefused, NotAllowed.
    """
    from sensorstream.clients import check_publishing, open_client
    from sensorstream.pipelines.replay.job import ReplayOptions, client_settings, make_job
    from sensorstream.pipelines.replay.replay import replay as run
    from sensorstream.pipelines.replay.values import with_values

    settings = settings_for(
        bootstrap, client, properties, thread=threads, delay=delay_s, exactly_once=exactly_once, topics=()
    )
    wanted = ReplayOptions(
        sources=tuple(f"{topic}={path}" for topic, path in sources.items()),
        rate=rate,
        speed=speed,
        limit=limit,
        partition_by=partition_by,
        key=key,
        time_column=time_column,
        timestamps=timestamps,
        job=job,
        restart=restart,
        rejects_folder=Path(rejects_folder),
    )
    check_publishing(settings, listener, exactly_once=exactly_once)
    opened = open_client(client_settings(settings, wanted), listener)
    wanted = with_values(opened, settings, wanted, listener)
    return run(opened, make_job(settings, wanted, listener), stop=stop or threading.Event(), listener=listener)
