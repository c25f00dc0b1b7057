"""The folders that the program keeps, and the Kafka that it has downloaded."""

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from sensorstream.cluster import artifacts
from sensorstream.doctor.results import Check, State
from sensorstream.state_folder import cache_folder, state_folder

_LITTLE: Final = 1 << 30
_NOTHING: Final = 100 << 20
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def check_folders() -> list[Check]:
    """Whether the folders of state and of downloads can be used, are their owner's, and have room."""
    return [
        _folder("state folder", state_folder(), "SENSORSTREAM_STATE_DIR"),
        _folder("cache folder", cache_folder(), "SENSORSTREAM_CACHE_DIR"),
    ]


def _folder(name: str, folder: Path, variable: str) -> Check:
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    another = f"set {variable} to a folder of yours"
    if not there.is_dir():
        return Check("machine", name, None, "problem", f"{folder}: {there} is a file", another)
    try:
        with tempfile.TemporaryDirectory(prefix=".sensorstream-doctor-", dir=there):
            pass
    except OSError as error:
        found = f"{folder} can't be written: {error.strerror or error}"
        return Check("machine", name, None, "problem", found, another)
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / 1e9:.1f} GB free" + ("" if there == folder else "; it is made when it is needed")
    state: State = "problem" if free < _NOTHING else "warning" if free < _LITTLE else "ok"
    if state != "ok":
        return Check("machine", name, None, state, found, f"make room, or {another}")
    return _modes(name, folder, found) if there == folder else Check("machine", name, None, "ok", found)


def _modes(name: str, folder: Path, found: str) -> Check:
    known = folder.stat()
    if known.st_uid != os.geteuid():
        found += "; it belongs to another user"
        advice = "commands once run with sudo make such folders: chown it back, and run them as yourself"
        return Check("machine", name, None, "warning", found, advice)
    if known.st_mode & _OTHERS_MAY_WRITE and not known.st_mode & stat.S_ISVTX:
        found += f"; others may change what is in it (mode {stat.S_IMODE(known.st_mode):04o})"
        return Check("machine", name, None, "warning", found, f"chmod go-w {folder}")
    return Check("machine", name, None, "ok", found)


def check_kafka() -> Check:
    """Which versions of Kafka are in the cache, and which of their files are damaged."""
    cached = artifacts.look_at_cache()
    if cached.damaged:
        more = f" and {len(cached.damaged) - 1} more" if len(cached.damaged) > 1 else ""
        found = f"damaged in the cache: {cached.damaged[0]}{more}"
        advice = "sensorstream cluster up fetches it again, with a network and without --offline"
        return Check("machine", "kafka", None, "warning", found, advice)
    found = f"in the cache: {', '.join(cached.versions) or 'none'}"
    if artifacts.DEFAULT_VERSION in cached.versions:
        return Check("machine", "kafka", None, "ok", found)
    found += f"; {artifacts.DEFAULT_VERSION} is downloaded by the first cluster up (about 45 MB)"
    return Check("machine", "kafka", None, "ok", found)
