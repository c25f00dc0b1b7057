"""Station 5: the stored state of each named cluster, and a lock against concurrent changes.

    <state>/clusters/<name>/state.json     ports, pids, where the data is
    <state>/clusters/<name>/lock           held by a command that starts or stops nodes
    <state>/clusters/<name>/broker-N/      generated configuration and logs of a node
    <data>/cluster.json                    what the data was formatted as; lives with the data
    <data>/broker-N/                       the logs of the topics

``<state>`` is ``SENSORSTREAM_STATE_DIR`` or the user's state folder; ``<data>`` is ``<state>/clusters/<name>/data``
unless ``--data-dir`` says otherwise.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from sensorstream.errors import Interrupted, LocalClusterError, UsageError
from sensorstream.own_files import make_folder, write_whole
from sensorstream.state_folder import state_folder

DEFAULT_NAME: Final = "default"
Mode: TypeAlias = Literal["kraft", "zookeeper"]
"""Who keeps what a cluster knows of itself: the nodes themselves (KRaft), or a ZooKeeper beside them."""
ID_TO_COME: Final = ""
"""In place of a cluster's id until the first broker has made it, as it does with ZooKeeper."""
MODE_NAMES: Final[dict[Mode, str]] = {"kraft": "KRaft", "zookeeper": "ZooKeeper"}
SECRETS: Final = "secure"
"""The folder, in that of the data, with the certificates and passwords of a secured cluster."""
_LOCK_WAIT_S: Final = 120.0


def cluster_folder(name: str) -> Path:
    """The folder of a named cluster. Raises UsageError when the name can't be a folder's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise UsageError(
            f"{name!r} can't be a cluster's name", hint="use letters, digits, '.', '_' and '-', at most 64"
        )
    return state_folder() / "clusters" / name


def cluster_names() -> tuple[str, ...]:
    """The clusters that are remembered, running or not."""
    return tuple(sorted(path.parent.name for path in (state_folder() / "clusters").glob("*/state.json")))


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A node's process; ``started`` (seconds since 1970) tells it from another that was given its pid later."""

    pid: int
    started: float


@dataclass(slots=True)
class ClusterState:
    """What is remembered of a cluster: ports by node id, and the processes that were started."""

    data_dir: str
    ports: dict[int, int]
    controller_ports: dict[int, int]
    processes: dict[int, NodeProcess] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Formatted:
    """What a data folder was formatted as. ``complete`` is False while it is being formatted.

    With ZooKeeper nothing is formatted, and the first broker makes the cluster's id: until then it is ``ID_TO_COME``.
    ``secure`` and ``acl`` are how it is secured. ``brokers`` is how many there were then; ``ids`` are those there are
    now, where some were added or removed since.
    """

    name: str
    cluster_id: str
    kafka_version: str
    brokers: int
    complete: bool
    mode: Mode = "kraft"
    secure: str | None = None
    acl: bool = False
    ids: tuple[int, ...] = ()

    @property
    def broker_ids(self) -> tuple[int, ...]:
        """The numbers of the cluster's brokers."""
        return self.ids or self.first_ids

    @property
    def first_ids(self) -> tuple[int, ...]:
        """Those that the data was formatted with; with KRaft they are the voters of the quorum, for good."""
        return tuple(range(1, self.brokers + 1))


def load_state(folder: Path) -> ClusterState | None:
    """The remembered state, or None when this cluster was never started."""
    content = _read(folder / "state.json")
    if content is None:
        return None
    try:
        return ClusterState(
            data_dir=str(content["data_dir"]),
            ports={int(node): int(port) for node, port in content["ports"].items()},
            controller_ports={int(node): int(port) for node, port in content["controller_ports"].items()},
            processes={int(node): NodeProcess(**process) for node, process in content["processes"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(folder / "state.json", "it lacks a field") from error


def save_state(folder: Path, state: ClusterState) -> None:
    """Write the state so that a reader sees the old one or the new one."""
    write_json(folder / "state.json", asdict(state))


def delete_data(data: Path) -> None:
    """Delete what a cluster has written into its data folder, and nothing else that is in there."""
    for folder in (*data.glob("broker-*"), data / SECRETS):
        shutil.rmtree(folder, ignore_errors=True)
    (data / "cluster.json").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        data.rmdir()


def load_formatted(data_dir: Path) -> Formatted | None:
    """What a data folder was formatted as, or None when it is not one of ours."""
    content = _read(data_dir / "cluster.json")
    if content is None:
        return None
    try:
        return Formatted(**{**content, "ids": tuple(int(one) for one in content.get("ids", ()))})
    except (TypeError, ValueError) as error:
        raise _unreadable(data_dir / "cluster.json", "it lacks a field") from error


def save_formatted(data_dir: Path, formatted: Formatted) -> None:
    """Note in a data folder what it is formatted as."""
    write_json(data_dir / "cluster.json", asdict(formatted))


@contextmanager
def locked(folder: Path, stop: threading.Event | None = None, wait_s: float = _LOCK_WAIT_S) -> Iterator[None]:
    """Hold the cluster's lock; the system lets it go when the process ends, however it ends.

    Raises LocalClusterError when another command holds it for longer than ``wait_s``, or the folder can't be
    made; Interrupted when ``stop`` was set meanwhile.
    """
    stop = stop or threading.Event()
    path = folder / "lock"
    deadline = time.monotonic() + wait_s
    while True:
        try:
            make_folder(folder)
            opened = path.open("a+")
        except OSError as error:
            # The holder before us may delete the folder just now, between two of these steps.
            passing = isinstance(error, FileExistsError | FileNotFoundError) and (
                folder.is_dir() or not folder.exists()
            )
            if passing and time.monotonic() <= deadline and not stop.wait(0.001):
                continue
            raise LocalClusterError(
                f"the state folder {folder} can't be made: {error.strerror}",
                hint="set SENSORSTREAM_STATE_DIR to a folder that can be written",
            ) from error
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise LocalClusterError(
                        f"another command is starting or stopping the cluster {folder.name!r}",
                        hint="wait for it to end, then try again",
                    ) from error
                if stop.wait(0.05):
                    raise Interrupted(
                        "stopped while waiting for another command", hint="nothing was started"
                    ) from error
                continue
            # The holder before us may have deleted the folder, and this file with it: then it locks nothing.
            if _is_there(path, os.fstat(file.fileno()).st_ino):
                yield
                return


def _is_there(path: Path, inode: int) -> bool:
    try:
        return path.stat().st_ino == inode
    except FileNotFoundError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(content, dict):
        raise _unreadable(path, "it is not a JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file so that a reader sees the old content or the new. Raises OSError."""
    make_folder(path.parent)
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def _unreadable(path: Path, reason: str) -> LocalClusterError:
    return LocalClusterError(f"{path} can't be read: {reason}", hint="move it away to start over")
