"""Station 4: a worker's transactional id: the same after a crash, and never shared by two live workers.

A worker takes a *slot*: the first free number of its instance in its group, held by a lock on a file that the system
lets go when the process ends, however it ends. Whoever starts next takes the number of a worker that was killed, and
with it its transactional id: the brokers abort at once what that one left open, and fence it if it was only frozen.
The number names the worker among its group's members, too (``client.id``), so that whoever comes next can take the dead
one out of the group. It is no static membership (KIP-345): there a member whose answer is lost with its coordinator is
taken for a second one, and fenced by itself.

An instance is a name for one machine's one user: by default the host's name and a mark of the state folder in which
the locks are. So two users, or two containers of one name with folders of their own, never fence each other.
"""

import fcntl
import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sensorstream.errors import SensorstreamError, UsageError
from sensorstream.own_files import make_folder, open_own
from sensorstream.state_folder import state_folder


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """A worker's place: number ``number`` of ``instance`` in ``group``."""

    group: str
    instance: str
    number: int

    @property
    def client_id(self) -> str:
        """The worker's name among the members of its group (``client.id``)."""
        return f"sensorstream-{self.instance}-{self.number}"

    @property
    def transactional_id(self) -> str:
        """The id of its transactions."""
        return f"sensorstream-{self.group}-{self.instance}-{self.number}"


def default_instance() -> str:
    """The host's name and a mark of the state folder."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:80] or "host"
    return f"{host}-{hashlib.sha256(str(state_folder()).encode()).hexdigest()[:6]}"


def check_instance(name: str) -> str:
    """``name`` itself, when it can be an instance's. Raises UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
        raise UsageError(f"--instance {name!r} can't be a name", hint="use 1 to 100 letters, digits, '.', '_' and '-'")
    return name


@contextmanager
def take_slot(cluster_id: str, group: str, instance: str) -> Iterator[WorkerSlot]:
    """Hold the first free slot. Raises SensorstreamError when the state folder can't be written."""
    name = hashlib.sha256("\0".join((cluster_id, group, instance)).encode()).hexdigest()[:20]
    folder = state_folder() / "streams" / name
    try:
        make_folder(folder)
        file, number = _lock(folder)
    except OSError as error:
        raise SensorstreamError(
            f"the state folder {folder} can't be written: {error.strerror or error}",
            hint="set SENSORSTREAM_STATE_DIR to a folder that can be written",
        ) from error
    with file:
        slot = WorkerSlot(group, instance, number)
        # For people who wonder whose lock it is; the lock itself is the system's.
        with suppress(OSError):
            json.dump({"cluster": cluster_id, "member": slot.client_id, "group": group, "pid": os.getpid()}, file)
            file.flush()
        yield slot


def _lock(folder: Path) -> tuple[TextIO, int]:
    """The first lock that nobody has, emptied, and its number. Raises OSError."""
    number = 0
    while True:
        file = os.fdopen(open_own(folder / f"{number}.lock", os.O_RDWR | os.O_APPEND), "a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
        except BlockingIOError:
            file.close()
        except BaseException:
            file.close()
            raise
        else:
            return file, number
        number += 1
