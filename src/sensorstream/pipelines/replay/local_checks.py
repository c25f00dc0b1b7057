"""Stations 1-3: checks of a replay that need no broker, made before the first connection."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sensorstream.errors import SourceError
from sensorstream.pipelines.replay.followed_replay import replay_for
from sensorstream.pipelines.replay.spec import Begin, ReplayJob, ReplaySource
from sensorstream.sinks.checks import check_file


def check_local(job: ReplayJob) -> None:
    """Refuse sources that are missing, can't be read or have not the columns asked for, and rejected files that can't
    be written.

    A pipe is not opened: that would wait for its writer. Raises SourceError, UsageError, SinkError.
    """
    for source in job.sources:
        _check_source(source, job)
    for source in job.sources:
        check_file(source.rejected, "move it away, or run this in a folder that can be written")


def _check_source(source: ReplaySource, job: ReplayJob) -> None:
    name = source.make_source(0).name
    if name == "stdin":
        return
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if source.rules.follow is not None and path.parent.is_dir():
            return  # it is waited for
    except (OSError, ValueError):
        pass  # opening it says what is wrong with it
    else:
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            if not os.access(path, os.R_OK):
                raise SourceError(f"{name} can't be read: Permission denied", hint="check the path and its permissions")
            return
    replay = replay_for(source.rules)(
        source.topic,
        source.make_source,
        Begin(),
        source.rules,
        rejected=source.rejected,
        publisher=_Nobody(),
        partitions=1,
        listener=lambda _: None,
        loop=job.loop,
        log_rows=False,
    )
    try:
        replay.open()
    finally:
        replay.close()


class _Nobody:
    """In place of a publisher, where nothing is published."""

    def publish(self, topic: str, value: bytes | None, **_: object) -> NoReturn:
        raise AssertionError("nothing is published by a check")

    def publish_batch(self, topic: str, values: Sequence[bytes | str], *, partition: int) -> NoReturn:
        raise AssertionError("nothing is published by a check")
