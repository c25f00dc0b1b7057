"""Station 5: one Kafka node in a Java process: configured, started, watched, stopped.

A node outlives the command that started it (it has a session of its own). It is found again by its pid and the mark
on its command line, so a process that the system has given the same pid later is never touched.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.preflight import NODE_MARK
from sensorstream.cluster.secure.private_files import write_private
from sensorstream.cluster.state import NodeProcess
from sensorstream.own_files import make_folder

if TYPE_CHECKING:
    import psutil

_POLL_S: Final = 0.02

_children: list[subprocess.Popen[bytes]] = []
"""Nodes started by this very process: it must collect them when they end, or they stay as zombies."""


class Node:
    """One node of a cluster: its folder for configuration and logs, and its process once it has one."""

    def __init__(self, node_id: int, folder: Path, data: Path) -> None:
        self.node_id = node_id
        self.folder = folder
        self.data = data
        self.log_file = folder / f"{folder.name}.log"
        self.output_file = folder / f"{folder.name}.out"
        self.properties_file = folder / "server.properties"

    def configure(self, server_properties: str, logging: tuple[str, str]) -> None:
        """Write the node's configuration files."""
        make_folder(self.folder)
        write_private(self.properties_file, server_properties)
        name, text = logging
        (self.folder / name).write_text(text, encoding="utf-8")
        self.logging_file = self.folder / name

    def start(self, launch: Launch, main: str = "kafka.Kafka", heap_mb: int = 256) -> NodeProcess:
        """Start the broker, detached; it is not ready yet. Returns its pid and start time."""
        if self.log_file.exists():
            self.log_file.replace(self.log_file.with_name(f"{self.log_file.name}.before"))
        words = launch.command(self.folder, [main, str(self.properties_file)], self.logging_file, heap_mb)
        with self.output_file.open("wb") as output:
            child = spawn_java(words, output.fileno(), self.folder)
        return process_of(child.pid)

    def last_error(self) -> str:
        """The last thing the node complained of, in one line; empty when it did not say."""
        lines: list[str] = []
        for path in (self.output_file, self.log_file):
            with contextlib.suppress(OSError):
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
        for mark in (" FATAL ", " ERROR ", "Error", "Exception"):
            hits = [number for number, line in enumerate(lines) if mark in line]
            if hits:
                return _one_line(lines, hits[-1])
        return lines[-1].strip()[:300] if lines else ""


