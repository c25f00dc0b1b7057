"""Station 5: ZooKeeper for the brokers of Kafka up to 3.9: one real server, on the loopback.

It comes with Kafka's own jars (ZooKeeper 3.8), and is a part of its cluster: a process of its own that outlives the
command which started it, found again by its mark. Here ZooKeeper keeps what the controllers keep with KRaft: who the
brokers are, which of them is the controller, and what topics there are.

    <cluster>/zookeeper/         its port and process, its configuration and log
    <data>/zookeeper/            its snapshots and transaction logs
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from sensorstream.cluster import node, preflight, state
from sensorstream.cluster.companion import Companion, Known
from sensorstream.cluster.java_command import Launch
from sensorstream.cluster.plan import Plan
from sensorstream.cluster.properties import LOOPBACK, SESSION_MS
from sensorstream.cluster.results import ZooKeeperStatus
from sensorstream.cluster.zookeeper_properties import zookeeper_properties
from sensorstream.errors import Interrupted, LocalClusterError, PortTaken, UsageError
from sensorstream.events import Listener, Notice
from sensorstream.own_files import make_folder

DEFAULT_PORT: Final = 2181
"""Where ZooKeeper listens by convention."""
_NAME: Final = "zookeeper"
_MAIN: Final = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
_HEAP_MB: Final = 128
_READY_S: Final = 60.0
_ANSWER_S: Final = 3.0
_POLL_S: Final = 0.1
_GONE_S: Final = SESSION_MS / 1000 + 24.0
"""How long the registration of a killed broker may stay: its session, and some patience for a busy machine."""


class ZooKeeper(Companion):
    """The ZooKeeper of the cluster whose folder is ``cluster_folder``. Making the object starts nothing."""

    def __init__(self, cluster_folder: Path) -> None:
        super().__init__(cluster_folder, _NAME)
        self._node = node.Node(0, self.folder, self.folder)

    @property
    def log_file(self) -> Path:
        """Where it logs."""
        return self._node.log_file

    def address(self) -> str | None:
        """``host:port`` for ``zookeeper.connect``; None where the cluster has no ZooKeeper."""
        known = self.known()
        return None if known is None else f"{LOOPBACK}:{known.port}"

    def status(self) -> ZooKeeperStatus | None:
        """What there is of it; None where the cluster has none."""
        known = self.known()
        if known is None:
            return None
        process = self.process(known)
        return ZooKeeperStatus(
            address=f"{LOOPBACK}:{known.port}",
            state="stopped" if process is None else "running" if _serves(known.port) else node.condition(process),
            pid=process.pid if process else None,
            port=known.port,
            memory_bytes=node.memory_bytes(process) if process else None,
            log_file=str(self.log_file),
        )

    def start_for(
        self, plan: Plan, launch: Launch, stop: threading.Event, *, any_port: bool, listener: Listener
    ) -> bool:
        """Have it serve, and no missing broker registered any more, before ``plan`` is carried out.

        False when it ran already, or the cluster has none. ``any_port``: not the default one, where none is remembered.
        When this fails or is interrupted, what it has started is ended again.
        Raises LocalClusterError, PortTaken, Interrupted.
        """
        if plan.mode != "zookeeper":
            return False
        self._check_data(Path(plan.known.data_dir))
        # Brokers that run know the port: it must be the same.
        needed = len(plan.missing) < len(plan.known.ports)
        started = self._start(
            launch, Path(plan.known.data_dir), stop, any_port=any_port, needed=needed, listener=listener
        )
        self._wait_unregistered(plan.missing, stop, listener)
        return started

    def note_id(self, plan: Plan, cluster_id: str | None) -> None:
        """Note with the data the id that the first broker has made for the cluster."""
        data = Path(plan.known.data_dir)
        formatted = state.load_formatted(data)
        if cluster_id is not None and formatted is not None and formatted.cluster_id == state.ID_TO_COME:
            state.save_formatted(data, replace(formatted, cluster_id=cluster_id))

    def existing_log(self, name: str) -> Path:
        """Where it logs. Raises UsageError where the cluster ``name`` has none."""
        if self.known() is None:
            raise UsageError(f"cluster {name!r} has no ZooKeeper", hint="leave out --zookeeper")
        return self.log_file

    def _start(
        self,
        launch: Launch,
        data: Path,
        stop: threading.Event,
        *,
        any_port: bool,
        needed: bool,
        listener: Listener,
    ) -> bool:
        """Start it and wait until it serves; False when it ran already."""
        known = self.known()
        if known is not None and self.process(known) is not None:
            self._wait(known, stop)
            return False
        self.end()  # strays
        folder = data / _NAME
        try:
            make_folder(folder)
            port = _choose_port(known, any_port=any_port, needed=needed, listener=listener)
            self._node.configure(*zookeeper_properties(port, folder, self.log_file))
            process = self._node.start(launch, _MAIN, heap_mb=_HEAP_MB)
        except OSError as error:
            raise LocalClusterError(
                f"ZooKeeper can't be started: {error.strerror or error}", hint="choose another --data-dir"
            ) from error
        started = Known(port, process)
        self.remember(started)
        try:
            self._wait(started, stop)
        except BaseException:
            self.end()
            if known is None:
                self.forget_port()
            raise
        listener(Notice(f"ZooKeeper serves on port {port} (pid {process.pid})", "debug"))
        return True

    def _wait_unregistered(self, brokers: Collection[int], stop: threading.Event, listener: Listener) -> None:
        """Wait until none of these brokers, which do not run, is registered any more.

        A broker registers by a node of its session (``/brokers/ids/N``), which stays until the session is over when the
        broker was killed. One that starts before that ends at once with ``NodeExists``.
        Raises LocalClusterError when it takes too long, Interrupted.
        """
        known = self.known()
        deadline, told = time.monotonic() + _GONE_S, False
        while known is not None:
            answer = _ask(known.port, "dump")
            stale = set() if answer is None else set(brokers) & _registered(answer)
            if answer is not None and not stale:
                return
            if stale and not told:
                listener(Notice(f"{_stale(stale)}: waiting for {SESSION_MS / 1000:g} s without a sign of life to pass"))
                told = True
            if stop.is_set():
                raise Interrupted("stopped while a session was running out", hint="nothing new was left running")
            if time.monotonic() > deadline:
                what = "it does not answer"
                if stale:
                    what = _stale(stale)
                raise LocalClusterError(f"ZooKeeper is not ready for the brokers: {what}", hint=f"see {self.log_file}")
            stop.wait(_POLL_S)

    def _check_data(self, data: Path) -> None:
        """Refuse brokers' data whose ZooKeeper is gone: each would end with "Invalid cluster.id"."""
        formatted = state.load_formatted(data)
        has_run = formatted is not None and formatted.cluster_id != state.ID_TO_COME
        if has_run and not any((data / _NAME).glob("version-*/*")):
            raise LocalClusterError(
                f"ZooKeeper's data is missing from {data / _NAME}, and the brokers' data can't be used without it",
                hint="restore that folder, or start over: sensorstream cluster down --delete-data",
            )

    def _wait(self, known: Known, stop: threading.Event) -> None:
        self.wait(
            known,
            lambda: _serves(known.port),
            "ZooKeeper",
            stop,
            within_s=_READY_S,
            log_file=self.log_file,
            last_words=self._node.last_error,
        )


