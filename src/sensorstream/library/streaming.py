"""``stream``: transform one topic into another, exactly once."""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sensorstream.events import Listener, ignore
from sensorstream.library.connection import Servers, settings_for

if TYPE_CHECKING:
    from sensorstream.pipelines.stream.job import StreamResult


def stream(
    source: str,
    target: str,
    transforms: Sequence[str],
    *,
    bootstrap: Servers,
    transform_options: Mapping[str, str] | None = None,
    group: str | None = None,
    create: bool = True,
    until_end: bool = True,
    count: int | None = None,
    timeout_s: float | None = None,
    client: str = "auto",
    properties: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
    listener: Listener = ignore,
) -> "StreamResult":
    """Publish to ``target`` what the transforms make of each record of ``source``, exactly once.

    Transforms are named as for ``sensorstream stream``: select, rename, filter, round, score, or a plug-in. It goes on
    where the group (default: one of its own, ``SOURCE_to_TARGET``) has committed, and ends as :func:`capture` does.

    Raises UsageError, UnknownTopic, ClusterUnreachable, CredentialsRefused, NotAllowed, Fenced.
    """
    from sensorstream.clients import check_publishing
    from sensorstream.pipelines.stream.plan import StreamOptions, default_group, run
    from sensorstream.transforms.load import open_chain

    settings = settings_for(bootstrap, client, properties, group=group or default_group(source, target), topics=())
    check_publishing(settings, listener, exactly_once=True)
    options = [f"{key}={value}" for key, value in (transform_options or {}).items()]
    return run(
        settings,
        StreamOptions(source, target, exit_at_end=until_end, count=count, timeout=timeout_s, create=create),
        lambda: open_chain(list(transforms), options),
        (),
        stop=stop or threading.Event(),
        listener=listener,
    )