def process_of(pid: int) -> NodeProcess:
    """What to remember of a process that was just started."""
    import psutil

    try:
        return NodeProcess(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return NodeProcess(pid, 0.0)


def running(process: NodeProcess | None, folder: Path) -> "psutil.Process | None":
    """The live process that is this node, or None when it has ended or the pid is somebody else's now."""
    import psutil

    if process is None:
        return None
    _reap()
    try:
        found = psutil.Process(process.pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return None
        line = found.cmdline()
        if line:
            return found if f"{NODE_MARK}{folder}" in line else None
        # For a moment after it was started a process has no command line yet (Linux, inside execve).
        return found if abs(found.create_time() - process.started) < 1.0 else None
    except psutil.Error:
        return None


def find_all(cluster_folder: Path) -> dict[int, list["psutil.Process"]]:
    """Every Java process started for a cluster, by node id, found by its mark: also those never noted anywhere."""
    import psutil

    _reap()
    found: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        for word in process.info["cmdline"] or ():
            if word.startswith(NODE_MARK):
                folder = Path(word.removeprefix(NODE_MARK))
                if folder.parent == cluster_folder and folder.name.startswith("broker-"):
                    found.setdefault(int(folder.name.removeprefix("broker-")), []).append(process)
    return found


def end(processes: Iterable["psutil.Process"], *, kill: bool = False, deadline_s: float = 20.0) -> list[int]:
    """End processes: ask all with SIGTERM, and those that are still there after ``deadline_s`` with SIGKILL.

    Returns the pids that did not end when asked (none when ``kill`` asked for SIGKILL at once).
    """
    alive = list(processes)
    _signal(alive, kill=kill)
    alive = _wait_gone(alive, deadline_s)
    _signal(alive, kill=True)
    _wait_gone(alive, 10.0)
    return [] if kill else [process.pid for process in alive]


def end_together(nodes: Iterable[tuple["psutil.Process", Path]], *, deadline_s: float) -> list[int]:
    """End all nodes of a cluster at once, given with their data folders.

    Returns the pids that had to be killed before they had closed their logs: these will check them at the next start.
    """
    alive = dict(nodes)
    _signal(alive, kill=False)
    deadline = time.monotonic() + deadline_s
    while alive and time.monotonic() < deadline:
        for process in set(alive) - set(_wait_gone(list(alive), 0.1)):
            alive.pop(process)
        # The last quorum leader waits 5 s for a successor that can't come (KafkaRaftManager.shutdown). It has closed
        # its logs by then, which it says by this file (LogManager.shutdown): nothing is lost by not waiting.
        closed = [process for process, data in alive.items() if (data / ".kafka_cleanshutdown").exists()]
        if len(closed) == len(alive):
            end(closed, kill=True)
            return []
    end(alive, kill=True)
    return [process.pid for process in alive]


def _signal(processes: Iterable["psutil.Process"], *, kill: bool) -> None:
    import psutil

    for process in processes:
        with contextlib.suppress(psutil.Error):
            if kill:
                process.kill()
            else:
                process.terminate()
                process.resume()  # one that was frozen could not even read the request


def _wait_gone(processes: Sequence["psutil.Process"], timeout_s: float) -> list["psutil.Process"]:
    """Those that are still alive after ``timeout_s``.

    A zombie counts as gone, since only its parent can collect it; but while it has threads, they hold its ports.
    """
    import psutil

    def lives(process: psutil.Process) -> bool:
        try:
            if not process.is_running():
                return False
            if process.status() != psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return False
        try:
            return bool(process.num_threads() > 1)
        except psutil.Error:  # not every system tells this of a zombie
            return False

    deadline = time.monotonic() + timeout_s
    while True:
        _reap()
        processes = [process for process in processes if lives(process)]
        if not processes or time.monotonic() > deadline:
            return list(processes)
        time.sleep(_POLL_S)


def condition(process: "psutil.Process") -> Literal["starting", "frozen"]:
    """Why a live process is not registered with the cluster."""
    import psutil

    with contextlib.suppress(psutil.Error):
        if process.status() == psutil.STATUS_STOPPED:
            return "frozen"
    return "starting"


def memory_bytes(process: "psutil.Process") -> int | None:
    """The memory a process takes: its share of what is shared (PSS) where the system tells, else RSS."""
    import psutil

    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.rss)
    except psutil.Error:
        try:
            return int(process.memory_info().rss)
        except psutil.Error:
            return None


def spawn(
    words: Sequence[str], output: int, folder: Path, more: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Start a process that outlives this one, its output into ``output``, in ``folder``; ``more`` goes into its
    environment."""
    # Under the locale C, Java on Linux can't open a folder whose name is not ASCII.
    environment = {**os.environ, **({"LC_ALL": "C.UTF-8"} if sys.platform == "linux" else {}), **(more or {})}
    # A session of its own: Ctrl-C in the terminal reaches the command, not the brokers it has started.
    child = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    _children.append(child)
    return child


def spawn_java(words: Sequence[str], output: int, folder: Path) -> "subprocess.Popen[bytes]":
    """As :func:`spawn`, for a Java process, whose temporary files are in ``tmp`` of its folder, emptied before.

    Kafka's codecs unpack libraries there at each start, and a process that is killed leaves them. Raises OSError.
    """
    temporary = folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    make_folder(temporary)
    return spawn([words[0], f"-Djava.io.tmpdir={temporary}", *words[1:]], output, folder)


def _reap() -> None:
    _children[:] = [child for child in _children if child.poll() is None]


def _one_line(lines: Sequence[str], at: int) -> str:
    """A log line without its time and logger; where it announces an exception, the exception's own words follow."""
    text = lines[at]
    if text.startswith("[") and "] " in text:
        text = text.split("] ", 1)[1].removeprefix("ERROR ").removeprefix("FATAL ")
    causes = [line.strip() for line in lines[at + 1 : at + 60] if line.startswith("Caused by: ")]
    if causes:
        text = f"{text}: {causes[-1].removeprefix('Caused by: ')}"
    elif at + 1 < len(lines) and ("Exception" in lines[at + 1] or "Error" in lines[at + 1]):
        text = f"{text}: {lines[at + 1].strip()}"
    return text.strip()[:300]
