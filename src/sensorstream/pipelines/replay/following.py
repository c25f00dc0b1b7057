"""Stations 1-4: which sources are followed, and which can't be."""

import stat
from pathlib import Path

from sensorstream.config import Settings, TopicSettings
from sensorstream.errors import UsageError
from sensorstream.pipelines.replay.spec import Follow
from sensorstream.sources.compressed import is_compressed
from sensorstream.sources.followed import check_encoding
from sensorstream.sources.several import is_pattern


def follow_of(
    path: str, known: TopicSettings, *, follow: bool | None, timeout: float | None, loop: bool, encoding: str, kind: str
) -> Follow | None:
    """How a source is followed; None: not at all. ``follow`` and ``timeout`` (in seconds) were given for all sources.

    ``kind`` is its format.
    Raises UsageError for one that can't be.
    """
    if not (known.follow if follow is None else follow):
        return None
    if loop:
        raise UsageError("--loop and --follow can't be used together: a source that is followed has no end")
    if path == "-":
        raise UsageError(
            "--follow can't be used with stdin", hint="leave it out: rows from a pipe are published as they arrive"
        )
    if is_compressed(path) or kind not in ("csv", "tsv", "jsonl", "text"):
        why = "it is one JSON text" if kind == "json" else f"the plug-in {kind} reads it"
        raise UsageError(
            f"--follow can't be used with {path}: " + ("it is compressed" if is_compressed(path) else why),
            hint="follow the file that is written; lines of JSON are --source-format jsonl",
        )
    if is_pattern(path):
        raise UsageError(f"--follow can't be used with {path}: it stands for several files", hint="name the file")
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        pass  # it is waited for, or the source itself says what is wrong with it
    else:
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UsageError(
                f"--follow can't be used with {path}, which is no file",
                hint="leave it out: rows from a pipe are published as they arrive",
            )
    check_encoding(path, encoding)
    return Follow(known.timeout if timeout is None else timeout)


def check_timeout(timeout: float | None) -> None:
    """Raises UsageError for a ``--timeout`` that can't be."""
    if timeout is not None and not 0 <= timeout < float("inf"):
        raise UsageError(f"--timeout {timeout:g} is not a number of seconds of 0 or more")


def own_delay(settings: Settings) -> float:
    """The delay between the rows of a source that is followed: none, unless somebody has asked for one."""
    return settings.delay if "delay" in settings.origins else 0.0
