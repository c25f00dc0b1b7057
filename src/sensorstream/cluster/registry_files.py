"""Station 5: the program of the schema registry, Apicurio Registry: fetched and verified as Kafka's jars are, unpacked.

The archive is pinned by SHA-256. It is unpacked once into the cache, beside the jars; of each file size and
modification time are noted, and looked at before every use: what was changed is unpacked anew.
"""

import json
import os
import shutil
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from sensorstream.cluster.artifacts import Jar, fetch_files
from sensorstream.errors import ArtifactError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.state_folder import cache_folder

ARCHIVE: Final = Jar(
    "io.apicurio:apicurio-registry-app:2.6.13.Final",
    "3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba",
    142198683,
    classifier="all",
    ending="tar.gz",
)
VERSION: Final = ARCHIVE.coordinate.rpartition(":")[2]
RUNNER: Final = f"apicurio-registry-app-{VERSION}-runner.jar"
_NOTE: Final = "unpacked.json"


def fetch_registry(*, offline: bool = False, listener: Listener = ignore, stop: threading.Event | None = None) -> Path:
    """The folder of the unpacked program. Raises ArtifactError, Interrupted."""
    folder = cache_folder() / "schema-registry" / f"{VERSION}-{ARCHIVE.sha256[:12]}"
    if _is_whole(folder):
        return folder
    (archive,) = fetch_files(
        [ARCHIVE],
        f"Apicurio Registry {VERSION}",
        "sensorstream cluster up --schema-registry",
        offline=offline,
        listener=listener,
        stop=stop,
    )
    listener(Notice(f"unpacking Apicurio Registry {VERSION}", "debug"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder.parent) as incoming:
            fresh = Path(incoming) / "registry"
            with tarfile.open(archive) as packed:
                packed.extractall(fresh, filter="data")
            (fresh / _NOTE).write_text(json.dumps(_seen(fresh)), encoding="utf-8")
            if _is_whole(folder):
                return folder  # another process was faster
            shutil.rmtree(folder, ignore_errors=True)
            fresh.replace(folder)
    except (OSError, tarfile.TarError) as error:
        if _is_whole(folder):
            return folder
        reason = error.strerror if isinstance(error, OSError) else None
        raise ArtifactError(
            f"{archive.name} can't be unpacked in {folder.parent}: {reason or error}",
            hint="see that there is room for 150 MB, or set SENSORSTREAM_CACHE_DIR to another folder",
        ) from error
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / _NOTE).read_text(encoding="utf-8")) == _seen(folder))
    except (OSError, ValueError):
        return False


def _seen(folder: Path) -> dict[str, Any]:
    """Size and modification time of every file in there."""
    found: dict[str, Any] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            file = Path(path) / name
            if name != _NOTE:
                stat = file.stat()
                found[str(file.relative_to(folder))] = [stat.st_size, stat.st_mtime_ns]
    return found