def _choose_port(known: Known | None, *, any_port: bool, needed: bool, listener: Listener) -> int:
    """The port of the last time, else the default one, else a free one: nobody but the brokers needs to know it."""
    wished = known.port if known is not None else None if any_port else DEFAULT_PORT
    if wished is None:
        return preflight.free_ports(1)[0]
    try:
        preflight.require_ports([wished])
    except PortTaken as error:
        if needed:
            raise PortTaken(
                f"ZooKeeper can't be started again: {error.message}",
                hint="stop that process; or stop the cluster, then start it anew with another port for ZooKeeper",
            ) from error
        port = preflight.free_ports(1)[0]
        listener(Notice(f"{error.message}: ZooKeeper listens on {port}"))
        return port
    return wished


def _stale(brokers: Collection[int]) -> str:
    which = ", ".join(map(str, sorted(brokers)))
    if len(brokers) == 1:
        return f"broker {which} does not run and is still registered at ZooKeeper"
    return f"brokers {which} do not run and are still registered at ZooKeeper"


def _serves(port: int) -> bool:
    """Whether a ZooKeeper at this port serves clients."""
    answer = _ask(port, "srvr")
    return answer is not None and "Mode: " in answer


def _registered(dump: str) -> set[int]:
    """The brokers in an answer to ``dump``, which lists the nodes that go with a session."""
    return {int(number) for number in re.findall(r"/brokers/ids/(\d+)", dump)}


def _ask(port: int, word: str) -> str | None:
    """The answer to one of ZooKeeper's words of four letters; None while there is none.

    See https://zookeeper.apache.org/doc/r3.8.4/zookeeperAdmin.html#sc_zkCommands
    """
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=_ANSWER_S) as connection:
        connection.sendall(word.encode("ascii"))
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts).decode("utf-8", errors="replace")
    return None
